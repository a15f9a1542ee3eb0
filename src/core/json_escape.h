/* json_escape.h - escapes of JSON strings (RFC 8259 section 7). */
#ifndef LARK_JSON_ESCAPE_H
#define LARK_JSON_ESCAPE_H

#include "num.h"

/* The most bytes of one: a pair of surrogates. */
#define LARK__ESCAPE_MAX 12

struct lark__escape {
    uint8_t bytes[4]; /* what is meant, in UTF-8 */
    size_t len;
    size_t taken;    /* bytes of the text */
    const char *bad; /* LARK_E_BAD_JSON: what is wrong with the first byte that is */
};

/* lark__escape_read - the escape that text begins with, both of a pair of surrogates.
 * return: LARK_OK | LARK_MORE (it is cut: no byte that is there is wrong) | LARK_E_BAD_JSON */
enum lark_status lark__escape_read(struct lark_slice text, struct lark__escape *out);

#endif
