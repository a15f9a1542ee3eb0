/* score.c - the shortest decimal of a double that Redis printed with 17 digits.
 *
 * A decimal of at most 15 digits is its own shortest form: two such decimals never share a double (but subnormals). Only 16 digits and
 * more need work: round to 15, then 16 digits, and keep the first that gives the double of the full text. */
#include "score.h"

#include "buf.h"

#define MANTISSA_BITS 52
#define LOWEST_POWER (-342)
#define HIGHEST_POWER 308
#define SUBNORMAL_POINT (-307) /* doubles below 0.1e-307 have fewer than 15 sure digits */

static const struct {
    uint64_t high, low;
} powers[] = {
#include "powers.inc"
};

/* source: Daniel Lemire, "Number Parsing at a Gigabyte per Second" (2021); Noble Mushtak and Daniel Lemire, "Fast Number
 * Parsing Without Fallback" (2023) for the proof that 128 bits are enough. */
/* On which side of the decimal is its double? */
enum side { BELOW, SAME, ABOVE };

static lark_u128 scaled(uint64_t w, int exponent)
{
    lark_u128 product = (lark_u128)w * powers[exponent - LOWEST_POWER].high;
    if (((uint64_t)(product >> 64) & 0x1ff) == 0x1ff) {
        product += ((lark_u128)w * powers[exponent - LOWEST_POWER].low) >> 64;
    }
    return product;
}

static uint64_t subnormal(uint64_t mantissa, int shift, enum side *side)
{
    if (shift >= 64) return 0;
    mantissa >>= shift;
    *side = mantissa & 1 ? ABOVE : BELOW;
    mantissa += mantissa & 1;
    return mantissa >> 1;
}

static uint64_t to_bits(uint64_t digits, int exponent, enum side *side)
{
    const uint64_t infinity = (uint64_t)0x7ff << MANTISSA_BITS;
    *side = BELOW;
    if (digits == 0 || exponent < LOWEST_POWER) return 0;
    if (exponent > HIGHEST_POWER) return infinity;
    int shift = lark__clz64(digits);
    uint64_t w = digits << shift;
    lark_u128 product = scaled(w, exponent);
    uint64_t high = (uint64_t)(product >> 64);
    uint64_t low = (uint64_t)product;
    int top = (int)(high >> 63);
    uint64_t mantissa = high >> (top + 9);
    int binary = ((217706 * exponent) >> 16) + 63 + top - shift + 1023;
    if (binary <= 0) return subnormal(mantissa, 1 - binary, side);
    bool exact = low <= 1 && mantissa << (top + 9) == high;
    /* exactly half way between two doubles: to even */
    if (exact && exponent >= -4 && exponent <= 23 && (mantissa & 3) == 1) mantissa &= ~(uint64_t)1;
    *side = mantissa & 1 ? ABOVE : exact ? SAME : BELOW;
    mantissa += mantissa & 1;
    mantissa >>= 1;
    if (mantissa >= (uint64_t)2 << MANTISSA_BITS) {
        mantissa = (uint64_t)1 << MANTISSA_BITS;
        binary++;
    }
    if (binary >= 0x7ff) return infinity;
    return (mantissa & (((uint64_t)1 << MANTISSA_BITS) - 1)) | (uint64_t)binary << MANTISSA_BITS;
}

uint64_t lark__decimal_to_bits(uint64_t digits, int exponent)
{
    enum side side;
    return to_bits(digits, exponent, &side);
}

/* A decimal: digits[0..n) without leading or trailing zeros; value = 0.d1d2... * 10^point. n 0: zero. */
struct decimal {
    uint8_t digits[40];
    size_t n;
    int point;
    bool negative;
};

/* The next digit. return: false when there are more than a double can need */
static bool push_digit(struct decimal *d, uint8_t c, bool dotted)
{
    if (d->n == 0 && c == '0') { /* a leading zero */
        d->point -= dotted;
        return true;
    }
    if (d->n == sizeof d->digits) return false;
    d->digits[d->n++] = c;
    d->point += !dotted;
    return true;
}

/* "e+20" from at on */
static bool read_exponent(struct lark_slice text, size_t at, int *out)
{
    bool down = text.p[at + 1] == '-';
    uint64_t e;
    at += down || text.p[at + 1] == '+' ? 2 : 1;
    if (!lark__parse_u64(lark__from(text, at), &e) || e > 100000) return false;
    *out = down ? -(int)e : (int)e;
    return true;
}

/* text is LARK__WHOLE or LARK__FRACTION. return: false when it has more digits than a double can need */
static bool read_decimal(struct lark_slice text, struct decimal *d)
{
    size_t at = text.p[0] == '-' || text.p[0] == '+' ? 1 : 0;
    bool dotted = false;
    int exponent = 0;
    *d = (struct decimal){.negative = text.p[0] == '-'};
    for (; at < text.len && (text.p[at] | 0x20) != 'e'; at++) {
        if (text.p[at] == '.') {
            dotted = true;
        } else if (!push_digit(d, text.p[at], dotted)) {
            return false;
        }
    }
    if (at < text.len && !read_exponent(text, at, &exponent)) return false;
    while (d->n > 0 && d->digits[d->n - 1] == '0') d->n--;
    d->point = d->n > 0 ? d->point + exponent : 0;
    return true;
}

static uint64_t decimal_bits(const struct decimal *d, enum side *side)
{
    uint64_t w = 0;
    for (size_t i = 0; i < d->n; i++) w = w * 10 + (uint64_t)(d->digits[i] - '0');
    return to_bits(w, d->point - (int)d->n, side);
}

/* To n digits; up: away from zero. */
static struct decimal rounded(const struct decimal *d, size_t n, bool up)
{
    struct decimal r = *d;
    r.n = n;
    if (up) {
        size_t at = n;
        while (at > 0 && r.digits[at - 1] == '9') at--;
        r.n = at;
        if (at > 0) {
            r.digits[at - 1]++;
        } else {
            r.digits[0] = '1';
            r.n = 1;
            r.point++;
        }
    }
    while (r.n > 0 && r.digits[r.n - 1] == '0') r.n--;
    return r;
}

static void shorten(struct decimal *d)
{
    if (d->n > 19 || (d->n <= 15 && d->point > SUBNORMAL_POINT)) return;
    enum side side, unused;
    uint64_t bits = decimal_bits(d, &side);
    bool few_digits = bits >> MANTISSA_BITS == 0; /* these have fewer than 15 sure digits */
    for (size_t n = few_digits ? 1 : 15; n <= 17 && n < d->n; n++) {
        /* half way between two decimals: first the one on the double's side, or the even one */
        bool tie = d->n == n + 1 && d->digits[n] == '5';
        bool odd = d->digits[n - 1] & 1;
        bool up = tie ? side == ABOVE || (side == SAME && odd) : d->digits[n] >= '5';
        struct decimal nearest = rounded(d, n, up);
        if (tie && decimal_bits(&nearest, &unused) != bits) nearest = rounded(d, n, !up);
        if (decimal_bits(&nearest, &unused) != bits) continue;
        *d = nearest;
        return;
    }
}

static enum lark_status append_zeros(struct lark_buf *out, int n)
{
    enum lark_status status = LARK_OK;
    for (int i = 0; i < n && status == LARK_OK; i++) status = LARK_APPEND(out, "0");
    return status;
}

/* 1234.5, 0.00012, 100.0 */
static enum lark_status append_plain(struct lark_buf *out, const struct decimal *d)
{
    enum lark_status status = LARK_OK;
    if (d->point <= 0) {
        status = LARK_APPEND(out, "0.");
        if (status == LARK_OK) status = append_zeros(out, -d->point);
        if (status == LARK_OK) status = d->n > 0 ? lark__append(out, d->digits, d->n) : LARK_APPEND(out, "0");
        return status;
    }
    size_t whole = (size_t)d->point < d->n ? (size_t)d->point : d->n;
    status = lark__append(out, d->digits, whole);
    if (status == LARK_OK) status = append_zeros(out, d->point - (int)whole);
    if (status == LARK_OK) status = LARK_APPEND(out, ".");
    if (status != LARK_OK) return status;
    return d->n > whole ? lark__append(out, d->digits + whole, d->n - whole) : LARK_APPEND(out, "0");
}

/* 1.5e+20 */
static enum lark_status append_exponent(struct lark_buf *out, const struct decimal *d)
{
    int e = d->point - 1;
    enum lark_status status = lark__append(out, d->digits, 1);
    if (status == LARK_OK && d->n > 1) status = LARK_APPEND(out, ".");
    if (status == LARK_OK && d->n > 1) status = lark__append(out, d->digits + 1, d->n - 1);
    if (status == LARK_OK) status = e < 0 ? LARK_APPEND(out, "e-") : LARK_APPEND(out, "e+");
    if (status == LARK_OK && e > -10 && e < 10) status = LARK_APPEND(out, "0");
    return status == LARK_OK ? lark__append_u64(out, (uint64_t)(e < 0 ? -e : e)) : status;
}

static enum lark_status append_infinite(struct lark_buf *out, struct lark_slice text)
{
    return text.p[0] == '-' ? LARK_APPEND(out, "\"-inf\"") : LARK_APPEND(out, "\"inf\"");
}

static bool is_nan(struct lark_slice text)
{
    return lark__same_fold(text, LARK_TEXT("nan")) || lark__same_fold(text, LARK_TEXT("-nan"));
}

/* Handles what is no finite number. return: LARK_MORE when text is finite */
static enum lark_status special(struct lark_buf *out, struct lark_slice text, enum lark__number *kind)
{
    *kind = lark__classify_number(text);
    if (*kind == LARK__INFINITE) return append_infinite(out, text);
    if (*kind != LARK__NOT_A_NUMBER) return LARK_MORE;
    return is_nan(text) ? LARK_APPEND(out, "\"nan\"") : LARK_E_PROTOCOL;
}

static enum lark_status append_shortest(struct lark_buf *out, struct decimal *d)
{
    shorten(d);
    enum lark_status status = d->negative ? LARK_APPEND(out, "-") : LARK_OK;
    if (status != LARK_OK) return status;
    return d->n > 0 && (d->point < -3 || d->point > 16) ? append_exponent(out, d) : append_plain(out, d);
}

enum lark_status lark__append_score(struct lark_buf *out, struct lark_slice text)
{
    struct decimal d;
    enum lark__number kind;
    enum lark_status status = special(out, text, &kind);
    if (status != LARK_MORE) return status;
    return read_decimal(text, &d) ? append_shortest(out, &d) : lark__append_digits(out, text);
}

enum lark_status lark__append_score_text(struct lark_buf *out, struct lark_slice text)
{
    struct decimal d;
    enum lark__number kind;
    enum lark_status status = special(out, text, &kind);
    if (status != LARK_MORE) return status;
    status = LARK_APPEND(out, "\"");
    if (status != LARK_OK) return status;
    status = kind == LARK__FRACTION && read_decimal(text, &d) ? append_shortest(out, &d) : lark_buf_append(out, text);
    return status == LARK_OK ? LARK_APPEND(out, "\"") : status;
}

enum lark_status lark__append_whole(struct lark_buf *out, struct lark_slice text)
{
    struct decimal d;
    enum lark__number kind;
    enum lark_status status = special(out, text, &kind);
    if (status != LARK_MORE) return status;
    if (!read_decimal(text, &d) || d.point > 400) return LARK_E_PROTOCOL;
    if (d.point <= 0) return LARK_APPEND(out, "0");
    size_t whole = (size_t)d.point < d.n ? (size_t)d.point : d.n;
    status = d.negative ? LARK_APPEND(out, "-") : LARK_OK;
    if (status == LARK_OK) status = lark__append(out, d.digits, whole);
    return status == LARK_OK ? append_zeros(out, d.point - (int)whole) : status;
}

/* Of a number by lark__classify_number: is it one by RFC 8259 section 6 (no plus, no leading zeros, digits round a dot)? */
static bool is_json_number(struct lark_slice text)
{
    size_t at = text.p[0] == '-' ? 1 : 0;
    const uint8_t *dot = memchr(text.p, '.', text.len);
    const uint8_t *end = text.p + text.len;
    if (!lark__digit(text.p[at])) return false;
    if (text.p[at] == '0' && at + 1 < text.len && lark__digit(text.p[at + 1])) return false;
    return dot == NULL || (dot + 1 < end && lark__digit(dot[1]));
}

enum lark_status lark__append_digits(struct lark_buf *out, struct lark_slice text)
{
    enum lark__number kind;
    enum lark_status status = special(out, text, &kind);
    if (status != LARK_MORE) return status;
    if (!is_json_number(text)) return LARK_E_PROTOCOL;
    status = lark_buf_append(out, text);
    if (status == LARK_OK && kind == LARK__WHOLE) status = LARK_APPEND(out, ".0");
    return status;
}

enum lark_status lark__append_bignum(struct lark_buf *out, struct lark_slice text)
{
    return is_json_number(text) ? lark_buf_append(out, text) : LARK_E_PROTOCOL;
}
