/* resp_read.c - the streaming RESP reader. A reply is a line (type, text, CR LF), for bulks followed by bytes. */
#include <lark/resp.h>

#include "num.h"

enum state {
    AT_TYPE,   /* the first byte of an element */
    IN_HEADER, /* a number line: $ * : # _ , ( = ! % ~ > | */
    IN_TEXT,   /* a status or error line */
    IN_BULK,
    AT_BULK_END /* CR LF behind a bulk; line_len counts the bytes seen */
};

#define NO_LENGTH (-1)

void lark_resp_init(struct lark_resp *resp, const struct lark_mem *mem, uint64_t max_bulk_bytes, uint64_t max_elements,
                    lark_resp_fn fn, void *ctx)
{
    *resp = (struct lark_resp){.fn = fn, .ctx = ctx, .max_elements = max_elements, .max_bulk_bytes = max_bulk_bytes};
    lark_buf_init(&resp->text, mem, LARK_RESP_LINE_MAX, NULL, 0);
    resp->state = AT_TYPE;
}

void lark_resp_done(struct lark_resp *resp)
{
    lark_buf_done(&resp->text);
}

static enum lark_status emit(struct lark_resp *resp, const struct lark_resp_event *event)
{
    return resp->hidden ? LARK_OK : resp->fn(resp->ctx, event);
}

static enum lark_status emit_scalar(struct lark_resp *resp, enum lark_resp_type type, int64_t n, struct lark_slice text)
{
    struct lark_resp_event event = {.type = type, .n = n, .text = text, .first = true, .last = true};
    event.depth = resp->depth;
    return emit(resp, &event);
}

/* An element ended: close what it completes. return: LARK_MORE, or LARK_OK when the reply is complete */
static enum lark_status end_element(struct lark_resp *resp)
{
    while (resp->depth > 0) {
        if (--resp->left[resp->depth - 1] > 0) return LARK_MORE;
        resp->depth--;
        uint32_t bit = (uint32_t)1 << resp->depth;
        if (resp->hidden & bit) {
            resp->hidden &= ~bit; /* an attribute: the element it describes follows */
            return LARK_MORE;
        }
        enum lark_status status = emit_scalar(resp, LARK_RESP_END, 0, lark__slice(NULL, 0));
        if (status != LARK_OK) return status;
    }
    resp->elements = 0;
    return LARK_OK;
}

static enum lark_status scalar(struct lark_resp *resp, enum lark_resp_type type, int64_t n, struct lark_slice text)
{
    enum lark_status status = emit_scalar(resp, type, n, text);
    if (status != LARK_OK) return status;
    if (resp->depth > 0 && resp->left[resp->depth - 1] > 1) {
        resp->left[resp->depth - 1]--;
        return LARK_MORE;
    }
    return end_element(resp);
}

static enum lark_status open(struct lark_resp *resp, enum lark_resp_type type, int64_t n)
{
    if (n < 0)
        return n == NO_LENGTH && resp->kind == '*' ? scalar(resp, LARK_RESP_NULL, 0, lark__slice(NULL, 0))
                                                   : LARK_E_PROTOCOL;
    bool attribute = resp->kind == '|';
    if (type == LARK_RESP_MAP) {
        if (n > INT64_MAX / 2) return LARK_E_REPLY_TOO_LARGE;
        n *= 2;
    }
    if ((uint64_t)n > resp->max_elements - resp->elements) return LARK_E_REPLY_TOO_LARGE;
    resp->elements += (uint64_t)n;
    if (resp->depth >= LARK_RESP_DEPTH_MAX) return LARK_E_REPLY_TOO_LARGE;
    if (attribute && n == 0) return LARK_MORE;
    if (!attribute) {
        enum lark_status status = emit_scalar(resp, type, n, lark__slice(NULL, 0));
        if (status != LARK_OK) return status;
        if (n == 0) {
            status = emit_scalar(resp, LARK_RESP_END, 0, lark__slice(NULL, 0));
            return status == LARK_OK ? end_element(resp) : status;
        }
    } else {
        resp->hidden |= (uint32_t)1 << resp->depth;
    }
    resp->left[resp->depth++] = (uint64_t)n;
    return LARK_MORE;
}

static enum lark_status begin_bulk(struct lark_resp *resp, int64_t n)
{
    if (n < 0) {
        return n == NO_LENGTH && resp->kind == '$' ? scalar(resp, LARK_RESP_NULL, 0, lark__slice(NULL, 0))
                                                   : LARK_E_PROTOCOL;
    }
    if ((uint64_t)n > resp->max_bulk_bytes) return LARK_E_REPLY_TOO_LARGE;
    resp->skip = resp->kind == '=' ? 4 : 0; /* a verbatim string begins with "txt:" or "mkd:" */
    if (n < resp->skip) return LARK_E_PROTOCOL;
    if (resp->kind == '!' && n > LARK_RESP_LINE_MAX) return LARK_E_REPLY_TOO_LARGE;
    resp->bulk_len = n - resp->skip;
    resp->bulk_left = (uint64_t)n;
    resp->state = n > 0 ? IN_BULK : AT_BULK_END;
    resp->line_len = 0;
    if (n - resp->skip > 0 || resp->kind == '!') return LARK_MORE;
    struct lark_resp_event event = {.type = LARK_RESP_BULK, .first = true, .last = true, .depth = resp->depth};
    enum lark_status status = emit(resp, &event);
    return status == LARK_OK ? LARK_MORE : status;
}

static bool is_bool(struct lark_slice line)
{
    return line.len == 1 && (line.p[0] == 't' || line.p[0] == 'f');
}

/* A complete header line, without type and CR LF. */
static enum lark_status header(struct lark_resp *resp, struct lark_slice line)
{
    int64_t n = 0;
    resp->state = AT_TYPE;
    switch (resp->kind) {
    case '_': return line.len == 0 ? scalar(resp, LARK_RESP_NULL, 0, line) : LARK_E_PROTOCOL;
    case '#': return is_bool(line) ? scalar(resp, LARK_RESP_BOOL, line.p[0] == 't', line) : LARK_E_PROTOCOL;
    case ',':
        if (lark__classify_number(line) == LARK__NOT_A_NUMBER && !lark__same_fold(line, LARK_TEXT("nan")) &&
            !lark__same_fold(line, LARK_TEXT("-nan"))) {
            return LARK_E_PROTOCOL;
        }
        return scalar(resp, LARK_RESP_DOUBLE, 0, line);
    default: break;
    }
    if (!lark__parse_i64(line, &n)) return LARK_E_PROTOCOL;
    switch (resp->kind) {
    case ':': return scalar(resp, LARK_RESP_INT, n, line);
    case '*': return open(resp, LARK_RESP_ARRAY, n);
    case '%':
    case '|': return open(resp, LARK_RESP_MAP, n);
    case '~': return open(resp, LARK_RESP_SET, n);
    case '>': return open(resp, LARK_RESP_PUSH, n);
    default: return begin_bulk(resp, n);
    }
}

/* Finds LF; what comes before it must end in CR. return: LARK_OK (line set), LARK_MORE, LARK_E_PROTOCOL */
static enum lark_status find_line(struct lark_slice data, size_t at, struct lark_slice *line, size_t *next)
{
    const uint8_t *lf = memchr(data.p + at, '\n', data.len - at);
    if (lf == NULL) return LARK_MORE;
    size_t end = (size_t)(lf - data.p);
    *line = lark__slice(data.p + at, end - at);
    *next = end + 1;
    return LARK_OK;
}

static enum lark_status header_line(struct lark_resp *resp, struct lark_slice data, size_t *at)
{
    struct lark_slice line;
    size_t next;
    enum lark_status status = find_line(data, *at, &line, &next);
    size_t n = status == LARK_OK ? line.len : data.len - *at;
    if (resp->line_len > 0 || status == LARK_MORE) {
        if (n > sizeof resp->line - resp->line_len) return LARK_E_PROTOCOL;
        memcpy(resp->line + resp->line_len, data.p + *at, n);
        resp->line_len += (unsigned)n;
        if (status == LARK_MORE) {
            *at = data.len;
            return LARK_MORE;
        }
        line = lark__slice(resp->line, resp->line_len);
    }
    if (line.len == 0 || line.len > sizeof resp->line || line.p[line.len - 1] != '\r') return LARK_E_PROTOCOL;
    line.len--;
    *at = next;
    resp->line_len = 0;
    return header(resp, line);
}

static enum lark_status text_end(struct lark_resp *resp, struct lark_slice line)
{
    if (line.len == 0 || line.p[line.len - 1] != '\r') return LARK_E_PROTOCOL;
    line.len--;
    resp->state = AT_TYPE;
    if (resp->kind == '(') {
        return lark__classify_number(line) == LARK__WHOLE ? scalar(resp, LARK_RESP_BIGNUM, 0, line) : LARK_E_PROTOCOL;
    }
    return scalar(resp, resp->kind == '-' ? LARK_RESP_ERROR : LARK_RESP_SIMPLE, 0, line);
}

static enum lark_status text_line(struct lark_resp *resp, struct lark_slice data, size_t *at)
{
    struct lark_slice line;
    size_t next = data.len;
    enum lark_status found = find_line(data, *at, &line, &next);
    if (found == LARK_OK && resp->text.len == 0) {
        *at = next;
        return line.len > LARK_RESP_LINE_MAX ? LARK_E_PROTOCOL : text_end(resp, line);
    }
    struct lark_slice part = found == LARK_OK ? line : lark__from(data, *at);
    enum lark_status status = lark_buf_append(&resp->text, part);
    if (status != LARK_OK) return status == LARK_E_TOO_LARGE ? LARK_E_PROTOCOL : status;
    *at = next;
    if (found == LARK_MORE) return LARK_MORE;
    status = text_end(resp, lark__slice(resp->text.p, resp->text.len));
    resp->text.len = 0;
    return status;
}

/* A blob error is short and given whole. */
static enum lark_status bulk_error_piece(struct lark_resp *resp, struct lark_slice piece)
{
    enum lark_status status = lark_buf_append(&resp->text, piece);
    return status == LARK_OK ? LARK_MORE : status;
}

static enum lark_status bulk_piece(struct lark_resp *resp, struct lark_slice data, size_t *at)
{
    size_t n = data.len - *at;
    if (n > resp->bulk_left) n = (size_t)resp->bulk_left;
    struct lark_slice piece = lark__slice(data.p + *at, n);
    *at += n;
    resp->bulk_left -= n;
    if (resp->bulk_left == 0) resp->state = AT_BULK_END;
    while (resp->skip > 0 && piece.len > 0) {
        piece = lark__from(piece, 1);
        resp->skip--;
    }
    if (resp->kind == '!') return bulk_error_piece(resp, piece);
    if (piece.len == 0) return LARK_MORE;
    struct lark_resp_event event = {.type = LARK_RESP_BULK, .text = piece, .n = resp->bulk_len, .depth = resp->depth};
    event.first = piece.len + resp->bulk_left == (uint64_t)resp->bulk_len;
    event.last = resp->bulk_left == 0;
    enum lark_status status = emit(resp, &event);
    return status == LARK_OK ? LARK_MORE : status;
}

static enum lark_status bulk_end(struct lark_resp *resp, uint8_t c)
{
    if (c != (resp->line_len == 0 ? '\r' : '\n')) return LARK_E_PROTOCOL;
    if (++resp->line_len < 2) return LARK_MORE;
    resp->line_len = 0;
    resp->state = AT_TYPE;
    if (resp->kind != '!') return end_element(resp);
    enum lark_status status = scalar(resp, LARK_RESP_ERROR, 0, lark__slice(resp->text.p, resp->text.len));
    resp->text.len = 0;
    return status;
}

static enum lark_status begin_element(struct lark_resp *resp, uint8_t c)
{
    resp->kind = c;
    resp->line_len = 0;
    if (c == '+' || c == '-' || c == '(') {
        resp->state = IN_TEXT;
        resp->text.len = 0;
        return LARK_MORE;
    }
    if (c == 0 || memchr("$*:#_,=!%~>|", c, 12) == NULL) return LARK_E_PROTOCOL;
    resp->state = IN_HEADER;
    return LARK_MORE;
}

/* The common case in one go: "$n", CR LF, n bytes, CR LF, all of it in this feed. return: false when it is not that, and
 * nothing is taken */
static bool whole_bulk(struct lark_resp *resp, struct lark_slice data, size_t *at, struct lark_slice *out_text)
{
    size_t p = *at + 1;
    size_t n = 0;
    size_t digits_end = p + 9 < data.len ? p + 9 : data.len; /* fits in any size_t */
    while (p < digits_end && lark__digit(data.p[p])) n = n * 10 + (size_t)(data.p[p++] - '0');
    if (p == *at + 1 || data.len - p < 4 || n > data.len - p - 4 || n > resp->max_bulk_bytes) return false;
    const uint8_t *text = data.p + p + 2;
    if (data.p[p] != '\r' || data.p[p + 1] != '\n' || text[n] != '\r' || text[n + 1] != '\n') return false;
    *out_text = lark__slice(text, n);
    *at = p + 4 + n;
    return true;
}

static enum lark_status step(struct lark_resp *resp, struct lark_slice data, size_t *at)
{
    struct lark_slice text;
    if (resp->state == AT_TYPE && data.p[*at] == '$' && whole_bulk(resp, data, at, &text)) {
        return scalar(resp, LARK_RESP_BULK, (int64_t)text.len, text);
    }

    switch (resp->state) {
    case AT_TYPE: return begin_element(resp, data.p[(*at)++]);
    case IN_HEADER: return header_line(resp, data, at);
    case IN_TEXT: return text_line(resp, data, at);
    case IN_BULK: return bulk_piece(resp, data, at);
    default: return bulk_end(resp, data.p[(*at)++]);
    }
}

enum lark_status lark_resp_feed(struct lark_resp *resp, struct lark_slice data, size_t *out_used)
{
    if (resp->failed) return LARK_E_PROTOCOL;
    size_t at = 0;
    while (at < data.len) {
        enum lark_status status = step(resp, data, &at);
        if (status == LARK_MORE) continue;
        if (status != LARK_OK) {
            resp->failed = true;
            return status;
        }
        *out_used = at;
        return LARK_OK;
    }
    *out_used = at;
    return LARK_MORE;
}
