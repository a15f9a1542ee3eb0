#include "utf8.h"

/* Second byte's range by first byte: RFC 3629 section 4. */
static bool second_ok(uint8_t first, uint8_t second)
{
    uint8_t low = 0x80;
    uint8_t high = 0xbf;
    if (first == 0xe0) low = 0xa0;
    if (first == 0xed) high = 0x9f;
    if (first == 0xf0) low = 0x90;
    if (first == 0xf4) high = 0x8f;
    return second >= low && second <= high;
}

size_t lark__utf8_step(const uint8_t *p, size_t n)
{
    uint8_t c = p[0];
    if (c < 0x80) return 1;
    size_t len = c >= 0xc2 && c <= 0xdf ? 2 : c >= 0xe0 && c <= 0xef ? 3 : c >= 0xf0 && c <= 0xf4 ? 4 : 0;
    if (len == 0 || n < len || !second_ok(c, p[1])) return 0;
    for (size_t i = 2; i < len; i++) {
        if ((p[i] & 0xc0) != 0x80) return 0;
    }
    return len;
}

/* The rest of a character that a piece before this one began. */
static bool finish_character(struct lark__utf8 *state, struct lark_slice text, size_t *at)
{
    while (state->need > 0 && *at < text.len) {
        uint8_t c = text.p[(*at)++];
        if (c < state->low || c > state->high) return false;
        state->low = 0x80;
        state->high = 0xbf;
        state->need--;
    }
    return true;
}

/* A character that the end of the piece cuts. return: false: none can begin so */
static bool begin_character(struct lark__utf8 *state, struct lark_slice text, size_t *at)
{
    uint8_t c = text.p[(*at)++];
    if (c < 0xc2 || c > 0xf4) return false;
    state->need = c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : 1;
    state->low = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
    state->high = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
    return finish_character(state, text, at);
}

bool lark__utf8_feed(struct lark__utf8 *state, struct lark_slice text)
{
    size_t at = 0;
    if (!finish_character(state, text, &at)) return false;
    while (at < text.len) {
        uint64_t word;
        if (text.len - at >= 8) {
            memcpy(&word, text.p + at, 8);
            if ((word & 0x8080808080808080u) == 0) {
                at += 8;
                continue;
            }
        }
        size_t step = lark__utf8_step(text.p + at, text.len - at);
        if (step > 0) {
            at += step;
        } else if (text.len - at >= 4 || !begin_character(state, text, &at) || at < text.len) {
            return false;
        }
    }
    return true;
}

size_t lark__utf8_encode(uint32_t code_point, uint8_t out[4])
{
    if (code_point < 0x80) {
        out[0] = (uint8_t)code_point;
        return 1;
    }
    if (code_point < 0x800) {
        out[0] = (uint8_t)(0xc0 | (code_point >> 6));
        out[1] = (uint8_t)(0x80 | (code_point & 0x3f));
        return 2;
    }
    if (code_point < 0x10000) {
        out[0] = (uint8_t)(0xe0 | (code_point >> 12));
        out[1] = (uint8_t)(0x80 | ((code_point >> 6) & 0x3f));
        out[2] = (uint8_t)(0x80 | (code_point & 0x3f));
        return 3;
    }
    out[0] = (uint8_t)(0xf0 | (code_point >> 18));
    out[1] = (uint8_t)(0x80 | ((code_point >> 12) & 0x3f));
    out[2] = (uint8_t)(0x80 | ((code_point >> 6) & 0x3f));
    out[3] = (uint8_t)(0x80 | (code_point & 0x3f));
    return 4;
}

size_t lark__utf8_cut(struct lark_slice text, size_t max)
{
    if (text.len <= max) return text.len;
    while (max > 0 && (text.p[max] & 0xc0) == 0x80) max--;
    return max;
}
