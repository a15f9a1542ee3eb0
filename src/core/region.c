#include "region.h"

#include "buf.h"
#include "json_write.h"
#include "text_run.h"

#define PIECE_BYTES 16384
#define BASE64_STEP 1024

static enum lark_status put(struct lark__region *region, const char *text, size_t n)
{
    region->count += n;
    return region->out ? lark__append(region->out, text, n) : LARK_OK;
}
#define PUT(region, literal) put((region), (literal), sizeof(literal) - 1)

/* Text that the reader has found to be UTF-8; pieces may cut characters, so bytes over 0x7f are copied as they are. */
static enum lark_status put_inner(struct lark__region *region, struct lark_slice text)
{
    size_t at = 0;
    while (at < text.len) {
        size_t run = lark__plain_run(text.p + at, text.len - at);
        while (at + run < text.len && text.p[at + run] >= 0x80) {
            run++;
            run += lark__plain_run(text.p + at + run, text.len - at - run);
        }
        if (run > 0) {
            enum lark_status status = put(region, (const char *)text.p + at, run);
            if (status != LARK_OK) return status;
            at += run;
            continue;
        }
        uint8_t space[8];
        struct lark_buf escape = {.p = space, .cap = sizeof space, .max = sizeof space};
        enum lark_status status = lark__json_write_inner(&escape, lark__slice(text.p + at, 1));
        if (status == LARK_OK) status = put(region, (const char *)escape.p, escape.len);
        if (status != LARK_OK) return status;
        at++;
    }
    return LARK_OK;
}

/* ", " before all but the first item of a container; the value after a name has none. */
static enum lark_status separate(struct lark__region *region, unsigned depth)
{
    uint32_t bit = (uint32_t)1 << (depth & 31);
    bool first = (region->fresh & bit) != 0;
    region->fresh &= ~bit;
    return first ? LARK_OK : PUT(region, ", ");
}

static enum lark_status put_json(struct lark__region *region, const struct lark_json_event *event)
{
    enum lark_status status = LARK_OK;
    unsigned depth = event->depth - region->depth;
    bool item = event->first && depth > 0 && event->type != LARK_JSON_OBJECT_END && event->type != LARK_JSON_ARRAY_END;
    if (item) status = separate(region, depth);
    if (status != LARK_OK) return status;
    switch (event->type) {
    case LARK_JSON_OBJECT:
    case LARK_JSON_ARRAY:
        region->fresh |= (uint32_t)1 << ((depth + 1) & 31);
        return event->type == LARK_JSON_OBJECT ? PUT(region, "{") : PUT(region, "[");
    case LARK_JSON_OBJECT_END: return PUT(region, "}");
    case LARK_JSON_ARRAY_END: return PUT(region, "]");
    case LARK_JSON_TRUE: return PUT(region, "true");
    case LARK_JSON_FALSE: return PUT(region, "false");
    case LARK_JSON_NULL: return PUT(region, "null");
    case LARK_JSON_NUMBER: return put(region, (const char *)event->text.p, event->text.len);
    case LARK_JSON_NAME:
    case LARK_JSON_STRING: break;
    }
    if (event->first) status = PUT(region, "\"");
    if (status == LARK_OK) status = put_inner(region, event->text);
    if (status == LARK_OK && event->last) status = PUT(region, "\"");
    if (status == LARK_OK && event->last && event->type == LARK_JSON_NAME) {
        status = PUT(region, ": ");
        region->fresh |= (uint32_t)1 << (depth & 31); /* its value follows without a comma */
    }
    return status;
}

static enum lark_status put_base64(struct lark__region *region, const struct lark_json_event *event)
{
    uint8_t bytes[BASE64_STEP / 4 * 3 + 3]; /* out gets what there is, no more: it may have room for just that */
    for (size_t at = 0; at < event->text.len; at += BASE64_STEP) {
        struct lark_slice part = lark__from(event->text, at);
        size_t n = 0;
        if (part.len > BASE64_STEP) part.len = BASE64_STEP;
        enum lark_status status = lark__base64_feed(&region->base64, part, bytes, &n);
        if (status == LARK_OK) status = put(region, (const char *)bytes, n);
        if (status != LARK_OK) return status;
    }
    return event->last && !lark__base64_complete(&region->base64) ? LARK_E_BAD_PARAMETER : LARK_OK;
}

enum lark_status lark__region_event(struct lark__region *region, const struct lark_json_event *event)
{
    if (region->form == LARK_ARG_JSON) return put_json(region, event);
    if (region->form == LARK_ARG_BASE64) return put_base64(region, event);
    return put(region, (const char *)event->text.p, event->text.len);
}

enum lark_status lark__body_piece(const struct lark_body *body, uint64_t from, uint64_t max,
                                  struct lark_slice *out_piece)
{
    size_t want = max < PIECE_BYTES ? (size_t)max : PIECE_BYTES;
    if (body->p) {
        *out_piece = lark__slice(body->p + from, want);
        return LARK_OK;
    }
    enum lark_status status = body->read(body->ctx, from, want, out_piece);
    if (status == LARK_OK && (out_piece->len == 0 || out_piece->len > want)) return LARK_E_INTERNAL;
    return status;
}

static enum lark_status on_event(void *ctx, const struct lark_json_event *event)
{
    return lark__region_event(ctx, event);
}

enum lark_status lark__region_append(const struct lark_body *body, const struct lark_mem *mem,
                                     const struct lark_arg *arg, struct lark_buf *out)
{
    struct lark__region region = {.form = arg->form, .out = out};
    struct lark_json json;
    lark_json_init(&json, mem, LARK_JSON_DEPTH_MAX, LARK_JSON_NAMES_MAX, on_event, &region);
    enum lark_status status = LARK_OK;
    for (uint64_t at = 0; at < arg->raw_len && status == LARK_OK;) {
        struct lark_slice piece;
        status = lark__body_piece(body, arg->at + at, arg->raw_len - at, &piece);
        if (status != LARK_OK) break;
        status = lark_json_feed(&json, piece);
        at += piece.len;
    }
    if (status == LARK_OK) status = lark_json_finish(&json);
    lark_json_done(&json);
    return status;
}
