/* jwt.c - what an issuer and strangers write: key sets, tokens. The first byte chooses: a key set; claims; a token as it is; a
 * token that is signed here, so that its claims are reached. The second byte: rules, or which allocation fails. */
#include "base64url.h"
#include "fuzz.h"

#include <jansson.h>
#include <openssl/evp.h>

#include <lark/jwt.h>

#define NOW 1700000000
#define LEEWAY 30
#define ISSUER "https://issuer.example"
#define TOKEN_MAX 16384

static const uint8_t seed[32] = {1, 2, 3};

static void one_line(const char *text)
{
    for (const char *p = text; *p != '\0'; p++) FUZZ_CHECK((unsigned char)*p >= 0x20 && *p != 0x7f);
}

static void warned(void *ctx, const char *text)
{
    (void)ctx;
    one_line(text);
}

static struct lark_jwt_rules rules_of(uint8_t choice)
{
    static const char *const claims[] = {"", "tenant", "sub", "scope"};
    return (struct lark_jwt_rules){.catalogue = lark_catalogue_default(),
                                   .issuer = fuzz_text(ISSUER),
                                   .audience = fuzz_text("lark"),
                                   .prefix_claim = fuzz_text(claims[choice & 3]),
                                   .scope_claim = fuzz_text(claims[choice >> 2 & 3]),
                                   .typ = choice & 16 ? LARK_JWT_TYP_ANY : LARK_JWT_TYP_ACCESS,
                                   .leeway_s = LEEWAY,
                                   .warn = warned};
}

/* --- key sets -------------------------------------------------------------------------------------------------- */

struct set {
    struct lark_slice bytes;
    enum lark_status whole;
};

static void read_set(void *ctx, struct fuzz_mem *mem)
{
    struct set *set = ctx;
    struct lark_jwks *jwks = NULL;
    struct lark_jwks_error error;
    const enum lark_status status = lark_jwks_parse(&mem->mem, set->bytes, warned, NULL, &jwks, &error);
    if (status == LARK_OK) {
        FUZZ_CHECK(fuzz_is_json(set->bytes));
        FUZZ_CHECK(lark_jwks_count(jwks) >= 1 && lark_jwks_count(jwks) <= LARK_JWKS_KEYS_MAX);
    } else {
        FUZZ_CHECK(jwks == NULL && error.text[0] != '\0');
        one_line(error.text);
    }
    FUZZ_CHECK(mem->failed ? status == set->whole || status == LARK_E_NOMEM : true);
    if (!mem->failed) set->whole = status;
    lark_jwks_free(jwks);
}

static void check_set(struct lark_slice in, uint8_t choice)
{
    struct set set = {in, LARK_OK};
    struct fuzz_mem mem;
    fuzz_mem_init(&mem, SIZE_MAX);
    read_set(&set, &mem);
    const size_t n = mem.count;
    fuzz_mem_done(&mem);
    fuzz_fail_memory(read_set, &set, n, choice);
}

/* --- claims: jansson is asked whether they let in --------------------------------------------------------------- */

static bool is(const json_t *value, const char *word)
{
    return json_is_string(value) && strcmp(json_string_value(value), word) == 0;
}

static bool holds(const json_t *value, const char *word)
{
    for (size_t i = 0; i < json_array_size(value); i++)
        if (is(json_array_get(value, i), word)) return true;
    return is(value, word);
}

static void check_claims_json(struct lark_slice json, bool introspected)
{
    const size_t flags = JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL;
    json_t *claims = json_loadb((const char *)json.p, json.len, flags, NULL);
    if (claims == NULL) { /* what jansson cannot hold */
        FUZZ_CHECK(fuzz_is_json(json));
        return;
    }
    const json_t *iss = json_object_get(claims, "iss");
    const json_t *aud = json_object_get(claims, "aud");
    const json_t *exp = json_object_get(claims, "exp");
    FUZZ_CHECK(introspected ? json_is_true(json_object_get(claims, "active")) : iss && aud && exp);
    FUZZ_CHECK(iss == NULL || holds(iss, ISSUER));
    FUZZ_CHECK(aud == NULL || holds(aud, "lark"));
    FUZZ_CHECK(exp == NULL || json_real_value(exp) > NOW - LEEWAY);
    const json_t *nbf = json_object_get(claims, "nbf");
    FUZZ_CHECK(nbf == NULL || json_real_value(nbf) < NOW + LEEWAY + 1);
    json_decref(claims);
}

static void check_credential(const struct lark_credential *c, const struct lark_jwt_rules *rules)
{
    FUZZ_CHECK(c->name_len >= 1 && c->name_len <= LARK_TOKEN_NAME_MAX && c->expires_s > NOW);
    FUZZ_CHECK((c->prefix_len > 0) == (rules->prefix_claim.len > 0));
    FUZZ_CHECK(c->prefix_len == 0 ||
               lark_prefix_check((struct lark_slice){(const uint8_t *)c->prefix, c->prefix_len}) == LARK_OK);
}

static void check_refusal(enum lark_status status, enum lark_status allowed, const struct lark_err *err)
{
    FUZZ_CHECK(status == allowed || status == LARK_E_BAD_CREDENTIALS || status == LARK_E_PREFIX_NEEDED);
    FUZZ_CHECK(err->status == status && err->text != NULL && err->got.len == 0 && err->name.len == 0);
}

static void check_claims(struct lark_slice in, uint8_t choice)
{
    struct lark_credential credential;
    struct lark_err err = {.status = LARK_OK};
    const struct lark_jwt_rules rules = rules_of(choice);
    const enum lark_claims_kind kind = choice & 32 ? LARK_CLAIMS_INTROSPECTION : LARK_CLAIMS_JWT;
    struct lark_hasher *hasher = lark_hasher_new();
    const enum lark_status status =
        lark_claims_credential(lark_mem_default(), hasher, &rules, kind, in, NOW, &credential, &err);
    if (status == LARK_OK) {
        check_claims_json(in, kind == LARK_CLAIMS_INTROSPECTION);
        check_credential(&credential, &rules);
    } else {
        check_refusal(status, kind == LARK_CLAIMS_INTROSPECTION ? LARK_E_ISSUER_AWAY : LARK_OK, &err);
    }
    lark_hasher_free(hasher);
}

/* --- tokens ---------------------------------------------------------------------------------------------------- */

static struct lark_jwks *set_of(EVP_PKEY *key)
{
    uint8_t bytes[32];
    char x[64];
    char text[200];
    size_t len = sizeof(bytes);
    struct lark_jwks *jwks = NULL;
    struct lark_jwks_error error;
    FUZZ_CHECK(EVP_PKEY_get_raw_public_key(key, bytes, &len) == 1);
    (void)base64url(bytes, len, x);
    snprintf(text, sizeof(text),
             "{\"keys\": [{\"kty\": \"OKP\", \"crv\": \"Ed25519\", \"kid\": \"a\", \"x\": \"%s\"}]}", x);
    FUZZ_CHECK(lark_jwks_parse(lark_mem_default(), fuzz_text(text), NULL, NULL, &jwks, &error) == LARK_OK);
    return jwks;
}

static void check_header(struct lark_slice json)
{
    json_t *header = json_loadb((const char *)json.p, json.len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
    if (header == NULL) {
        FUZZ_CHECK(fuzz_is_json(json));
        return;
    }
    const char *alg = json_string_value(json_object_get(header, "alg"));
    FUZZ_CHECK(alg != NULL && (strcmp(alg, "EdDSA") == 0 || strcmp(alg, "Ed25519") == 0));
    FUZZ_CHECK(json_object_get(header, "crit") == NULL);
    const json_t *kid = json_object_get(header, "kid");
    FUZZ_CHECK(kid == NULL || holds(kid, "a"));
    json_decref(header);
}

/* Header, NUL, claims: encoded and signed. return: its length */
static size_t sign(EVP_PKEY *key, struct lark_slice header, struct lark_slice claims, char *out)
{
    uint8_t signature[64];
    size_t n = sizeof(signature);
    size_t len = base64url(header.p, header.len, out);
    out[len++] = '.';
    len += base64url(claims.p, claims.len, out + len);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    FUZZ_CHECK(EVP_DigestSignInit(ctx, NULL, NULL, NULL, key) == 1);
    FUZZ_CHECK(EVP_DigestSign(ctx, signature, &n, (const uint8_t *)out, len) == 1);
    EVP_MD_CTX_free(ctx);
    out[len++] = '.';
    return len + base64url(signature, n, out + len);
}

static void check_token(struct lark_slice in, uint8_t choice, bool signs)
{
    struct lark_credential credential;
    struct lark_err err = {.status = LARK_OK};
    const struct lark_jwt_rules rules = rules_of(choice);
    EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, sizeof(seed));
    struct lark_jwks *jwks = set_of(key);
    struct lark_slice claims = in;
    const struct lark_slice header = fuzz_until(&claims, 0);
    char *text = NULL;
    if (signs) {
        text = malloc(TOKEN_MAX);
        in = (struct lark_slice){(const uint8_t *)text, sign(key, header, claims, text)};
    }
    const enum lark_status status = lark_jwt_verify(jwks, &rules, in, NOW, &credential, &err);
    if (status == LARK_OK) {
        FUZZ_CHECK(in.len <= LARK_JWT_MAX && lark_jwt_is(in));
        check_credential(&credential, &rules);
        if (signs) check_header(header);
        if (signs) check_claims_json(claims, false);
    } else {
        check_refusal(status, LARK_E_UNKNOWN_KEY, &err);
    }
    free(text);
    lark_jwks_free(jwks);
    EVP_PKEY_free(key);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lark_slice in = {data, size};
    const uint8_t what = fuzz_byte(&in) & 3;
    const uint8_t choice = fuzz_byte(&in);
    if (in.len > TOKEN_MAX / 2) return 0;
    uint8_t *copy = fuzz_copy(in);
    in.p = copy;
    if (what == 0) check_set(in, choice);
    if (what == 1) check_claims(in, choice);
    if (what >= 2) check_token(in, choice, what == 3);
    free(copy);
    return 0;
}
