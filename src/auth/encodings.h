/* encodings.h - base64url as JOSE has it, and base32 as names have it. */
#ifndef LARK_AUTH_ENCODINGS_H
#define LARK_AUTH_ENCODINGS_H

#include <lark/types.h>

/* Room for n characters of base64url. */
#define LARK__BASE64URL_BYTES(n) ((n) / 4 * 3 + 2)

/* lark__base64url_decode - without padding, and nothing else in the text; no text is no bytes.
 * out:    out: room for LARK__BASE64URL_BYTES(text.len); out_len: set on LARK_OK
 * return: LARK_OK | LARK_E_BAD_PARAMETER
 * source: RFC 7515 section 2, RFC 4648 sections 5 and 3.5: bits that encode nothing must be zero */
LARK_MUST_USE enum lark_status lark__base64url_decode(struct lark_slice text, uint8_t *out, size_t *out_len);

/* lark__base32_write - lower case, without padding. out: room for (8 * bytes.len + 4) / 5 characters. return: how many
 * source: RFC 4648 section 6 */
size_t lark__base32_write(struct lark_slice bytes, char *out);

#endif
