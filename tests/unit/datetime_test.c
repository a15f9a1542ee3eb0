/* Dates: leap years, offsets, fractions, what is none; the C library's zone in the gap and the overlap of summer time. */
#include <stdlib.h>
#include <time.h>

#include "support.h"

#include "datetime.h"

static void check(const struct lark_zone *zone, const char *text, int64_t want_ms)
{
    int64_t ms = -1;
    enum lark_status status = lark__parse_datetime(zone, slice_of(text), &ms);
    if (status != LARK_OK || ms != want_ms) fail_msg("%s: %d, %lld", text, status, (long long)ms);
}

static void test_good(void **state)
{
    static const struct {
        const char *text;
        int64_t ms;
    } rows[] = {
        {"1970-01-01", 0},
        {"1970-01-01T00:00", 0},
        {"1970-01-01 00:00:01", 1000},
        {"1970-01-01t00:00:00z", 0},
        {"1969-12-31T23:59:59.999Z", -1},
        {"2013-12-18T23:11:39.232554Z", 1387408299232},
        {"2013-12-18T23:11:39,5Z", 1387408299500},
        {"2013-12-18T23:11:39.2325549999999999999Z", 1387408299232},
        {"2013-12-18T23:11:39+02:00", 1387401099000},
        {"2013-12-18T23:11:39+0200", 1387401099000},
        {"2013-12-18T23:11:39-02", 1387415499000},
        {"2013-12-18T23:11:39-00:30", 1387410099000},
        {"2013-12-18T23:11+23:59", 1387321920000},
        {"2000-02-29", 951782400000},
        {"2024-02-29", 1709164800000},
        {"2016-12-31T23:59:60Z", 1483228800000},
        {"0000-01-01", -62167219200000},
        {"9999-12-31T23:59:59.999Z", 253402300799999},
        {"2038-01-19T03:14:08Z", 2147483648000},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) check(lark_zone_utc(), rows[i].text, rows[i].ms);
}

static void test_bad(void **state)
{
    static const char *const rows[] = {
        "",
        "x",
        "2013",
        "2013-12",
        "2013-12-1",
        "2013-1-18",
        "13-12-18",
        "2013-00-01",
        "2013-13-01",
        "2013-12-00",
        "2013-12-32",
        "2013-04-31",
        "2013-02-29",
        "1900-02-29",
        "2100-02-29",
        "2013/12/18",
        "2013-12-18T",
        "2013-12-18T1",
        "2013-12-18T24:00",
        "2013-12-18T23:60",
        "2013-12-18T23:59:61",
        "2013-12-18T23",
        "2013-12-18T23:11:39.",
        "2013-12-18T23:11:39.Z",
        "2013-12-18T23:11.5Z",
        "2013-12-18Z",
        "2013-12-18T23:11:39+",
        "2013-12-18T23:11:39+2",
        "2013-12-18T23:11:39+24:00",
        "2013-12-18T23:11:39+02:60",
        "2013-12-18T23:11:39+02:",
        "2013-12-18T23:11:39ZZ",
        "2013-12-18T23:11:39 Z",
        " 2013-12-18",
        "2013-12-18 ",
        "+2013-12-18",
        "-2013-12-18",
        "2013-12-18X23:11:39",
        "2013-12-18T23:11:3 ",
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int64_t ms = 77;
        if (lark__parse_datetime(lark_zone_utc(), slice_of(rows[i]), &ms) != LARK_E_BAD_PARAMETER || ms != 77) {
            fail_msg("%s is taken", rows[i]);
        }
    }
}

/* Each day of 2,000 years and back, against the C library. */
static void test_calendar(void **state)
{
    (void)state;
    for (int64_t day = -400000; day < 400000; day++) {
        struct lark_civil civil;
        time_t t = (time_t)(day * 86400 + 86399 * (day & 1));
        struct tm tm;
        lark__unix_to_civil(t, &civil);
        assert_non_null(gmtime_r(&t, &tm));
        assert_true(civil.year == tm.tm_year + 1900 && civil.month == tm.tm_mon + 1 && civil.day == tm.tm_mday &&
                    civil.hour == tm.tm_hour && civil.minute == tm.tm_min && civil.second == tm.tm_sec);
        assert_int_equal(lark__civil_to_unix(&civil), t);
    }
}

static void set_zone(const char *name)
{
    assert_int_equal(setenv("TZ", name, 1), 0);
    tzset();
}

/* In the gap the later instant, in the overlap the earlier. */
static void test_zones(void **state)
{
    static const struct {
        const char *zone, *text;
        int64_t s;
    } rows[] = {
        {"Europe/Berlin", "2021-01-15T12:00:00", 1610708400},
        {"Europe/Berlin", "2021-07-15T12:00:00", 1626343200},
        {"Europe/Berlin", "2021-03-28T01:59:59", 1616893199},
        {"Europe/Berlin", "2021-03-28T02:30:00", 1616895000},
        {"Europe/Berlin", "2021-03-28T03:00:00", 1616893200},
        {"Europe/Berlin", "2021-10-31T02:30:00", 1635640200},
        {"Europe/Berlin", "2021-10-31T01:59:59", 1635638399},
        {"Europe/Berlin", "2021-10-31T03:00:00", 1635645600},
        {"America/New_York", "2021-03-14T02:30:00", 1615707000},
        {"America/New_York", "2021-11-07T01:30:00", 1636263000},
        {"Europe/Dublin", "2021-03-28T01:30:00", 1616895000},
        {"Europe/Dublin", "2021-10-31T01:30:00", 1635640200},
        {"Australia/Lord_Howe", "2021-10-03T02:15:00", 1633189500},
        {"Australia/Lord_Howe", "2021-04-04T01:45:00", 1617461100},
        {"Europe/Moscow", "2014-10-26T01:30:00", 1414272600}, /* the clock went back, and stayed */
        {"Pacific/Apia", "2011-12-30T12:00:00", 1325282400},  /* a day that was not */
        {"UTC", "1969-12-31T23:59:59", -1},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        set_zone(rows[i].zone);
        int64_t ms = 0;
        assert_int_equal(lark__parse_datetime(lark_zone_libc(), slice_of(rows[i].text), &ms), LARK_OK);
        if (ms != rows[i].s * 1000) {
            print_error("%s %s: %lld, want %lld\n", rows[i].zone, rows[i].text, (long long)ms / 1000,
                        (long long)rows[i].s);
        }
        assert_true(ms == rows[i].s * 1000);
    }
    set_zone("Europe/Berlin");
    struct lark_civil civil;
    const struct lark_zone *zone = lark_zone_libc();
    assert_int_equal(zone->to_local(zone->ctx, 1626343200, &civil), LARK_OK);
    uint8_t block[64];
    struct lark_buf buf;
    lark_buf_init(&buf, lark_mem_default(), sizeof block, block, sizeof block);
    assert_int_equal(lark__append_civil(&buf, &civil), LARK_OK);
    assert_slice((struct lark_slice){buf.p, buf.len}, LIT("2021-07-15T12:00:00"), "local");
    assert_int_equal(zone->to_local(zone->ctx, INT64_MAX, &civil), LARK_E_BAD_PARAMETER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_calendar),
        cmocka_unit_test(test_zones),
    };
    return cmocka_run_group_tests_name("datetime", tests, NULL, NULL);
}
