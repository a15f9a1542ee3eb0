/* JWTs: what is taken, every way to be refused, every bit changed. */
#include "jwt_tools.h"

#include <stdio.h>
#include <stdlib.h>

#include <openssl/hmac.h>

#define NOW 1700000000
#define ISSUER "https://issuer.example"
#define CLAIMS "\"iss\": \"" ISSUER "\", \"aud\": \"lark\", \"exp\": 1700000100, \"sub\": \"ann\""

static char warnings[2000];
static struct lark_err err;

static void warn(void *ctx, const char *text)
{
    (void)ctx;
    (void)snprintf(warnings + strlen(warnings), sizeof(warnings) - strlen(warnings), "%s\n", text);
}

static struct lark_jwks *parse(const char *text)
{
    struct lark_jwks *jwks = NULL;
    struct lark_jwks_error error;
    warnings[0] = '\0';
    if (lark_jwks_parse(lark_mem_default(), slice_of(text), warn, NULL, &jwks, &error) != LARK_OK)
        fail_msg("%s: %s", text, error.text);
    return jwks;
}

/* A set of one key with further members. */
static struct lark_jwks *set_of(EVP_PKEY *key, const char *more)
{
    char members[3200];
    char text[4000];
    (void)snprintf(text, sizeof(text), "{\"keys\": [{%s%s}]}", jwk(key, members, sizeof(members)), more);
    return parse(text);
}

/* All keys but the other, with kids "rsa", "ec", "ed". */
static struct lark_jwks *full_set(void)
{
    char a[1500];
    char b[1500];
    char c[1500];
    char text[6000];
    (void)snprintf(text, sizeof(text),
                   "{\"x\": [{}], \"keys\": [{%s, \"kid\": \"rsa\", \"use\": \"sig\"}, {\"kid\": \"ec\", %s, "
                   "\"key_ops\": [\"sign\", \"verify\"]}, {%s, \"kid\": \"ed\", \"x5c\": [\"a\"], \"a\": {\"n\": 1}}]}",
                   jwk(test_keys[BY_RSA], a, sizeof(a)), jwk(test_keys[BY_EC], b, sizeof(b)),
                   jwk(test_keys[BY_ED], c, sizeof(c)));
    return parse(text);
}

static struct lark_jwt_rules rules_of(void)
{
    return (struct lark_jwt_rules){.catalogue = lark_catalogue_default(),
                                   .issuer = LIT(ISSUER),
                                   .audience = LIT("lark"),
                                   .leeway_s = 10,
                                   .warn = warn};
}

static enum lark_status verify(struct lark_jwks *jwks, const struct lark_jwt_rules *rules, const char *token,
                               struct lark_credential *out)
{
    uint8_t *copy = copy_of(slice_of(token));
    err = (struct lark_err){.status = LARK_OK};
    const enum lark_status status =
        lark_jwt_verify(jwks, rules, (struct lark_slice){copy, strlen(token)}, NOW, out, &err);
    free(copy);
    if (status == LARK_OK) return status;
    assert_int_equal(err.status, status);
    assert_true(err.got.len == 0 && err.name.len == 0);
    return status;
}

/* --- what is taken --------------------------------------------------------------------------------------------- */

static const struct {
    int key;
    const char *header;
} good_headers[] = {
    {BY_RSA, "\"alg\": \"RS256\", \"kid\": \"rsa\", \"typ\": \"at+jwt\""},
    {BY_RSA, "\"typ\": \"AT+JWT\", \"alg\": \"PS256\", \"kid\": \"rsa\""},
    {BY_EC, "\"alg\": \"ES256\", \"kid\": \"ec\", \"typ\": \"application/at+jwt\""},
    {BY_ED, "\"alg\": \"EdDSA\", \"kid\": \"ed\", \"typ\": \"at+jwt\""},
    {BY_ED, "\"alg\": \"Ed25519\", \"kid\": \"ed\", \"typ\": \"at+jwt\""},
    {BY_EC,
     "\"alg\": \"ES256\", \"typ\": \"at+jwt\", \"jku\": \"https://x.example\", \"x5u\": 1, \"jwk\": {\"kty\": 1}"},
};

static void test_algorithms(void **state)
{
    struct lark_jwks *jwks = full_set();
    const struct lark_jwt_rules rules = rules_of();
    (void)state;
    assert_int_equal(lark_jwks_count(jwks), 3);
    assert_string_equal(warnings, "");
    for (int again = 0; again < 2; again++) { /* a key's state is used again and again */
        for (size_t i = 0; i < sizeof(good_headers) / sizeof(*good_headers); i++) {
            struct lark_credential got;
            char *token =
                token_of(test_keys[good_headers[i].key], good_headers[i].header, CLAIMS ", \"scope\": \"read:*\"");
            assert_true(lark_jwt_is(slice_of(token)));
            if (verify(jwks, &rules, token, &got) != LARK_OK) fail_msg("%s: %s", good_headers[i].header, err.text);
            assert_slice((struct lark_slice){(const uint8_t *)got.name, got.name_len}, LIT("ann"), "name");
            assert_int_equal(got.expires_s, NOW + 110);
            assert_int_equal(got.prefix_len, 0);
            assert_true(got.scopes.methods[0] != 0 && !got.scopes.admin);
            free(token);
        }
    }
    lark_jwks_free(jwks);
    lark_jwks_free(NULL);
}

/* Not a bit may differ, those that base64url does not use among them. */
static void test_every_bit(void **state)
{
    struct lark_jwks *jwks = full_set();
    const struct lark_jwt_rules rules = rules_of();
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        char *token = token_of(test_keys[good_headers[i].key], good_headers[i].header, CLAIMS);
        for (size_t at = 0; token[at] != '\0'; at++) {
            for (unsigned bit = 0; bit < 7; bit++) {
                struct lark_credential got;
                token[at] = (char)(token[at] ^ (1 << bit));
                if (token[at] != '\0' && verify(jwks, &rules, token, &got) == LARK_OK)
                    fail_msg("taken with bit %u of byte %zu of %zu changed: %s", bit, at, strlen(token), token);
                token[at] = (char)(token[at] ^ (1 << bit));
            }
        }
        for (size_t len = strlen(token) - 1; len > strlen(token) - 8; len--) {
            struct lark_credential got;
            char *cut = strdup(token);
            cut[len] = '\0';
            assert_int_not_equal(verify(jwks, &rules, cut, &got), LARK_OK);
            free(cut);
        }
        free(token);
    }
    lark_jwks_free(jwks);
}

/* --- the header ------------------------------------------------------------------------------------------------ */

#define TYP "\"typ\": \"at+jwt\""

static void test_bad_headers(void **state)
{
    static const struct {
        int key;
        enum lark_status status;
        const char *header;
        const char *why;
    } rows[] = {
        {BY_RSA, LARK_E_BAD_CREDENTIALS, "\"alg\": \"none\", \"kid\": \"rsa\", " TYP, "\"alg\" must be one of"},
        {BY_RSA, LARK_E_BAD_CREDENTIALS, "\"alg\": \"HS256\", \"kid\": \"rsa\", " TYP, "\"alg\" must be one of"},
        {BY_RSA, LARK_E_BAD_CREDENTIALS, "\"alg\": \"RS512\", \"kid\": \"rsa\", " TYP, "\"alg\" must be one of"},
        {BY_RSA, LARK_E_BAD_CREDENTIALS, "\"alg\": \"rs256\", \"kid\": \"rsa\", " TYP, "\"alg\" must be one of"},
        {BY_RSA, LARK_E_BAD_CREDENTIALS, "\"kid\": \"rsa\", " TYP, "\"alg\" must be one of"},
        {BY_RSA, LARK_E_BAD_CREDENTIALS, "\"alg\": [\"RS256\"], \"kid\": \"rsa\", " TYP, "not well formed"},
        {BY_RSA, LARK_E_BAD_CREDENTIALS, "\"alg\": \"RS256\", \"kid\": 1, " TYP, "not well formed"},
        {BY_RSA, LARK_E_BAD_CREDENTIALS, "\"alg\": \"RS256\", \"alg\": \"RS256\", \"kid\": \"rsa\", " TYP,
         "header is not well formed"},
        {BY_RSA, LARK_E_BAD_CREDENTIALS, "\"alg\": \"RS256\", \"kid\": \"rsa\", \"jwk\": {\"a\": 1, \"a\": 1}, " TYP,
         "header is not well formed"},
        {BY_RSA, LARK_E_BAD_CREDENTIALS, "\"alg\": \"RS256\", \"kid\": \"rsa\", \"crit\": [\"b64\"], " TYP, "\"crit\""},
        {BY_RSA, LARK_E_BAD_CREDENTIALS, "\"alg\": \"RS256\", \"kid\": \"rsa\", \"crit\": null, " TYP, "\"crit\""},
        {BY_RSA, LARK_E_BAD_CREDENTIALS, "\"alg\": \"RS256\", \"kid\": \"rsa\"", "\"typ\" must be \"at+jwt\""},
        {BY_RSA, LARK_E_BAD_CREDENTIALS, "\"alg\": \"RS256\", \"kid\": \"rsa\", \"typ\": \"JWT\"", "\"typ\" must be"},
        {BY_RSA, LARK_E_BAD_CREDENTIALS, "\"alg\": \"RS256\", \"kid\": \"rsa\", \"typ\": \"\"", "\"typ\" must be"},
        {BY_EC, LARK_E_BAD_CREDENTIALS, "\"alg\": \"ES256\", \"kid\": \"rsa\", " TYP, "\"alg\" is not that of its key"},
        {BY_RSA, LARK_E_UNKNOWN_KEY, "\"alg\": \"RS256\", \"kid\": \"new\", " TYP, "none of the issuer's keys"},
        {BY_RSA, LARK_E_UNKNOWN_KEY, "\"alg\": \"RS256\", \"kid\": \"\", " TYP, "none of the issuer's keys"},
        {BY_OTHER, LARK_E_BAD_CREDENTIALS, "\"alg\": \"RS256\", \"kid\": \"rsa\", " TYP, "signature is not that"},
        {BY_OTHER, LARK_E_UNKNOWN_KEY, "\"alg\": \"RS256\", " TYP, "signature is not that"},
        {BY_OTHER, LARK_E_BAD_CREDENTIALS, "\"alg\": \"PS256\", \"kid\": \"rsa\", " TYP, "signature is not that"},
        {BY_RSA, LARK_E_BAD_CREDENTIALS, "\"alg\": \"ES256\", \"kid\": \"ec\", " TYP, "signature is not that"},
        {BY_RSA, LARK_E_BAD_CREDENTIALS, "\"alg\": \"EdDSA\", \"kid\": \"ed\", " TYP, "signature is not that"},
    };
    struct lark_jwks *jwks = full_set();
    const struct lark_jwt_rules rules = rules_of();
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct lark_credential got;
        char *token = token_of(test_keys[rows[i].key], rows[i].header, CLAIMS);
        const enum lark_status status = verify(jwks, &rules, token, &got);
        if (status != rows[i].status || err.text == NULL || strstr(err.text, rows[i].why) == NULL)
            fail_msg("%s: %d, %s", rows[i].header, status, err.text == NULL ? "" : err.text);
        free(token);
    }
    lark_jwks_free(jwks);
}

/* The attacks of RFC 8725 section 2.1: the public key as an HMAC's secret, and no signature at all. */
static void test_confused_algorithm(void **state)
{
    struct lark_jwks *jwks = set_of(test_keys[BY_RSA], ", \"kid\": \"rsa\"");
    const struct lark_jwt_rules rules = rules_of();
    struct lark_credential got;
    char text[500];
    char secret[1500];
    uint8_t mac[32];
    (void)state;
    (void)jwk(test_keys[BY_RSA], secret, sizeof(secret));
    char *token = token_of(test_keys[BY_RSA], "\"alg\": \"HS256\", \"kid\": \"rsa\", " TYP, CLAIMS);
    char *dot = strrchr(token, '.');
    *dot = '\0';
    (void)HMAC(EVP_sha256(), secret, (int)strlen(secret), (uint8_t *)token, strlen(token), mac, NULL);
    (void)snprintf(text, sizeof(text), "%s.", token);
    (void)base64url(mac, sizeof(mac), text + strlen(text));
    assert_int_equal(verify(jwks, &rules, text, &got), LARK_E_BAD_CREDENTIALS);
    free(token);
    token = token_of(test_keys[BY_RSA], "\"alg\": \"none\", " TYP, CLAIMS);
    strrchr(token, '.')[1] = '\0';
    assert_int_equal(verify(jwks, &rules, token, &got), LARK_E_BAD_CREDENTIALS);
    free(token);
    token = token_of(test_keys[BY_RSA], "\"alg\": \"RS256\", \"kid\": \"rsa\", " TYP, CLAIMS);
    strrchr(token, '.')[1] = '\0';
    assert_int_equal(verify(jwks, &rules, token, &got), LARK_E_BAD_CREDENTIALS);
    free(token);
    lark_jwks_free(jwks);
}

/* What a key may verify is the key's to say. */
static void test_pinned(void **state)
{
    static const struct {
        const char *more;
        const char *alg;
        bool good;
    } rows[] = {
        {", \"alg\": \"RS256\"", "RS256", true},
        {", \"alg\": \"RS256\"", "PS256", false},
        {", \"alg\": \"PS256\"", "PS256", true},
        {", \"alg\": \"PS256\"", "RS256", false},
        {"", "RS256", true},
        {"", "PS256", true},
        {"", "ES256", false},
        {"", "EdDSA", false},
    };
    const struct lark_jwt_rules rules = rules_of();
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct lark_credential got;
        char header[100];
        struct lark_jwks *jwks = set_of(test_keys[BY_RSA], rows[i].more);
        (void)snprintf(header, sizeof(header), "\"alg\": \"%s\", " TYP, rows[i].alg);
        char *token = token_of(test_keys[BY_RSA], header, CLAIMS);
        if ((verify(jwks, &rules, token, &got) == LARK_OK) != rows[i].good) fail_msg("%s%s", rows[i].alg, rows[i].more);
        free(token);
        lark_jwks_free(jwks);
    }
}

/* Without a kid only one key may fit. */
static void test_which_key(void **state)
{
    char a[1500];
    char b[1500];
    char text[4000];
    struct lark_credential got;
    const struct lark_jwt_rules rules = rules_of();
    (void)state;
    (void)snprintf(text, sizeof(text), "{\"keys\": [{%s, \"kid\": \"a\"}, {%s, \"kid\": \"b\"}]}",
                   jwk(test_keys[BY_RSA], a, sizeof(a)), jwk(test_keys[BY_OTHER], b, sizeof(b)));
    struct lark_jwks *jwks = parse(text);
    char *token = token_of(test_keys[BY_OTHER], "\"alg\": \"RS256\", " TYP, CLAIMS);
    assert_int_equal(verify(jwks, &rules, token, &got), LARK_E_BAD_CREDENTIALS);
    assert_non_null(strstr(err.text, "several would fit"));
    free(token);
    token = token_of(test_keys[BY_OTHER], "\"alg\": \"RS256\", \"kid\": \"b\", " TYP, CLAIMS);
    assert_int_equal(verify(jwks, &rules, token, &got), LARK_OK);
    free(token);
    lark_jwks_free(jwks);
    (void)snprintf(text, sizeof(text), "{\"keys\": [{%s, \"kid\": \"a\"}, {%s, \"kid\": \"a\"}]}", a, b);
    jwks = parse(text);
    assert_int_equal(lark_jwks_count(jwks), 1);
    assert_string_equal(warnings,
                        "key 2 (kid \"a\") is left out: another key before it has its kid and could be meant, too\n");
    lark_jwks_free(jwks);
}

static void test_typ_any(void **state)
{
    static const char *const good[] = {"", ", \"typ\": \"JWT\"", ", \"typ\": \"application/jwt\"",
                                       ", \"typ\": \"at+jwt\""};
    static const char *const bad[] = {", \"typ\": \"dpop+jwt\"", ", \"typ\": \"\"", ", \"typ\": \"logout+jwt\""};
    struct lark_jwks *jwks = set_of(test_keys[BY_EC], "");
    struct lark_jwt_rules rules = rules_of();
    struct lark_credential got;
    char header[100];
    (void)state;
    rules.typ = LARK_JWT_TYP_ANY;
    for (size_t i = 0; i < 7; i++) {
        (void)snprintf(header, sizeof(header), "\"alg\": \"ES256\"%s", i < 4 ? good[i] : bad[i - 4]);
        char *token = token_of(test_keys[BY_EC], header, CLAIMS);
        if ((verify(jwks, &rules, token, &got) == LARK_OK) != (i < 4)) fail_msg("%s", header);
        free(token);
    }
    lark_jwks_free(jwks);
}

/* --- claims ---------------------------------------------------------------------------------------------------- */

#define HEADER "\"alg\": \"ES256\", " TYP
#define ISS "\"iss\": \"" ISSUER "\", "
#define AUD "\"aud\": \"lark\", "
#define SUB "\"sub\": \"ann\""

static void test_claims(void **state)
{
    static const struct {
        const char *claims;
        const char *why; /* NULL: taken */
    } rows[] = {
        {ISS AUD "\"exp\": 1699999991, " SUB, NULL},
        {ISS AUD "\"exp\": 1699999990, " SUB, "has expired"},
        {ISS AUD "\"exp\": 1699999990.9, " SUB, "has expired"},
        {ISS AUD "\"exp\": 1800000000.25, " SUB, NULL},
        {ISS AUD "\"exp\": \"1800000000\", " SUB, "must be seconds since 1970"},
        {ISS AUD "\"exp\": 1.8e9, " SUB, "must be seconds since 1970"},
        {ISS AUD "\"exp\": -1, " SUB, "must be seconds since 1970"},
        {ISS AUD "\"exp\": 1800000000000, " SUB, "must be seconds since 1970"},
        {ISS AUD "\"exp\": null, " SUB, "must be seconds since 1970"},
        {ISS AUD SUB, "has no \"exp\""},
        {CLAIMS ", \"nbf\": 1700000010", NULL},
        {CLAIMS ", \"nbf\": 1700000011", "not valid yet"},
        {CLAIMS ", \"iat\": 1700000010", NULL},
        {CLAIMS ", \"iat\": 1700000011", "issued in the future"},
        {CLAIMS ", \"iat\": [1]", "must be seconds since 1970"},
        {AUD "\"exp\": 1800000000, " SUB, "\"iss\" is not the issuer"},
        {"\"iss\": \"" ISSUER "/\", " AUD "\"exp\": 1800000000, " SUB, "\"iss\" is not the issuer"},
        {"\"iss\": \"https://issuer.exampl\", " AUD "\"exp\": 1800000000, " SUB, "\"iss\" is not the issuer"},
        {"\"iss\": [\"" ISSUER "\"], " AUD "\"exp\": 1800000000, " SUB, "must be texts"},
        {ISS "\"exp\": 1800000000, " SUB, "\"aud\" is not this server"},
        {ISS "\"aud\": \"lark2\", \"exp\": 1800000000, " SUB, "\"aud\" is not this server"},
        {ISS "\"aud\": [], \"exp\": 1800000000, " SUB, "\"aud\" is not this server"},
        {ISS "\"aud\": [\"a\", \"lark\"], \"exp\": 1800000000, " SUB, NULL},
        {ISS "\"aud\": [[\"lark\"]], \"exp\": 1800000000, " SUB, "\"aud\" must be"},
        {ISS "\"aud\": [\"lark\", 1], \"exp\": 1800000000, " SUB, "\"aud\" must be"},
        {ISS "\"aud\": {\"a\": \"lark\"}, \"exp\": 1800000000, " SUB, "\"aud\" must be"},
        {ISS AUD "\"exp\": 1800000000", "neither \"sub\" nor \"client_id\""},
        {ISS AUD "\"exp\": 1800000000, \"sub\": \"\"", "neither \"sub\" nor \"client_id\""},
        {ISS AUD "\"exp\": 1800000000, \"sub\": 7", "must be texts"},
        {ISS AUD "\"exp\": 1800000000, \"client_id\": \"ann\"", NULL},
        {CLAIMS ", \"sub\": \"bob\"", "claims are not well formed"},
        {CLAIMS ", \"a\": {\"b\": [{\"c\": 1, \"c\": 2}]}", "claims are not well formed"},
        {CLAIMS ", \"a\": {\"iss\": \"x\", \"exp\": 1, \"aud\": [\"y\"]}", NULL},
        {CLAIMS ", \"\\u0069ss\": \"x\"", "claims are not well formed"},
        {CLAIMS ", \"a\": [[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]", "claims are not well formed"},
        {CLAIMS ", \"scope\": 1", "scopes must be"},
        {CLAIMS ", \"scope\": {}", "scopes must be"},
        {CLAIMS ", \"scp\": [1]", "scopes must be"},
        {CLAIMS ", ", "claims are not well formed"},
    };
    struct lark_jwks *jwks = set_of(test_keys[BY_EC], "");
    const struct lark_jwt_rules rules = rules_of();
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct lark_credential got;
        char *token = token_of(test_keys[BY_EC], HEADER, rows[i].claims);
        const enum lark_status status = verify(jwks, &rules, token, &got);
        const bool good = rows[i].why == NULL
                              ? status == LARK_OK
                              : status == LARK_E_BAD_CREDENTIALS && strstr(err.text, rows[i].why) != NULL;
        if (!good) fail_msg("%s: %d, %s", rows[i].claims, status, err.text == NULL ? "" : err.text);
        if (status == LARK_OK)
            assert_slice((struct lark_slice){(const uint8_t *)got.name, got.name_len}, LIT("ann"), "name");
        free(token);
    }
    lark_jwks_free(jwks);
}

static bool allows(const struct lark_credential *credential, const char *scope)
{
    struct lark_scopes scopes = {.admin = false};
    assert_int_equal(lark_scopes_add(lark_catalogue_default(), slice_of(scope), &scopes), LARK_OK);
    for (size_t i = 0; i < LARK_METHODS_MAX / 64; i++)
        if ((scopes.methods[i] & ~credential->scopes.methods[i]) != 0) return false;
    return true;
}

static bool allows_nothing(const struct lark_credential *credential)
{
    for (size_t i = 0; i < LARK_METHODS_MAX / 64; i++)
        if (credential->scopes.methods[i] != 0) return false;
    return !credential->scopes.admin;
}

static void test_scopes(void **state)
{
    static const struct {
        const char *claims;
        const char *claim;
        const char *scope; /* NULL: nothing is allowed */
        const char *warning;
    } rows[] = {
        {"\"scope\": \"openid  read:get write:set\"", "", "read:get", ""},
        {"\"scp\": [\"read:get\", \"write:set\"]", "", "write:set", ""},
        {"\"scp\": \"read:get write:set\"", "", "write:set", ""},
        {"\"scope\": \"read:get\", \"scp\": \"write:set\"", "", "read:get", ""},
        {"\"scp\": [\"read:get write:set\"]", "", NULL,
         "there is no scope \"read:get write:set\": it matches nothing\n"},
        {"\"scope\": \"READ:GET read:gte\"", "", NULL, "\"READ:GET\""},
        {"\"scope\": \"a\\nb\"", "", NULL, "\"a?b\""},
        {"\"scope\": \"a\\u009b31m\\u0085\\u00a0\"", "", NULL, "\"a??31m??\xc2\xa0\""},
        {"\"scope\": \"read:get\"", "permissions", NULL, ""},
        {"\"scope\": \"admin\", \"permissions\": [\"read:get\"]", "permissions", "read:get", ""},
        {"\"x\": 1", "", NULL, ""},
    };
    struct lark_jwks *jwks = set_of(test_keys[BY_EC], "");
    struct lark_jwt_rules rules = rules_of();
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct lark_credential got;
        char claims[300];
        (void)snprintf(claims, sizeof(claims), CLAIMS ", %s", rows[i].claims);
        char *token = token_of(test_keys[BY_EC], HEADER, claims);
        warnings[0] = '\0';
        rules.scope_claim = slice_of(rows[i].claim);
        if (verify(jwks, &rules, token, &got) != LARK_OK) fail_msg("%s: %s", rows[i].claims, err.text);
        if (rows[i].scope == NULL ? !allows_nothing(&got) : !allows(&got, rows[i].scope) || got.scopes.admin)
            fail_msg("%s allows other than it should", rows[i].claims);
        if (strstr(warnings, rows[i].warning) == NULL || (rows[i].warning[0] == '\0' && warnings[0] != '\0'))
            fail_msg("%s: %s", rows[i].claims, warnings);
        free(token);
    }
    lark_jwks_free(jwks);
}

/* No claim, no entry; "sub" is never a prefix as it is. */
static void test_prefix(void **state)
{
    static const struct {
        const char *claims;
        const char *claim;
        const char *prefix; /* NULL: refused */
    } rows[] = {
        {"\"tenant\": \"u1\"", "", ""},
        {"\"tenant\": \"u1\"", "tenant", "u1"},
        {"\"https://x.example/tenant\": \"a.B_c-9\"", "https://x.example/tenant", "a.B_c-9"},
        {"\"x\": 1", "tenant", NULL},
        {"\"tenant\": \"\"", "tenant", NULL},
        {"\"tenant\": \"a:b\"", "tenant", NULL},
        {"\"tenant\": \"a*\"", "tenant", NULL},
        {"\"tenant\": \"{a}\"", "tenant", NULL},
        {"\"tenant\": \"a\\u0000\"", "tenant", NULL},
        {"\"tenant\": 7", "tenant", NULL},
        {"\"tenant\": null", "tenant", NULL},
        {"\"tenant\": [\"u1\"]", "tenant", NULL},
        {"\"a\": {\"tenant\": \"u1\"}", "tenant", NULL},
        {"\"x\": 1", "sub", "zsqqf3l4mclbxdddi3nzgoaugdrx6gq4wgiciuclniphcknmchqa"},
        {"\"x\": 1", "client_id", NULL},
        {"\"client_id\": \"app\"", "client_id", "app"},
    };
    struct lark_jwks *jwks = set_of(test_keys[BY_EC], "");
    struct lark_jwt_rules rules = rules_of();
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct lark_credential got;
        char claims[300];
        (void)snprintf(claims, sizeof(claims), CLAIMS ", %s", rows[i].claims);
        char *token = token_of(test_keys[BY_EC], HEADER, claims);
        rules.prefix_claim = slice_of(rows[i].claim);
        const enum lark_status status = verify(jwks, &rules, token, &got);
        if (status != (rows[i].prefix == NULL ? LARK_E_PREFIX_NEEDED : LARK_OK))
            fail_msg("%s: %d", rows[i].claims, status);
        if (status == LARK_OK)
            assert_slice((struct lark_slice){(const uint8_t *)got.prefix, got.prefix_len}, slice_of(rows[i].prefix),
                         rows[i].claims);
        free(token);
    }
    lark_jwks_free(jwks);
}

/* What is too long for a name, or would make lines of its own in a log, is told by its hash: nobody shares it. */
static void test_names(void **state)
{
    static const char *const subs[] = {"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "a\\nb"};
    static const char *const names[] = {"dfknk5okq3hm65by7px3lljyeudewevlafqmsme5us7v2yvbfrmq", ""};
    struct lark_jwks *jwks = set_of(test_keys[BY_EC], "");
    const struct lark_jwt_rules rules = rules_of();
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct lark_credential got;
        char claims[300];
        (void)snprintf(claims, sizeof(claims), ISS AUD "\"exp\": 1800000000, \"sub\": \"%s\"", subs[i]);
        char *token = token_of(test_keys[BY_EC], HEADER, claims);
        assert_int_equal(verify(jwks, &rules, token, &got), LARK_OK);
        assert_int_equal(got.name_len, 52);
        if (names[i][0] != '\0') assert_memory_equal(got.name, names[i], 52);
        free(token);
    }
    lark_jwks_free(jwks);
}

static void test_introspection(void **state)
{
    static const struct {
        const char *json;
        const char *why;
        enum lark_status status;
    } rows[] = {
        {"{\"active\": true, \"sub\": \"ann\", \"scope\": \"read:get\"}", NULL, LARK_OK},
        {"{\"active\": true, \"client_id\": \"ann\", \"exp\": 1700000001, \"iss\": \"" ISSUER "\", \"aud\": \"lark\"}",
         NULL, LARK_OK},
        {"{\"active\": false}", "not active", LARK_E_BAD_CREDENTIALS},
        {"{\"active\": false, \"exp\": \"x\", \"sub\": 1}", "not active", LARK_E_BAD_CREDENTIALS},
        {"{\"active\": true, \"sub\": \"ann\", \"exp\": 1}", "has expired", LARK_E_BAD_CREDENTIALS},
        {"{\"active\": true, \"sub\": \"ann\", \"iss\": \"x\"}", "\"iss\"", LARK_E_BAD_CREDENTIALS},
        {"{\"active\": true, \"sub\": \"ann\", \"aud\": \"x\"}", "\"aud\"", LARK_E_BAD_CREDENTIALS},
        {"{\"active\": \"true\", \"sub\": \"ann\"}", "\"active\"", LARK_E_ISSUER_AWAY},
        {"{\"sub\": \"ann\"}", "\"active\"", LARK_E_ISSUER_AWAY},
        {"{\"active\": true, \"sub\": \"ann\"} {}", "\"active\"", LARK_E_ISSUER_AWAY},
        {"[true]", "\"active\"", LARK_E_ISSUER_AWAY},
        {"true", "\"active\"", LARK_E_ISSUER_AWAY},
        {"", "\"active\"", LARK_E_ISSUER_AWAY},
    };
    const struct lark_jwt_rules rules = rules_of();
    struct lark_hasher *hasher = lark_hasher_new();
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct lark_credential got;
        err = (struct lark_err){.status = LARK_OK};
        const enum lark_status status = lark_claims_credential(
            lark_mem_default(), hasher, &rules, LARK_CLAIMS_INTROSPECTION, slice_of(rows[i].json), NOW, &got, &err);
        if (status != rows[i].status || (rows[i].why != NULL && !strstr(err.text, rows[i].why)))
            fail_msg("%s: %d, %s", rows[i].json, status, err.text == NULL ? "" : err.text);
    }
    lark_hasher_free(hasher);
}

/* --- forms ----------------------------------------------------------------------------------------------------- */

static void test_size(void **state)
{
    struct lark_jwks *jwks = set_of(test_keys[BY_EC], "");
    const struct lark_jwt_rules rules = rules_of();
    char *claims = malloc(9000);
    (void)state;
    for (size_t fill = 5800;; fill++) {
        struct lark_credential got;
        (void)snprintf(claims, 9000, CLAIMS ", \"fill\": \"%*s\"", (int)fill, "");
        char *token = token_of(test_keys[BY_EC], HEADER, claims);
        const size_t len = strlen(token);
        const enum lark_status status = verify(jwks, &rules, token, &got);
        free(token);
        assert_int_equal(status, len <= LARK_JWT_MAX ? LARK_OK : LARK_E_BAD_CREDENTIALS);
        if (len > LARK_JWT_MAX) break;
    }
    assert_non_null(strstr(err.text, "8192"));
    free(claims);
    lark_jwks_free(jwks);
}

static void test_forms(void **state)
{
    static const char *const bad[] = {"",           ".",           "..",         "a.b",        "a.b.c.d",
                                      "e30.e30.",   "e30=.e30.AA", "e31.e30.AA", "e+/.e30.AA", "AA.AA.AA",
                                      "W10.W10.AA", "MQ.MQ.AA",    " . . ",      "e30 .e30.AA"};
    struct lark_jwks *jwks = set_of(test_keys[BY_EC], "");
    const struct lark_jwt_rules rules = rules_of();
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        struct lark_credential got;
        if (verify(jwks, &rules, bad[i], &got) != LARK_E_BAD_CREDENTIALS || err.text == NULL) fail_msg("%s", bad[i]);
    }
    lark_jwks_free(jwks);
    assert_true(lark_jwt_is(LIT("a.b.c")));
    assert_false(lark_jwt_is(LIT("lark_a.b.c")));
    assert_false(lark_jwt_is(LIT("a.b")));
    assert_false(lark_jwt_is(LIT("a.b.c.d")));
    assert_false(lark_jwt_is(LIT("")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_algorithms),  cmocka_unit_test(test_every_bit),
        cmocka_unit_test(test_bad_headers), cmocka_unit_test(test_confused_algorithm),
        cmocka_unit_test(test_pinned),      cmocka_unit_test(test_which_key),
        cmocka_unit_test(test_typ_any),     cmocka_unit_test(test_claims),
        cmocka_unit_test(test_scopes),      cmocka_unit_test(test_prefix),
        cmocka_unit_test(test_names),       cmocka_unit_test(test_introspection),
        cmocka_unit_test(test_size),        cmocka_unit_test(test_forms),
    };
    return cmocka_run_group_tests(tests, make_keys, free_keys);
}
