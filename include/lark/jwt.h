/* jwt.h - access tokens of an OAuth 2.0 or OpenID Connect issuer: its keys, and the JWTs that they have signed.
 *
 *     lark_jwks_parse         the issuer's keys, from a JSON Web Key Set
 *     lark_jwt_is             is this token one?
 *     lark_jwt_verify         signature and claims: a credential, or why not
 *     lark_claims_credential  the claims alone, when somebody else has verified them (introspection)
 *
 * Part of liblark-auth. No I/O, no clock: the key set's bytes and the time are handed in. No error holds a part of a token. */
#ifndef LARK_JWT_H
#define LARK_JWT_H

#include <lark/auth.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LARK_JWT_MAX 8192
#define LARK_INTROSPECTION_MAX ((size_t)64 << 10)
#define LARK_JWT_LEEWAY_MAX_S 60
#define LARK_JWT_ISSUER_MAX 1024
#define LARK_JWKS_FILE_MAX ((size_t)64 << 10)
#define LARK_JWKS_KEYS_MAX 100

/* --- keys ------------------------------------------------------------------------------------------------------ */

/* An issuer's public keys, ready to verify with. Used by one thread at a time. */
struct lark_jwks;

/* What is wrong with a key set: a sentence with the place, the key, what was expected. */
struct lark_jwks_error {
    char text[400];
};

/* lark_jwks_parse - {"keys": [{"kty": "RSA", "kid": ..., "n": ..., "e": ...}, ...]}
 * What a key may verify is settled here, by the key: RSA of 2048 to 8192 bits RS256 and PS256, or the one that its "alg" names;
 * P-256 ES256; Ed25519 EdDSA. A key of another kind, for another use, or that holds its private part, is left out.
 * in:     file: its bytes, borrowed for the call; warn: told of each key that is left out, but not of those for encryption;
 *         may be NULL
 * out:    out_jwks: to be freed; on LARK_OK only: it has one key at least
 * return: LARK_OK | LARK_E_BAD_PARAMETER | LARK_E_BAD_JSON | LARK_E_TOO_LARGE | LARK_E_NOMEM; out_error says why
 * cost:   O(file), and some 10 us a key
 * source: RFC 7517, RFC 7518 section 6, RFC 8037 section 2, RFC 8725 section 3.1 */
LARK_API LARK_MUST_USE enum lark_status lark_jwks_parse(const struct lark_mem *mem, struct lark_slice file,
                                                        lark_tokens_warn_fn warn, void *warn_ctx,
                                                        struct lark_jwks **out_jwks, struct lark_jwks_error *out_error);

/* lark_jwks_free - the set and its keys; NULL is allowed. */
LARK_API void lark_jwks_free(struct lark_jwks *jwks);

/* lark_jwks_count - how many keys can verify: 1..LARK_JWKS_KEYS_MAX. */
LARK_API size_t lark_jwks_count(const struct lark_jwks *jwks);

/* --- tokens ---------------------------------------------------------------------------------------------------- */

/* Which "typ" a token's header may have, in any case; "application/" before it means the same. */
enum lark_jwt_typ {
    LARK_JWT_TYP_ACCESS, /* at+jwt: RFC 9068 */
    LARK_JWT_TYP_ANY     /* JWT, or none, too: of issuers that do not mark access tokens */
};

/* What is asked of a token. All texts are borrowed.
 * issuer:       "iss" is this to the byte: 1..LARK_JWT_ISSUER_MAX bytes
 * audience:     "aud" is this, or a list that holds it; never empty
 * scope_claim:  where the scopes stand; empty: "scope", or where there is none "scp". A list, or words between blanks
 * prefix_claim: where the key prefix stands: who has none is refused. Empty: tokens give no prefix. "sub" is never used as
 *               it is: the prefix is base32(SHA-256(issuer, NUL, sub)), 52 of a-z 2-7
 * leeway_s:     how far clocks may differ, 0..LARK_JWT_LEEWAY_MAX_S
 * warn:         told of scopes that do not exist: they match nothing. May be NULL */
struct lark_jwt_rules {
    const struct lark_catalogue *catalogue;
    struct lark_slice issuer;
    struct lark_slice audience;
    struct lark_slice scope_claim;
    struct lark_slice prefix_claim;
    enum lark_jwt_typ typ;
    uint32_t leeway_s;
    lark_tokens_warn_fn warn;
    void *warn_ctx;
};

/* lark_jwt_is - has it the form of a JWT, and not of a token of ours? return: two dots, and not "lark_" before them */
LARK_API bool lark_jwt_is(struct lark_slice token);

/* lark_jwt_verify - a JWT in compact form: its header, its signature, then its claims.
 * in:     token: 1..LARK_JWT_MAX bytes; now_s: seconds since 1970
 * out:    out: name from "sub" (else "client_id"; where that makes no name, what a prefix from "sub" would be), scopes,
 *         prefix, expires_s = "exp" + leeway; on LARK_OK only
 * err:    optional: err->text says what was expected; never a part of the token
 * return: LARK_OK | LARK_E_BAD_CREDENTIALS | LARK_E_UNKNOWN_KEY (the issuer may have a new key: fetch the set again) |
 *         LARK_E_PREFIX_NEEDED (no prefix in the claim) | LARK_E_NOMEM | LARK_E_INTERNAL
 * cost:   O(token), and that of the signature: 20 us (RS256 of 2048 bits) to 120 us (EdDSA)
 * source: RFC 9068 section 4, RFC 8725, RFC 7515 section 5.2, RFC 7519 section 7.2 */
LARK_API LARK_MUST_USE enum lark_status lark_jwt_verify(struct lark_jwks *jwks, const struct lark_jwt_rules *rules,
                                                        struct lark_slice token, int64_t now_s,
                                                        struct lark_credential *out, struct lark_err *err);

enum lark_claims_kind {
    LARK_CLAIMS_JWT,          /* "iss", "aud" and "exp" are required */
    LARK_CLAIMS_INTROSPECTION /* "active" must be there and true; "iss", "aud" and "exp" are checked when they are there */
};

/* lark_claims_credential - claims that are known to be the issuer's.
 * in:     json: at most LARK_JWT_MAX bytes, of an introspection LARK_INTROSPECTION_MAX
 * out, err, return: as lark_jwt_verify, without LARK_E_UNKNOWN_KEY; LARK_E_ISSUER_AWAY: this is no answer to an introspection
 * source: RFC 9068 section 2.2, RFC 7662 section 2.2 */
LARK_API LARK_MUST_USE enum lark_status lark_claims_credential(const struct lark_mem *mem, struct lark_hasher *hasher,
                                                               const struct lark_jwt_rules *rules,
                                                               enum lark_claims_kind kind, struct lark_slice json,
                                                               int64_t now_s, struct lark_credential *out,
                                                               struct lark_err *err);

#ifdef __cplusplus
}
#endif
#endif
