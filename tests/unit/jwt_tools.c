/* Keys, key sets and tokens for tests, made by OpenSSL and this file alone. */
#include "jwt_tools.h"

#include <stdio.h>
#include <stdlib.h>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/rsa.h>

EVP_PKEY *test_keys[N_KEYS];

int make_keys(void **state)
{
    (void)state;
    test_keys[BY_RSA] = EVP_RSA_gen(2048);
    test_keys[BY_OTHER] = EVP_RSA_gen(2048);
    test_keys[BY_EC] = EVP_EC_gen("P-256");
    test_keys[BY_ED] = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    for (size_t i = 0; i < N_KEYS; i++)
        if (test_keys[i] == NULL) return -1;
    return 0;
}

int free_keys(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_KEYS; i++) EVP_PKEY_free(test_keys[i]);
    return 0;
}

static size_t number(EVP_PKEY *key, const char *name, size_t width, char *out)
{
    uint8_t bytes[1024];
    BIGNUM *n = NULL;
    assert_int_equal(EVP_PKEY_get_bn_param(key, name, &n), 1);
    const int len = width == 0 ? BN_bn2bin(n, bytes) : BN_bn2binpad(n, bytes, (int)width);
    BN_free(n);
    return base64url(bytes, (size_t)len, out);
}

const char *jwk(EVP_PKEY *key, char *out, size_t size)
{
    char a[1500];
    char b[1500];
    if (EVP_PKEY_is_a(key, "RSA")) {
        (void)number(key, OSSL_PKEY_PARAM_RSA_N, 0, a);
        (void)number(key, OSSL_PKEY_PARAM_RSA_E, 0, b);
        (void)snprintf(out, size, "\"kty\": \"RSA\", \"n\": \"%s\", \"e\": \"%s\"", a, b);
    } else if (EVP_PKEY_is_a(key, "EC")) {
        (void)number(key, OSSL_PKEY_PARAM_EC_PUB_X, 32, a);
        (void)number(key, OSSL_PKEY_PARAM_EC_PUB_Y, 32, b);
        (void)snprintf(out, size, "\"kty\": \"EC\", \"crv\": \"P-256\", \"x\": \"%s\", \"y\": \"%s\"", a, b);
    } else {
        uint8_t bytes[32];
        size_t len = sizeof(bytes);
        assert_int_equal(EVP_PKEY_get_raw_public_key(key, bytes, &len), 1);
        (void)base64url(bytes, len, a);
        (void)snprintf(out, size, "\"kty\": \"OKP\", \"crv\": \"Ed25519\", \"x\": \"%s\"", a);
    }
    return out;
}

static size_t sign_raw(EVP_PKEY *key, bool pss, const char *text, uint8_t *out)
{
    uint8_t signature[1100];
    size_t len = sizeof(signature);
    EVP_PKEY_CTX *options = NULL;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    const EVP_MD *md = EVP_PKEY_is_a(key, "ED25519") ? NULL : EVP_sha256();
    assert_int_equal(EVP_DigestSignInit(ctx, &options, md, NULL, key), 1);
    if (pss) {
        assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(options, RSA_PKCS1_PSS_PADDING), 1);
        assert_int_equal(EVP_PKEY_CTX_set_rsa_pss_saltlen(options, 32), 1);
    }
    assert_int_equal(EVP_DigestSign(ctx, signature, &len, (const uint8_t *)text, strlen(text)), 1);
    EVP_MD_CTX_free(ctx);
    if (!EVP_PKEY_is_a(key, "EC")) {
        memcpy(out, signature, len);
        return len;
    }
    const uint8_t *der = signature;
    ECDSA_SIG *pair = d2i_ECDSA_SIG(NULL, &der, (long)len);
    assert_non_null(pair);
    (void)BN_bn2binpad(ECDSA_SIG_get0_r(pair), out, 32);
    (void)BN_bn2binpad(ECDSA_SIG_get0_s(pair), out + 32, 32);
    ECDSA_SIG_free(pair);
    return 64;
}

char *token_of(EVP_PKEY *key, const char *header, const char *claims)
{
    uint8_t signature[1100];
    const size_t size = 2 * (strlen(header) + strlen(claims)) + 2000;
    char *out = malloc(size);
    char *json = malloc(size);
    if (out == NULL || json == NULL) abort();
    (void)snprintf(json, size, "{%s}", header);
    size_t len = base64url((uint8_t *)json, strlen(json), out);
    out[len++] = '.';
    (void)snprintf(json, size, "{%s}", claims);
    len += base64url((uint8_t *)json, strlen(json), out + len);
    const size_t n = sign_raw(key, strstr(header, "PS256") != NULL, out, signature);
    out[len++] = '.';
    (void)base64url(signature, n, out + len);
    free(json);
    return out;
}
