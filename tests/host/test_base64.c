#include "test_base64.h"

#include <stdlib.h>
#include <string.h>

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=";

char *base64_encode(const uint8_t *bytes, size_t len)
{
    char *text = malloc((len + 2) / 3 * 4 + 1);
    if (text == NULL) return NULL;
    size_t n = 0;
    for (size_t i = 0; i < len; i += 3) {
        size_t left = len - i;
        uint32_t bits = (uint32_t)bytes[i] << 16;
        if (left > 1) bits |= (uint32_t)bytes[i + 1] << 8;
        if (left > 2) bits |= bytes[i + 2];
        for (unsigned at = 0; at < 4; at++) text[n++] = digits[at <= left ? bits >> (18 - 6 * at) & 63 : 64];
    }
    text[n] = 0;
    return text;
}

uint8_t *base64_decode(const char *text, size_t len, size_t *out_len)
{
    uint8_t *bytes = malloc(len / 4 * 3 + 3);
    if (bytes == NULL) return NULL;
    uint32_t bits = 0;
    unsigned n_bits = 0;
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        const char *digit = memchr(digits, text[i], 64);
        if (digit == NULL) continue;
        bits = bits << 6 | (uint32_t)(digit - digits);
        n_bits += 6;
        if (n_bits >= 8) {
            n_bits -= 8;
            bytes[n++] = (uint8_t)(bits >> n_bits);
        }
    }
    *out_len = n;
    return bytes;
}
