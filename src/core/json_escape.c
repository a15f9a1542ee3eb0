#include "json_escape.h"

#include "utf8.h"

#define UNIT_BYTES 6 /* \uXXXX */

/* What the letter behind a backslash means, or 0: none that is known, or u. */
static uint8_t letter(uint8_t c)
{
    switch (c) {
    case '"':
    case '\\':
    case '/': return c;
    case 'b': return '\b';
    case 'f': return '\f';
    case 'n': return '\n';
    case 'r': return '\r';
    case 't': return '\t';
    default: return 0;
    }
}

static int hex_digit(uint8_t c)
{
    if (lark__digit(c)) return c - '0';
    uint8_t folded = lark__lower(c);
    return folded >= 'a' && folded <= 'f' ? folded - 'a' + 10 : -1;
}

static enum lark_status bad(struct lark__escape *out, const char *what)
{
    out->bad = what;
    return LARK_E_BAD_JSON;
}

/* The four digits that end at byte `end`. */
static enum lark_status code_unit(struct lark_slice text, size_t end, uint32_t *unit, struct lark__escape *out)
{
    *unit = 0;
    for (size_t i = end - 4; i < end; i++) {
        if (i >= text.len) return LARK_MORE;
        int digit = hex_digit(text.p[i]);
        if (digit < 0) return bad(out, "expected four hexadecimal digits");
        *unit = *unit << 4 | (uint32_t)digit;
    }
    return LARK_OK;
}

static enum lark_status low_surrogate(struct lark_slice text, uint32_t *unit, struct lark__escape *out)
{
    static const char begin[2] = {'\\', 'u'};
    for (size_t i = 0; i < sizeof begin; i++) {
        if (UNIT_BYTES + i >= text.len) return LARK_MORE;
        if (text.p[UNIT_BYTES + i] != (uint8_t)begin[i]) return bad(out, "a lone surrogate");
    }
    enum lark_status status = code_unit(text, LARK__ESCAPE_MAX, unit, out);
    if (status != LARK_OK) return status;
    return *unit >= 0xdc00 && *unit <= 0xdfff ? LARK_OK : bad(out, "a lone surrogate");
}

enum lark_status lark__escape_read(struct lark_slice text, struct lark__escape *out)
{
    if (text.len < 2) return LARK_MORE;
    out->bytes[0] = letter(text.p[1]);
    out->len = 1;
    out->taken = 2;
    if (out->bytes[0] != 0) return LARK_OK;
    if (text.p[1] != 'u') return bad(out, "an unknown escape");
    uint32_t unit, low;
    enum lark_status status = code_unit(text, UNIT_BYTES, &unit, out);
    if (status != LARK_OK) return status;
    if (unit >= 0xdc00 && unit <= 0xdfff) return bad(out, "a lone surrogate");
    out->taken = UNIT_BYTES;
    if (unit >= 0xd800 && unit <= 0xdbff) {
        status = low_surrogate(text, &low, out);
        if (status != LARK_OK) return status;
        unit = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
        out->taken = LARK__ESCAPE_MAX;
    }
    out->len = lark__utf8_encode(unit, out->bytes);
    return LARK_OK;
}
