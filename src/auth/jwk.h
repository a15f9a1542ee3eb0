/* jwk.h - one key of a set, and the key set. */
#ifndef LARK_AUTH_JWK_H
#define LARK_AUTH_JWK_H

#include <lark/jwt.h>
#include <openssl/evp.h>

/* The signature algorithms there are: no "none", no HMAC. */
enum lark__alg { LARK__RS256, LARK__PS256, LARK__ES256, LARK__EDDSA, LARK__N_ALGS };

/* lark__alg_find - by its name in "alg". return: LARK__N_ALGS when it is none of ours */
enum lark__alg lark__alg_find(struct lark_slice name);

/* Members of a JWK that we look at. */
enum lark__jwk_member {
    LARK__JWK_KTY,
    LARK__JWK_USE,
    LARK__JWK_ALG,
    LARK__JWK_KID,
    LARK__JWK_CRV,
    LARK__JWK_N,
    LARK__JWK_E,
    LARK__JWK_X,
    LARK__JWK_Y,
    LARK__JWK_D,
    LARK__JWK_KEY_OPS,
    LARK__N_JWK_MEMBERS
};

/* A JWK as it was read.
 * values: their texts; p is NULL where there is none
 * odd:    bits of members that are not of the type they must have
 * verify: "key_ops" holds "verify" */
struct lark__jwk {
    struct lark_slice values[LARK__N_JWK_MEMBERS];
    unsigned odd;
    bool has_key_ops;
    bool verify;
};

/* A key that can verify.
 * algs: bits of those that it may be used with
 * made: for each of them, ready to be used again and again; of EdDSA none: it takes md */
struct lark__key {
    struct lark_slice kid;
    unsigned algs;
    EVP_PKEY *pkey;
    EVP_PKEY_CTX *made[LARK__N_ALGS];
    EVP_MD_CTX *md;
};

/* lark__key_make - out_why: on LARK_E_BAD_PARAMETER why it cannot be used; NULL: it is for encryption, nobody's mistake
 * return: LARK_OK | LARK_E_BAD_PARAMETER | LARK_E_NOMEM; done_ works on what is half made, too */
LARK_MUST_USE enum lark_status lark__key_make(const struct lark__jwk *jwk, struct lark__key *out, const char **out_why);
void lark__key_done(struct lark__key *key);

/* lark__key_verify - digest: SHA-256 of the message; EdDSA takes the message itself.
 * return: LARK_OK | LARK_E_BAD_CREDENTIALS (the signature is another's) */
LARK_MUST_USE enum lark_status lark__key_verify(struct lark__key *key, enum lark__alg alg, struct lark_slice message,
                                                const struct lark_hash *digest, struct lark_slice signature);

/* keys:  n of cap; texts: their kids */
struct lark_jwks {
    const struct lark_mem *mem;
    struct lark_hasher *hasher;
    struct lark__key *keys;
    size_t n;
    size_t cap;
    struct lark_arena texts;
};

#endif
