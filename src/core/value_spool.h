/* value_spool.h - a large value, in pieces, goes to the host's spool; at its end it is known what it is. */
#ifndef LARK_VALUE_SPOOL_H
#define LARK_VALUE_SPOOL_H

#include <lark/reply.h>

/* wants: does this leaf go there? begin: leaf is its first piece; from then on lark__write_value and
 * lark__write_plain call spool->begin where the value stands. piece: LARK_MORE until the last one, then what the reply
 * comes to. done: gives the memory back, at any time */
LARK_MUST_USE bool lark__spool_wants(const struct lark_reply *reply, const struct lark_resp_event *leaf);
LARK_MUST_USE enum lark_status lark__spool_begin(struct lark_reply *reply, const struct lark_resp_event *leaf);
LARK_MUST_USE enum lark_status lark__spool_piece(struct lark_reply *reply, const struct lark_resp_event *leaf);
void lark__spool_done(struct lark_reply *reply);

#endif
