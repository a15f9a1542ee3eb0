/* base64url.h - for tests and fuzz targets that make tokens: RFC 4648 section 5, without padding. */
#ifndef LARK_TEST_BASE64URL_H
#define LARK_TEST_BASE64URL_H

#include <openssl/evp.h>
#include <stddef.h>
#include <stdint.h>

/* out: room for (len + 2) / 3 * 4 + 1 bytes; a NUL behind it. return: its length */
static inline size_t base64url(const uint8_t *bytes, size_t len, char *out)
{
    int n = EVP_EncodeBlock((unsigned char *)out, bytes, (int)len);
    while (n > 0 && out[n - 1] == '=') n--;
    for (int i = 0; i < n; i++) {
        if (out[i] == '+') out[i] = '-';
        if (out[i] == '/') out[i] = '_';
    }
    out[n] = '\0';
    return (size_t)n;
}

#endif
