/* claims.c - what the claims of a verified token say, and whether they let it in. */
#include <stdio.h>

#include <lark/jwt.h>

#include "encodings.h"
#include "members.h"
#include "slices.h"

enum claim { ISS, AUD, EXP, NBF, IAT, SUB, CLIENT_ID, SCOPE, SCP, ACTIVE, SCOPE_CLAIM, PREFIX_CLAIM, N_CLAIMS };

/* seen:   bits of claims that are there
 * scopes: of SCOPE, SCP and SCOPE_CLAIM
 * texts:  the block of sub, client_id and prefix
 * answered: "active" is there, true or false
 * wrong:  what the first claim that is not as it must be, must be */
struct claims {
    const struct lark_jwt_rules *rules;
    unsigned seen;
    bool iss_fits;
    bool aud_fits;
    bool answered;
    bool active;
    int64_t times_s[N_CLAIMS];
    struct lark_scopes scopes[N_CLAIMS];
    struct lark_slice sub;
    struct lark_slice client_id;
    struct lark_slice prefix;
    const char *wrong;
    struct lark_buf texts;
    uint8_t block[LARK__MEMBERS_TEXT_MAX];
};

static bool has(const struct claims *claims, enum claim claim)
{
    return (claims->seen >> claim & 1u) != 0;
}

static bool same(struct lark_slice a, struct lark_slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0);
}

static enum lark_status keep(struct claims *claims, struct lark_slice text, struct lark_slice *out)
{
    const size_t at = claims->texts.len;
    const enum lark_status status = lark_buf_append(&claims->texts, text);
    if (status == LARK_OK) *out = lark__auth_slice(claims->texts.p + at, text.len);
    return status;
}

/* --- scopes ---------------------------------------------------------------------------------------------------- */

/* Those of OpenID Connect Core stand in many tokens and are nobody's mistake. */
static bool is_usual(struct lark_slice word)
{
    static const char *const usual[] = {"openid", "profile", "email", "address", "phone", "offline_access"};
    for (size_t i = 0; i < sizeof(usual) / sizeof(usual[0]); i++)
        if (lark__auth_is(word, usual[i])) return true;
    return false;
}

static void take_scope(struct claims *claims, unsigned index, struct lark_slice word)
{
    char text[200];
    const struct lark_jwt_rules *rules = claims->rules;
    if (lark_scopes_add(rules->catalogue, word, &claims->scopes[index]) == LARK_OK) return;
    if (rules->warn == NULL || is_usual(word)) return;
    (void)snprintf(text, sizeof(text), "there is no scope \"%.*s%s\": it matches nothing",
                   (int)(word.len > 64 ? 64 : word.len), (const char *)word.p, word.len > 64 ? "..." : "");
    lark__auth_one_line(text);
    rules->warn(rules->warn_ctx, text);
}

/* A list of words, or a text of words with blanks between them (RFC 6749 section 3.3). */
static void take_scopes(struct claims *claims, const struct lark__member *member)
{
    if (member->index != SCOPE_CLAIM && claims->rules->scope_claim.len > 0) return;
    if (member->type == LARK_JSON_STRING && member->element) {
        take_scope(claims, member->index, member->text);
        return;
    }
    if (member->type == LARK_JSON_ARRAY && !member->element) return;
    if (member->type != LARK_JSON_STRING) {
        claims->wrong = "the token's scopes must be a text of words, or a list of them";
        return;
    }
    size_t begin = 0;
    for (size_t i = 0; i <= member->text.len; i++) {
        if (i < member->text.len && member->text.p[i] != ' ') continue;
        if (i > begin) take_scope(claims, member->index, lark__auth_slice(member->text.p + begin, i - begin));
        begin = i + 1;
    }
}

/* --- reading --------------------------------------------------------------------------------------------------- */

/* NumericDate: seconds since 1970; a fraction is cut. source: RFC 7519 section 2 */
static bool read_seconds(struct lark_slice text, int64_t *out)
{
    int64_t seconds = 0;
    size_t i = 0;
    while (i < text.len && text.p[i] >= '0' && text.p[i] <= '9' && i < 12) seconds = seconds * 10 + (text.p[i++] - '0');
    if (i == 0) return false;
    if (i < text.len && text.p[i] == '.')
        for (i++; i < text.len && text.p[i] >= '0' && text.p[i] <= '9';) i++;
    *out = seconds;
    return i == text.len;
}

static void take_audience(struct claims *claims, const struct lark__member *member)
{
    if (member->type == LARK_JSON_ARRAY && !member->element) return;
    if (member->type != LARK_JSON_STRING)
        claims->wrong = "the token's \"aud\" must be a text, or a list of them";
    else if (same(member->text, claims->rules->audience))
        claims->aud_fits = true;
}

static enum lark_status take_text(struct claims *claims, const struct lark__member *member)
{
    if (member->index == ISS) {
        claims->iss_fits = same(member->text, claims->rules->issuer);
        return LARK_OK;
    }
    return keep(claims, member->text,
                member->index == SUB         ? &claims->sub
                : member->index == CLIENT_ID ? &claims->client_id
                                             : &claims->prefix);
}

static enum lark_status take_claim(void *ctx, const struct lark__member *member)
{
    struct claims *claims = ctx;
    claims->seen |= 1u << member->index;
    switch ((enum claim)member->index) {
    case AUD: take_audience(claims, member); return LARK_OK;
    case SCOPE:
    case SCP:
    case SCOPE_CLAIM: take_scopes(claims, member); return LARK_OK;
    case EXP:
    case NBF:
    case IAT:
        if (member->type != LARK_JSON_NUMBER || !read_seconds(member->text, &claims->times_s[member->index]))
            claims->wrong = "the token's \"exp\", \"nbf\" and \"iat\" must be seconds since 1970";
        return LARK_OK;
    case ACTIVE:
        claims->active = member->type == LARK_JSON_TRUE;
        claims->answered = claims->active || member->type == LARK_JSON_FALSE;
        return LARK_OK;
    case PREFIX_CLAIM: /* of another type: as if it were not there */
        return member->type == LARK_JSON_STRING && !member->element ? take_text(claims, member) : LARK_OK;
    case ISS:
    case SUB:
    case CLIENT_ID:
    case N_CLAIMS: break;
    }
    if (member->type == LARK_JSON_STRING && !member->element) return take_text(claims, member);
    claims->wrong = "the token's \"iss\", \"sub\" and \"client_id\" must be texts";
    return LARK_OK;
}

static enum lark_status read_claims(const struct lark_mem *mem, struct lark_slice json, struct claims *claims)
{
    struct lark_slice names[N_CLAIMS] = {
        [ISS] = lark__auth_text("iss"),
        [AUD] = lark__auth_text("aud"),
        [EXP] = lark__auth_text("exp"),
        [NBF] = lark__auth_text("nbf"),
        [IAT] = lark__auth_text("iat"),
        [SUB] = lark__auth_text("sub"),
        [CLIENT_ID] = lark__auth_text("client_id"),
        [SCOPE] = lark__auth_text("scope"),
        [SCP] = lark__auth_text("scp"),
        [ACTIVE] = lark__auth_text("active"),
        [SCOPE_CLAIM] = claims->rules->scope_claim,
        [PREFIX_CLAIM] = claims->rules->prefix_claim,
    };
    struct lark__members members;
    lark__members_init(&members, names, N_CLAIMS, 1, take_claim, claims);
    return lark__members_read(mem, json, &members);
}

/* --- judging --------------------------------------------------------------------------------------------------- */

static const char *check_times(const struct claims *claims, bool required, int64_t now_s, int64_t leeway_s)
{
    if (!has(claims, EXP) && required) return "the token has no \"exp\"";
    if (has(claims, EXP) && now_s - leeway_s >= claims->times_s[EXP]) return "the token has expired";
    if (has(claims, NBF) && now_s + leeway_s < claims->times_s[NBF]) return "the token is not valid yet";
    if (has(claims, IAT) && now_s + leeway_s < claims->times_s[IAT]) return "the token was issued in the future";
    return NULL;
}

/* Why the claims do not let the token in; NULL: they do. */
static const char *check(const struct claims *claims, enum lark_claims_kind kind, int64_t now_s, int64_t leeway_s)
{
    const bool required = kind == LARK_CLAIMS_JWT;
    if (kind == LARK_CLAIMS_INTROSPECTION && !claims->active) return "the token is not active";
    if (claims->wrong != NULL) return claims->wrong;
    if (!claims->iss_fits && (required || has(claims, ISS)))
        return "the token's \"iss\" is not the issuer of this server";
    if (!claims->aud_fits && (required || has(claims, AUD))) return "the token's \"aud\" is not this server";
    if (claims->sub.len == 0 && claims->client_id.len == 0) return "the token has neither \"sub\" nor \"client_id\"";
    return check_times(claims, required, now_s, leeway_s);
}

/* base32(SHA-256(issuer, NUL, who)): who they are at this issuer, in the letters of a prefix. */
static enum lark_status derive(struct lark_hasher *hasher, struct lark_slice issuer, struct lark_slice who,
                               char out[52])
{
    uint8_t block[LARK__MEMBERS_TEXT_MAX + LARK_JWT_ISSUER_MAX + 1];
    struct lark_buf text;
    struct lark_hash hash;
    lark_buf_init(&text, NULL, sizeof(block), block, sizeof(block));
    enum lark_status status = lark_buf_append(&text, issuer);
    if (status == LARK_OK) status = lark_buf_append(&text, lark__auth_slice("", 1));
    if (status == LARK_OK) status = lark_buf_append(&text, who);
    if (status == LARK_OK) status = lark_hasher_hash(hasher, lark__auth_slice(text.p, text.len), &hash);
    if (status != LARK_OK) return LARK_E_INTERNAL;
    (void)lark__base32_write(lark__auth_slice(hash.bytes, sizeof(hash.bytes)), out);
    return LARK_OK;
}

static enum lark_status set_name(const struct claims *claims, struct lark_hasher *hasher, struct lark_credential *out)
{
    const struct lark_slice who = claims->sub.len > 0 ? claims->sub : claims->client_id;
    const char *expected = NULL;
    if (lark_credential_set(out, LARK_CREDENTIAL_NAME, who, &expected) == LARK_OK) return LARK_OK;
    out->name_len = 52;
    return derive(hasher, claims->rules->issuer, who, out->name);
}

static enum lark_status set_prefix(const struct claims *claims, struct lark_hasher *hasher, struct lark_credential *out,
                                   struct lark_err *err)
{
    const char *expected = NULL;
    if (claims->rules->prefix_claim.len == 0) return LARK_OK;
    if (claims->prefix.len == 0)
        return lark__auth_fail(err, LARK_E_PREFIX_NEEDED, "the token lacks the claim that gives it");
    if (lark__auth_is(claims->rules->prefix_claim, "sub")) {
        out->prefix_len = 52;
        return derive(hasher, claims->rules->issuer, claims->prefix, out->prefix);
    }
    if (lark_credential_set(out, LARK_CREDENTIAL_PREFIX, claims->prefix, &expected) != LARK_OK)
        return lark__auth_fail(err, LARK_E_PREFIX_NEEDED, "the token's claim must be 1 to 64 of A-Z a-z 0-9 _ . -");
    return LARK_OK;
}

static enum claim scopes_of(const struct claims *claims)
{
    if (claims->rules->scope_claim.len > 0) return SCOPE_CLAIM;
    return has(claims, SCOPE) ? SCOPE : SCP;
}

/* Read, with all that an answer must have. */
static enum lark_status read_all(const struct lark_mem *mem, enum lark_claims_kind kind, struct lark_slice json,
                                 struct claims *claims, struct lark_err *err)
{
    const bool asked = kind == LARK_CLAIMS_INTROSPECTION;
    const size_t max = asked ? LARK_INTROSPECTION_MAX : LARK_JWT_MAX;
    const enum lark_status status = json.len > max ? LARK_E_TOO_LARGE : read_claims(mem, json, claims);
    if (status == LARK_E_NOMEM) return lark__auth_fail(err, status, NULL);
    if (asked && (status != LARK_OK || !claims->answered))
        return lark__auth_fail(err, LARK_E_ISSUER_AWAY,
                               "it must be a JSON object of 64 KB at most that says whether the token is \"active\"");
    if (status == LARK_OK) return LARK_OK;
    return lark__auth_fail(err, LARK_E_BAD_CREDENTIALS, "the token's claims are not well formed");
}

enum lark_status lark_claims_credential(const struct lark_mem *mem, struct lark_hasher *hasher,
                                        const struct lark_jwt_rules *rules, enum lark_claims_kind kind,
                                        struct lark_slice json, int64_t now_s, struct lark_credential *out,
                                        struct lark_err *err)
{
    const int64_t leeway_s = rules->leeway_s < LARK_JWT_LEEWAY_MAX_S ? rules->leeway_s : LARK_JWT_LEEWAY_MAX_S;
    struct lark_credential credential;
    struct claims claims;
    memset(&claims, 0, offsetof(struct claims, block));
    claims.rules = rules;
    lark_buf_init(&claims.texts, NULL, sizeof(claims.block), claims.block, sizeof(claims.block));
    enum lark_status status = read_all(mem, kind, json, &claims, err);
    if (status != LARK_OK) return status;
    const char *why = check(&claims, kind, now_s, leeway_s);
    if (why != NULL) return lark__auth_fail(err, LARK_E_BAD_CREDENTIALS, why);
    lark_credential_init(&credential);
    credential.scopes = claims.scopes[scopes_of(&claims)];
    if (has(&claims, EXP)) credential.expires_s = claims.times_s[EXP] + leeway_s;
    status = set_name(&claims, hasher, &credential);
    if (status == LARK_OK) status = set_prefix(&claims, hasher, &credential, err);
    if (status == LARK_E_INTERNAL) return lark__auth_fail(err, status, NULL);
    if (status == LARK_OK) *out = credential;
    return status;
}
