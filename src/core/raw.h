/* raw.h - Lark-Values: raw, from the request line to the last byte of the answer. */
#ifndef LARK_RAW_H
#define LARK_RAW_H

#include <lark/reply.h>

#include "make.h"

/* May this method's answer be bytes? With a Range, or only their length? return: LARK_OK | LARK_E_BAD_HEADER */
LARK_MUST_USE enum lark_status lark__raw_route(struct lark_plan *plan, struct lark_err *err);
/* After argv: the commands of a Range or a HEAD in its place. return: LARK_OK | LARK_E_NOMEM */
LARK_MUST_USE enum lark_status lark__raw_commands(struct lark__make *make);
/* An event of the reply. return: as lark_reply_event */
LARK_MUST_USE enum lark_status lark__raw_event(struct lark_reply *reply, const struct lark_resp_event *event);

#endif
