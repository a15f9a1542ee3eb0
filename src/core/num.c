#include "num.h"

bool lark__same_fold(struct lark_slice a, struct lark_slice b)
{
    if (a.len != b.len) return false;
    for (size_t i = 0; i < a.len; i++) {
        if (lark__lower(a.p[i]) != lark__lower(b.p[i])) return false;
    }
    return true;
}

bool lark__parse_u64(struct lark_slice text, uint64_t *out)
{
    uint64_t n = 0;
    if (text.len == 0) return false;
    for (size_t i = 0; i < text.len; i++) {
        if (!lark__digit(text.p[i])) return false;
        if (__builtin_mul_overflow(n, (uint64_t)10, &n)) return false;
        if (__builtin_add_overflow(n, (uint64_t)(text.p[i] - '0'), &n)) return false;
    }
    *out = n;
    return true;
}

bool lark__parse_i64(struct lark_slice text, int64_t *out)
{
    bool negative = text.len > 0 && text.p[0] == '-';
    uint64_t n;
    if (!lark__parse_u64(negative ? lark__from(text, 1) : text, &n)) return false;
    if (negative) {
        if (n > (uint64_t)INT64_MAX + 1) return false;
        *out = n == 0 ? 0 : -1 - (int64_t)(n - 1);
        return true;
    }
    if (n > (uint64_t)INT64_MAX) return false;
    *out = (int64_t)n;
    return true;
}

size_t lark__format_u64(uint64_t n, uint8_t out[20])
{
    size_t len = lark__digits_u64(n);
    lark__put_digits(n, len, out);
    return len;
}

size_t lark__format_i64(int64_t n, uint8_t out[21])
{
    if (n >= 0) return lark__format_u64((uint64_t)n, out);
    out[0] = '-';
    return 1 + lark__format_u64((uint64_t)-1 - (uint64_t)n + 1, out + 1);
}

static size_t skip_digits(struct lark_slice text, size_t at)
{
    while (at < text.len && lark__digit(text.p[at])) at++;
    return at;
}

static bool is_sign(struct lark_slice text, size_t at)
{
    return at < text.len && (text.p[at] == '-' || text.p[at] == '+');
}

/* "e+20" from at on, to the end of the text */
static bool is_exponent(struct lark_slice text, size_t at)
{
    if ((text.p[at] | 0x20) != 'e') return false;
    at++;
    if (is_sign(text, at)) at++;
    return at < text.len && skip_digits(text, at) == text.len;
}

enum lark__number lark__classify_number(struct lark_slice text)
{
    size_t begin = is_sign(text, 0) ? 1 : 0;
    struct lark_slice rest = lark__from(text, begin);
    if (lark__same_fold(rest, LARK_TEXT("inf")) || lark__same_fold(rest, LARK_TEXT("infinity"))) return LARK__INFINITE;
    size_t at = skip_digits(text, begin);
    size_t digits = at - begin;
    /* Redis takes no plus before a whole number */
    if (at == text.len && digits > 0) return begin > 0 && text.p[0] == '+' ? LARK__FRACTION : LARK__WHOLE;
    if (at < text.len && text.p[at] == '.') {
        size_t end = skip_digits(text, at + 1);
        digits += end - at - 1;
        at = end;
    }
    if (digits == 0) return LARK__NOT_A_NUMBER;
    return at == text.len || is_exponent(text, at) ? LARK__FRACTION : LARK__NOT_A_NUMBER;
}
