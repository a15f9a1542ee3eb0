/* score.h - floating-point numbers of Redis as JSON. No floating-point arithmetic is done: digits are compared. */
#ifndef LARK_SCORE_H
#define LARK_SCORE_H

#include "num.h"

/* The shortest decimal that reads back as the same double, ".0" when integral; "inf", "-inf", "nan" as strings.
 * in: text: a decimal as Redis prints it. return: LARK_OK | LARK_E_PROTOCOL (no number) | as lark_buf_append */
LARK_MUST_USE enum lark_status lark__append_score(struct lark_buf *out, struct lark_slice text);

/* The same as text: a whole number as it came. return: as lark__append_score */
LARK_MUST_USE enum lark_status lark__append_score_text(struct lark_buf *out, struct lark_slice text);

/* The whole part, cut towards zero, all digits. return: as lark__append_score */
LARK_MUST_USE enum lark_status lark__append_whole(struct lark_buf *out, struct lark_slice text);

/* Redis' own digits, ".0" when integral. return: as lark__append_score */
LARK_MUST_USE enum lark_status lark__append_digits(struct lark_buf *out, struct lark_slice text);

/* Bits of the double nearest to digits * 10^exponent (infinity when over the range). For tests too. */
uint64_t lark__decimal_to_bits(uint64_t digits, int exponent);

/* The digits of a whole number of any length, as they came. */
LARK_MUST_USE enum lark_status lark__append_bignum(struct lark_buf *out, struct lark_slice text);

#endif
