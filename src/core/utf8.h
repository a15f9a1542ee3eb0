/* utf8.h - strict UTF-8 (RFC 3629: no overlong forms, no surrogates, nothing over U+10FFFF). */
#ifndef LARK_UTF8_H
#define LARK_UTF8_H

#include "num.h"

/* Length of the character that begins at p[0] (n > 0 bytes there), or 0 when it is broken or cut. */
size_t lark__utf8_step(const uint8_t *p, size_t n);

/* A checker for text in pieces; starts as {0}. */
struct lark__utf8 {
    uint8_t need;      /* bytes of the character that are still to come */
    uint8_t low, high; /* the range of the next of them */
};
/* return: false: broken. Complete when need is 0 */
bool lark__utf8_feed(struct lark__utf8 *state, struct lark_slice text);

/* A code point as 1..4 bytes; never a surrogate. return: bytes written */
size_t lark__utf8_encode(uint32_t code_point, uint8_t out[4]);

/* Longest beginning of at most max bytes that cuts no character. */
size_t lark__utf8_cut(struct lark_slice text, size_t max);

#endif
