/* raw_reply.c - Lark-Values: raw: the reply's bytes become the answer. */
#include "envelope.h"
#include "raw.h"
#include "shape.h"

static enum lark_status refuse(struct lark_reply *reply, enum lark_status status)
{
    const struct lark_err err = {.status = status, .method = reply->plan->method};
    return lark__reply_error(reply, &err);
}

/* From here on the answer is bytes. */
static enum lark_status begin(struct lark_reply *reply, uint64_t len)
{
    if (len > reply->plan->config->limits.reply_bytes && !reply->plan->raw.length) return LARK_E_REPLY_TOO_LARGE;
    reply->content = LARK_CONTENT_BYTES;
    reply->content_len = len;
    reply->accepts_ranges = reply->plan->row->ranged.length.len > 0 && reply->plan->config->several;
    return LARK_OK;
}

/* return: LARK_OK when the value is complete */
static enum lark_status piece(struct lark_reply *reply, const struct lark_resp_event *event)
{
    enum lark_status status = lark_buf_append(reply->out, event->text);
    return status == LARK_OK && !event->last ? LARK_MORE : status;
}

static enum lark_status whole(struct lark_reply *reply, const struct lark_resp_event *event)
{
    if (reply->done || event->depth > 0) return LARK_E_PROTOCOL;
    if (event->type == LARK_RESP_ERROR) return lark__redis_error(reply, event->text);
    if (!lark__shape_accepts(reply, event->type)) return LARK_E_PROTOCOL;
    if (event->type == LARK_RESP_NULL) return refuse(reply, LARK_E_NO_VALUE);
    enum lark_status status = LARK_OK;
    if (event->first) status = begin(reply, event->type == LARK_RESP_BULK ? (uint64_t)event->n : event->text.len);
    if (status == LARK_OK) status = piece(reply, event);
    if (status == LARK_OK) reply->done = true;
    return status;
}

/* The length is known: which bytes does the Range mean? */
static enum lark_status settle(struct lark_reply *reply, uint64_t total)
{
    const struct lark_plan *plan = reply->plan;
    reply->range_total = total;
    if (plan->raw.length) return begin(reply, total);
    uint64_t first = plan->raw.first;
    uint64_t last = plan->raw.suffix ? INT64_MAX : plan->raw.last;
    if (plan->raw.suffix)
        first = plan->raw.last == 0 ? total : total - (plan->raw.last < total ? plan->raw.last : total);
    if (first >= total) return refuse(reply, LARK_E_RANGE);
    reply->range_first = first;
    reply->range_last = last < total ? last : total - 1;
    reply->http_status = 206;
    return begin(reply, reply->range_last - first + 1);
}

/* Element `leaf` of what EXEC replies: EXISTS, STRLEN, a part. */
static enum lark_status element(struct lark_reply *reply, const struct lark_resp_event *event)
{
    enum lark_status status = LARK_OK;
    if (reply->leaf < 2) {
        if (event->type != LARK_RESP_INT || event->n < 0) return LARK_E_PROTOCOL;
        if (reply->leaf == 1) {
            status = settle(reply, (uint64_t)event->n);
        } else if (event->n == 0) {
            status = refuse(reply, LARK_E_NO_VALUE);
        }
        reply->leaf++;
        return status;
    }
    if (event->type != LARK_RESP_BULK || (event->first && (uint64_t)event->n != reply->content_len))
        return LARK_E_PROTOCOL;
    status = piece(reply, event);
    if (event->last) reply->leaf++;
    return status;
}

static enum lark_status in_transaction(struct lark_reply *reply, const struct lark_resp_event *event)
{
    const size_t n_elements = reply->plan->n_commands - 2;
    if (event->type == LARK_RESP_ERROR) return lark__redis_error(reply, event->text);
    if (reply->commands_left > 1) return event->type == LARK_RESP_SIMPLE ? LARK_OK : LARK_E_PROTOCOL;
    if (event->depth == 1) return element(reply, event);
    if (event->type == LARK_RESP_ARRAY) return (uint64_t)event->n == n_elements ? LARK_OK : LARK_E_PROTOCOL;
    if (event->type != LARK_RESP_END || reply->leaf != n_elements) return LARK_E_PROTOCOL;
    reply->done = true;
    return LARK_OK;
}

/* An error may come early (NOPERM); the replies of the other commands come all the same. */
static enum lark_status several(struct lark_reply *reply, const struct lark_resp_event *event)
{
    if (!reply->begun) reply->commands_left = reply->plan->n_commands;
    reply->begun = true;
    if (reply->commands_left == 0) return LARK_E_PROTOCOL;
    enum lark_status status = reply->done ? LARK_OK : in_transaction(reply, event);
    if (status < 0) return status;
    bool opens = event->type == LARK_RESP_ARRAY || event->type == LARK_RESP_MAP || event->type == LARK_RESP_SET ||
                 event->type == LARK_RESP_PUSH;
    bool ends = event->depth == 0 && !opens && (event->type != LARK_RESP_BULK || event->last);
    if (ends) reply->commands_left--;
    if (reply->commands_left > 0) return LARK_MORE;
    return reply->done ? LARK_OK : LARK_E_PROTOCOL;
}

enum lark_status lark__raw_event(struct lark_reply *reply, const struct lark_resp_event *event)
{
    return reply->plan->n_commands > 1 ? several(reply, event) : whole(reply, event);
}
