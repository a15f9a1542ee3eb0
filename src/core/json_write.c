/* json_write.c - strings and bytes as JSON. */
#include <lark/json.h>

#include "base64.h"
#include "buf.h"
#include "json_write.h"
#include "text_run.h"
#include "utf8.h"

static enum lark_status append_escape(struct lark_buf *out, uint8_t c)
{
    static const char hex[] = "0123456789abcdef";
    static const char letters[] = "btn\0fr"; /* U+0008 .. U+000D; U+000B has none */
    if (c == '"') return LARK_APPEND(out, "\\\"");
    if (c == '\\') return LARK_APPEND(out, "\\\\");
    if (c >= 8 && c <= 13 && letters[c - 8] != '\0') {
        uint8_t two[2] = {'\\', (uint8_t)letters[c - 8]};
        return lark__append(out, two, sizeof two);
    }
    uint8_t six[6] = {'\\', 'u', '0', '0', (uint8_t)hex[c >> 4], (uint8_t)hex[c & 15]};
    return lark__append(out, six, sizeof six);
}

/* Length of a run that needs no escape, multi-byte characters included; *ok false when it met broken UTF-8. */
static size_t text_run(const uint8_t *p, size_t n, bool *ok)
{
    size_t at = 0;
    for (;;) {
        at += lark__plain_run(p + at, n - at);
        if (at == n || p[at] < 0x80) return at;
        size_t step = lark__utf8_step(p + at, n - at);
        if (step == 0) {
            *ok = false;
            return at;
        }
        at += step;
    }
}

enum lark_status lark__json_write_inner(struct lark_buf *out, struct lark_slice text)
{
    size_t start = out->len;
    size_t at = 0;
    bool ok = true;
    while (at < text.len) {
        size_t run = text_run(text.p + at, text.len - at, &ok);
        enum lark_status status = ok ? lark__append(out, text.p + at, run) : LARK_E_BAD_TEXT;
        at += run;
        if (status == LARK_OK && at < text.len) status = append_escape(out, text.p[at++]);
        if (status != LARK_OK) {
            out->len = start;
            return status;
        }
    }
    return LARK_OK;
}

enum lark_status lark__json_write_piece(struct lark_buf *out, struct lark_slice text)
{
    size_t at = 0;
    enum lark_status status = LARK_OK;
    while (at < text.len && status == LARK_OK) {
        size_t from = at;
        do {
            at += lark__plain_run(text.p + at, text.len - at);
            while (at < text.len && text.p[at] >= 0x80) at++;
        } while (at < text.len && text.p[at] >= 0x20 && text.p[at] != '"' && text.p[at] != '\\');
        status = lark__append(out, text.p + from, at - from);
        if (status == LARK_OK && at < text.len) status = append_escape(out, text.p[at++]);
    }
    return status;
}

enum lark_status lark_json_write_text(struct lark_buf *out, struct lark_slice text)
{
    size_t start = out->len;
    size_t need;
    if (!lark__add(text.len, 2, &need)) return LARK_E_TOO_LARGE;
    enum lark_status status = lark__reserve(out, need);
    if (status != LARK_OK) return status;
    uint8_t *string = out->p + start;
    if (LARK_LIKELY(lark__copy_plain(string + 1, text.p, text.len))) {
        string[0] = '"';
        string[need - 1] = '"';
        out->len += need;
        return LARK_OK;
    }
    status = LARK_APPEND(out, "\"");
    if (status == LARK_OK) status = lark__json_write_inner(out, text);
    if (status == LARK_OK) status = LARK_APPEND(out, "\"");
    if (status != LARK_OK) out->len = start;
    return status;
}

static enum lark_status write_base64(struct lark_buf *out, const char *before, struct lark_slice bytes,
                                     const char *after)
{
    size_t start = out->len;
    enum lark_status status = lark_buf_append(out, lark__text(before));
    if (status == LARK_OK) status = lark__base64_append(out, bytes);
    if (status == LARK_OK) status = lark_buf_append(out, lark__text(after));
    if (status != LARK_OK) out->len = start;
    return status;
}

enum lark_status lark__json_write_base64(struct lark_buf *out, struct lark_slice bytes)
{
    return write_base64(out, "\"", bytes, "\"");
}

enum lark_status lark_json_write_bytes(struct lark_buf *out, struct lark_slice bytes)
{
    enum lark_status status = lark_json_write_text(out, bytes);
    return status == LARK_E_BAD_TEXT ? write_base64(out, "{\"$base64\": \"", bytes, "\"}") : status;
}

enum lark_status lark__json_write_name(struct lark_buf *out, struct lark_slice bytes)
{
    if (!lark__starts(bytes, LARK_TEXT("$base64:"))) {
        enum lark_status status = lark_json_write_text(out, bytes);
        if (status != LARK_E_BAD_TEXT) return status;
    }
    return write_base64(out, "\"$base64:", bytes, "\"");
}
