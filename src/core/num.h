/* num.h - checked arithmetic and numbers as text, for everything that comes from outside. */
#ifndef LARK_NUM_H
#define LARK_NUM_H

#include <string.h>

#include <lark/types.h>

#include "lark_banned.h"
#include "lark_port.h"

/* false when the result does not fit; *out is then untouched */
static inline LARK_MUST_USE bool lark__add(size_t a, size_t b, size_t *out)
{
    size_t sum;
    if (__builtin_add_overflow(a, b, &sum)) return false;
    *out = sum;
    return true;
}

static inline LARK_MUST_USE bool lark__mul(size_t a, size_t b, size_t *out)
{
    size_t product;
    if (__builtin_mul_overflow(a, b, &product)) return false;
    *out = product;
    return true;
}

static inline LARK_MUST_USE bool lark__narrow(uint64_t a, size_t *out)
{
    if (a > SIZE_MAX) return false;
    *out = (size_t)a;
    return true;
}

/* A slice of literal text; the second is for static initializers. */
#define LARK_TEXT_INIT(literal)                                                                                        \
    {                                                                                                                  \
        (const uint8_t *)(literal), sizeof(literal) - 1                                                                \
    }
#define LARK_TEXT(literal) ((struct lark_slice){(const uint8_t *)(literal), sizeof(literal) - 1})

static inline struct lark_slice lark__slice(const void *p, size_t len)
{
    return (struct lark_slice){(const uint8_t *)p, len};
}

/* A slice of a static C string of ours, under 4096 bytes; never for outside data. By memchr: the core has only mem*. */
static inline struct lark_slice lark__text(const char *text)
{
    const char *end = text ? (const char *)memchr(text, 0, 4096) : NULL;
    return (struct lark_slice){(const uint8_t *)text, end ? (size_t)(end - text) : 0};
}

static inline struct lark_slice lark__from(struct lark_slice s, size_t at)
{
    if (at == 0) return s; /* p may be NULL, to which not even 0 may be added */
    return (struct lark_slice){s.p + at, s.len - at};
}

static inline bool lark__same(struct lark_slice a, struct lark_slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0);
}

static inline bool lark__starts(struct lark_slice s, struct lark_slice with)
{
    return s.len >= with.len && (with.len == 0 || memcmp(s.p, with.p, with.len) == 0);
}

static inline uint8_t lark__lower(uint8_t c)
{
    return (c >= 'A' && c <= 'Z') ? (uint8_t)(c | 0x20) : c;
}

static inline uint8_t lark__upper(uint8_t c)
{
    return (c >= 'a' && c <= 'z') ? (uint8_t)(c & 0xdf) : c;
}

/* Same but for the case of ASCII letters. */
bool lark__same_fold(struct lark_slice a, struct lark_slice b);

static inline bool lark__digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

/* All of the slice is one decimal number that fits, or false. Signed: an optional leading minus. */
LARK_MUST_USE bool lark__parse_u64(struct lark_slice text, uint64_t *out);
LARK_MUST_USE bool lark__parse_i64(struct lark_slice text, int64_t *out);

/* How many decimal digits a number has: 1..20 */
static inline size_t lark__digits_u64(uint64_t n)
{
    size_t digits = 1;
    for (; n >= 1000; n /= 1000) digits += 3;
    return digits + (n >= 10) + (n >= 100);
}

/* A number that has so many digits. */
static inline void lark__put_digits(uint64_t n, size_t digits, uint8_t *out)
{
    for (; digits > 1; n /= 10) out[--digits] = (uint8_t)('0' + n % 10);
    out[0] = (uint8_t)('0' + n);
}

/* Decimal digits, at most 20 of them; return: bytes written. */
size_t lark__format_u64(uint64_t n, uint8_t out[20]);
size_t lark__format_i64(int64_t n, uint8_t out[21]);

/* What kind of number a text is. "inf" forms are those of Redis: [+-](inf|infinity) in any case. */
enum lark__number { LARK__NOT_A_NUMBER, LARK__WHOLE, LARK__FRACTION, LARK__INFINITE };
enum lark__number lark__classify_number(struct lark_slice text);

#endif
