#include "base64.h"

#include <lark/text.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

enum lark_status lark__base64_append(struct lark_buf *out, struct lark_slice bytes)
{
    size_t groups = bytes.len / 3 + (bytes.len % 3 != 0);
    size_t need;
    if (!lark__mul(groups, 4, &need)) return LARK_E_TOO_LARGE;
    enum lark_status status = lark_buf_reserve(out, need);
    if (status != LARK_OK) return status;
    uint8_t *to = out->p + out->len;
    for (size_t at = 0; at < bytes.len; at += 3) {
        size_t n = bytes.len - at;
        uint32_t bits = (uint32_t)bytes.p[at] << 16;
        if (n > 1) bits |= (uint32_t)bytes.p[at + 1] << 8;
        if (n > 2) bits |= bytes.p[at + 2];
        to[0] = (uint8_t)alphabet[bits >> 18];
        to[1] = (uint8_t)alphabet[(bits >> 12) & 63];
        to[2] = n > 1 ? (uint8_t)alphabet[(bits >> 6) & 63] : '=';
        to[3] = n > 2 ? (uint8_t)alphabet[bits & 63] : '=';
        to += 4;
    }
    out->len += need;
    return LARK_OK;
}

/* The value of a character; NONE outside the alphabet. From 128 on all are outside. */
#define NONE 0x80
#define N NONE
static const uint8_t values[128] = {
    N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,
    N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  N,  62, N,  N,  N,  63, 52, 53, 54, 55,
    56, 57, 58, 59, 60, 61, N,  N,  N,  N,  N,  N,  N,  0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12,
    13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, N,  N,  N,  N,  N,  N,  26, 27, 28, 29, 30, 31, 32,
    33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, N,  N,  N,  N,  N};
#undef N

static uint8_t char_value(uint8_t c)
{
    return c < sizeof values ? values[c] : NONE;
}

/* Whole groups of the alphabet alone, as many as there are. return: characters taken, four for three bytes */
static size_t take_groups(struct lark_slice text, uint8_t *out)
{
    size_t at = 0;
    for (; text.len - at >= 4; at += 4) {
        const uint8_t *p = text.p + at;
        if ((p[0] | p[1] | p[2] | p[3]) & 0x80) break;
        uint32_t a = values[p[0]], b = values[p[1]], c = values[p[2]], d = values[p[3]];
        if ((a | b | c | d) & NONE) break;
        if (out == NULL) continue;
        uint32_t bits = a << 18 | b << 12 | c << 6 | d;
        out[0] = (uint8_t)(bits >> 16);
        out[1] = (uint8_t)(bits >> 8);
        out[2] = (uint8_t)bits;
        out += 3;
    }
    return at;
}

/* The fourth character of a group came: 3, 2 or 1 bytes. */
static bool end_group(struct lark__base64 *state, uint8_t *out, size_t *len)
{
    static const uint32_t unused_bits[] = {0, 0xff, 0xffff};
    if (state->bits & unused_bits[state->n_pads]) return false;
    for (int i = 0; i < 3 - state->n_pads; i++) {
        if (out) out[*len] = (uint8_t)(state->bits >> (16 - 8 * i));
        (*len)++;
    }
    state->bits = 0;
    state->n_chars = 0;
    return true;
}

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* One character of a group. return: false when it may not stand here */
static bool take_char(struct lark__base64 *state, uint8_t c)
{
    bool pad = c == '=';
    if (state->n_pads > 0 && (!pad || state->n_chars == 0)) return false;
    if (pad && state->n_chars < 2) return false;
    uint8_t value = pad ? 0 : char_value(c);
    if (value == NONE) return false;
    state->n_pads = (uint8_t)(state->n_pads + pad);
    state->bits |= (uint32_t)value << (18 - 6 * state->n_chars);
    state->n_chars++;
    return true;
}

enum lark_status lark__base64_feed(struct lark__base64 *state, struct lark_slice text, uint8_t *out, size_t *out_len)
{
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (state->n_chars == 0 && state->n_pads == 0) {
            size_t n = take_groups(lark__from(text, i), out ? out + len : NULL);
            i += n;
            len += n / 4 * 3;
            if (i == text.len) break;
        }
        if (!state->strict && is_blank(text.p[i])) continue;
        if (!take_char(state, text.p[i])) return LARK_E_BAD_PARAMETER;
        if (state->n_chars == 4 && !end_group(state, out, &len)) return LARK_E_BAD_PARAMETER;
    }
    *out_len = len;
    return LARK_OK;
}

bool lark__base64_complete(const struct lark__base64 *state)
{
    return state->n_chars == 0;
}

enum lark_status lark_base64_decode(struct lark_slice text, uint8_t *out, size_t *out_len)
{
    struct lark__base64 state = {.strict = true};
    size_t len = 0;
    enum lark_status status = lark__base64_feed(&state, text, out, &len);
    if (status == LARK_OK && !lark__base64_complete(&state)) status = LARK_E_BAD_PARAMETER;
    if (status == LARK_OK) *out_len = len;
    return status;
}
