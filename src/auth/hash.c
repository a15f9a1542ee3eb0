/* hash.c - SHA-256, and comparing without telling where. */
#include <lark/auth.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "slices.h"

/* OpenSSL 3 looks an algorithm up by its name on each use, which costs more than hashing a token: it is fetched once. */
struct lark_hasher {
    EVP_MD *sha256;
    EVP_MD_CTX *ctx;
};

struct lark_hasher *lark_hasher_new(void)
{
    struct lark_hasher *hasher = OPENSSL_zalloc(sizeof(*hasher));
    if (hasher == NULL) return NULL;
    hasher->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    hasher->ctx = EVP_MD_CTX_new();
    if (hasher->sha256 != NULL && hasher->ctx != NULL) return hasher;
    lark_hasher_free(hasher);
    return NULL;
}

void lark_hasher_free(struct lark_hasher *hasher)
{
    if (hasher == NULL) return;
    EVP_MD_CTX_free(hasher->ctx);
    EVP_MD_free(hasher->sha256);
    OPENSSL_free(hasher);
}

enum lark_status lark_hasher_hash(struct lark_hasher *hasher, struct lark_slice bytes, struct lark_hash *out)
{
    unsigned len = 0;
    if (EVP_DigestInit_ex(hasher->ctx, hasher->sha256, NULL) != 1 ||
        EVP_DigestUpdate(hasher->ctx, bytes.p, bytes.len) != 1 ||
        EVP_DigestFinal_ex(hasher->ctx, out->bytes, &len) != 1 || len != sizeof(out->bytes))
        return LARK_E_INTERNAL;
    return LARK_OK;
}

bool lark_hash_same(const struct lark_hash *a, const struct lark_hash *b)
{
    return CRYPTO_memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

static int digit_of(uint8_t c)
{
    if (c >= '0' && c <= '9') return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

enum lark_status lark_hash_parse(struct lark_slice text, struct lark_hash *out)
{
    struct lark_hash hash;
    if (text.len != 2 * sizeof(hash.bytes)) return LARK_E_BAD_PARAMETER;
    for (size_t i = 0; i < sizeof(hash.bytes); i++) {
        const int high = digit_of(text.p[2 * i]);
        const int low = digit_of(text.p[2 * i + 1]);
        if (high < 0 || low < 0) return LARK_E_BAD_PARAMETER;
        hash.bytes[i] = (uint8_t)(high * 16 + low);
    }
    *out = hash;
    return LARK_OK;
}

void lark_hash_write(const struct lark_hash *hash, char out[65])
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < sizeof(hash->bytes); i++) {
        out[2 * i] = digits[hash->bytes[i] >> 4];
        out[2 * i + 1] = digits[hash->bytes[i] & 15];
    }
    out[64] = '\0';
}
