/* The Authorization header, SHA-256, new tokens, and what was verified for a time. */
#include <lark/auth.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct lark_slice slice_of(const char *text)
{
    return (struct lark_slice){(const uint8_t *)text, strlen(text)};
}

static bool is(struct lark_slice s, const char *text)
{
    return s.len == strlen(text) && memcmp(s.p, text, s.len) == 0;
}

static enum lark_status read_header(struct lark_slice header, struct lark_authorization *out, struct lark_err *err)
{
    static uint8_t storage[LARK_AUTHORIZATION_MAX + 64];
    memset(storage, 0x55, sizeof(storage));
    *err = (struct lark_err){.status = LARK_OK};
    return lark_authorization_read(header, storage, out, err);
}

static void test_good_headers(void **state)
{
    static const struct {
        const char *header;
        enum lark_scheme scheme;
        const char *token;
    } rows[] = {
        {"Bearer abc", LARK_SCHEME_BEARER, "abc"},
        {"bearer abc", LARK_SCHEME_BEARER, "abc"},
        {"BEARER   a.b-c_d~e+f/g==", LARK_SCHEME_BEARER, "a.b-c_d~e+f/g=="},
        {"Basic eDphYmM=", LARK_SCHEME_BASIC, "abc"}, /* x:abc */
        {"bAsIc OmFiYw==", LARK_SCHEME_BASIC, "abc"}, /* :abc, no user */
        {"Basic  eDphYmM=", LARK_SCHEME_BASIC, "abc"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct lark_authorization got;
        struct lark_err err;
        if (read_header(slice_of(rows[i].header), &got, &err) != LARK_OK || got.scheme != rows[i].scheme ||
            !is(got.token, rows[i].token))
            fail_msg("%s: %s", rows[i].header, err.text == NULL ? "read otherwise" : err.text);
    }
}

static void test_bad_headers(void **state)
{
    static const struct {
        const char *header;
        const char *why;
    } rows[] = {
        {"", "must be \"Bearer TOKEN\""},
        {"lark_ci_secret", "must be \"Bearer TOKEN\""},
        {"Digest username=x", "must be \"Bearer TOKEN\""},
        {"Bearerabc", "must be \"Bearer TOKEN\""},
        {"Bearer", "one token"},
        {"Bearer ", "one token"},
        {"Bearer a b", "one token"},
        {"Bearer a,b", "one token"},
        {"Bearer \"a\"", "one token"},
        {"Bearer =a", "one token"},
        {"Bearer a=b", "one token"},
        {"Bearer a\tb", "one token"},
        {"Bearer a\x80", "one token"},
        {"Bearer a ", "one token"},
        {"Basic", "base64"},
        {"Basic abc", "base64"},       /* no padding */
        {"Basic eDphYmM= ", "base64"}, /* a blank behind */
        {"Basic eDph YmM=", "base64"},
        {"Basic eDphYmN=", "base64"},          /* bits that encode nothing */
        {"Basic YWJj", "base64"},              /* no colon */
        {"Basic eDo=", "must be a token"},     /* x: */
        {"Basic eDphIGI=", "must be a token"}, /* x:a b */
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct lark_authorization got;
        struct lark_err err;
        if (read_header(slice_of(rows[i].header), &got, &err) != LARK_E_BAD_CREDENTIALS ||
            err.status != LARK_E_BAD_CREDENTIALS || err.got.len != 0 || strstr(err.text, rows[i].why) == NULL)
            fail_msg("%s: %s", rows[i].header, err.text == NULL ? "taken" : err.text);
    }
}

/* Of all bytes those of RFC 6750 may stand in a token. */
static void test_every_byte(void **state)
{
    static const char good[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/";
    (void)state;
    for (unsigned byte = 0; byte < 256; byte++) {
        uint8_t header[] = "Bearer a?b";
        struct lark_authorization got;
        struct lark_err err;
        header[8] = (uint8_t)byte;
        const enum lark_status status = read_header((struct lark_slice){header, sizeof(header) - 1}, &got, &err);
        const bool allowed = byte != 0 && strchr(good, (int)byte) != NULL;
        assert_int_equal(status, allowed ? LARK_OK : LARK_E_BAD_CREDENTIALS);
    }
}

/* At the limit and one over. */
static void test_longest_header(void **state)
{
    static uint8_t header[LARK_AUTHORIZATION_MAX + 1];
    struct lark_authorization got;
    struct lark_err err;
    (void)state;
    memset(header, 'a', sizeof(header));
    memcpy(header, "Bearer ", 7);
    assert_int_equal(read_header((struct lark_slice){header, LARK_AUTHORIZATION_MAX}, &got, &err), LARK_OK);
    assert_int_equal(got.token.len, LARK_AUTHORIZATION_MAX - 7);
    assert_int_equal(read_header((struct lark_slice){header, LARK_AUTHORIZATION_MAX + 1}, &got, &err),
                     LARK_E_BAD_CREDENTIALS);
    assert_non_null(strstr(err.text, "too long"));
}

static void test_hash(void **state)
{
    struct lark_hasher *hasher = lark_hasher_new();
    struct lark_hash hash;
    struct lark_hash again;
    char digits[65];
    (void)state;
    assert_non_null(hasher);
    /* FIPS 180-4, the examples of NIST */
    assert_int_equal(lark_hasher_hash(hasher, slice_of("abc"), &hash), LARK_OK);
    lark_hash_write(&hash, digits);
    assert_string_equal(digits, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_int_equal(lark_hasher_hash(hasher, (struct lark_slice){NULL, 0}, &again), LARK_OK);
    lark_hash_write(&again, digits);
    assert_string_equal(digits, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_false(lark_hash_same(&hash, &again));
    assert_int_equal(
        lark_hash_parse(slice_of("BA7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"), &again), LARK_OK);
    assert_true(lark_hash_same(&hash, &again));
    for (size_t i = 0; i < sizeof(hash.bytes); i++) { /* wherever they differ */
        again = hash;
        again.bytes[i] ^= 1;
        assert_false(lark_hash_same(&hash, &again));
    }
    assert_int_equal(lark_hash_parse(slice_of("ba"), &again), LARK_E_BAD_PARAMETER);
    assert_int_equal(
        lark_hash_parse(slice_of("ga7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"), &again),
        LARK_E_BAD_PARAMETER);
    lark_hasher_free(hasher);
    lark_hasher_free(NULL);
}

/* 32 bytes are 52 characters of base32: no bit is left out. */
static void test_new_token(void **state)
{
    uint8_t random[LARK_TOKEN_RANDOM_BYTES];
    char token[LARK_TOKEN_TEXT_MAX];
    char other[LARK_TOKEN_TEXT_MAX];
    (void)state;
    memset(random, 0xff, sizeof(random));
    const size_t len = lark_token_write(slice_of("CI box 2"), random, token);
    assert_int_equal(len, strlen(token));
    assert_string_equal(token, "lark_cibox2_777777777777777777777777777777777777777777777777777q");
    (void)lark_token_write(slice_of("!?"), random, other);
    assert_memory_equal(other, "lark_token_7", 12);
    (void)lark_token_write(slice_of("a-name-of-sixty-four-bytes-which-is-as-long-as-a-name-may-be-abc"), random, other);
    assert_true(strlen(other) < LARK_TOKEN_TEXT_MAX);
    for (size_t bit = 0; bit < 8 * sizeof(random); bit++) {
        random[bit / 8] ^= (uint8_t)(1u << bit % 8);
        (void)lark_token_write(slice_of("CI box 2"), random, other);
        random[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_string_not_equal(token, other);
    }
}

static void set(struct lark_credential *credential, enum lark_credential_field field, const char *text, bool good)
{
    const char *expected = NULL;
    const struct lark_credential before = *credential;
    const enum lark_status status = lark_credential_set(credential, field, slice_of(text), &expected);
    if (status != (good ? LARK_OK : LARK_E_BAD_PARAMETER)) fail_msg("\"%s\": %d", text, status);
    if (!good) assert_memory_equal(&before, credential, sizeof(before));
    assert_non_null(expected);
}

static void test_credential(void **state)
{
    struct lark_credential credential;
    struct lark_err err;
    (void)state;
    lark_credential_init(&credential);
    set(&credential, LARK_CREDENTIAL_NAME, "Ann's \xc3\xa9", true);
    set(&credential, LARK_CREDENTIAL_NAME, "", false);
    set(&credential, LARK_CREDENTIAL_NAME, "a\nb", false);
    set(&credential, LARK_CREDENTIAL_NAME, "a\x7f", false);
    set(&credential, LARK_CREDENTIAL_NAME, "a\xc2\x85", false);
    set(&credential, LARK_CREDENTIAL_NAME, "a\xff", false);
    set(&credential, LARK_CREDENTIAL_NAME, "0123456789012345678901234567890123456789012345678901234567890123", true);
    set(&credential, LARK_CREDENTIAL_NAME, "01234567890123456789012345678901234567890123456789012345678901234", false);
    set(&credential, LARK_CREDENTIAL_PREFIX, "u1", true);
    set(&credential, LARK_CREDENTIAL_PREFIX, "a:b", false);
    set(&credential, LARK_CREDENTIAL_PREFIX, "a*", false);
    set(&credential, LARK_CREDENTIAL_PREFIX, "{a}", false);
    set(&credential, LARK_CREDENTIAL_EXPIRES, "1970-01-01T00:16:40Z", true);
    assert_int_equal(credential.expires_s, 1000);
    set(&credential, LARK_CREDENTIAL_EXPIRES, "1970-01-01T02:16:40+02:00", true);
    assert_int_equal(credential.expires_s, 1000);
    set(&credential, LARK_CREDENTIAL_EXPIRES, "1970-01-01T00:16:40", false);
    set(&credential, LARK_CREDENTIAL_EXPIRES, "1969-12-31T00:00:00Z", false);
    set(&credential, LARK_CREDENTIAL_EXPIRES, "-1", false);
    set(&credential, LARK_CREDENTIAL_EXPIRES, "1e3", false);
    set(&credential, LARK_CREDENTIAL_EXPIRES, "1000", true);
    assert_int_equal(lark_credential_check(&credential, 999, true, &err), LARK_OK);
    assert_int_equal(lark_credential_check(&credential, 1000, true, &err), LARK_E_BAD_CREDENTIALS);
    assert_non_null(strstr(err.text, "expired"));
    credential.prefix_len = 0;
    assert_int_equal(lark_credential_check(&credential, 999, true, &err), LARK_E_PREFIX_NEEDED);
    assert_int_equal(lark_credential_check(&credential, 999, false, &err), LARK_OK);
    credential.scopes.admin = true;
    assert_int_equal(lark_credential_check(&credential, 999, true, &err), LARK_OK);
    assert_false(lark_credential_principal(&credential).unidentified);
}

static struct lark_hash hash_number(uint32_t n)
{
    struct lark_hash hash = {{0}};
    memcpy(hash.bytes + 8, &n, sizeof(n)); /* all of one set */
    return hash;
}

static void test_verified(void **state)
{
    struct lark_credentials *cache = lark_credentials_new(lark_mem_default(), 64);
    struct lark_credential credential;
    (void)state;
    assert_non_null(cache);
    lark_credential_init(&credential);
    credential.name_len = 1;
    for (uint32_t i = 0; i < 9; i++) { /* one more than a set holds: the one that ends first goes */
        struct lark_hash hash = hash_number(i);
        credential.name[0] = (char)('a' + i);
        assert_non_null(lark_credentials_add(cache, &hash, &credential, 100 + i));
    }
    for (uint32_t i = 0; i < 9; i++) {
        struct lark_hash hash = hash_number(i);
        const struct lark_credential *found = lark_credentials_find(cache, &hash, 99);
        assert_int_equal(found != NULL, i > 0);
        assert_true(found == NULL || found->name[0] == (char)('a' + i));
        assert_int_equal(lark_credentials_find(cache, &hash, 99 + i) != NULL, i > 0);
        assert_null(lark_credentials_find(cache, &hash, 100 + i)); /* its time is over */
    }
    struct lark_hash hash = hash_number(8);
    assert_non_null(lark_credentials_add(cache, &hash, &credential, 500)); /* anew: no second entry */
    assert_non_null(lark_credentials_find(cache, &hash, 499));
    lark_credentials_clear(cache);
    assert_null(lark_credentials_find(cache, &hash, 0));
    lark_credentials_free(cache);
    lark_credentials_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good_headers), cmocka_unit_test(test_bad_headers), cmocka_unit_test(test_longest_header),
        cmocka_unit_test(test_every_byte),   cmocka_unit_test(test_hash),        cmocka_unit_test(test_new_token),
        cmocka_unit_test(test_credential),   cmocka_unit_test(test_verified),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
