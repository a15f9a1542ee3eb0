/* envelope.h - what an answer consists of, whatever its data are: before and behind them; errors. */
#ifndef LARK_ENVELOPE_H
#define LARK_ENVELOPE_H

#include <lark/reply.h>

#include "dialect.h"

/* What stands before the data, once. */
static inline LARK_MUST_USE enum lark_status lark__begin_data(struct lark_reply *reply)
{
    if (reply->begun) return LARK_OK;
    reply->begun = true;
    return lark_buf_append(reply->out, reply->plan->config->dialect->before_data);
}

/* What stands behind it. return: LARK_OK: the answer is complete */
static inline LARK_MUST_USE enum lark_status lark__end_data(struct lark_reply *reply)
{
    reply->done = true;
    return lark_buf_append(reply->out, reply->plan->config->dialect->after_data);
}

/* The whole answer is an error of Redis. return: LARK_OK: the answer is complete */
LARK_MUST_USE enum lark_status lark__redis_error(struct lark_reply *reply, struct lark_slice text);
/* The whole answer is an error of ours. return: LARK_OK: the answer is complete */
LARK_MUST_USE enum lark_status lark__reply_error(struct lark_reply *reply, const struct lark_err *err);

#endif
