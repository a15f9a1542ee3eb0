/* uri.h - percent-decoding and query strings (RFC 3986 section 2.1; "+" in a query is a blank, in a path a plus). */
#ifndef LARK_URI_H
#define LARK_URI_H

#include "num.h"

/* Is each % followed by two hexadecimal digits? */
bool lark__percent_valid(struct lark_slice raw);

/* Decodes into out, which has room for raw.len bytes. raw is valid. return: bytes written */
size_t lark__percent_decode(struct lark_slice raw, bool plus_is_blank, uint8_t *out);

/* Does decoding change it? */
bool lark__percent_needed(struct lark_slice raw, bool plus_is_blank);

/* Takes the next name=value off a query; empty parts are passed over. return: false at the end */
bool lark__query_next(struct lark_slice *query, struct lark_slice *name, struct lark_slice *value);

/* Is this raw query name, decoded, the given text? */
bool lark__query_name_is(struct lark_slice raw, struct lark_slice name);

#endif
