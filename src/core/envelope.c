/* envelope.c - answers that are an error. */
#include "envelope.h"

#include "catalogue.h"
#include "errors.h"

enum lark_status lark__reply_error(struct lark_reply *reply, const struct lark_err *err)
{
    reply->error = lark_error_row(err->status);
    reply->http_status = reply->error->http_status;
    reply->done = true;
    return lark_error_render(reply->plan->config, err, reply->out);
}

/* Keys in it lose their prefix: every prefix + ":" goes. Uses reply->text: no piece is being gathered now. */
static enum lark_status without_prefix(struct lark_reply *reply, struct lark_slice *text)
{
    struct lark_slice prefix = reply->plan->prefix;
    if (prefix.len == 0) return LARK_OK;
    struct lark_buf *clean = &reply->text;
    clean->len = 0;
    enum lark_status status = lark_buf_reserve(clean, text->len);
    if (status != LARK_OK) return status;
    for (size_t i = 0; i < text->len;) {
        struct lark_slice rest = lark__from(*text, i);
        if (rest.len > prefix.len && rest.p[prefix.len] == ':' && lark__starts(rest, prefix)) {
            i += prefix.len + 1;
        } else {
            clean->p[clean->len++] = text->p[i++];
        }
    }
    *text = lark__slice(clean->p, clean->len);
    return LARK_OK;
}

enum lark_status lark__redis_error(struct lark_reply *reply, struct lark_slice text)
{
    enum lark_status status = without_prefix(reply, &text);
    if (status != LARK_OK) return status;
    struct lark_err err = {.status = lark__redis_status(text), .got = text, .method = reply->plan->method};
    if (reply->plan->loop == LARK__STEPS_FLUSHDB) {
        err.text = "keys deleted so far";
        err.offset = reply->found;
    }
    return lark__reply_error(reply, &err);
}
