/* steps.h - calls that take several commands: KEYS, DBSIZE, RANDOMKEY and FLUSHDB of a caller with a prefix are walks with
 * SCAN over what they may see; CLIENT KILL looks first whether the connection is one of ours.
 *
 * A walk has a budget (limits.scan_keys): over it the answer is an error, never a part. */
#ifndef LARK_STEPS_H
#define LARK_STEPS_H

#include <lark/reply.h>

#include "make.h"

/* Replaces the plan's command by the first step's. return: as lark_plan_make */
LARK_MUST_USE enum lark_status lark__steps_first(struct lark__make *make);

/* Is the reply to a step being read, not the one that makes the answer? */
bool lark__steps_running(const struct lark_reply *reply);
static inline bool lark__steps_active(const struct lark_reply *reply)
{
    return reply->plan->loop != LARK__STEPS_NONE && lark__steps_running(reply);
}

/* An aggregate begins in a step's reply: only SCAN's [cursor, [name, ...]] does. return: LARK_MORE | LARK_E_PROTOCOL */
LARK_MUST_USE enum lark_status lark__steps_open(struct lark_reply *reply, const struct lark_resp_event *event);

/* A leaf, or the end of the outer aggregate, of a step's reply. return: as lark_reply_event */
LARK_MUST_USE enum lark_status lark__steps_leaf(struct lark_reply *reply, const struct lark_resp_event *leaf);
LARK_MUST_USE enum lark_status lark__steps_end(struct lark_reply *reply);

LARK_MUST_USE enum lark_status lark__steps_next(struct lark_reply *reply, struct lark_buf *out);

#endif
