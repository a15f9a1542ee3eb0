/* text_run.h - how many bytes stand in a JSON string as they are; shared by its reader and its writer. */
#ifndef LARK_TEXT_RUN_H
#define LARK_TEXT_RUN_H

#include "num.h"

#define LARK_ONES 0x0101010101010101u
#define LARK_HIGHS 0x8080808080808080u

/* Are 8 bytes ASCII, no control character, quote or backslash? */
static inline bool lark__plain_word(uint64_t word)
{
    uint64_t quote = word ^ (LARK_ONES * '"');
    uint64_t slash = word ^ (LARK_ONES * '\\');
    return (((word - LARK_ONES * 0x20) | (quote - LARK_ONES) | (slash - LARK_ONES) | word) & LARK_HIGHS) == 0;
}

/* Copies n bytes if all are ASCII, no control character, quote or backslash. return: false when one is not; some bytes
 * of out are then written. cost: 8 bytes a step */
static inline bool lark__copy_plain(uint8_t *out, const uint8_t *p, size_t n)
{
    uint64_t word;
    size_t at = 0;
    for (; n - at >= 8; at += 8) {
        memcpy(&word, p + at, 8);
        if (!lark__plain_word(word)) return false;
        memcpy(out + at, &word, 8);
    }
    if (at < n && n >= 8) { /* the last ones once more, with those before them */
        memcpy(&word, p + n - 8, 8);
        memcpy(out + n - 8, &word, 8);
        return lark__plain_word(word);
    }
    for (; at < n; at++) {
        if (p[at] < 0x20 || p[at] >= 0x80 || p[at] == '"' || p[at] == '\\') return false;
        out[at] = p[at];
    }
    return true;
}

/* Bytes from p on that are ASCII, no control character, quote or backslash. cost: 8 bytes a step */
static inline size_t lark__plain_run(const uint8_t *p, size_t n)
{
    const uint64_t ones = LARK_ONES;
    const uint64_t highs = LARK_HIGHS;
    size_t at = 0;
    while (n - at >= 8) {
        uint64_t word;
        memcpy(&word, p + at, 8);
        uint64_t quote = word ^ (ones * '"');
        uint64_t slash = word ^ (ones * '\\');
        uint64_t special = ((word - ones * 0x20) | (quote - ones) | (slash - ones) | word) & highs;
        /* a borrow can only come from a byte that is special itself, so the lowest mark is right */
        if (special) {
            special =
                (((word - ones * 0x20) & ~word) | ((quote - ones) & ~quote) | ((slash - ones) & ~slash) | word) & highs;
            if (special) break;
        }
        at += 8;
    }
    while (at < n && p[at] >= 0x20 && p[at] < 0x80 && p[at] != '"' && p[at] != '\\') at++;
    return at;
}

#endif
