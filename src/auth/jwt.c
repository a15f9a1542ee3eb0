/* jwt.c - a JWT in compact form. Nothing of the claims is read before the signature holds. */
#include "encodings.h"
#include "jwk.h"
#include "members.h"
#include "slices.h"

bool lark_jwt_is(struct lark_slice token)
{
    size_t n_dots = 0;
    if (token.len >= 5 && memcmp(token.p, "lark_", 5) == 0) return false;
    for (size_t i = 0; i < token.len; i++) n_dots += token.p[i] == '.';
    return n_dots == 2;
}

/* --- the header ------------------------------------------------------------------------------------------------ */

enum header_member { ALG, KID, TYP, CRIT, N_HEADER_MEMBERS };

/* What a header says; texts are kept in the block.
 * wrong: a member of the wrong type; crit: it is there, whatever it says */
struct header {
    enum lark__alg alg;
    struct lark_slice kid;
    struct lark_slice typ;
    bool wrong;
    bool crit;
    struct lark_buf texts;
    uint8_t block[LARK__BASE64URL_BYTES(LARK_JWT_MAX)];
};

/* Members that would bring keys (jku, jwk, x5u, x5c) mean nothing: keys come from the set alone (RFC 8725 section 3.10). */
static enum lark_status take_header(void *ctx, const struct lark__member *member)
{
    struct header *header = ctx;
    if (member->index == CRIT) {
        header->crit = true;
        return LARK_OK;
    }
    if (member->type != LARK_JSON_STRING || member->element) {
        header->wrong = true;
        return LARK_OK;
    }
    if (member->index == ALG) {
        header->alg = lark__alg_find(member->text);
        return LARK_OK;
    }
    const size_t at = header->texts.len;
    const enum lark_status status = lark_buf_append(&header->texts, member->text);
    if (status != LARK_OK) return status;
    *(member->index == KID ? &header->kid : &header->typ) = lark__auth_slice(header->texts.p + at, member->text.len);
    return LARK_OK;
}

/* RFC 9068 section 4, RFC 8725 section 3.11: a token made for another end is none of ours. */
static bool typ_fits(struct lark_slice typ, enum lark_jwt_typ wanted)
{
    if (lark__auth_is_in_any_case(typ, "at+jwt") || lark__auth_is_in_any_case(typ, "application/at+jwt")) return true;
    return wanted == LARK_JWT_TYP_ANY && (typ.p == NULL || lark__auth_is_in_any_case(typ, "jwt") ||
                                          lark__auth_is_in_any_case(typ, "application/jwt"));
}

static enum lark_status read_header(const struct lark_mem *mem, struct lark_slice text, enum lark_jwt_typ typ,
                                    struct header *out, struct lark_err *err)
{
    static const struct lark_slice names[N_HEADER_MEMBERS] = {{(const uint8_t *)"alg", 3},
                                                              {(const uint8_t *)"kid", 3},
                                                              {(const uint8_t *)"typ", 3},
                                                              {(const uint8_t *)"crit", 4}};
    uint8_t bytes[LARK__BASE64URL_BYTES(LARK_JWT_MAX)];
    struct lark__members members;
    size_t len = 0;
    out->alg = LARK__N_ALGS;
    out->kid = out->typ = lark__auth_slice(NULL, 0);
    out->wrong = out->crit = false;
    lark_buf_init(&out->texts, NULL, sizeof(out->block), out->block, sizeof(out->block));
    lark__members_init(&members, names, N_HEADER_MEMBERS, 1, take_header, out);
    enum lark_status status = lark__base64url_decode(text, bytes, &len);
    if (status == LARK_OK) status = lark__members_read(mem, lark__auth_slice(bytes, len), &members);
    if (status == LARK_E_NOMEM) return lark__auth_fail(err, status, NULL);
    if (status != LARK_OK || out->wrong)
        return lark__auth_fail(err, LARK_E_BAD_CREDENTIALS, "the token's header is not well formed");
    if (out->crit)
        return lark__auth_fail(err, LARK_E_BAD_CREDENTIALS, "the token's header has \"crit\", which is not supported");
    if (out->alg == LARK__N_ALGS)
        return lark__auth_fail(err, LARK_E_BAD_CREDENTIALS,
                               "the token's \"alg\" must be one of RS256, PS256, ES256, EdDSA");
    if (!typ_fits(out->typ, typ))
        return lark__auth_fail(err, LARK_E_BAD_CREDENTIALS,
                               typ == LARK_JWT_TYP_ACCESS ? "the token's \"typ\" must be \"at+jwt\""
                                                          : "the token's \"typ\" must be \"at+jwt\" or \"JWT\"");
    return LARK_OK;
}

/* --- the key and the signature --------------------------------------------------------------------------------- */

static bool kid_fits(const struct lark__key *key, struct lark_slice kid)
{
    return kid.p == NULL || (key->kid.p != NULL && key->kid.len == kid.len && memcmp(key->kid.p, kid.p, kid.len) == 0);
}

/* The one key that the header can mean: by kid when there is one, and by the algorithms that the key allows. */
static enum lark_status choose(struct lark_jwks *jwks, const struct header *header, struct lark__key **out,
                               struct lark_err *err)
{
    size_t n_named = 0;
    size_t n_fit = 0;
    for (size_t i = 0; i < jwks->n; i++) {
        struct lark__key *key = &jwks->keys[i];
        if (!kid_fits(key, header->kid)) continue;
        n_named++;
        if ((key->algs >> header->alg & 1u) == 0) continue;
        n_fit++;
        *out = key;
    }
    if (n_fit == 1) return LARK_OK;
    if (n_fit > 1)
        return lark__auth_fail(err, LARK_E_BAD_CREDENTIALS, "the token names no key (\"kid\"), and several would fit");
    if (header->kid.p != NULL && n_named > 0)
        return lark__auth_fail(err, LARK_E_BAD_CREDENTIALS, "the token's \"alg\" is not that of its key");
    return lark__auth_fail(err, LARK_E_UNKNOWN_KEY, "none of the issuer's keys that are known here is the token's");
}

static enum lark_status check_signature(struct lark_jwks *jwks, const struct header *header, struct lark_slice message,
                                        struct lark_slice text, struct lark_err *err)
{
    uint8_t bytes[LARK__BASE64URL_BYTES(LARK_JWT_MAX)];
    struct lark_hash digest;
    struct lark__key *key = NULL;
    size_t len = 0;
    enum lark_status status = choose(jwks, header, &key, err);
    if (status != LARK_OK) return status;
    if (lark__base64url_decode(text, bytes, &len) != LARK_OK)
        return lark__auth_fail(err, LARK_E_BAD_CREDENTIALS, "the token's signature is not well formed");
    if (lark_hasher_hash(jwks->hasher, message, &digest) != LARK_OK) return lark__auth_fail(err, LARK_E_INTERNAL, NULL);
    status = lark__key_verify(key, header->alg, message, &digest, lark__auth_slice(bytes, len));
    /* Without a kid a new key shows by this alone. */
    if (status != LARK_OK && header->kid.p == NULL) status = LARK_E_UNKNOWN_KEY;
    return status == LARK_OK ? LARK_OK : lark__auth_fail(err, status, "the token's signature is not that of its key");
}

/* --- the token ------------------------------------------------------------------------------------------------- */

/* Header, claims, signature; on LARK_OK. */
static bool split(struct lark_slice token, struct lark_slice out[3])
{
    size_t n = 0;
    size_t begin = 0;
    for (size_t i = 0; i <= token.len; i++) {
        if (i < token.len && token.p[i] != '.') continue;
        if (n == 3) return false;
        out[n++] = lark__auth_slice(token.p + begin, i - begin);
        begin = i + 1;
    }
    return n == 3;
}

enum lark_status lark_jwt_verify(struct lark_jwks *jwks, const struct lark_jwt_rules *rules, struct lark_slice token,
                                 int64_t now_s, struct lark_credential *out, struct lark_err *err)
{
    struct header header;
    struct lark_slice parts[3];
    uint8_t claims[LARK__BASE64URL_BYTES(LARK_JWT_MAX)];
    size_t len = 0;
    if (token.len > LARK_JWT_MAX)
        return lark__auth_fail(err, LARK_E_BAD_CREDENTIALS, "the token has more than 8192 bytes");
    if (token.len == 0 || !split(token, parts))
        return lark__auth_fail(err, LARK_E_BAD_CREDENTIALS, "a JWT of three parts is expected");
    enum lark_status status = read_header(jwks->mem, parts[0], rules->typ, &header, err);
    if (status != LARK_OK) return status;
    const struct lark_slice message = {token.p, parts[0].len + 1 + parts[1].len};
    status = check_signature(jwks, &header, message, parts[2], err);
    if (status != LARK_OK) return status;
    if (lark__base64url_decode(parts[1], claims, &len) != LARK_OK)
        return lark__auth_fail(err, LARK_E_BAD_CREDENTIALS, "the token's claims are not well formed");
    return lark_claims_credential(jwks->mem, jwks->hasher, rules, LARK_CLAIMS_JWT, lark__auth_slice(claims, len), now_s,
                                  out, err);
}
