/* datetime.c - ISO 8601; days by the Gregorian calendar's rules, counted from a year that begins in March. */
#include "datetime.h"

#include "buf.h"

#include <lark/text.h>

#define DAYS_PER_ERA 146097 /* 400 years */
#define DAYS_TO_1970 719468 /* from 0000-03-01 */

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

int64_t lark__civil_to_unix(const struct lark_civil *civil)
{
    int64_t year = civil->month > 2 ? civil->year : civil->year - 1;
    int64_t era = floor_div(year, 400);
    int64_t year_of_era = year - era * 400;
    int64_t month_from_march = (civil->month + 9) % 12;
    int64_t day_of_year = (153 * month_from_march + 2) / 5 + civil->day - 1;
    int64_t days = era * DAYS_PER_ERA + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return (days - DAYS_TO_1970) * 86400 + (int64_t)civil->hour * 3600 + (int64_t)civil->minute * 60 + civil->second;
}

void lark__unix_to_civil(int64_t unix_s, struct lark_civil *out)
{
    int64_t days = floor_div(unix_s, 86400);
    int second_of_day = (int)(unix_s - days * 86400);
    int64_t era_day = days + DAYS_TO_1970;
    int64_t era = floor_div(era_day, DAYS_PER_ERA);
    int64_t day_of_era = era_day - era * DAYS_PER_ERA;
    int64_t year = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year + year / 4 - year / 100);
    int64_t month = (5 * day_of_year + 2) / 153;
    out->day = (int)(day_of_year - (153 * month + 2) / 5 + 1);
    out->month = (int)(month < 10 ? month + 3 : month - 9);
    out->year = year + era * 400 + (out->month <= 2);
    out->hour = second_of_day / 3600;
    out->minute = second_of_day / 60 % 60;
    out->second = second_of_day % 60;
}

static enum lark_status utc_to_unix(void *ctx, const struct lark_civil *local, int64_t *out_s)
{
    (void)ctx;
    *out_s = lark__civil_to_unix(local);
    return LARK_OK;
}

static enum lark_status utc_to_local(void *ctx, int64_t unix_s, struct lark_civil *out_local)
{
    (void)ctx;
    lark__unix_to_civil(unix_s, out_local);
    return LARK_OK;
}

const struct lark_zone *lark_zone_utc(void)
{
    static const struct lark_zone zone = {NULL, utc_to_unix, utc_to_local};
    return &zone;
}

/* --- reading --------------------------------------------------------------------------------------------------- */

/* Takes exactly n digits off the text. */
static bool take_number(struct lark_slice *text, size_t n, int *out)
{
    uint64_t number;
    if (text->len < n || !lark__parse_u64(lark__slice(text->p, n), &number)) return false;
    *text = lark__from(*text, n);
    *out = (int)number;
    return true;
}

static bool take(struct lark_slice *text, char c)
{
    if (text->len == 0 || text->p[0] != (uint8_t)c) return false;
    *text = lark__from(*text, 1);
    return true;
}

static bool take_date(struct lark_slice *text, struct lark_civil *out)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int year;
    if (!take_number(text, 4, &year) || !take(text, '-')) return false;
    if (!take_number(text, 2, &out->month) || !take(text, '-') || !take_number(text, 2, &out->day)) return false;
    out->year = year;
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    if (out->month < 1 || out->month > 12 || out->day < 1) return false;
    return out->day <= days[out->month - 1] + (out->month == 2 && leap);
}

/* ".232554" as milliseconds, the rest cut */
static bool take_fraction(struct lark_slice *text, int *out_ms)
{
    int scale = 100;
    if (text->len == 0 || !lark__digit(text->p[0])) return false;
    while (text->len > 0 && lark__digit(text->p[0])) {
        *out_ms += scale * (text->p[0] - '0');
        scale /= 10;
        *text = lark__from(*text, 1);
    }
    return true;
}

/* HH:MM, HH:MM:SS, HH:MM:SS.fraction */
static bool take_time(struct lark_slice *text, struct lark_civil *out, int *out_ms)
{
    if (!take_number(text, 2, &out->hour) || !take(text, ':') || !take_number(text, 2, &out->minute)) return false;
    if (take(text, ':')) {
        if (!take_number(text, 2, &out->second)) return false;
        if ((take(text, '.') || take(text, ',')) && !take_fraction(text, out_ms)) return false;
    }
    return out->hour <= 23 && out->minute <= 59 && out->second <= 60;
}

/* Z, +HH:MM, +HHMM, +HH */
static bool take_offset(struct lark_slice *text, int *out_s)
{
    int hours, minutes = 0;
    if (take(text, 'Z') || take(text, 'z')) {
        *out_s = 0;
        return text->len == 0;
    }
    bool west = take(text, '-');
    if ((!west && !take(text, '+')) || !take_number(text, 2, &hours)) return false;
    bool colon = take(text, ':');
    if ((colon || text->len > 0) && !take_number(text, 2, &minutes)) return false;
    if (hours > 23 || minutes > 59) return false;
    *out_s = (west ? -1 : 1) * (hours * 3600 + minutes * 60);
    return text->len == 0;
}

enum lark_status lark__parse_datetime(const struct lark_zone *zone, struct lark_slice text, int64_t *out_ms)
{
    struct lark_civil civil = {.year = 0};
    int ms = 0;
    int offset_s;
    int64_t unix_s;
    if (!take_date(&text, &civil)) return LARK_E_BAD_PARAMETER;
    if (text.len > 0) {
        if (!take(&text, 'T') && !take(&text, 't') && !take(&text, ' ')) return LARK_E_BAD_PARAMETER;
        if (!take_time(&text, &civil, &ms)) return LARK_E_BAD_PARAMETER;
    }
    if (text.len > 0) {
        if (!take_offset(&text, &offset_s)) return LARK_E_BAD_PARAMETER;
        unix_s = lark__civil_to_unix(&civil) - offset_s;
    } else {
        enum lark_status status = zone->to_unix(zone->ctx, &civil, &unix_s);
        if (status != LARK_OK) return status;
    }
    *out_ms = unix_s * 1000 + ms;
    return LARK_OK;
}

static enum lark_status append_padded(struct lark_buf *out, int64_t n, size_t width)
{
    uint8_t digits[21];
    size_t len = lark__format_i64(n, digits);
    enum lark_status status = LARK_OK;
    for (size_t i = len; i < width && status == LARK_OK; i++) status = LARK_APPEND(out, "0");
    return status == LARK_OK ? lark__append(out, digits, len) : status;
}

enum lark_status lark__append_civil(struct lark_buf *out, const struct lark_civil *civil)
{
    const int64_t parts[] = {civil->year, civil->month, civil->day, civil->hour, civil->minute, civil->second};
    static const char before[] = "\0--T::";
    enum lark_status status = LARK_OK;
    for (size_t i = 0; i < 6 && status == LARK_OK; i++) {
        if (i > 0) status = lark__append(out, before + i, 1);
        if (status == LARK_OK) status = append_padded(out, parts[i], i == 0 ? 4 : 2);
    }
    return status;
}

static enum lark_status no_zone(void *ctx, const struct lark_civil *local, int64_t *out_s)
{
    (void)ctx;
    (void)local;
    (void)out_s;
    return LARK_E_BAD_PARAMETER;
}

enum lark_status lark_time_parse(const struct lark_zone *zone, struct lark_slice text, int64_t *out_ms)
{
    static const struct lark_zone none = {NULL, no_zone, utc_to_local};
    return lark__parse_datetime(zone == NULL ? &none : zone, text, out_ms);
}

enum lark_status lark_time_write(struct lark_buf *out, int64_t unix_s)
{
    struct lark_civil civil;
    size_t start = out->len;
    lark__unix_to_civil(unix_s, &civil);
    enum lark_status status = lark__append_civil(out, &civil);
    if (status == LARK_OK) status = LARK_APPEND(out, "Z");
    if (status != LARK_OK) out->len = start;
    return status;
}
