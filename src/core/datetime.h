/* datetime.h - ISO 8601 dates without a clock: the zone is the host's. */
#ifndef LARK_DATETIME_H
#define LARK_DATETIME_H

#include <lark/plan.h>

#include "num.h"

/* "2013-12-18", "2013-12-18T23:11:39.232554", with Z or +02:00; a blank may stand for the T.
 * out: milliseconds since 1970 in UTC, fractions of one cut. return: LARK_OK | LARK_E_BAD_PARAMETER */
LARK_MUST_USE enum lark_status lark__parse_datetime(const struct lark_zone *zone, struct lark_slice text,
                                                    int64_t *out_ms);

/* "2013-12-18T23:11:39" */
LARK_MUST_USE enum lark_status lark__append_civil(struct lark_buf *out, const struct lark_civil *civil);

/* Seconds since 1970 of a date and time taken as UTC, and back. */
int64_t lark__civil_to_unix(const struct lark_civil *civil);
void lark__unix_to_civil(int64_t unix_s, struct lark_civil *out);

#endif
