/* json_escape.h - escapes of JSON strings (RFC 8259 section 7). */
#ifndef LARK_JSON_ESCAPE_H
#define LARK_JSON_ESCAPE_H

#include "num.h"

/* What the letter behind a backslash means, or 0: none that is known, or u. */
uint8_t lark__escape_letter(uint8_t letter);

/* One hexadecimal digit. return: its value, or -1 */
int lark__hex_digit(uint8_t c);

/* An escape that stands whole at text's beginning, of a pair of surrogates both. out: its 1..4 bytes of UTF-8.
 * return: bytes of text, or 0: it is cut, or not well formed */
size_t lark__escape_whole(struct lark_slice text, uint8_t out[4], size_t *out_len);

#endif
