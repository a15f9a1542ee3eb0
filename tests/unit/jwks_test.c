/* Key sets: what is taken, left out and refused, and all allocations failing. */
#include "jwt_tools.h"

#include <stdio.h>
#include <stdlib.h>

static char warnings[2000];

static void warn(void *ctx, const char *text)
{
    (void)ctx;
    (void)snprintf(warnings + strlen(warnings), sizeof(warnings) - strlen(warnings), "%s\n", text);
}

static void test_bad_sets(void **state)
{
    static const struct {
        const char *text;
        const char *why;
    } rows[] = {
        {"", "byte 0: not valid JSON"},
        {"[]", "expected {\"keys\": [...]}"},
        {"{}", "\"keys\" is missing"},
        {"{\"key\": []}", "\"keys\" is missing"},
        {"{\"keys\": {}}", "\"keys\" must be an array"},
        {"{\"keys\": []}", "\"keys\" is empty"},
        {"{\"keys\": [1]}", "byte 10: a key must be an object"},
        {"{\"keys\": [[]]}", "a key must be an object"},
        {"{\"keys\": [{}], \"keys\": []}", "not valid JSON"},
        {"{\"keys\": [{\"kty\": \"RSA\", \"kty\": \"RSA\"}]}", "not valid JSON"},
        {"{\"keys\": [{}]}", "none of its 1 keys can verify: key 1 is left out: its \"kty\" is none of RSA, EC, OKP"},
        {"{\"keys\": [{\"kty\": \"oct\", \"k\": \"AAAA\", \"kid\": \"a\"}]}",
         "key 1 (kid \"a\") is left out: its \"kty\" is none"},
        {"{\"keys\": [{\"kty\": \"RSA\", \"use\": \"enc\"}]}", "key 1 is left out: it is for encryption"},
        {"{\"keys\": [{\"kty\": \"RSA\", \"use\": \"SIG\"}]}", "its \"use\" is not \"sig\""},
        {"{\"keys\": [{\"kty\": \"RSA\", \"key_ops\": [\"encrypt\"]}]}", "\"key_ops\" do not hold \"verify\""},
        {"{\"keys\": [{\"kty\": \"RSA\", \"key_ops\": \"verify\"}]}", "\"key_ops\" do not hold \"verify\""},
        {"{\"keys\": [{\"kty\": 1}]}", "wrong type"},
        {"{\"keys\": [{\"kty\": \"RSA\", \"d\": \"AA\"}]}", "holds the private part"},
        {"{\"keys\": [{\"kty\": \"RSA\", \"n\": \"AQAB\", \"e\": \"AQAB\"}]}", "less than 2048 bits"},
        {"{\"keys\": [{\"kty\": \"RSA\", \"n\": \"AQAB\"}]}", "\"n\" and \"e\" must be"},
        {"{\"keys\": [{\"kty\": \"EC\", \"crv\": \"P-384\"}]}", "only P-256"},
        {"{\"keys\": [{\"kty\": \"EC\", \"crv\": \"P-256\", \"x\": \"AA\", \"y\": \"AA\"}]}", "a point of P-256"},
        {"{\"keys\": [{\"kty\": \"EC\", \"crv\": \"P-256\", \"x\": \"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\", "
         "\"y\": "
         "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}]}",
         "a point of P-256"},
        {"{\"keys\": [{\"kty\": \"OKP\", \"crv\": \"Ed448\"}]}", "only Ed25519"},
        {"{\"keys\": [{\"kty\": \"OKP\", \"crv\": \"Ed25519\", \"x\": \"AAAA\"}]}", "base64url of 32 bytes"},
        {"{\"keys\": [{\"kty\": \"OKP\", \"crv\": \"Ed25519\", \"x\": "
         "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB\"}]}",
         "base64url of 32 bytes"},
        {"{\"keys\": [{\"kty\": \"OKP\", \"crv\": \"Ed25519\", \"alg\": \"ES256\", \"x\": "
         "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}]}",
         "its \"alg\" is none"},
        {"{\"keys\": [{\"kid\": \"a\\nb\"}]}", "(kid \"a?b\")"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct lark_jwks *jwks = NULL;
        struct lark_jwks_error error;
        const enum lark_status status =
            lark_jwks_parse(lark_mem_default(), slice_of(rows[i].text), NULL, NULL, &jwks, &error);
        if (status == LARK_OK || strstr(error.text, rows[i].why) == NULL) fail_msg("%s: %s", rows[i].text, error.text);
        assert_null(jwks);
    }
}

/* RSA with sizes and exponents that must not be: made by hand, nobody signs with them. */
static void test_weak_rsa(void **state)
{
    static const struct {
        size_t bytes;
        uint8_t last;
        const char *e;
        const char *why; /* NULL: taken */
    } rows[] = {
        {256, 0xff, "AQAB", NULL},
        {1024, 0xff, "Aw", NULL},
        {255, 0xff, "AQAB", "less than 2048 bits"},
        {1025, 0xff, "AQAB", "must be base64url"},
        {256, 0xfe, "AQAB", "none of RSA"},
        {256, 0xff, "AQ", "none of RSA"},
        {256, 0xff, "AA", "none of RSA"},
        {256, 0xff, "BA", "none of RSA"},
        {256, 0xff, "AQAAAAAAAAAB", "none of RSA"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        uint8_t n[1025];
        char text[1400];
        char set[2000];
        struct lark_jwks *jwks = NULL;
        struct lark_jwks_error error;
        memset(n, 0xff, sizeof(n));
        n[rows[i].bytes - 1] = rows[i].last;
        (void)base64url(n, rows[i].bytes, text);
        (void)snprintf(set, sizeof(set), "{\"keys\": [{\"kty\": \"RSA\", \"n\": \"%s\", \"e\": \"%s\"}]}", text,
                       rows[i].e);
        const enum lark_status status = lark_jwks_parse(lark_mem_default(), slice_of(set), NULL, NULL, &jwks, &error);
        if (rows[i].why == NULL ? status != LARK_OK : status == LARK_OK || strstr(error.text, rows[i].why) == NULL)
            fail_msg("row %zu: %s", i, error.text);
        lark_jwks_free(jwks);
    }
}

/* Keys that cannot be used do not take the others with them, and are told of. */
static void test_left_out(void **state)
{
    char members[1500];
    char text[3000];
    (void)state;
    (void)snprintf(text, sizeof(text),
                   "{\"keys\": [{\"kty\": \"oct\", \"k\": \"c2VjcmV0\", \"kid\": \"h\"}, {\"kty\": \"RSA\", \"use\": "
                   "\"enc\"}, {%s}]}",
                   jwk(test_keys[BY_ED], members, sizeof(members)));
    struct lark_jwks *jwks = NULL;
    struct lark_jwks_error error;
    assert_int_equal(lark_jwks_parse(lark_mem_default(), slice_of(text), warn, NULL, &jwks, &error), LARK_OK);
    assert_int_equal(lark_jwks_count(jwks), 1);
    assert_string_equal(warnings, "key 1 (kid \"h\") is left out: its \"kty\" is none of RSA, EC, OKP\n");
    lark_jwks_free(jwks);
}

static void test_many_keys(void **state)
{
    char members[1500];
    const size_t size = 70000;
    char *text = malloc(size);
    (void)state;
    (void)jwk(test_keys[BY_ED], members, sizeof(members));
    for (int n = LARK_JWKS_KEYS_MAX; n <= LARK_JWKS_KEYS_MAX + 1; n++) {
        struct lark_jwks *jwks = NULL;
        struct lark_jwks_error error;
        size_t len = (size_t)snprintf(text, size, "{\"keys\": [");
        for (int i = 0; i < n; i++)
            len += (size_t)snprintf(text + len, size - len, "%s{%s, \"kid\": \"%d\"}", i == 0 ? "" : ",", members, i);
        (void)snprintf(text + len, size - len, "]}");
        const enum lark_status status = lark_jwks_parse(lark_mem_default(), slice_of(text), NULL, NULL, &jwks, &error);
        assert_int_equal(status, n == LARK_JWKS_KEYS_MAX ? LARK_OK : LARK_E_BAD_PARAMETER);
        if (status == LARK_OK) assert_int_equal(lark_jwks_count(jwks), LARK_JWKS_KEYS_MAX);
        lark_jwks_free(jwks);
    }
    struct lark_jwks *jwks = NULL;
    struct lark_jwks_error error;
    memset(text, ' ', size);
    assert_int_equal(lark_jwks_parse(lark_mem_default(), (struct lark_slice){(uint8_t *)text, LARK_JWKS_FILE_MAX + 1},
                                     NULL, NULL, &jwks, &error),
                     LARK_E_TOO_LARGE);
    free(text);
}

static void test_no_memory(void **state)
{
    char members[1500];
    char text[3000];
    (void)state;
    (void)snprintf(text, sizeof(text), "{\"keys\": [{%s, \"kid\": \"a\"}]}",
                   jwk(test_keys[BY_EC], members, sizeof(members)));
    for (uint64_t fail_at = 0;; fail_at++) {
        struct test_mem mem;
        struct lark_jwks *jwks = NULL;
        struct lark_jwks_error error;
        test_mem_init(&mem, fail_at);
        const enum lark_status status = lark_jwks_parse(&mem.mem, slice_of(text), NULL, NULL, &jwks, &error);
        lark_jwks_free(jwks);
        assert_int_equal(mem.live_bytes, 0);
        if (status == LARK_OK) break;
        assert_int_equal(status, LARK_E_NOMEM);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bad_sets),  cmocka_unit_test(test_weak_rsa),  cmocka_unit_test(test_left_out),
        cmocka_unit_test(test_many_keys), cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, make_keys, free_keys);
}
