#include "config_file.h"

#include <string.h>

#include <lark/json.h>

#include "files.h"
#include "text.h"

#define VALUE_MAX (64U << 10)
#define MEMBERS_MAX 1000

/* What is being read.
 * option: the member's, -1 before the first
 * text:   the name, string, number or list so far
 * said:   the fault is on standard error already */
struct reader {
    struct lark_arena *arena;
    const char *path;
    struct lark_options *options;
    int option;
    struct lark_buf text;
    bool in_list;
    bool said;
};

static const char *type_name(enum lark_json_type type)
{
    switch (type) {
    case LARK_JSON_OBJECT:
    case LARK_JSON_OBJECT_END: return "an object";
    case LARK_JSON_ARRAY:
    case LARK_JSON_ARRAY_END: return "an array";
    case LARK_JSON_NAME:
    case LARK_JSON_STRING: return "a string";
    case LARK_JSON_NUMBER: return "a number";
    case LARK_JSON_TRUE:
    case LARK_JSON_FALSE: return "a boolean";
    case LARK_JSON_NULL: break;
    }
    return "null";
}

static const char *expected(enum lark_option_type type)
{
    switch (type) {
    case LARK_OPTION_IS_COUNT: return "a whole number";
    case LARK_OPTION_IS_FLAG:
    case LARK_OPTION_IS_ACTION: return "true or false";
    case LARK_OPTION_IS_LIST: return "a string or an array of strings";
    case LARK_OPTION_IS_TEXT:
    case LARK_OPTION_IS_PATH: break;
    }
    return "a string";
}

static enum lark_status fault(struct reader *reader)
{
    reader->said = true;
    return LARK_E_BAD_PARAMETER;
}

/* A NUL would cut the text for everything behind here. */
static bool has_nul(const struct reader *reader)
{
    return reader->text.len > 0 && memchr(reader->text.p, 0, reader->text.len) != NULL;
}

static enum lark_status take_name(struct reader *reader)
{
    const bool nul = has_nul(reader);
    const char *name = lark__cli_copy(reader->arena, (struct lark_slice){reader->text.p, reader->text.len});
    reader->text.len = 0; /* the value follows */
    for (int i = 0; i < LARK_N_OPTIONS; i++) {
        const struct lark_option_row *row = lark__options_row((enum lark_option)i);
        if (nul || strcmp(row->key, name) != 0) continue;
        reader->option = i;
        if (row->in_file) return LARK_OK;
        lark__cli_say("%s: %s belongs on the command line, not in a config file", reader->path, name);
        return fault(reader);
    }
    const char *near = lark__options_near(name);
    if (near != NULL)
        lark__cli_say("%s: unknown option \"%s\"; did you mean \"%s\"?", reader->path, name, near);
    else
        lark__cli_say("%s: unknown option \"%s\"; see lark help serve", reader->path, name);
    return fault(reader);
}

static enum lark_status set_value(struct reader *reader)
{
    const struct lark_option_row *row = lark__options_row((enum lark_option)reader->option);
    const char *where = lark__cli_format(reader->arena, "%s: %s", reader->path, row->key);
    if (has_nul(reader)) {
        lark__cli_say("%s: has a control character in it", where);
        return fault(reader);
    }
    const char *text = lark__cli_copy(reader->arena, (struct lark_slice){reader->text.p, reader->text.len});
    if (!lark__options_set(reader->arena, reader->options, (enum lark_option)reader->option, where, text))
        return fault(reader);
    return LARK_OK;
}

static enum lark_status wrong_type(struct reader *reader, const struct lark_json_event *event)
{
    const struct lark_option_row *row = lark__options_row((enum lark_option)reader->option);
    lark__cli_say("%s: %s: expected %s, got %s%s", reader->path, row->key, expected(row->type), type_name(event->type),
                  event->depth > 1 ? " in the array" : "");
    return fault(reader);
}

static bool fits(enum lark_option_type type, const struct lark_json_event *event)
{
    switch (type) {
    case LARK_OPTION_IS_COUNT: return event->type == LARK_JSON_NUMBER;
    case LARK_OPTION_IS_FLAG:
    case LARK_OPTION_IS_ACTION: return event->type == LARK_JSON_TRUE || event->type == LARK_JSON_FALSE;
    case LARK_OPTION_IS_LIST:
        return event->type == LARK_JSON_STRING ||
               ((event->type == LARK_JSON_ARRAY || event->type == LARK_JSON_ARRAY_END) && event->depth == 1);
    case LARK_OPTION_IS_TEXT:
    case LARK_OPTION_IS_PATH: break;
    }
    return event->type == LARK_JSON_STRING;
}

/* An item of a list, or a piece of one: items are joined by spaces. */
static enum lark_status take_item(struct reader *reader, const struct lark_json_event *event)
{
    enum lark_status status = LARK_OK;
    if (event->first) status = lark_buf_append(&reader->text, lark__cli_slice(" "));
    return status == LARK_OK ? lark_buf_append(&reader->text, event->text) : status;
}

/* A value, a piece of one, or the ends of a list. */
static enum lark_status take_value(struct reader *reader, const struct lark_json_event *event)
{
    const struct lark_option_row *row = lark__options_row((enum lark_option)reader->option);
    if (event->type == LARK_JSON_NULL && event->depth == 1) return LARK_OK; /* as if it were not there */
    if (!fits(row->type, event)) return wrong_type(reader, event);
    reader->in_list = event->type == LARK_JSON_ARRAY || (reader->in_list && event->type != LARK_JSON_ARRAY_END);
    if (event->type == LARK_JSON_ARRAY) return LARK_OK;
    if (event->type == LARK_JSON_ARRAY_END) return set_value(reader);
    if (reader->in_list) return take_item(reader, event);
    const bool boolean = event->type == LARK_JSON_TRUE || event->type == LARK_JSON_FALSE;
    const struct lark_slice text = boolean ? lark__cli_slice(event->type == LARK_JSON_TRUE ? "1" : "0") : event->text;
    const enum lark_status status = lark_buf_append(&reader->text, text);
    return status == LARK_OK && (boolean || event->last) ? set_value(reader) : status;
}

static enum lark_status take_event(void *ctx, const struct lark_json_event *event)
{
    struct reader *reader = ctx;
    if (event->depth == 0) {
        if (event->type == LARK_JSON_OBJECT || event->type == LARK_JSON_OBJECT_END) return LARK_OK;
        lark__cli_say("%s: expected an object of options, got %s", reader->path, type_name(event->type));
        return fault(reader);
    }
    if (event->type != LARK_JSON_NAME || event->depth != 1) return take_value(reader, event);
    if (event->first) reader->text.len = 0;
    const enum lark_status status = lark_buf_append(&reader->text, event->text);
    return status == LARK_OK && event->last ? take_name(reader) : status;
}

static void say_position(const char *path, struct lark_slice bytes, uint64_t offset, const char *what)
{
    size_t line = 1;
    size_t column = 1;
    for (size_t i = 0; i < bytes.len && i < offset; i++) {
        column = bytes.p[i] == '\n' ? 1 : column + 1;
        line += bytes.p[i] == '\n';
    }
    lark__cli_say("%s: not valid JSON at line %zu, column %zu: %s", path, line, column, what);
}

static bool parse(struct reader *reader, struct lark_slice bytes)
{
    struct lark_json json;
    lark_json_init(&json, lark_mem_default(), 4, MEMBERS_MAX, take_event, reader);
    enum lark_status status = lark_json_feed(&json, bytes);
    if (status == LARK_OK) status = lark_json_finish(&json);
    if (status == LARK_E_BAD_JSON && !reader->said) {
        const char *what = lark_json_error(&json);
        say_position(reader->path, bytes, lark_json_offset(&json), what == NULL ? "unexpected text" : what);
    } else if (status != LARK_OK && !reader->said) {
        lark__cli_say("%s: %s", reader->path, lark_error_row(status)->message);
    }
    lark_json_done(&json);
    return status == LARK_OK;
}

bool lark__config_file_read(struct lark_arena *arena, const char *path, struct lark_options *options)
{
    struct lark_slice bytes = {NULL, 0};
    const int error = lark__file_read(arena, path, LARK_CONFIG_FILE_MAX, &bytes);
    if (error != 0) {
        lark__cli_say("config file %s cannot be read: %s", path, strerror(error));
        return false;
    }
    struct reader reader = {.arena = arena, .path = path, .options = options, .option = -1};
    lark_buf_init(&reader.text, lark_mem_default(), VALUE_MAX, NULL, 0);
    const bool good = parse(&reader, bytes);
    lark_buf_done(&reader.text);
    return good;
}
