/* shape_text.c - texts of Redis that become objects: INFO, CLIENT LIST, DEBUG OBJECT. */
#include "buf.h"
#include "json_write.h"
#include "score.h"
#include "shape.h"

bool lark__next_line(struct lark_slice *text, struct lark_slice *line)
{
    if (text->len == 0) return false;
    const uint8_t *lf = memchr(text->p, '\n', text->len);
    *line = lark__slice(text->p, lf ? (size_t)(lf - text->p) : text->len);
    *text = lark__from(*text, line->len + (lf ? 1 : 0));
    if (line->len > 0 && line->p[line->len - 1] == '\r') line->len--;
    return true;
}

bool lark__next_word(struct lark_slice *text, struct lark_slice *word)
{
    while (text->len > 0 && text->p[0] == ' ') *text = lark__from(*text, 1);
    if (text->len == 0) return false;
    const uint8_t *blank = memchr(text->p, ' ', text->len);
    *word = lark__slice(text->p, blank ? (size_t)(blank - text->p) : text->len);
    *text = lark__from(*text, word->len);
    return true;
}

/* Splits at the first (or last) mark. return: false when there is none */
static bool cut(struct lark_slice text, uint8_t mark, bool last, struct lark_slice *before, struct lark_slice *after)
{
    for (size_t i = 0; i < text.len; i++) {
        size_t at = last ? text.len - 1 - i : i;
        if (text.p[at] != mark) continue;
        *before = lark__slice(text.p, at);
        *after = lark__from(text, at + 1);
        return true;
    }
    return false;
}

/* "name": with what separates members */
static enum lark_status write_member(struct lark_buf *out, struct lark_slice name, bool *first)
{
    enum lark_status status = *first ? LARK_OK : LARK_APPEND(out, ", ");
    *first = false;
    if (status == LARK_OK) status = lark__json_write_name(out, name);
    return status == LARK_OK ? LARK_APPEND(out, ": ") : status;
}

/* A whole number, else a number when it holds a dot, else text. */
static enum lark_status write_simple(struct lark_buf *out, struct lark_slice text)
{
    int64_t n;
    if (lark__parse_i64(text, &n)) return lark__append_i64(out, n);
    bool dotted = text.len > 0 && memchr(text.p, '.', text.len) != NULL;
    if (dotted && lark__classify_number(text) == LARK__FRACTION) return lark__append_score(out, text);
    return lark_json_write_bytes(out, text);
}

/* Is it a=b,c=d with a = in each part? */
static bool is_nested(struct lark_slice text)
{
    struct lark_slice part, rest = text, name, value;
    if (text.len == 0 || memchr(text.p, ',', text.len) == NULL) return false;
    while (rest.len > 0) {
        bool more = cut(rest, ',', false, &part, &rest);
        if (!more) {
            part = rest;
            rest.len = 0;
        }
        if (!cut(part, '=', true, &name, &value)) return false;
    }
    return true;
}

static enum lark_status write_nested(struct lark_buf *out, struct lark_slice text)
{
    struct lark_slice part, name, value;
    bool first = true;
    enum lark_status status = LARK_APPEND(out, "{");
    while (text.len > 0 && status == LARK_OK) {
        if (!cut(text, ',', false, &part, &text)) {
            part = text;
            text.len = 0;
        }
        if (!cut(part, '=', true, &name, &value)) continue;
        status = write_member(out, name, &first);
        if (status == LARK_OK) status = write_simple(out, value);
    }
    return status == LARK_OK ? LARK_APPEND(out, "}") : status;
}

enum lark_status lark__shape_info(struct lark_buf *out, struct lark_slice text)
{
    struct lark_slice line, name, value;
    bool first = true;
    enum lark_status status = LARK_APPEND(out, "{");
    while (status == LARK_OK && lark__next_line(&text, &line)) {
        if (line.len == 0 || line.p[0] == '#' || !cut(line, ':', false, &name, &value)) continue;
        status = write_member(out, name, &first);
        if (status == LARK_OK) status = is_nested(value) ? write_nested(out, value) : write_simple(out, value);
    }
    return status == LARK_OK ? LARK_APPEND(out, "}") : status;
}

/* One client: name=value words; a value may hold "=" */
static enum lark_status write_client(struct lark_buf *out, struct lark_slice line)
{
    struct lark_slice word, name, value;
    bool first = true;
    enum lark_status status = LARK_APPEND(out, "{");
    while (status == LARK_OK && lark__next_word(&line, &word)) {
        if (!cut(word, '=', false, &name, &value)) continue;
        status = write_member(out, name, &first);
        if (status == LARK_OK) status = lark_json_write_bytes(out, value);
    }
    return status == LARK_OK ? LARK_APPEND(out, "}") : status;
}

enum lark_status lark__shape_client_list(struct lark_buf *out, struct lark_slice text)
{
    struct lark_slice line;
    bool first = true;
    enum lark_status status = LARK_APPEND(out, "[");
    while (status == LARK_OK && lark__next_line(&text, &line)) {
        if (line.len == 0) continue;
        if (!first) status = LARK_APPEND(out, ", ");
        first = false;
        if (status == LARK_OK) status = write_client(out, line);
    }
    return status == LARK_OK ? LARK_APPEND(out, "]") : status;
}

static bool is_number_field(struct lark_slice name)
{
    return lark__same(name, LARK_TEXT("refcount")) || lark__same(name, LARK_TEXT("serializedlength")) ||
           lark__same(name, LARK_TEXT("lru")) || lark__same(name, LARK_TEXT("lru_seconds_idle"));
}

/* "Value at:0x7f... refcount:1 encoding:embstr ...": the first word is the type */
enum lark_status lark__shape_debug_object(struct lark_buf *out, struct lark_slice text)
{
    struct lark_slice word, name, value;
    bool first = true;
    enum lark_status status = LARK_APPEND(out, "{");
    while (status == LARK_OK && lark__next_word(&text, &word)) {
        bool type = first && !cut(word, ':', false, &name, &value);
        if (type) {
            name = LARK_TEXT("type");
            value = word;
        } else if (!cut(word, ':', false, &name, &value)) {
            continue;
        }
        status = write_member(out, name, &first);
        if (status != LARK_OK) break;
        status = is_number_field(name) ? write_simple(out, value) : lark_json_write_bytes(out, value);
    }
    return status == LARK_OK ? LARK_APPEND(out, "}") : status;
}
