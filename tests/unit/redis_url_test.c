/* Redis URLs: what they mean, and what is refused. */
#include "url.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct lark_redis_url url;
static struct lark_err err;
static uint8_t storage[LARK_REDIS_URL_MAX + 8];

static enum lark_status parse(const char *text)
{
    memset(&url, 0x55, sizeof url);
    memset(&err, 0, sizeof err);
    return lark_redis_url_parse((struct lark_slice){(const uint8_t *)text, strlen(text)}, storage, &url, &err);
}

static void is(struct lark_slice s, const char *text)
{
    assert_int_equal(s.len, strlen(text));
    if (s.len > 0) {
        assert_memory_equal(s.p, text, s.len);
    }
}

static void refused(const char *text, const char *why)
{
    assert_int_equal(parse(text), LARK_E_BAD_PARAMETER);
    assert_int_equal(err.status, LARK_E_BAD_PARAMETER);
    if (strstr(err.text, why) == NULL) {
        fail_msg("%s: \"%s\" does not say \"%s\"", text, err.text, why);
    }
}

static void test_tcp(void **state)
{
    (void)state;
    assert_int_equal(parse("redis://localhost"), LARK_OK);
    assert_false(url.is_unix);
    is(url.host, "localhost");
    assert_int_equal(url.port, 6379);
    assert_int_equal(url.db, 0);
    is(url.user, "");
    is(url.password, "");
    assert_int_equal(parse("redis://10.0.0.1:7000/15"), LARK_OK);
    is(url.host, "10.0.0.1");
    assert_int_equal(url.port, 7000);
    assert_int_equal(url.db, 15);
    assert_int_equal(parse("redis://[::1]:7000/"), LARK_OK);
    is(url.host, "::1");
    assert_int_equal(url.port, 7000);
    assert_int_equal(parse("redis://[fe80::2]"), LARK_OK);
    is(url.host, "fe80::2");
    assert_int_equal(parse("redis://h:65535/2147483647"), LARK_OK);
    assert_int_equal(url.db, 2147483647);
}

static void test_login(void **state)
{
    (void)state;
    assert_int_equal(parse("redis://joe:p%40ss%3a%2F%00@h/2"), LARK_OK);
    is(url.user, "joe");
    assert_int_equal(url.password.len, 7);
    assert_memory_equal(url.password.p, "p@ss:/\0", 7);
    is(url.host, "h");
    assert_int_equal(url.db, 2);
    assert_int_equal(parse("redis://:secret@h"), LARK_OK);
    is(url.user, "");
    is(url.password, "secret");
    assert_int_equal(parse("redis://:a@b:c@h"), LARK_OK);
    is(url.password, "a@b:c");
    assert_int_equal(parse("redis://joe@h"), LARK_OK);
    is(url.user, "joe");
    is(url.password, "");
}

static void test_tls(void **state)
{
    (void)state;
    assert_int_equal(parse("rediss://h"), LARK_OK);
    assert_true(url.is_tls);
    assert_false(url.is_unix);
    is(url.host, "h");
    assert_int_equal(url.port, 6379);
    assert_int_equal(parse("rediss://joe%40x:p%3Aw@[::1]:7000/3"), LARK_OK);
    assert_true(url.is_tls);
    is(url.user, "joe@x");
    is(url.password, "p:w");
    is(url.host, "::1");
    assert_int_equal(url.port, 7000);
    assert_int_equal(url.db, 3);
    assert_int_equal(parse("redis://h"), LARK_OK);
    assert_false(url.is_tls);
    assert_int_equal(parse("unix:///s"), LARK_OK);
    assert_false(url.is_tls);
    refused("rediss:/h", "begins with");
    refused("rediss://", "no host");
    refused("rediss:///run/redis.sock", "no host");
}

static void test_unix(void **state)
{
    (void)state;
    assert_int_equal(parse("unix:///run/redis.sock"), LARK_OK);
    assert_true(url.is_unix);
    is(url.path, "/run/redis.sock");
    assert_int_equal(url.db, 0);
    assert_int_equal(parse("unix:///a%20b?db=3&user=u&password=p%26"), LARK_OK);
    is(url.path, "/a b");
    assert_int_equal(url.db, 3);
    is(url.user, "u");
    is(url.password, "p&");
    assert_int_equal(parse("unix://:pw@/s?db=1"), LARK_OK);
    is(url.password, "pw");
    is(url.path, "/s");
}

static void test_refused(void **state)
{
    (void)state;
    refused("", "begins with");
    refused("localhost:6379", "begins with");
    refused("http://h", "begins with");
    refused("redis://", "no host");
    refused("redis:///1", "no host");
    refused("redis://a b", "no host");
    refused("redis://h:", "port");
    refused("redis://h:0", "port");
    refused("redis://h:65536", "port");
    refused("redis://h:6379x", "port");
    refused("redis://[::1", "bracket");
    refused("redis://[::1]6379", "port");
    refused("redis://h/x", "database");
    refused("redis://h/-1", "database");
    refused("redis://h/01", "database");
    refused("redis://h/2147483648", "database");
    refused("redis://h/99999999999", "database");
    refused("redis://h/1?db=2", "database");
    refused("redis://u:%4@h", "password");
    refused("redis://%zz:p@h", "user");
    refused("unix://", "unix:///path");
    refused("unix://relative", "unix:///path");
    refused("unix:///s?bd=1", "unknown option");
    refused("unix:///s?db=", "database");
    refused("unix:///s?db", "database");
    refused("unix:///s%00", "bad %");
    refused("unix:///s%", "bad %");
}

/* A message never shows a password. */
static void test_secret(void **state)
{
    (void)state;
    refused("redis://joe:hunter2%@h", "password");
    is(err.got, "");
    refused("unix:///s?password=hunter2%", "password");
    is(err.got, "");
    static const char *const slashes[] = {
        "redis://joe:hunter2/x@h:6379", "redis://:hunter2/x@h", "unix://joe:hunter/2@/run/redis.sock",
        "redis://u:1234/hunter2@h",     "redis://hunter2/@h",   "rediss://u:hunter2/@h/1",
        "redis://u:a@b/hunter2@h"};
    for (size_t i = 0; i < sizeof slashes / sizeof *slashes; i++) {
        refused(slashes[i], "%2F");
        is(err.got, "");
    }
    refused("redis://h/0?password=hunter2", "options");
    is(err.got, "");
    refused("redis://joe:hunter2@h:port", "port");
    is(err.got, ":port");
}

static void test_limits(void **state)
{
    (void)state;
    char text[LARK_REDIS_URL_MAX + 2];
    memset(text, 'a', sizeof text);
    memcpy(text, "unix:///", 8);
    text[7 + LARK_REDIS_PATH_MAX] = '\0';
    assert_int_equal(parse(text), LARK_OK);
    assert_int_equal(url.path.len, LARK_REDIS_PATH_MAX);
    text[7 + LARK_REDIS_PATH_MAX] = 'a';
    text[7 + LARK_REDIS_PATH_MAX + 1] = '\0';
    refused(text, "107 bytes");
    memset(text, 'a', sizeof text);
    text[LARK_REDIS_URL_MAX + 1] = '\0';
    refused(text, "4096 bytes");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tcp),    cmocka_unit_test(test_login),   cmocka_unit_test(test_tls),
        cmocka_unit_test(test_unix),   cmocka_unit_test(test_refused), cmocka_unit_test(test_secret),
        cmocka_unit_test(test_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
