/* value_out.c - a stored value on its way out: an object, text, or bytes. */
#include "json_write.h"
#include "shape.h"

/* return: LARK_OK, LARK_MORE: no */
static enum lark_status is_object(struct lark_reply *reply, struct lark_slice text)
{
    struct lark__object_test test;
    lark__object_test_init(&test, reply->mem);
    enum lark_status status = lark__object_test_feed(&test, text);
    if (status == LARK_OK && !lark__object_test_end(&test)) status = LARK_MORE;
    lark__object_test_done(&test);
    return status;
}

enum lark_status lark__write_plain(struct lark_reply *reply, struct lark_slice bytes)
{
    if (LARK_UNLIKELY(reply->spooling)) return reply->spool->begin(reply->spool->ctx);
    if (reply->plan->values == LARK_VALUES_BASE64) return lark__json_write_base64(reply->out, bytes);
    return lark_json_write_bytes(reply->out, bytes);
}

enum lark_status lark__write_value(struct lark_reply *reply, struct lark_slice bytes)
{
    if (reply->plan->values == LARK_VALUES_JSON && bytes.len > 0 && bytes.p[0] == '{') {
        enum lark_status status = is_object(reply, bytes);
        if (status == LARK_OK) return lark_buf_append(reply->out, bytes); /* as it is stored: no digit is lost */
        if (status != LARK_MORE) return status;
    }
    return lark__write_plain(reply, bytes);
}
