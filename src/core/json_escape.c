#include "json_escape.h"

#include "utf8.h"

uint8_t lark__escape_letter(uint8_t letter)
{
    switch (letter) {
    case '"':
    case '\\':
    case '/': return letter;
    case 'b': return '\b';
    case 'f': return '\f';
    case 'n': return '\n';
    case 'r': return '\r';
    case 't': return '\t';
    default: return 0;
    }
}

int lark__hex_digit(uint8_t c)
{
    if (lark__digit(c)) return c - '0';
    uint8_t folded = lark__lower(c);
    return folded >= 'a' && folded <= 'f' ? folded - 'a' + 10 : -1;
}

/* \uXXXX at p, six bytes. return: the code unit, or -1 */
static int32_t code_unit(const uint8_t *p)
{
    int32_t unit = 0;
    if (p[0] != '\\' || p[1] != 'u') return -1;
    for (int i = 2; i < 6; i++) {
        int digit = lark__hex_digit(p[i]);
        if (digit < 0) return -1;
        unit = unit << 4 | digit;
    }
    return unit;
}

size_t lark__escape_whole(struct lark_slice text, uint8_t out[4], size_t *out_len)
{
    if (text.len < 2) return 0;
    out[0] = lark__escape_letter(text.p[1]);
    *out_len = 1;
    if (out[0] != 0) return 2;
    int32_t unit = text.len < 6 ? -1 : code_unit(text.p);
    if (unit < 0 || (unit >= 0xdc00 && unit <= 0xdfff)) return 0;
    if (unit < 0xd800 || unit > 0xdbff) {
        *out_len = lark__utf8_encode((uint32_t)unit, out);
        return 6;
    }
    int32_t low = text.len < 12 ? -1 : code_unit(text.p + 6);
    if (low < 0xdc00 || low > 0xdfff) return 0;
    *out_len = lark__utf8_encode(0x10000 + ((uint32_t)(unit - 0xd800) << 10) + (uint32_t)(low - 0xdc00), out);
    return 12;
}
