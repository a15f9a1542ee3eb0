/* encodings.c - base64url, strict: each run of bytes has one text, so that a token has one hash. */
#include "encodings.h"

/* 0..63, or 64 */
static unsigned value_of(uint8_t c)
{
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26u;
    if (c >= '0' && c <= '9') return c - '0' + 52u;
    if (c == '-') return 62;
    return c == '_' ? 63 : 64;
}

enum lark_status lark__base64url_decode(struct lark_slice text, uint8_t *out, size_t *out_len)
{
    uint32_t bits = 0;
    unsigned n_bits = 0;
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++) {
        const unsigned value = value_of(text.p[i]);
        if (value > 63) return LARK_E_BAD_PARAMETER;
        bits = (bits << 6 | value) & 0xffff;
        n_bits += 6;
        if (n_bits < 8) continue;
        n_bits -= 8;
        out[len++] = (uint8_t)(bits >> n_bits);
    }
    if (n_bits >= 6 || (bits & ((1u << n_bits) - 1)) != 0) return LARK_E_BAD_PARAMETER;
    *out_len = len;
    return LARK_OK;
}

size_t lark__base32_write(struct lark_slice bytes, char *out)
{
    static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz234567";
    uint32_t bits = 0;
    unsigned n_bits = 0;
    size_t len = 0;
    for (size_t i = 0; i < bytes.len; i++) {
        bits = bits << 8 | bytes.p[i];
        n_bits += 8;
        while (n_bits >= 5) {
            n_bits -= 5;
            out[len++] = alphabet[bits >> n_bits & 31];
        }
    }
    if (n_bits > 0) out[len++] = alphabet[bits << (5 - n_bits) & 31];
    return len;
}
