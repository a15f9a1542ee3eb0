/* members.c - the members of a JSON object that somebody wants. The reader refuses a name that comes twice, wanted or not. */
#include "members.h"

#include "slices.h"

#define DEPTH_MAX 16
#define NAMES_MAX 1000

void lark__members_init(struct lark__members *members, const struct lark_slice *names, unsigned n_names, unsigned depth,
                        lark__member_fn fn, void *ctx)
{
    members->names = names;
    members->n_names = n_names;
    members->depth = depth;
    members->fn = fn;
    members->ctx = ctx;
    members->matches = 0;
    members->in_list = false;
    lark_buf_init(&members->text, NULL, sizeof(members->block), members->block, sizeof(members->block));
}

static enum lark_status gather(struct lark__members *members, const struct lark_json_event *event)
{
    if (event->first) members->text.len = 0;
    return lark_buf_append(&members->text, event->text);
}

static uint32_t find(const struct lark__members *members)
{
    uint32_t matches = 0;
    for (unsigned i = 0; i < members->n_names; i++) {
        const struct lark_slice name = members->names[i];
        if (name.len > 0 && name.len == members->text.len && memcmp(name.p, members->text.p, name.len) == 0)
            matches |= UINT32_C(1) << i;
    }
    return matches;
}

static enum lark_status tell(struct lark__members *members, const struct lark_json_event *event)
{
    const bool has_text = event->type == LARK_JSON_STRING || event->type == LARK_JSON_NUMBER;
    struct lark__member member = {
        .type = event->type,
        .element = event->depth > members->depth,
        .text = lark__auth_slice(members->text.p, has_text ? members->text.len : 0),
    };
    for (member.index = 0; member.index < members->n_names; member.index++) {
        if ((members->matches >> member.index & 1u) == 0) continue;
        const enum lark_status status = members->fn(members->ctx, &member);
        if (status != LARK_OK) return status;
    }
    return LARK_OK;
}

/* A value of a wanted member, or something in its list. */
static enum lark_status take_value(struct lark__members *members, const struct lark_json_event *event)
{
    const bool outer = event->depth == members->depth;
    if (event->type == LARK_JSON_OBJECT_END || event->type == LARK_JSON_ARRAY_END) {
        if (outer) members->in_list = false;
        return LARK_OK;
    }
    if (event->type == LARK_JSON_STRING || event->type == LARK_JSON_NUMBER) {
        const enum lark_status status = gather(members, event);
        if (status != LARK_OK || !event->last) return status;
    }
    if (event->type == LARK_JSON_ARRAY && outer) members->in_list = true;
    return tell(members, event);
}

enum lark_status lark__members_take(struct lark__members *members, const struct lark_json_event *event)
{
    const unsigned deepest = members->depth + (members->in_list ? 1 : 0);
    if (event->depth == members->depth && event->type == LARK_JSON_NAME) {
        const enum lark_status status = gather(members, event);
        if (status == LARK_OK && event->last) members->matches = find(members);
        return status;
    }
    if (members->matches == 0 || event->depth < members->depth || event->depth > deepest) return LARK_OK;
    return take_value(members, event);
}

static enum lark_status take_top(void *ctx, const struct lark_json_event *event)
{
    if (event->depth == 0 && event->type != LARK_JSON_OBJECT && event->type != LARK_JSON_OBJECT_END)
        return LARK_E_BAD_JSON;
    return lark__members_take(ctx, event);
}

enum lark_status lark__members_read(const struct lark_mem *mem, struct lark_slice json, struct lark__members *members)
{
    struct lark_json reader;
    lark_json_init(&reader, mem, DEPTH_MAX, NAMES_MAX, take_top, members);
    enum lark_status status = lark_json_feed(&reader, json);
    if (status == LARK_OK) status = lark_json_finish(&reader);
    lark_json_done(&reader);
    return status;
}
