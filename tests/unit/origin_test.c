/* Origins of a list: what browsers send, and nothing else. */
#include <lark/auth.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* In memory of just that size, so that a sanitizer sees a byte too far. */
static const char *fault(const char *text)
{
    const size_t len = strlen(text);
    uint8_t *bytes = malloc(len + (len == 0));
    assert_non_null(bytes);
    memcpy(bytes, text, len);
    const char *wrong = lark_origin_fault((struct lark_slice){bytes, len});
    free(bytes);
    return wrong;
}

static void test_what_browsers_send(void **state)
{
    static const char *const good[] = {
        "https://app.example",         "http://localhost:3000",  "http://127.0.0.1:8080",
        "https://[::1]:8443",          "http://app.example:443", "https://xn--bcher-kva.example",
        "chrome-extension://abcdefgh", "capacitor://localhost",  "https://a_b-c.example:65535",
    };
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        if (fault(good[i]) != NULL) fail_msg("%s: %s", good[i], fault(good[i]));
}

static void test_faults_say_what_was_expected(void **state)
{
    static const char *const bad[][2] = {
        {"*", "star"},
        {"https://*.example", "star"},
        {"null", "null"},
        {"", "scheme"},
        {"app.example", "scheme"},
        {"//app.example", "scheme"},
        {"1http://app.example", "scheme"},
        {"https:/app.example", "scheme"},
        {"https://", "host"},
        {"https:///", "host"},
        {"https://.example", "host"},
        {"https://[::1", "host"},
        {"https://[]", "host"},
        {"https://[::g]", "host"},
        {"https://app.example/", "slash"},
        {"https://app.example/path", "path"},
        {"https://app.example:8443/", "slash"},
        {"https://app.example?q", "nothing but"},
        {"https://user@app.example", "nothing but"},
        {"https://app.example:", "port"},
        {"https://app.example:0", "port"},
        {"https://app.example:080", "port"},
        {"https://app.example:65536", "port"},
        {"https://app.example:8a", "port"},
        {"https://app.example:443", "the scheme's own"},
        {"http://app.example:80", "the scheme's own"},
        {"HTTPS://app.example", "lower case"},
        {"https://App.example", "lower case"},
        {"https://b\xc3\xbc"
         "cher.example",
         "nothing but"},
        {"https://a.example,https://b.example", "nothing but"},
        {"https://a b", "nothing but"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const char *wrong = fault(bad[i][0]);
        if (wrong == NULL || strstr(wrong, bad[i][1]) == NULL)
            fail_msg("'%s': %s", bad[i][0], wrong == NULL ? "was taken" : wrong);
    }
}

static void test_length(void **state)
{
    char text[LARK_ORIGIN_MAX + 2];
    (void)state;
    memset(text, 'a', sizeof text);
    memcpy(text, "https://", 8);
    text[LARK_ORIGIN_MAX] = '\0';
    assert_null(fault(text));
    text[LARK_ORIGIN_MAX] = 'a';
    text[LARK_ORIGIN_MAX + 1] = '\0';
    assert_non_null(strstr(fault(text), "320"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_browsers_send),
        cmocka_unit_test(test_faults_say_what_was_expected),
        cmocka_unit_test(test_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
