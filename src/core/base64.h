/* base64.h - RFC 4648 section 4, with padding. */
#ifndef LARK_BASE64_H
#define LARK_BASE64_H

#include "num.h"

enum lark_status lark__base64_append(struct lark_buf *out, struct lark_slice bytes);

/* A decoder for text that comes in pieces. White space is skipped (MIME, RFC 2045), or with strict an error like anything
 * else outside the alphabet, missing padding, text after it and bits that encode nothing. */
struct lark__base64 {
    uint32_t bits;
    uint8_t n_chars; /* of the group of four */
    uint8_t n_pads;
    bool strict;
};

/* out: room for text.len / 4 * 3 + 3 bytes, or NULL to count only. return: LARK_OK | LARK_E_BAD_PARAMETER */
LARK_MUST_USE enum lark_status lark__base64_feed(struct lark__base64 *state, struct lark_slice text, uint8_t *out,
                                                 size_t *out_len);
/* Did it end where a group of four ended? */
bool lark__base64_complete(const struct lark__base64 *state);

#endif
