#include "options.h"

#include <stdio.h>
#include <string.h>

#include "text.h"

#include "options.inc"

const struct lark_option_row *lark__options_row(enum lark_option option)
{
    return &option_rows[option];
}

const char *lark__options_near(const char *word)
{
    const char *keys[LARK_N_OPTIONS];
    for (size_t i = 0; i < LARK_N_OPTIONS; i++) keys[i] = option_rows[i].key;
    return lark__cli_near(word, keys, LARK_N_OPTIONS);
}

static bool read_count(const char *text, uint32_t *out_n)
{
    uint32_t n = 0;
    const size_t len = strlen(text);
    if (len == 0 || len > 9) return false;
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9') return false;
        n = n * 10 + (uint32_t)(text[i] - '0');
    }
    *out_n = n;
    return true;
}

static const char *read_flag(const char *text)
{
    static const char *const yes[] = {"1", "true", "yes", "on"};
    static const char *const no[] = {"0", "false", "no", "off", ""};
    for (size_t i = 0; i < sizeof(yes) / sizeof(*yes); i++)
        if (strcmp(text, yes[i]) == 0) return "1";
    for (size_t i = 0; i < sizeof(no) / sizeof(*no); i++)
        if (strcmp(text, no[i]) == 0) return "0";
    return NULL;
}

/* "a, b  c" becomes "a b c". */
static const char *read_list(struct lark_arena *arena, const char *text)
{
    char *out = lark__cli_copy(arena, lark__cli_slice(text));
    size_t n = 0;
    bool gap = false;
    for (size_t i = 0; text[i] != '\0'; i++) {
        if (text[i] == ',' || text[i] == ' ') {
            gap = n > 0;
            continue;
        }
        if (gap) out[n++] = ' ';
        gap = false;
        out[n++] = text[i];
    }
    out[n] = '\0';
    return out;
}

static bool has_control(const char *text)
{
    for (size_t i = 0; text[i] != '\0'; i++)
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f) return true;
    return false;
}

bool lark__options_set(struct lark_arena *arena, struct lark_options *options, enum lark_option option,
                       const char *where, const char *text)
{
    const struct lark_option_row *row = &option_rows[option];
    if (has_control(text)) {
        lark__cli_say("%s: has a control character in it", where);
        return false;
    }
    uint32_t n = 0;
    switch (row->type) {
    case LARK_OPTION_IS_COUNT:
        if (!read_count(text, &n) || n < row->min || n > row->max) {
            lark__cli_say("%s: expected a whole number from %u to %u, got '%s'", where, row->min, row->max, text);
            return false;
        }
        break;
    case LARK_OPTION_IS_FLAG:
    case LARK_OPTION_IS_ACTION:
        if (read_flag(text) == NULL) {
            lark__cli_say("%s: expected true or false, got '%s'", where, text);
            return false;
        }
        text = read_flag(text);
        break;
    case LARK_OPTION_IS_PATH:
    case LARK_OPTION_IS_TEXT:
        if (text[0] == '\0') {
            lark__cli_say("%s: expected a value, got none", where);
            return false;
        }
        break;
    case LARK_OPTION_IS_LIST: text = read_list(arena, text); break;
    }
    options->values[option] = (struct lark_option_value){text, where};
    return true;
}

bool lark__options_flag(const struct lark_options *options, enum lark_option option)
{
    const char *text = options->values[option].text;
    return text != NULL && text[0] == '1';
}

uint32_t lark__options_count(const struct lark_options *options, enum lark_option option)
{
    uint32_t n = 0;
    const char *text = options->values[option].text;
    return text != NULL && read_count(text, &n) ? n : 0;
}
