#include "give_back.h"

#include <string.h>

#include "conn_parts.h"

/* Redis' own ceiling of a string is half of it. */
#define KEY_MAX_BYTES ((size_t)1 << 30)

void lark_give_back_init(struct lark_give_back *give_back, const struct lark_mem *mem, struct lark_slice word)
{
    memset(give_back, 0, sizeof *give_back);
    give_back->word = word;
    lark_buf_init(&give_back->key, mem, KEY_MAX_BYTES, NULL, 0);
    lark_buf_init(&give_back->element, mem, LARK_GIVE_BACK_KEEP_BYTES, NULL, 0);
}

void lark_give_back_done(struct lark_give_back *give_back)
{
    if (give_back->word.len > 0) {
        lark_buf_done(&give_back->key);
        lark_buf_done(&give_back->element);
    }
    memset(give_back, 0, sizeof *give_back);
}

/* The push up to the element's first byte. */
static enum lark_status write_head(const struct lark_give_back *give_back, struct lark_buf *out)
{
    uint8_t digits[20];
    struct lark_slice key = {give_back->key.p, give_back->key.len};
    const struct lark_slice parts[] = {lark__conn_text("$"), lark__conn_digits(give_back->element_bytes, digits),
                                       lark__conn_text("\r\n")};
    enum lark_status status = lark_resp_write_array(out, 3);
    if (status == LARK_OK) {
        status = lark_resp_write_bulk(out, give_back->word);
    }
    if (status == LARK_OK) {
        status = lark_resp_write_bulk(out, key);
    }
    for (size_t i = 0; i < 3 && status == LARK_OK; i++) {
        status = lark_buf_append(out, parts[i]);
    }
    return status;
}

static enum lark_status write_end(struct lark_give_back *give_back, struct lark_buf *out)
{
    enum lark_status status = lark_buf_append(out, lark__conn_text("\r\n"));
    give_back->pushed = status == LARK_OK;
    return status;
}

static void keep(struct lark_give_back *give_back, struct lark_slice piece)
{
    if (!give_back->dropped && lark_buf_append(&give_back->element, piece) != LARK_OK) {
        give_back->dropped = true; /* the caller who is there has his answer all the same */
        lark_buf_done(&give_back->element);
    }
}

static enum lark_status take_key(struct lark_give_back *give_back, const struct lark_resp_event *event)
{
    enum lark_status status = lark_buf_append(&give_back->key, event->text);
    give_back->key_bytes = (uint64_t)event->n;
    give_back->key_done = event->last;
    if (status != LARK_OK && give_back->out == NULL) {
        give_back->dropped = true;
        return LARK_OK;
    }
    return status;
}

static enum lark_status take_element(struct lark_give_back *give_back, const struct lark_resp_event *event)
{
    enum lark_status status = LARK_OK;
    give_back->element_bytes = (uint64_t)event->n;
    give_back->begun = true;
    give_back->element_done = event->last;
    if (give_back->out == NULL) {
        keep(give_back, event->text);
        return LARK_OK;
    }
    if (event->first) {
        status = write_head(give_back, give_back->out);
    }
    if (status == LARK_OK) {
        status = lark_buf_append(give_back->out, event->text);
    }
    return status == LARK_OK && event->last ? write_end(give_back, give_back->out) : status;
}

enum lark_status lark_give_back_event(struct lark_give_back *give_back, const struct lark_resp_event *event)
{
    if (give_back->word.len == 0 || event->type != LARK_RESP_BULK || event->depth != 1) {
        return LARK_OK;
    }
    return give_back->key_done ? take_element(give_back, event) : take_key(give_back, event);
}

enum lark_status lark_give_back_leave(struct lark_give_back *give_back, struct lark_buf *out)
{
    if (give_back->dropped) {
        return LARK_E_TOO_LARGE;
    }
    if (give_back->begun) {
        size_t len = out->len;
        enum lark_status status = write_head(give_back, out);
        if (status == LARK_OK) {
            status = lark_buf_append(out, (struct lark_slice){give_back->element.p, give_back->element.len});
        }
        if (status == LARK_OK && give_back->element_done) {
            status = write_end(give_back, out);
        }
        if (status != LARK_OK) {
            out->len = len;
            return status;
        }
        lark_buf_done(&give_back->element);
    }
    give_back->out = out;
    return LARK_OK;
}
