/* text.h - small readers and writers that hosts need too: moments, base64. */
#ifndef LARK_TEXT_H
#define LARK_TEXT_H

#include <lark/plan.h>
#include <lark/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* lark_time_parse - an ISO 8601 date and time: "2013-12-18", "2013-12-18T23:11:39.232554", with Z or +02:00.
 * in:     zone: for text without one; NULL: such text is refused
 * out:    out_ms: milliseconds since 1970 in UTC, fractions of one cut
 * return: LARK_OK | LARK_E_BAD_PARAMETER
 * source: ISO 8601 */
LARK_API LARK_MUST_USE enum lark_status lark_time_parse(const struct lark_zone *zone, struct lark_slice text,
                                                        int64_t *out_ms);

/* lark_time_write - "2013-12-18T23:11:39Z". in: unix_s: seconds since 1970. return: as lark_buf_append */
LARK_API LARK_MUST_USE enum lark_status lark_time_write(struct lark_buf *out, int64_t unix_s);

/* lark_base64_decode - base64 with its padding, and nothing else in the text.
 * out:    out: room for text.len / 4 * 3 + 3 bytes; out_len: set on LARK_OK
 * return: LARK_OK | LARK_E_BAD_PARAMETER
 * source: RFC 4648 section 4; bits that encode nothing must be zero */
LARK_API LARK_MUST_USE enum lark_status lark_base64_decode(struct lark_slice text, uint8_t *out, size_t *out_len);

#ifdef __cplusplus
}
#endif
#endif
