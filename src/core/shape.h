/* shape.h - what the parts of the reply shaper share.
 *
 *   reply.c       events -> leaves; errors; the envelope
 *   shape.c       leaves -> JSON, by the row's kind of reply
 *   shape_text.c  INFO, CLIENT LIST, DEBUG OBJECT: texts that become objects
 *   value_out.c   stored values: object, text or bytes; large ones go to the host's spool
 *   steps.c       calls of several commands
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

/* A value in pieces that goes to the host's spool. begin: leaf is its first piece; from then on lark__write_value and
 * lark__write_plain call spool->begin where the value stands. piece: LARK_MORE until the last one, then what the reply
 * comes to. done: gives the memory back, at any time */
LARK_MUST_USE bool lark__spool_wants(const struct lark_reply *reply, const struct lark_resp_event *leaf);
LARK_MUST_USE enum lark_status lark__spool_begin(struct lark_reply *reply, const struct lark_resp_event *leaf);
LARK_MUST_USE enum lark_status lark__spool_piece(struct lark_reply *reply, const struct lark_resp_event *leaf);
void lark__spool_done(struct lark_reply *reply);

/* A key's name without the caller's prefix; false when it is not below it. */
LARK_MUST_USE bool lark__strip_prefix(const struct lark_plan *plan, struct lark_slice *name);

/* What stands before the data, once. */
LARK_MUST_USE enum lark_status lark__begin_data(struct lark_reply *reply);
/* What stands behind it. return: LARK_OK: the answer is complete */
LARK_MUST_USE enum lark_status lark__end_data(struct lark_reply *reply);
/* The whole answer is an error of Redis. return: LARK_OK: the answer is complete */
LARK_MUST_USE enum lark_status lark__redis_error(struct lark_reply *reply, struct lark_slice text);
/* The whole answer is an error of ours. return: LARK_OK: the answer is complete */
LARK_MUST_USE enum lark_status lark__reply_error(struct lark_reply *reply, const struct lark_err *err);

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
