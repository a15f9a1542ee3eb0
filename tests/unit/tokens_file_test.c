/* A tokens file: what it says, every way in which it can be wrong, and all of its allocations failing. */
#include <lark/auth.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SHA_A "0000000000000000000000000000000000000000000000000000000000000001"
#define SHA_B "0000000000000000000000000000000000000000000000000000000000000002"

static char warnings[2000];
static struct lark_tokens_error error;

static void warn(void *ctx, const char *text)
{
    (void)ctx;
    (void)snprintf(warnings + strlen(warnings), sizeof(warnings) - strlen(warnings), "%s\n", text);
}

static enum lark_status parse(const char *text, struct lark_tokens **out)
{
    warnings[0] = '\0';
    return lark_tokens_parse(lark_mem_default(), lark_catalogue_default(),
                             (struct lark_slice){(const uint8_t *)text, strlen(text)}, warn, NULL, out, &error);
}

static const struct lark_token *find(const struct lark_tokens *tokens, const char *digits)
{
    struct lark_hash hash;
    assert_int_equal(lark_hash_parse((struct lark_slice){(const uint8_t *)digits, 64}, &hash), LARK_OK);
    return lark_tokens_find(tokens, &hash);
}

static const char good_file[] =
    "{\n \"tokens\": [\n"
    "  {\"name\": \"ci\", \"sha256\": \"" SHA_A "\", \"scopes\": [\"read:*\", \"write:set\"],"
    " \"prefix\": \"u1\", \"expires\": null},\n"
    "  {\"expires\": \"2030-01-31T12:00:00Z\", \"scopes\": [], \"sha256\": \"" SHA_B
    "\", \"name\": \"\\u0062ob\"}\n ]\n}\n";

static void test_good(void **state)
{
    struct lark_tokens *tokens = NULL;
    (void)state;
    assert_int_equal(parse(good_file, &tokens), LARK_OK);
    assert_string_equal(warnings, "");
    assert_int_equal(lark_tokens_count(tokens), 2);
    const struct lark_token *ci = find(tokens, SHA_A);
    const struct lark_token *bob = find(tokens, SHA_B);
    assert_ptr_equal(ci, lark_tokens_at(tokens, 0));
    assert_ptr_equal(bob, lark_tokens_at(tokens, 1));
    assert_null(find(tokens, "0000000000000000000000000000000000000000000000000000000000000003"));
    assert_int_equal(ci->credential.name_len, 2);
    assert_memory_equal(ci->credential.prefix, "u1", 2);
    assert_true(ci->credential.expires_s == LARK_NEVER_S);
    assert_memory_equal(ci->scopes.p, "read:* write:set", ci->scopes.len);
    assert_int_equal(good_file[ci->begin], '{');
    assert_int_equal(good_file[ci->end - 1], '}');
    assert_int_equal(good_file[lark_tokens_end(tokens)], ']');
    assert_memory_equal(bob->credential.name, "bob", 3);
    assert_int_equal(bob->credential.expires_s, 1896091200);
    assert_int_equal(bob->credential.prefix_len, 0);
    for (size_t i = 0; i < LARK_METHODS_MAX / 64; i++) assert_true(bob->credential.scopes.methods[i] == 0);
    lark_tokens_free(tokens);
    assert_int_equal(parse("{\"tokens\": []}", &tokens), LARK_OK);
    assert_null(find(tokens, SHA_A));
    lark_tokens_free(tokens);
    lark_tokens_free(NULL);
}

/* Named, with near ones, and nothing is allowed by it: not the method it begins like, nor its family. */
static void test_unknown_scope(void **state)
{
    struct lark_tokens *tokens = NULL;
    (void)state;
    assert_int_equal(
        parse("{\"tokens\": [{\"name\": \"ci\", \"sha256\": \"" SHA_A
              "\", \"scopes\": [\"read:gte\", \"READ:GET\", \"read\", \"read:get write:set\", \"\", \"a\\nb\"]}]}",
              &tokens),
        LARK_OK);
    assert_non_null(strstr(warnings, "line 1, column 117: token \"ci\": there is no scope \"read:gte\": it matches "
                                     "nothing; did you mean read:get"));
    assert_non_null(strstr(warnings, "\"READ:GET\""));
    assert_non_null(strstr(warnings, "\"a?b\""));
    const struct lark_token *ci = find(tokens, SHA_A);
    for (size_t i = 0; i < LARK_METHODS_MAX / 64; i++) assert_true(ci->credential.scopes.methods[i] == 0);
    assert_false(ci->credential.scopes.admin);
    lark_tokens_free(tokens);
}

#define ENTRY(members) "{\"tokens\": [{" members "}]}"
#define NAMED "\"name\": \"ci\", "
#define REST "\"sha256\": \"" SHA_A "\", \"scopes\": []"

static void test_bad(void **state)
{
    static const struct {
        const char *file;
        enum lark_status status;
        const char *why;
    } rows[] = {
        {"", LARK_E_BAD_JSON, "line 1, column 1: not valid JSON"},
        {"{\n  \"tokens\": [\n    {,}\n", LARK_E_BAD_JSON, "line 3, column 6: token 1: not valid JSON"},
        {"{\"tokens\": [], \"tokens\": []}", LARK_E_BAD_JSON, "not valid JSON: "},
        {"[]", LARK_E_BAD_PARAMETER, "expected {\"tokens\": [...]}"},
        {"{}", LARK_E_BAD_PARAMETER, "\"tokens\" is missing"},
        {"{\"token\": []}", LARK_E_BAD_PARAMETER, "line 1, column 2: there is no member \"token\" beside \"tokens\""},
        {"{\"tokens\": {}}", LARK_E_BAD_PARAMETER, "\"tokens\" must be an array"},
        {"{\"tokens\": null}", LARK_E_BAD_PARAMETER, "\"tokens\" must be an array"},
        {"{\"tokens\": [1]}", LARK_E_BAD_PARAMETER, "token 1: an entry must be an object"},
        {ENTRY(NAMED "\"scopes\": []"), LARK_E_BAD_PARAMETER, "line 1, column 13: token \"ci\": \"sha256\" is missing"},
        {ENTRY(REST), LARK_E_BAD_PARAMETER, "token 1: \"name\" is missing"},
        {ENTRY(NAMED "\"sha256\": \"" SHA_A "\""), LARK_E_BAD_PARAMETER, "\"scopes\" is missing"},
        {ENTRY(NAMED REST ", \"expirse\": null"), LARK_E_BAD_PARAMETER, "there is no member \"expirse\""},
        {ENTRY("\"name\": 1"), LARK_E_BAD_PARAMETER, "\"name\" must be a string"},
        {ENTRY("\"name\": \"\""), LARK_E_BAD_PARAMETER, "\"name\" must be 1 to 64 bytes"},
        {ENTRY("\"name\": \"a\\u0000\""), LARK_E_BAD_PARAMETER, "\"name\" must be 1 to 64 bytes"},
        {ENTRY("\"name\": null"), LARK_E_BAD_PARAMETER, "\"name\" must be a string"},
        {ENTRY(NAMED "\"sha256\": \"abc\""), LARK_E_BAD_PARAMETER,
         "token \"ci\": \"sha256\" must be the 64 hexadecimal"},
        {ENTRY(NAMED "\"sha256\": \"" SHA_A "0\""), LARK_E_BAD_PARAMETER, "must be the 64 hexadecimal digits"},
        {ENTRY(NAMED "\"scopes\": \"read:*\""), LARK_E_BAD_PARAMETER, "\"scopes\" must be an array of scope words"},
        {ENTRY(NAMED "\"scopes\": [1]"), LARK_E_BAD_PARAMETER, "\"scopes\" must be an array of scope words"},
        {ENTRY(NAMED "\"scopes\": [[]]"), LARK_E_BAD_PARAMETER, "\"scopes\" must be an array of scope words"},
        {ENTRY(NAMED "\"scopes\": null"), LARK_E_BAD_PARAMETER, "\"scopes\" must be an array of scope words"},
        {ENTRY(NAMED "\"prefix\": \"\""), LARK_E_BAD_PARAMETER, "\"prefix\" must be 1 to 64 of"},
        {ENTRY(NAMED "\"prefix\": \"a:b\""), LARK_E_BAD_PARAMETER, "\"prefix\" must be 1 to 64 of"},
        {ENTRY(NAMED "\"prefix\": 7"), LARK_E_BAD_PARAMETER, "\"prefix\" must be a string or null"},
        {ENTRY(NAMED "\"expires\": \"tomorrow\""), LARK_E_BAD_PARAMETER, "\"expires\" must be a moment with its zone"},
        {ENTRY(NAMED "\"expires\": \"2030-01-31T12:00:00\""), LARK_E_BAD_PARAMETER, "\"expires\" must be a moment"},
        {ENTRY(NAMED "\"expires\": 1e9"), LARK_E_BAD_PARAMETER, "\"expires\" must be a moment"},
        {ENTRY(NAMED "\"expires\": true"), LARK_E_BAD_PARAMETER, "\"expires\" must be a string, whole seconds"},
        {"{\"tokens\": [{" NAMED REST "},\n {\"name\": \"b\", " REST "}]}", LARK_E_BAD_PARAMETER,
         "line 2, column 2: token \"b\": its \"sha256\" is that of \"ci\", entry 1, too"},
        {"{\"tokens\": [{" NAMED REST "}, {" NAMED "\"sha256\": \"" SHA_B "\", \"scopes\": []}]}", LARK_E_BAD_PARAMETER,
         "token \"ci\": its \"name\" is that of \"ci\", entry 1, too"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct lark_tokens *tokens = NULL;
        const enum lark_status status = parse(rows[i].file, &tokens);
        if (status != rows[i].status || strstr(error.text, rows[i].why) == NULL)
            fail_msg("%s: %d, %s", rows[i].file, status, error.text);
        assert_null(tokens);
    }
}

/* A token that was put where its hash belongs is not shown. */
static void test_secret_in_the_wrong_place(void **state)
{
    struct lark_tokens *tokens = NULL;
    (void)state;
    assert_int_equal(parse(ENTRY(NAMED "\"sha256\": \"lark_ci_verysecret\""), &tokens), LARK_E_BAD_PARAMETER);
    assert_null(strstr(error.text, "verysecret"));
}

static void test_many(void **state)
{
    enum { N = 3000 };
    const size_t size = (size_t)N * 160;
    char *text = malloc(size);
    struct lark_tokens *tokens = NULL;
    (void)state;
    assert_non_null(text);
    size_t len = (size_t)snprintf(text, size, "{\"tokens\": [");
    for (int i = 0; i < N; i++)
        len += (size_t)snprintf(text + len, size - len, "%s{\"name\": \"n%d\", \"sha256\": \"%064x\", \"scopes\": []}",
                                i == 0 ? "" : ",", i, (unsigned)i);
    (void)snprintf(text + len, size - len, "]}");
    assert_int_equal(parse(text, &tokens), LARK_OK); /* their first 28 bytes are the same: the worst for the table */
    for (int i = 0; i < N; i += 100) {
        char digits[65];
        (void)snprintf(digits, sizeof(digits), "%064x", (unsigned)i);
        assert_ptr_equal(find(tokens, digits), lark_tokens_at(tokens, (size_t)i));
    }
    lark_tokens_free(tokens);
    free(text);
}

struct failing {
    size_t left;
    size_t held;
};

static void *fail_alloc(void *ctx, size_t n)
{
    struct failing *failing = ctx;
    if (failing->left == 0) return NULL;
    failing->left--;
    failing->held++;
    return malloc(n);
}

static void *fail_resize(void *ctx, void *p, size_t old_n, size_t n)
{
    struct failing *failing = ctx;
    (void)old_n;
    if (failing->left == 0) return NULL;
    failing->left--;
    failing->held += p == NULL;
    return realloc(p, n);
}

static void fail_free(void *ctx, void *p, size_t n)
{
    (void)n;
    ((struct failing *)ctx)->held--;
    free(p);
}

static void test_out_of_memory(void **state)
{
    (void)state;
    enum lark_status status = LARK_E_NOMEM;
    size_t n = 0;
    for (; status == LARK_E_NOMEM && n < 100; n++) {
        struct failing failing = {n, 0};
        const struct lark_mem mem = {&failing, fail_alloc, fail_resize, fail_free};
        struct lark_tokens *tokens = NULL;
        status = lark_tokens_parse(&mem, lark_catalogue_default(),
                                   (struct lark_slice){(const uint8_t *)good_file, strlen(good_file)}, NULL, NULL,
                                   &tokens, &error);
        assert_int_equal(tokens != NULL, status == LARK_OK);
        assert_true(status == LARK_OK || strlen(error.text) > 0);
        lark_tokens_free(tokens);
        assert_int_equal(failing.held, 0);
    }
    assert_int_equal(status, LARK_OK);
    assert_true(n > 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good), cmocka_unit_test(test_unknown_scope),
        cmocka_unit_test(test_bad),  cmocka_unit_test(test_secret_in_the_wrong_place),
        cmocka_unit_test(test_many), cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
