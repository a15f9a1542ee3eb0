/* shape.h - what the parts of the reply shaper share.
 *
 *   reply.c       events -> leaves
 *   shape.c       leaves -> JSON, by the row's kind of reply
 *   shape_text.c  INFO, CLIENT LIST, DEBUG OBJECT: texts that become objects
 *   value_out.c   stored values: object, text or bytes
 */
#ifndef LARK_SHAPE_H
#define LARK_SHAPE_H

#include <lark/reply.h>

#include "catalogue.h"
#include "value_class.h"

/* A stored value as the caller wants values (Lark-Values). */
LARK_MUST_USE enum lark_status lark__write_value(struct lark_reply *reply, struct lark_slice bytes);
/* Text that is never an object, such as a slice of a value. */
LARK_MUST_USE enum lark_status lark__write_plain(struct lark_reply *reply, struct lark_slice bytes);

/* Can the method's reply be of this type? */
LARK_MUST_USE bool lark__shape_accepts(const struct lark_reply *reply, enum lark_resp_type type);

/* The shaper's three inputs, at any depth. return: LARK_OK, or an error */
LARK_MUST_USE enum lark_status lark__shape_open(struct lark_reply *reply, const struct lark_resp_event *event);
LARK_MUST_USE enum lark_status lark__shape_leaf(struct lark_reply *reply, const struct lark_resp_event *leaf);
LARK_MUST_USE enum lark_status lark__shape_close(struct lark_reply *reply, const struct lark_resp_event *event);

/* What the next leaf is, when it is a bulk string. */
enum lark__value_kind lark__shape_value_kind(const struct lark_reply *reply, const struct lark_resp_event *leaf);

LARK_MUST_USE enum lark_status lark__shape_info(struct lark_buf *out, struct lark_slice text);
LARK_MUST_USE enum lark_status lark__shape_client_list(struct lark_buf *out, struct lark_slice text);
LARK_MUST_USE enum lark_status lark__shape_debug_object(struct lark_buf *out, struct lark_slice text);

/* Takes a line (without LF, CR LF) or a word off a text. return: false at the end */
bool lark__next_line(struct lark_slice *text, struct lark_slice *line);
bool lark__next_word(struct lark_slice *text, struct lark_slice *word);

#endif
