/* number.c - scores, digits and dates, against the C library. Input: a choice; then text, or the bytes of a number. */
#include "fuzz.h"

#include <math.h>
#include <time.h>

#include "datetime.h"
#include "score.h"

static double parsed(struct lark_slice text)
{
    char copy[512];
    FUZZ_CHECK(text.len < sizeof copy);
    if (text.len > 0) memcpy(copy, text.p, text.len);
    copy[text.len] = '\0';
    return strtod(copy, NULL);
}

static uint64_t bits_of(double n)
{
    uint64_t bits;
    memcpy(&bits, &n, sizeof bits);
    return bits;
}

/* Digits that count: without sign, point, exponent, leading and trailing zeros. */
static size_t digits_of(const char *text, size_t len)
{
    size_t n = 0, zeros = 0;
    for (size_t i = 0; i < len && (text[i] | 0x20) != 'e'; i++) {
        if (text[i] < '0' || text[i] > '9' || (n == 0 && text[i] == '0')) continue;
        n++;
        zeros = text[i] == '0' ? zeros + 1 : 0;
    }
    return n - zeros;
}

/* --- text ------------------------------------------------------------------------------------------------------ */

/* Whatever Redis may print as a number: what is written is JSON and the same number. */
static void any_text(struct lark_slice text)
{
    struct lark_buf out;
    if (text.len > 300) return;
    lark_buf_init(&out, lark_mem_default(), 4096, NULL, 0);
    enum lark__number kind = lark__classify_number(text);
    enum lark_status status = lark__append_score(&out, text);
    FUZZ_CHECK(status == LARK_OK || status == LARK_E_PROTOCOL);
    if (status == LARK_OK) FUZZ_CHECK(fuzz_is_json((struct lark_slice){out.p, out.len}));
    if (status == LARK_OK && (kind == LARK__WHOLE || kind == LARK__FRACTION)) {
        FUZZ_CHECK(bits_of(parsed((struct lark_slice){out.p, out.len})) == bits_of(parsed(text)));
    }
    out.len = 0;
    status = lark__append_digits(&out, text);
    if (status == LARK_OK) FUZZ_CHECK(fuzz_is_json((struct lark_slice){out.p, out.len}));
    out.len = 0;
    status = lark__append_whole(&out, text);
    if (status == LARK_OK) FUZZ_CHECK(fuzz_is_json((struct lark_slice){out.p, out.len}));
    if (status == LARK_OK && out.len < 300 && fabs(parsed(text)) < 1e15 && kind == LARK__FRACTION) {
        double difference = fabs(trunc(parsed(text)) - parsed((struct lark_slice){out.p, out.len}));
        FUZZ_CHECK(difference < 2); /* the double may lie beyond the whole number that the text is just below */
    }
    lark_buf_done(&out);
}

/* --- doubles --------------------------------------------------------------------------------------------------- */

/* As Redis prints it: the shortest text with the same double comes out. */
static void any_double(struct lark_slice in)
{
    uint64_t bits = 0;
    double n;
    char text[64], shortest[64];
    struct lark_buf out;
    for (int i = 0; i < 8; i++) bits = bits << 8 | fuzz_byte(&in);
    memcpy(&n, &bits, sizeof n);
    if (!isfinite(n)) return;
    int len = snprintf(text, sizeof text, "%.17g", n);
    size_t want = 17;
    for (int p = 1; p <= 17; p++) {
        int short_len = snprintf(shortest, sizeof shortest, "%.*e", p - 1, n);
        if (bits_of(strtod(shortest, NULL)) != bits) continue;
        want = digits_of(shortest, (size_t)short_len);
        break;
    }
    lark_buf_init(&out, lark_mem_default(), 4096, NULL, 0);
    FUZZ_CHECK(lark__append_score(&out, (struct lark_slice){(uint8_t *)text, (size_t)len}) == LARK_OK);
    FUZZ_CHECK(bits_of(parsed((struct lark_slice){out.p, out.len})) == bits);
    FUZZ_CHECK(digits_of((const char *)out.p, out.len) <= want);
    lark_buf_done(&out);
}

static void any_decimal(struct lark_slice in)
{
    char text[64];
    uint64_t digits = 0;
    for (int i = 0; i < 8; i++) digits = digits << 8 | fuzz_byte(&in);
    digits >>= fuzz_byte(&in) & 63;
    int exponent = (fuzz_byte(&in) << 8 | fuzz_byte(&in)) % 800 - 400;
    snprintf(text, sizeof text, "%llue%d", (unsigned long long)digits, exponent);
    FUZZ_CHECK(lark__decimal_to_bits(digits, exponent) == bits_of(strtod(text, NULL)));
}

/* --- dates ----------------------------------------------------------------------------------------------------- */

static void any_time(struct lark_slice in)
{
    uint64_t bits = 0;
    struct lark_civil civil;
    struct tm tm;
    for (int i = 0; i < 5; i++) bits = bits << 8 | fuzz_byte(&in);
    int64_t unix_s = (int64_t)bits - ((int64_t)1 << 39);
    time_t t = (time_t)unix_s;
    lark__unix_to_civil(unix_s, &civil);
    FUZZ_CHECK(gmtime_r(&t, &tm) != NULL); /* NOLINT */
    FUZZ_CHECK(civil.year == tm.tm_year + (int64_t)1900 && civil.month == tm.tm_mon + 1 && civil.day == tm.tm_mday);
    FUZZ_CHECK(civil.hour == tm.tm_hour && civil.minute == tm.tm_min && civil.second == tm.tm_sec);
    FUZZ_CHECK(lark__civil_to_unix(&civil) == unix_s);
    if (civil.year < 1 || civil.year > 9999) return;
    uint8_t text[32];
    int64_t ms = 0;
    struct lark_buf out;
    lark_buf_init(&out, lark_mem_default(), sizeof text, text, sizeof text);
    FUZZ_CHECK(lark__append_civil(&out, &civil) == LARK_OK && out.p == text);
    FUZZ_CHECK(lark__parse_datetime(lark_zone_utc(), (struct lark_slice){out.p, out.len}, &ms) == LARK_OK);
    FUZZ_CHECK(ms == unix_s * 1000);
}

/* A date that is taken, written again, is the same. */
static void any_date(struct lark_slice text)
{
    int64_t ms = 0, again = 0;
    struct lark_civil civil;
    struct lark_buf out;
    uint8_t *copy = fuzz_copy(text);
    enum lark_status status = lark__parse_datetime(lark_zone_utc(), (struct lark_slice){copy, text.len}, &ms);
    free(copy);
    if (status != LARK_OK) {
        FUZZ_CHECK(status == LARK_E_BAD_PARAMETER);
        return;
    }
    int64_t seconds = ms / 1000 - (ms % 1000 < 0);
    lark__unix_to_civil(seconds, &civil);
    lark_buf_init(&out, lark_mem_default(), 4096, NULL, 0);
    FUZZ_CHECK(lark__append_civil(&out, &civil) == LARK_OK);
    if (civil.year >= 1 && civil.year <= 9999) {
        FUZZ_CHECK(lark__parse_datetime(lark_zone_utc(), (struct lark_slice){out.p, out.len}, &again) == LARK_OK);
        FUZZ_CHECK(again == seconds * 1000);
    }
    lark_buf_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lark_slice in = {data, size};
    switch (fuzz_byte(&in) & 7) {
    case 0: any_double(in); break;
    case 1: any_decimal(in); break;
    case 2: any_time(in); break;
    case 3: any_date(in); break;
    default: any_text(in); break;
    }
    return 0;
}
