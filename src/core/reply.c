/* reply.c - events of a reply become the response body; pieces are put together. */
#include <lark/reply.h>

#include "envelope.h"
#include "fail.h"
#include "raw.h"
#include "shape.h"
#include "steps.h"
#include "value_spool.h"

void lark_reply_init(struct lark_reply *reply, const struct lark_plan *plan, const struct lark_mem *mem,
                     struct lark_buf *out)
{
    memset(reply, 0, offsetof(struct lark_reply, resp));
    memset(&reply->text, 0, sizeof *reply - offsetof(struct lark_reply, text));
    reply->http_status = 200;
    reply->content_len = LARK_LENGTH_UNKNOWN;
    reply->plan = plan;
    reply->mem = mem;
    reply->out = out;
    reply->resp_ready = false;
    uint64_t max = plan->config->limits.reply_bytes;
    lark_buf_init(&reply->text, mem, max < SIZE_MAX ? (size_t)max : SIZE_MAX, NULL, 0);
    lark_buf_init(&reply->names, mem, max < SIZE_MAX ? (size_t)max : SIZE_MAX, NULL, 0);
}

void lark_reply_done(struct lark_reply *reply)
{
    if (reply->resp_ready) lark_resp_done(&reply->resp);
    reply->resp_ready = false;
    lark__spool_done(reply);
    lark_buf_done(&reply->text);
    lark_buf_done(&reply->names);
    if (reply->seen) reply->mem->free(reply->mem->ctx, reply->seen, 2 * reply->seen_cap * sizeof *reply->seen);
    reply->seen = NULL;
}

/* --- events ---------------------------------------------------------------------------------------------------- */

/* A bulk string comes in pieces: gather them. return: LARK_OK when leaf is whole */
static enum lark_status gather(struct lark_reply *reply, struct lark_resp_event *leaf)
{
    if (leaf->first) {
        if (reply->spool != NULL && leaf->n > LARK_SPOOL_HELD_BYTES) return LARK_E_REPLY_TOO_LARGE;
        reply->text.len = 0;
        /* the length is known: one allocation, within the limit that was checked */
        enum lark_status reserved = lark_buf_reserve(&reply->text, leaf->n > 1048576 ? 1048576 : (size_t)leaf->n);
        if (reserved != LARK_OK) return reserved;
    }
    enum lark_status status = lark_buf_append(&reply->text, leaf->text);
    if (status != LARK_OK) return status == LARK_E_TOO_LARGE ? LARK_E_REPLY_TOO_LARGE : status;
    if (!leaf->last) return LARK_MORE;
    leaf->text = lark__slice(reply->text.p, reply->text.len);
    leaf->first = true;
    return LARK_OK;
}

static enum lark_status leaf_event(struct lark_reply *reply, const struct lark_resp_event *leaf)
{
    if (lark__steps_active(reply)) return lark__steps_leaf(reply, leaf);
    enum lark_status status = reply->begun ? LARK_OK : lark__begin_data(reply);
    if (status == LARK_OK) status = lark__shape_leaf(reply, leaf);
    if (status != LARK_OK) return status;
    return leaf->depth == 0 ? lark__end_data(reply) : LARK_MORE;
}

/* The first piece of a value that goes to the spool: all that stands around it is written now. */
static enum lark_status begin_spooling(struct lark_reply *reply, const struct lark_resp_event *event)
{
    struct lark_resp_event leaf = *event;
    leaf.text = LARK_NOTHING;
    enum lark_status status = lark__spool_begin(reply, event);
    if (status == LARK_OK) status = leaf_event(reply, &leaf);
    if (status < 0) return status;
    reply->after_value = status;
    return LARK_OK;
}

static enum lark_status piece_event(struct lark_reply *reply, const struct lark_resp_event *event)
{
    if (event->first && !lark__steps_active(reply) && lark__spool_wants(reply, event)) {
        enum lark_status begun = begin_spooling(reply, event);
        if (begun != LARK_OK) return begun;
    }
    if (reply->spooling) return lark__spool_piece(reply, event);
    struct lark_resp_event leaf = *event;
    enum lark_status status = gather(reply, &leaf);
    return status == LARK_OK ? leaf_event(reply, &leaf) : status;
}

static enum lark_status open_event(struct lark_reply *reply, const struct lark_resp_event *event)
{
    if (lark__steps_active(reply)) return lark__steps_open(reply, event);
    enum lark_status status = lark__begin_data(reply);
    if (status == LARK_OK) status = lark__shape_open(reply, event);
    return status == LARK_OK ? LARK_MORE : status;
}

static enum lark_status close_event(struct lark_reply *reply, const struct lark_resp_event *event)
{
    if (lark__steps_active(reply)) return event->depth == 0 ? lark__steps_end(reply) : LARK_MORE;
    enum lark_status status = lark__shape_close(reply, event);
    if (status != LARK_OK) return status;
    return event->depth == 0 ? lark__end_data(reply) : LARK_MORE;
}

static enum lark_status take_event(struct lark_reply *reply, const struct lark_resp_event *event)
{
    if (LARK_UNLIKELY(reply->plan->values == LARK_VALUES_RAW)) return lark__raw_event(reply, event);
    if (reply->done && !reply->spooling) return LARK_E_PROTOCOL;
    reply->total += event->text.len;
    if (reply->total > reply->plan->config->limits.reply_bytes) return LARK_E_REPLY_TOO_LARGE;
    switch (event->type) {
    case LARK_RESP_ERROR: return event->depth == 0 ? lark__redis_error(reply, event->text) : LARK_E_PROTOCOL;
    case LARK_RESP_ARRAY:
    case LARK_RESP_MAP:
    case LARK_RESP_SET:
    case LARK_RESP_PUSH: return open_event(reply, event);
    case LARK_RESP_END: return close_event(reply, event);
    case LARK_RESP_NULL:
    case LARK_RESP_BOOL:
    case LARK_RESP_INT:
    case LARK_RESP_DOUBLE:
    case LARK_RESP_BIGNUM:
    case LARK_RESP_SIMPLE:
    case LARK_RESP_BULK: break;
    }
    return event->first && event->last ? leaf_event(reply, event) : piece_event(reply, event);
}

enum lark_status lark_reply_event(struct lark_reply *reply, const struct lark_resp_event *event)
{
    enum lark_status status = take_event(reply, event);
    if (LARK_LIKELY(status >= 0)) return status;
    /* words of the pieces below: it is the reply that is too large, or has no text where text must be */
    if (status == LARK_E_TOO_LARGE) return LARK_E_REPLY_TOO_LARGE;
    return status == LARK_E_BAD_TEXT ? LARK_E_PROTOCOL : status;
}

static enum lark_status on_event(void *ctx, const struct lark_resp_event *event)
{
    struct lark_reply *reply = ctx;
    enum lark_status status = lark_reply_event(reply, event);
    reply->outcome = status;
    return status < 0 ? status : LARK_OK;
}

enum lark_status lark_reply_feed(struct lark_reply *reply, struct lark_slice data, size_t *out_used)
{
    const struct lark_limits *limits = &reply->plan->config->limits;
    if (!reply->resp_ready) {
        lark_resp_init(&reply->resp, reply->mem, limits->reply_bytes, limits->reply_elements, on_event, reply);
        reply->resp_ready = true;
    }
    size_t at = 0, used = 0;
    enum lark_status status;
    do { /* a plan of several commands has several replies */
        status = lark_resp_feed(&reply->resp, lark__from(data, at), &used);
        if (status < 0) return status;
        at += used;
    } while (status == LARK_OK && reply->outcome == LARK_MORE && at < data.len);
    *out_used = at;
    return status == LARK_OK ? reply->outcome : status;
}

enum lark_status lark_reply_next(struct lark_reply *reply, struct lark_buf *out_resp)
{
    return lark__steps_next(reply, out_resp);
}

/* What failed is the reply of a command that was done: a write must not look as if it could be sent again. */
static bool write_is_done(const struct lark_reply *reply, enum lark_status status)
{
    if (reply->plan->access == LARK_ACCESS_READ || reply->plan->loop != LARK__STEPS_NONE) return false;
    if (status == LARK_E_REPLY_TOO_LARGE || status == LARK_E_SPOOL_FULL) return true;
    return reply->total > 0 && (status == LARK_E_NOMEM || status == LARK_E_INTERNAL);
}

void lark_reply_fail(const struct lark_reply *reply, enum lark_status status, struct lark_err *out_err)
{
    *out_err = (struct lark_err){.status = status, .method = reply->plan->method};
    if (write_is_done(reply, status)) out_err->status = LARK_E_REPLY_UNKNOWN;
    if (status == LARK_E_REPLY_TOO_LARGE) out_err->offset = reply->plan->config->limits.reply_bytes;
    if (status == LARK_E_TOO_EXPENSIVE) out_err->offset = reply->plan->config->limits.scan_keys;
    if (reply->plan->loop == LARK__STEPS_FLUSHDB) {
        out_err->text = "keys deleted so far";
        out_err->offset = reply->found;
    }
}
