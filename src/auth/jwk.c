/* jwk.c - one JSON Web Key becomes an OpenSSL key that can verify, and verifies. What it may verify is the key's to say. */
#include "jwk.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>

#include "encodings.h"
#include "slices.h"

#define RSA_BITS_MIN 2048
#define RSA_BITS_MAX 8192
#define RSA_BYTES_MAX (RSA_BITS_MAX / 8)
#define RSA_E_BITS_MAX 64 /* a large one only costs time; OpenSSL's own limit for large keys */
#define ES256_BYTES 32
#define ES256_DER_MAX 80
#define ED25519_BYTES 32
#define MEMBER_MAX 1400 /* characters: base64url of RSA_BYTES_MAX and some */

static const char *const alg_names[] = {"RS256", "PS256", "ES256", "EdDSA", "Ed25519"};
/* RFC 9864 gives EdDSA over this curve a name of its own. */
static const enum lark__alg alg_values[] = {LARK__RS256, LARK__PS256, LARK__ES256, LARK__EDDSA, LARK__EDDSA};

enum lark__alg lark__alg_find(struct lark_slice name)
{
    for (size_t i = 0; i < sizeof(alg_values) / sizeof(alg_values[0]); i++)
        if (lark__auth_is(name, alg_names[i])) return alg_values[i];
    return LARK__N_ALGS;
}

/* --- numbers and points ---------------------------------------------------------------------------------------- */

/* exact: bytes it must have; 0: any up to RSA_BYTES_MAX */
static bool decode(struct lark_slice text, size_t exact, uint8_t *out, size_t *out_len)
{
    if (text.len > MEMBER_MAX || lark__base64url_decode(text, out, out_len) != LARK_OK) return false;
    return exact == 0 ? *out_len > 0 && *out_len <= RSA_BYTES_MAX : *out_len == exact;
}

static EVP_PKEY *from_params(const char *type, OSSL_PARAM_BLD *builder)
{
    EVP_PKEY *pkey = NULL;
    OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(builder);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    if (params == NULL || ctx == NULL || EVP_PKEY_fromdata_init(ctx) != 1 ||
        EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY, params) != 1)
        pkey = NULL;
    EVP_PKEY_CTX_free(ctx);
    OSSL_PARAM_free(params);
    return pkey;
}

/* NULL: good. e = 1 would make every message its own signature. */
static const char *check_rsa(const BIGNUM *n, const BIGNUM *e)
{
    if (BN_num_bits(n) < RSA_BITS_MIN) return "its modulus has less than 2048 bits";
    if (BN_num_bits(n) > RSA_BITS_MAX) return "its modulus has more than 8192 bits";
    if (!BN_is_odd(n) || !BN_is_odd(e) || BN_is_one(e) || BN_num_bits(e) > RSA_E_BITS_MAX)
        return "its modulus or exponent is none of RSA";
    return NULL;
}

static enum lark_status make_rsa(const struct lark__jwk *jwk, struct lark__key *out, const char **out_why)
{
    uint8_t bytes[LARK__BASE64URL_BYTES(MEMBER_MAX)];
    size_t len = 0;
    enum lark_status status = LARK_E_BAD_PARAMETER;
    BIGNUM *n = NULL;
    BIGNUM *e = NULL;
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    *out_why = "\"n\" and \"e\" must be base64url of numbers, n of 2048 to 8192 bits";
    if (!decode(jwk->values[LARK__JWK_N], 0, bytes, &len)) goto done;
    n = BN_bin2bn(bytes, (int)len, NULL);
    if (!decode(jwk->values[LARK__JWK_E], 0, bytes, &len)) goto done;
    e = BN_bin2bn(bytes, (int)len, NULL);
    status = LARK_E_NOMEM;
    if (n == NULL || e == NULL || builder == NULL) goto done;
    status = LARK_E_BAD_PARAMETER;
    *out_why = check_rsa(n, e);
    if (*out_why != NULL) goto done;
    *out_why = "OpenSSL does not take it";
    if (OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, n) != 1 ||
        OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_E, e) != 1)
        goto done;
    out->pkey = from_params("RSA", builder);
    out->algs = 1u << LARK__RS256 | 1u << LARK__PS256;
    status = out->pkey == NULL ? LARK_E_BAD_PARAMETER : LARK_OK;
done:
    OSSL_PARAM_BLD_free(builder);
    BN_free(n);
    BN_free(e);
    return status;
}

static enum lark_status make_ec(const struct lark__jwk *jwk, struct lark__key *out, const char **out_why)
{
    static const char group[] = "prime256v1";
    uint8_t point[1 + 2 * ES256_BYTES];
    uint8_t bytes[LARK__BASE64URL_BYTES(MEMBER_MAX)];
    size_t len = 0;
    *out_why = "of elliptic curves only P-256 is taken";
    if (!lark__auth_is(jwk->values[LARK__JWK_CRV], "P-256")) return LARK_E_BAD_PARAMETER;
    *out_why = "\"x\" and \"y\" must be base64url of 32 bytes, a point of P-256";
    point[0] = 4; /* uncompressed: SEC 1 section 2.3.3 */
    if (!decode(jwk->values[LARK__JWK_X], ES256_BYTES, bytes, &len)) return LARK_E_BAD_PARAMETER;
    memcpy(point + 1, bytes, ES256_BYTES);
    if (!decode(jwk->values[LARK__JWK_Y], ES256_BYTES, bytes, &len)) return LARK_E_BAD_PARAMETER;
    memcpy(point + 1 + ES256_BYTES, bytes, ES256_BYTES);
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    if (builder == NULL) return LARK_E_NOMEM;
    if (OSSL_PARAM_BLD_push_utf8_string(builder, OSSL_PKEY_PARAM_GROUP_NAME, group, sizeof(group) - 1) == 1 &&
        OSSL_PARAM_BLD_push_octet_string(builder, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof(point)) == 1)
        out->pkey = from_params("EC", builder); /* refuses what is not on the curve */
    OSSL_PARAM_BLD_free(builder);
    out->algs = 1u << LARK__ES256;
    return out->pkey == NULL ? LARK_E_BAD_PARAMETER : LARK_OK;
}

static enum lark_status make_okp(const struct lark__jwk *jwk, struct lark__key *out, const char **out_why)
{
    uint8_t bytes[LARK__BASE64URL_BYTES(MEMBER_MAX)];
    size_t len = 0;
    *out_why = "of Edwards curves only Ed25519 is taken";
    if (!lark__auth_is(jwk->values[LARK__JWK_CRV], "Ed25519")) return LARK_E_BAD_PARAMETER;
    *out_why = "\"x\" must be base64url of 32 bytes";
    if (!decode(jwk->values[LARK__JWK_X], ED25519_BYTES, bytes, &len)) return LARK_E_BAD_PARAMETER;
    out->pkey = EVP_PKEY_new_raw_public_key_ex(NULL, "ED25519", NULL, bytes, len);
    out->algs = 1u << LARK__EDDSA;
    return out->pkey == NULL ? LARK_E_NOMEM : LARK_OK;
}

/* --- a key ----------------------------------------------------------------------------------------------------- */

/* One that verifies with this key, again and again: setting it up takes 4 us, an RS256 signature of 2048 bits 20. */
static EVP_PKEY_CTX *ready(EVP_PKEY *pkey, enum lark__alg alg)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, pkey, NULL);
    bool good = ctx != NULL && EVP_PKEY_verify_init(ctx) == 1;
    if (good && alg == LARK__RS256) good = EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) == 1;
    if (good && alg == LARK__PS256) good = EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) == 1;
    if (good) good = EVP_PKEY_CTX_set_signature_md(ctx, EVP_sha256()) == 1;
    /* RFC 7518 section 3.5: a salt as long as the hash, MGF1 with the same hash */
    if (good && alg == LARK__PS256)
        good = EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST) == 1 &&
               EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, EVP_sha256()) == 1;
    if (good) return ctx;
    EVP_PKEY_CTX_free(ctx);
    return NULL;
}

static bool prepare(struct lark__key *key)
{
    bool good = true;
    for (enum lark__alg alg = LARK__RS256; alg <= LARK__ES256; alg++) {
        if ((key->algs >> alg & 1u) == 0) continue;
        key->made[alg] = ready(key->pkey, alg);
        good = good && key->made[alg] != NULL;
    }
    if ((key->algs >> LARK__EDDSA & 1u) == 0) return good;
    key->md = EVP_MD_CTX_new();
    return key->md != NULL;
}

/* out_why: NULL when it is only of another use */
static bool may_verify(const struct lark__jwk *jwk, const char **out_why)
{
    const struct lark_slice use = jwk->values[LARK__JWK_USE];
    *out_why = "one of its members has the wrong type";
    if (jwk->odd != 0) return false;
    *out_why = "it holds the private part: who reads it can sign";
    if (jwk->values[LARK__JWK_D].p != NULL) return false;
    *out_why = lark__auth_is(use, "enc") ? NULL : "its \"use\" is not \"sig\"";
    if (use.p != NULL && !lark__auth_is(use, "sig")) return false;
    *out_why = "its \"key_ops\" do not hold \"verify\"";
    return !jwk->has_key_ops || jwk->verify;
}

/* The key's own "alg" leaves one. */
static bool narrow(const struct lark__jwk *jwk, struct lark__key *key)
{
    const struct lark_slice alg = jwk->values[LARK__JWK_ALG];
    if (alg.p == NULL) return true;
    const enum lark__alg one = lark__alg_find(alg);
    key->algs = one == LARK__N_ALGS ? 0 : key->algs & 1u << one;
    return key->algs != 0;
}

enum lark_status lark__key_make(const struct lark__jwk *jwk, struct lark__key *out, const char **out_why)
{
    const struct lark_slice kty = jwk->values[LARK__JWK_KTY];
    enum lark_status status = LARK_E_BAD_PARAMETER;
    memset(out, 0, sizeof(*out));
    if (!may_verify(jwk, out_why)) return status;
    *out_why = "its \"kty\" is none of RSA, EC, OKP";
    (void)ERR_set_mark();
    if (lark__auth_is(kty, "RSA")) status = make_rsa(jwk, out, out_why);
    if (lark__auth_is(kty, "EC")) status = make_ec(jwk, out, out_why);
    if (lark__auth_is(kty, "OKP")) status = make_okp(jwk, out, out_why);
    if (status == LARK_OK && !narrow(jwk, out)) {
        *out_why = "its \"alg\" is none that its kind of key verifies here: RS256, PS256, ES256, EdDSA";
        status = LARK_E_BAD_PARAMETER;
    }
    if (status == LARK_OK && !prepare(out)) status = LARK_E_NOMEM;
    (void)ERR_pop_to_mark();
    if (status != LARK_OK) lark__key_done(out);
    return status;
}

void lark__key_done(struct lark__key *key)
{
    for (size_t i = 0; i < LARK__N_ALGS; i++) EVP_PKEY_CTX_free(key->made[i]);
    EVP_MD_CTX_free(key->md);
    EVP_PKEY_free(key->pkey);
    memset(key, 0, sizeof(*key));
}

/* --- verifying ------------------------------------------------------------------------------------------------- */

/* r and s, 32 bytes each, as the SEQUENCE that OpenSSL wants. return: its length, 0: without memory
 * source: RFC 7518 section 3.4 */
static size_t write_der(struct lark_slice rs, uint8_t out[ES256_DER_MAX])
{
    int len = 0;
    ECDSA_SIG *pair = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(rs.p, ES256_BYTES, NULL);
    BIGNUM *s = BN_bin2bn(rs.p + ES256_BYTES, ES256_BYTES, NULL);
    if (pair != NULL && r != NULL && s != NULL && ECDSA_SIG_set0(pair, r, s) == 1) {
        r = s = NULL;
        len = i2d_ECDSA_SIG(pair, &out);
    }
    BN_free(r);
    BN_free(s);
    ECDSA_SIG_free(pair);
    return len > 0 ? (size_t)len : 0;
}

static bool verify_eddsa(struct lark__key *key, struct lark_slice message, struct lark_slice signature)
{
    return EVP_DigestVerifyInit(key->md, NULL, NULL, NULL, key->pkey) == 1 &&
           EVP_DigestVerify(key->md, signature.p, signature.len, message.p, message.len) == 1;
}

enum lark_status lark__key_verify(struct lark__key *key, enum lark__alg alg, struct lark_slice message,
                                  const struct lark_hash *digest, struct lark_slice signature)
{
    uint8_t der[ES256_DER_MAX];
    bool good = false;
    const int size = alg == LARK__ES256 ? 2 * ES256_BYTES : EVP_PKEY_get_size(key->pkey);
    if (size <= 0 || signature.len != (size_t)size) return LARK_E_BAD_CREDENTIALS;
    (void)ERR_set_mark();
    if (alg == LARK__EDDSA) {
        good = verify_eddsa(key, message, signature);
    } else {
        if (alg == LARK__ES256) signature = lark__auth_slice(der, write_der(signature, der));
        good = EVP_PKEY_verify(key->made[alg], signature.p, signature.len, digest->bytes, sizeof(digest->bytes)) == 1;
    }
    (void)ERR_pop_to_mark(); /* OpenSSL's list of errors is the host's */
    return good ? LARK_OK : LARK_E_BAD_CREDENTIALS;
}
