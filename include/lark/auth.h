/* auth.h - who is calling: the Authorization header, API tokens, and what a verified credential allows.
 *
 *     lark_authorization_read   the header: which scheme, which token
 *     lark_hasher_hash          the token's SHA-256: all that is ever compared or kept
 *     lark_tokens_find          a table of tokens, from a file
 *     lark_credentials_find     what was verified before, by whatever source (bounded, for a time)
 *     lark_credential_principal what the plan wants to know
 *     lark_origin_fault         pages of other origins that may call
 *
 * Part of liblark-auth, which needs OpenSSL's libcrypto. No I/O, no clock, no source of random numbers: files, time and
 * bytes are handed in. No function keeps or shows a token. */
#ifndef LARK_AUTH_H
#define LARK_AUTH_H

#include <lark/catalogue.h>
#include <lark/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Longest Authorization header that is looked at: a JWT of 8 KB and its scheme. */
#define LARK_AUTHORIZATION_MAX 8256
#define LARK_ORIGIN_MAX 320
#define LARK_TOKENS_FILE_MAX ((size_t)32 << 20)
#define LARK_TOKENS_MAX 100000
#define LARK_TOKEN_NAME_MAX 64
#define LARK_TOKEN_PREFIX_MAX 64
#define LARK_TOKEN_RANDOM_BYTES 32
#define LARK_TOKEN_TEXT_MAX 80
#define LARK_NEVER_S INT64_MAX

/* --- the header ------------------------------------------------------------------------------------------------ */

enum lark_scheme { LARK_SCHEME_BEARER, LARK_SCHEME_BASIC, LARK_SCHEME_OTHER };

/* scheme: known also when the rest is not well formed
 * token:  1..LARK_AUTHORIZATION_MAX bytes of token68; points into the header or the storage */
struct lark_authorization {
    enum lark_scheme scheme;
    struct lark_slice token;
};

/* lark_authorization_read - "Bearer TOKEN", or "Basic ..." with the token as password (any user name). Schemes in any case.
 * in:     header: the value, outer blanks off; storage: header.len bytes, for what is decoded from Basic
 * out:    out->scheme always; out->token on LARK_OK
 * err:    optional: err->text says what was expected; never a part of the header
 * return: LARK_OK | LARK_E_BAD_CREDENTIALS
 * cost:   O(header), no allocation
 * source: RFC 6750 section 2.1, RFC 7617 section 2, RFC 9110 section 11.4 */
LARK_API LARK_MUST_USE enum lark_status lark_authorization_read(struct lark_slice header, uint8_t *storage,
                                                                struct lark_authorization *out, struct lark_err *err);

/* --- SHA-256 --------------------------------------------------------------------------------------------------- */

struct lark_hash {
    uint8_t bytes[32];
};

/* What hashing needs to have ready; one for each thread. */
struct lark_hasher;

/* lark_hasher_new - return: NULL without memory, or where OpenSSL has no SHA-256. lark_hasher_free - NULL is allowed */
LARK_API LARK_MUST_USE struct lark_hasher *lark_hasher_new(void);
LARK_API void lark_hasher_free(struct lark_hasher *hasher);

/* lark_hasher_hash - SHA-256 of the bytes. return: LARK_OK | LARK_E_INTERNAL. source: FIPS 180-4 */
LARK_API LARK_MUST_USE enum lark_status lark_hasher_hash(struct lark_hasher *hasher, struct lark_slice bytes,
                                                         struct lark_hash *out);

/* lark_hash_same - in a time that does not depend on where they differ. */
LARK_API bool lark_hash_same(const struct lark_hash *a, const struct lark_hash *b);

/* lark_hash_parse - 64 hexadecimal digits. return: LARK_OK | LARK_E_BAD_PARAMETER
 * lark_hash_write - as 64 lower-case digits and a NUL. */
LARK_API LARK_MUST_USE enum lark_status lark_hash_parse(struct lark_slice text, struct lark_hash *out);
LARK_API void lark_hash_write(const struct lark_hash *hash, char out[65]);

/* --- a credential ---------------------------------------------------------------------------------------------- */

/* What a verified credential says. Holds its own bytes, so that it may be copied and outlive where it came from.
 * expires_s: seconds since 1970 from which on it is refused; LARK_NEVER_S: none
 * name:      name_len bytes of UTF-8 without control characters: for people, logs, limits
 * prefix:    prefix_len bytes; 0: none */
struct lark_credential {
    struct lark_scopes scopes;
    int64_t expires_s;
    uint8_t name_len;
    uint8_t prefix_len;
    char name[LARK_TOKEN_NAME_MAX];
    char prefix[LARK_TOKEN_PREFIX_MAX];
};

enum lark_credential_field { LARK_CREDENTIAL_NAME, LARK_CREDENTIAL_PREFIX, LARK_CREDENTIAL_EXPIRES };

/* lark_credential_init - nobody: no name, no scopes, never expires. */
LARK_API void lark_credential_init(struct lark_credential *credential);

/* lark_credential_set - one field from text: a name; a prefix; a moment as ISO 8601 with its zone or as seconds since 1970.
 * out:    out_expected: on failure a static text: what it must be
 * return: LARK_OK | LARK_E_BAD_PARAMETER (nothing changed) */
LARK_API LARK_MUST_USE enum lark_status lark_credential_set(struct lark_credential *credential,
                                                            enum lark_credential_field field, struct lark_slice text,
                                                            const char **out_expected);

/* lark_credential_check - may it be used now?
 * in:     now_s: seconds since 1970; require_prefix: refuse who has neither a prefix nor the scope admin
 * err:    optional
 * return: LARK_OK | LARK_E_BAD_CREDENTIALS (expired) | LARK_E_PREFIX_NEEDED */
LARK_API LARK_MUST_USE enum lark_status lark_credential_check(const struct lark_credential *credential, int64_t now_s,
                                                              bool require_prefix, struct lark_err *err);

/* lark_credential_principal - for lark_plan_route. return: borrows from the credential */
LARK_API struct lark_principal lark_credential_principal(const struct lark_credential *credential);

/* --- tokens ---------------------------------------------------------------------------------------------------- */

/* lark_token_write - a new token: "lark_<id>_<secret>", the id from the name, the secret from the random bytes (base32).
 * in:     random: LARK_TOKEN_RANDOM_BYTES from a source fit for keys
 * out:    out: NUL-terminated. return: its length */
LARK_API size_t lark_token_write(struct lark_slice name, const uint8_t random[LARK_TOKEN_RANDOM_BYTES],
                                 char out[LARK_TOKEN_TEXT_MAX]);

/* One entry of a tokens file.
 * scopes: its words joined by blanks, the unknown ones too; points into the table
 * begin, end: bytes of the file that hold it: from its bracket to behind the other */
struct lark_token {
    struct lark_credential credential;
    struct lark_hash hash;
    struct lark_slice scopes;
    uint64_t begin;
    uint64_t end;
};

/* A tokens file, read. */
struct lark_tokens;

/* What is wrong with a tokens file: a sentence with the place, the entry, what was expected. Never a token or a hash. */
struct lark_tokens_error {
    char text[400];
};

/* Told of what is not refused: a scope that does not exist matches nothing. text: dead when the callback returns */
typedef void (*lark_tokens_warn_fn)(void *ctx, const char *text);

/* lark_tokens_parse - {"tokens": [{"name": ..., "sha256": ..., "scopes": [...], "prefix": ..., "expires": ...}]}
 * in:     file: its bytes, borrowed for the call; warn: may be NULL
 * out:    out_tokens: to be freed; on LARK_OK only
 * return: LARK_OK | LARK_E_BAD_PARAMETER | LARK_E_BAD_JSON | LARK_E_TOO_LARGE | LARK_E_NOMEM; out_error says why
 * cost:   O(file) */
LARK_API LARK_MUST_USE enum lark_status lark_tokens_parse(const struct lark_mem *mem,
                                                          const struct lark_catalogue *catalogue,
                                                          struct lark_slice file, lark_tokens_warn_fn warn,
                                                          void *warn_ctx, struct lark_tokens **out_tokens,
                                                          struct lark_tokens_error *out_error);

/* lark_tokens_free - the table and its entries; NULL is allowed. */
LARK_API void lark_tokens_free(struct lark_tokens *tokens);

/* lark_tokens_find - the entry of a token's hash, or NULL. cost: O(1). return: borrowed until the table is freed */
LARK_API const struct lark_token *lark_tokens_find(const struct lark_tokens *tokens, const struct lark_hash *hash);

/* lark_tokens_count, lark_tokens_at - the entries in the file's order.
 * lark_tokens_end - the byte of the closing bracket of the list, where one more would go. */
LARK_API size_t lark_tokens_count(const struct lark_tokens *tokens);
LARK_API const struct lark_token *lark_tokens_at(const struct lark_tokens *tokens, size_t index);
LARK_API uint64_t lark_tokens_end(const struct lark_tokens *tokens);

/* --- what was verified ----------------------------------------------------------------------------------------- */

/* Credentials that a source (a token store; keys; an issuer) has verified, by the token's hash, each for a time. Bounded: a
 * new one takes the place of the one in its set that ends first. */
struct lark_credentials;

/* lark_credentials_new - room for n (1..65536, rounded up to a power of two, 8 at least). return: NULL without memory */
LARK_API LARK_MUST_USE struct lark_credentials *lark_credentials_new(const struct lark_mem *mem, size_t n);

/* lark_credentials_free - NULL is allowed. */
LARK_API void lark_credentials_free(struct lark_credentials *cache);

/* lark_credentials_find - in: now_ms: on the clock of until_ms. return: until the next lark_credentials_add or _clear; NULL */
LARK_API const struct lark_credential *lark_credentials_find(const struct lark_credentials *cache,
                                                             const struct lark_hash *hash, uint64_t now_ms);

/* lark_credentials_add - remember one until a moment. return: as lark_credentials_find */
LARK_API const struct lark_credential *lark_credentials_add(struct lark_credentials *cache,
                                                            const struct lark_hash *hash,
                                                            const struct lark_credential *credential,
                                                            uint64_t until_ms);

/* lark_credentials_clear - forget all: keys or revocations changed. */
LARK_API void lark_credentials_clear(struct lark_credentials *cache);

/* --- pages of other origins ------------------------------------------------------------------------------------ */

/* lark_origin_fault - is it an origin as browsers send it: scheme://host or scheme://host:port, in lower case, without the
 * scheme's own port? So that a list can be compared with a request byte by byte.
 * return: NULL: it is; else what was expected, a text for ever
 * source: HTML standard, "serialization of an origin"; RFC 6454 section 6.2 */
LARK_API LARK_MUST_USE const char *lark_origin_fault(struct lark_slice text);

#ifdef __cplusplus
}
#endif
#endif
