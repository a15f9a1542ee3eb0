/* zone_libc.c - the C library's local time zone: in liblark, outside the core archive. */
#include <time.h>

#include <lark/plan.h>

#include "datetime.h"

static enum lark_status libc_to_local(void *ctx, int64_t unix_s, struct lark_civil *out_local)
{
    time_t t = (time_t)unix_s;
    struct tm tm;
    (void)ctx;
    if (localtime_r(&t, &tm) == NULL) return LARK_E_BAD_PARAMETER;
    *out_local = (struct lark_civil){
        .year = (int64_t)tm.tm_year + 1900,
        .month = tm.tm_mon + 1,
        .day = tm.tm_mday,
        .hour = tm.tm_hour,
        .minute = tm.tm_min,
        .second = tm.tm_sec,
    };
    return LARK_OK;
}

/* What the clock on the wall shows at an instant, as if it were UTC. */
static enum lark_status wall_at(int64_t unix_s, int64_t *out_wall)
{
    struct lark_civil civil;
    enum lark_status status = libc_to_local(NULL, unix_s, &civil);
    if (status == LARK_OK) *out_wall = lark__civil_to_unix(&civil);
    return status;
}

/* Tries the offsets from UTC of a day before and a day after (mktime knows only gaps and overlaps of summer time, and has
 * -1 for an error). In an overlap both show the wall clock: the earlier instant. In a gap none does: the later. */
static enum lark_status libc_to_unix(void *ctx, const struct lark_civil *local, int64_t *out_s)
{
    int64_t wall = lark__civil_to_unix(local);
    int64_t instants[2], walls[2] = {0, 0};
    (void)ctx;
    for (int i = 0; i < 2; i++) {
        int64_t near = wall + (i == 0 ? -86400 : 86400);
        enum lark_status status = wall_at(near, &walls[i]);
        instants[i] = wall - (walls[i] - near);
        if (status == LARK_OK) status = wall_at(instants[i], &walls[i]);
        if (status != LARK_OK) return status;
    }
    bool first_ok = walls[0] == wall;
    bool second_ok = walls[1] == wall;
    bool first_is_later = instants[0] > instants[1];
    bool take_first = first_ok == second_ok ? first_is_later != first_ok : first_ok;
    *out_s = instants[take_first ? 0 : 1];
    return LARK_OK;
}

const struct lark_zone *lark_zone_libc(void)
{
    static const struct lark_zone zone = {NULL, libc_to_unix, libc_to_local};
    return &zone;
}
