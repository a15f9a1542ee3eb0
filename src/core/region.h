/* region.h - a part of the request body as an argument: measured in pass 1, written in pass 2, by the same steps.
 * Feeding JSON events to a struct lark__region gives the argument's bytes (or only their number, when out is NULL). */
#ifndef LARK_REGION_H
#define LARK_REGION_H

#include <lark/json.h>
#include <lark/plan.h>

#include "base64.h"

struct lark__region {
    enum lark_arg_form form;
    struct lark_buf *out; /* NULL: count only */
    uint64_t count;
    uint32_t fresh; /* bit per depth: nothing is written in this container yet */
    struct lark__base64 base64;
    unsigned depth; /* of the value itself in the event stream */
};

/* One event of the value. return: LARK_OK | LARK_E_BAD_PARAMETER (bad base64) | as lark_buf_append */
LARK_MUST_USE enum lark_status lark__region_event(struct lark__region *region, const struct lark_json_event *event);

/* Bytes from..from+max of the body; at least one. return: LARK_OK or what body->read said */
LARK_MUST_USE enum lark_status lark__body_piece(const struct lark_body *body, uint64_t from, uint64_t max,
                                                struct lark_slice *out_piece);

/* All bytes of a region argument, appended. return: as lark_encoder_next */
LARK_MUST_USE enum lark_status lark__region_append(const struct lark_body *body, const struct lark_mem *mem,
                                                   const struct lark_arg *arg, struct lark_buf *out);

#endif
