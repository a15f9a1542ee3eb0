/* shape.c - leaves of a reply become JSON, by the row's kind of reply. RESP2 and RESP3 differ in what wraps the leaves (a
 * map, a set, pairs in arrays of their own), so what counts is the number of the leaf. */
#include "shape.h"

#include "buf.h"
#include "datetime.h"
#include "json_write.h"
#include "prefix.h"
#include "score.h"
#include "steps.h"

/* How an aggregate is written. */
enum frame {
    FRAME_LIST,   /* [leaf, ...] */
    FRAME_OBJECT, /* {leaf: leaf, ...} */
    FRAME_PAIRS,  /* [[leaf, leaf], ...] */
    FRAME_GROUPS, /* [[leaf, ... groups of them], ...] */
    FRAME_SCAN    /* [cursor, inner] */
};

/* What a leaf is. */
enum role { ROLE_VALUE, ROLE_PLAIN, ROLE_KEY, ROLE_NAME, ROLE_SCORE, ROLE_MEMBER_NAME };

struct layout {
    enum frame frame;
    enum frame inner; /* below FRAME_SCAN */
    enum role even, odd;
};

/* By kind of reply; what is not listed is a list of values. */
static const struct layout layouts[] = {
    [LARK__REPLY_FIELD_LIST] = {FRAME_LIST, FRAME_LIST, ROLE_NAME, ROLE_NAME},
    [LARK__REPLY_KEY_LIST] = {FRAME_LIST, FRAME_LIST, ROLE_KEY, ROLE_KEY},
    [LARK__REPLY_MAP] = {FRAME_OBJECT, FRAME_LIST, ROLE_MEMBER_NAME, ROLE_VALUE},
    [LARK__REPLY_CONFIG] = {FRAME_OBJECT, FRAME_LIST, ROLE_MEMBER_NAME, ROLE_NAME},
    [LARK__REPLY_POPPED] = {FRAME_LIST, FRAME_LIST, ROLE_KEY, ROLE_VALUE},
    [LARK__REPLY_PAIRS] = {FRAME_PAIRS, FRAME_LIST, ROLE_VALUE, ROLE_SCORE},
    [LARK__REPLY_SORT] = {FRAME_GROUPS, FRAME_LIST, ROLE_VALUE, ROLE_VALUE},
    [LARK__REPLY_SCAN_KEYS] = {FRAME_SCAN, FRAME_LIST, ROLE_KEY, ROLE_KEY},
    [LARK__REPLY_SCAN_MEMBERS] = {FRAME_SCAN, FRAME_LIST, ROLE_VALUE, ROLE_VALUE},
    [LARK__REPLY_SCAN_MAP] = {FRAME_SCAN, FRAME_OBJECT, ROLE_MEMBER_NAME, ROLE_VALUE},
    [LARK__REPLY_SCAN_PAIRS] = {FRAME_SCAN, FRAME_PAIRS, ROLE_VALUE, ROLE_SCORE},
};

static const struct layout *layout_of(const struct lark_plan *plan)
{
    static const struct layout values = {FRAME_LIST, FRAME_LIST, ROLE_VALUE, ROLE_VALUE};
    bool plain = (plan->reply == LARK__REPLY_PAIRS && !plan->scores) ||
                 (plan->reply == LARK__REPLY_SORT && plan->groups == 0) ||
                 plan->reply >= sizeof layouts / sizeof layouts[0];
    return plain ? &values : &layouts[plan->reply];
}

/* What a kind of reply may be. A stream that is out of step must not become somebody's answer. */
#define KIND(type) ((uint16_t)(1u << LARK_RESP_##type))
static const uint16_t accepted[] = {
    [LARK__REPLY_OK] = KIND(SIMPLE),
    [LARK__REPLY_OK_OR_NULL] = KIND(SIMPLE) | KIND(NULL),
    [LARK__REPLY_INT] = KIND(INT) | KIND(BIGNUM),
    [LARK__REPLY_INT_OR_NULL] = KIND(INT) | KIND(NULL),
    [LARK__REPLY_BOOL] = KIND(INT) | KIND(BOOL),
    [LARK__REPLY_TTL] = KIND(INT),
    [LARK__REPLY_FLOAT] = KIND(BULK) | KIND(DOUBLE),
    [LARK__REPLY_SCORE] = KIND(BULK) | KIND(DOUBLE),
    [LARK__REPLY_SCORE_OR_NULL] = KIND(BULK) | KIND(DOUBLE) | KIND(NULL),
    [LARK__REPLY_VALUE] = KIND(BULK) | KIND(NULL),
    [LARK__REPLY_WORD] = KIND(SIMPLE),
    [LARK__REPLY_STRING] = KIND(BULK),
    [LARK__REPLY_STRING_OR_NULL] = KIND(BULK) | KIND(NULL),
    [LARK__REPLY_BASE64] = KIND(BULK) | KIND(NULL),
    [LARK__REPLY_DATETIME] = KIND(INT),
    [LARK__REPLY_KEY_OR_NULL] = KIND(BULK) | KIND(NULL),
    [LARK__REPLY_VALUE_LIST] = KIND(ARRAY),
    [LARK__REPLY_SET] = KIND(ARRAY) | KIND(SET),
    [LARK__REPLY_FIELD_LIST] = KIND(ARRAY) | KIND(SET),
    [LARK__REPLY_KEY_LIST] = KIND(ARRAY) | KIND(SET),
    [LARK__REPLY_VALUE_OR_LIST] = KIND(BULK) | KIND(NULL) | KIND(ARRAY) | KIND(SET),
    [LARK__REPLY_MAP] = KIND(ARRAY) | KIND(MAP),
    [LARK__REPLY_CONFIG] = KIND(ARRAY) | KIND(MAP),
    [LARK__REPLY_PAIRS] = KIND(ARRAY),
    [LARK__REPLY_POPPED] = KIND(ARRAY) | KIND(NULL),
    [LARK__REPLY_SORT] = KIND(ARRAY) | KIND(INT),
    [LARK__REPLY_SCAN_KEYS] = KIND(ARRAY),
    [LARK__REPLY_SCAN_MEMBERS] = KIND(ARRAY),
    [LARK__REPLY_SCAN_MAP] = KIND(ARRAY),
    [LARK__REPLY_SCAN_PAIRS] = KIND(ARRAY),
    [LARK__REPLY_INFO] = KIND(BULK),
    [LARK__REPLY_CLIENT_LIST] = KIND(BULK),
    [LARK__REPLY_DEBUG_OBJECT] = KIND(SIMPLE),
    [LARK__REPLY_OBJECT_INFO] = KIND(BULK) | KIND(INT) | KIND(NULL),
};

bool lark__shape_accepts(const struct lark_reply *reply, enum lark_resp_type type)
{
    return (accepted[reply->plan->reply] >> type & 1) != 0;
}

enum lark_resp_type lark_reply_text_type(const struct lark_reply *reply, unsigned depth)
{
    uint16_t kinds = accepted[reply->plan->reply];
    if (reply->plan->n_commands > 1) return depth == 0 ? LARK_RESP_SIMPLE : LARK_RESP_BULK; /* OK, QUEUED */
    bool status = depth == 0 && !lark__steps_active(reply) && (kinds & KIND(SIMPLE)) && !(kinds & KIND(BULK));
    return status ? LARK_RESP_SIMPLE : LARK_RESP_BULK;
}

/* --- leaves ---------------------------------------------------------------------------------------------------- */

static enum lark_status write_score(struct lark_reply *reply, struct lark_slice text)
{
    switch (reply->plan->cast) {
    case 1: return lark__append_whole(reply->out, text);
    case 2: return lark__append_score_text(reply->out, text);
    default: return lark__append_score(reply->out, text);
    }
}

static enum lark_status write_bool(struct lark_buf *out, bool yes)
{
    return yes ? LARK_APPEND(out, "true") : LARK_APPEND(out, "false");
}

/* A leaf that is no bulk string: the same in every role but a score's. */
static enum lark_status write_scalar(struct lark_reply *reply, const struct lark_resp_event *leaf)
{
    switch (leaf->type) {
    case LARK_RESP_NULL: return LARK_APPEND(reply->out, "null");
    case LARK_RESP_BOOL: return write_bool(reply->out, leaf->n != 0);
    case LARK_RESP_INT: return lark__append_i64(reply->out, leaf->n);
    case LARK_RESP_DOUBLE: return write_score(reply, leaf->text);
    case LARK_RESP_BIGNUM: return lark__append_bignum(reply->out, leaf->text);
    case LARK_RESP_SIMPLE: return lark_json_write_bytes(reply->out, leaf->text);
    case LARK_RESP_ERROR:
    case LARK_RESP_BULK:
    case LARK_RESP_ARRAY:
    case LARK_RESP_MAP:
    case LARK_RESP_SET:
    case LARK_RESP_PUSH:
    case LARK_RESP_END: break;
    }
    return LARK_E_PROTOCOL;
}

static LARK_APART enum lark_status write_key(struct lark_reply *reply, struct lark_slice name)
{
    if (!lark__strip_prefix(reply->plan, &name)) return LARK_E_PROTOCOL;
    return lark_json_write_bytes(reply->out, name);
}

static enum lark_status write_role(struct lark_reply *reply, enum role role, const struct lark_resp_event *leaf)
{
    const struct lark_slice text = leaf->text;
    if (leaf->type != LARK_RESP_BULK) {
        bool name = role == ROLE_MEMBER_NAME || (role == ROLE_KEY && leaf->type != LARK_RESP_NULL);
        return name ? LARK_E_PROTOCOL : write_scalar(reply, leaf);
    }
    switch (role) {
    case ROLE_VALUE: return lark__write_value(reply, text);
    case ROLE_PLAIN: return lark__write_plain(reply, text);
    case ROLE_KEY: return write_key(reply, text);
    case ROLE_NAME: return lark_json_write_bytes(reply->out, text);
    case ROLE_SCORE: return write_score(reply, text);
    case ROLE_MEMBER_NAME: break;
    }
    return lark__json_write_name(reply->out, text);
}

/* --- one leaf is the whole reply ------------------------------------------------------------------------------- */

static enum lark_status write_datetime(struct lark_reply *reply, int64_t unix_s)
{
    struct lark_civil civil;
    const struct lark_zone *zone = reply->plan->config->zone;
    if (unix_s == 0) return LARK_APPEND(reply->out, "null");
    enum lark_status status = zone->to_local(zone->ctx, unix_s, &civil);
    if (status != LARK_OK) return status;
    status = LARK_APPEND(reply->out, "\"");
    if (status == LARK_OK) status = lark__append_civil(reply->out, &civil);
    return status == LARK_OK ? LARK_APPEND(reply->out, "\"") : status;
}

static enum lark_status whole_bulk(struct lark_reply *reply, const struct lark_resp_event *leaf)
{
    struct lark_slice text = leaf->text;
    switch (reply->plan->reply) {
    case LARK__REPLY_FLOAT: return lark__append_digits(reply->out, text);
    case LARK__REPLY_SCORE:
    case LARK__REPLY_SCORE_OR_NULL: return lark__append_score(reply->out, text);
    case LARK__REPLY_OBJECT_INFO: return write_role(reply, ROLE_NAME, leaf); /* Redis' own word, no value */
    case LARK__REPLY_STRING:
    case LARK__REPLY_STRING_OR_NULL: return write_role(reply, ROLE_PLAIN, leaf);
    case LARK__REPLY_BASE64:
        return reply->spooling ? write_role(reply, ROLE_PLAIN, leaf) : lark__json_write_base64(reply->out, text);
    case LARK__REPLY_KEY_OR_NULL: return write_role(reply, ROLE_KEY, leaf);
    case LARK__REPLY_INFO: return lark__shape_info(reply->out, text);
    case LARK__REPLY_CLIENT_LIST: return lark__shape_client_list(reply->out, text);
    default: return write_role(reply, ROLE_VALUE, leaf);
    }
}

static enum lark_status whole_scalar(struct lark_reply *reply, const struct lark_resp_event *leaf)
{
    bool number = leaf->type == LARK_RESP_INT;
    switch (reply->plan->reply) {
    case LARK__REPLY_OK:
    case LARK__REPLY_OK_OR_NULL:
        if (leaf->type == LARK_RESP_SIMPLE) return LARK_APPEND(reply->out, "true");
        break;
    case LARK__REPLY_BOOL:
        if (number) return write_bool(reply->out, leaf->n != 0);
        break;
    case LARK__REPLY_TTL:
        if (number && leaf->n == -1) return LARK_APPEND(reply->out, "null");
        break;
    case LARK__REPLY_DATETIME:
        if (number) return write_datetime(reply, leaf->n);
        break;
    case LARK__REPLY_DEBUG_OBJECT:
        if (leaf->type == LARK_RESP_SIMPLE) return lark__shape_debug_object(reply->out, leaf->text);
        break;
    case LARK__REPLY_FLOAT:
        if (leaf->type == LARK_RESP_DOUBLE) return lark__append_digits(reply->out, leaf->text);
        break;
    default: break;
    }
    return write_scalar(reply, leaf);
}

static enum lark__value_kind kind_of_role(enum role role)
{
    return role == ROLE_VALUE ? LARK__KIND_ANY : role == ROLE_PLAIN ? LARK__KIND_PLAIN : LARK__KIND_NONE;
}

static enum lark__value_kind kind_of_whole(const struct lark_reply *reply)
{
    switch (reply->plan->reply) {
    case LARK__REPLY_VALUE:
    case LARK__REPLY_VALUE_OR_LIST: return LARK__KIND_ANY;
    case LARK__REPLY_STRING:
    case LARK__REPLY_STRING_OR_NULL: return LARK__KIND_PLAIN;
    case LARK__REPLY_BASE64: return LARK__KIND_BASE64;
    default: return LARK__KIND_NONE;
    }
}

enum lark__value_kind lark__shape_value_kind(const struct lark_reply *reply, const struct lark_resp_event *leaf)
{
    if (leaf->type != LARK_RESP_BULK) return LARK__KIND_NONE;
    if (leaf->depth == 0) return kind_of_whole(reply);
    const struct layout *layout = layout_of(reply->plan);
    if (layout->frame == FRAME_SCAN && leaf->depth == 1) return LARK__KIND_NONE;
    return kind_of_role(reply->leaf % 2 == 0 ? layout->even : layout->odd);
}

/* --- aggregates ------------------------------------------------------------------------------------------------ */

static enum lark_status open_frame(struct lark_reply *reply, enum frame frame)
{
    reply->leaf = 0;
    return frame == FRAME_OBJECT ? LARK_APPEND(reply->out, "{") : LARK_APPEND(reply->out, "[");
}

static enum lark_status close_frame(struct lark_reply *reply, enum frame frame)
{
    uint64_t group = frame == FRAME_GROUPS ? reply->plan->groups : 2;
    if (frame != FRAME_LIST && frame != FRAME_SCAN && reply->leaf % group != 0) return LARK_E_PROTOCOL;
    return frame == FRAME_OBJECT ? LARK_APPEND(reply->out, "}") : LARK_APPEND(reply->out, "]");
}

/* What stands before leaf number n. */
static enum lark_status separate(struct lark_reply *reply, enum frame frame)
{
    uint64_t n = reply->leaf;
    uint64_t group = frame == FRAME_GROUPS ? reply->plan->groups : 2;
    switch (frame) {
    case FRAME_OBJECT:
        if (n % 2 == 1) return LARK_APPEND(reply->out, ": ");
        break;
    case FRAME_PAIRS:
    case FRAME_GROUPS:
        if (n % group == 0) return n == 0 ? LARK_APPEND(reply->out, "[") : LARK_APPEND(reply->out, ", [");
        break;
    case FRAME_LIST:
    case FRAME_SCAN: break;
    }
    return n == 0 ? LARK_OK : LARK_APPEND(reply->out, ", ");
}

static LARK_APART bool is_foreign(const struct lark_plan *plan, struct lark_slice name)
{
    return !lark__strip_prefix(plan, &name);
}

static enum lark_status list_item(struct lark_reply *reply, const struct layout *layout,
                                  const struct lark_resp_event *leaf)
{
    if (layout->even == ROLE_KEY && layout->odd == ROLE_KEY && is_foreign(reply->plan, leaf->text)) {
        return LARK_OK; /* not below the caller's prefix: it is not there */
    }
    uint64_t n = reply->leaf++;
    enum lark_status status = n == 0 ? LARK_OK : LARK_APPEND(reply->out, ", ");
    return status == LARK_OK ? write_role(reply, n % 2 == 0 ? layout->even : layout->odd, leaf) : status;
}

static LARK_APART enum lark_status framed_item(struct lark_reply *reply, const struct layout *layout, enum frame frame,
                                               const struct lark_resp_event *leaf)
{
    uint64_t n = reply->leaf;
    uint64_t group = frame == FRAME_GROUPS ? reply->plan->groups : 2;
    enum lark_status status = separate(reply, frame);
    if (status == LARK_OK) status = write_role(reply, n % 2 == 0 ? layout->even : layout->odd, leaf);
    reply->leaf++;
    bool closes = (frame == FRAME_PAIRS || frame == FRAME_GROUPS) && reply->leaf % group == 0;
    return status == LARK_OK && closes ? LARK_APPEND(reply->out, "]") : status;
}

enum lark_status lark__shape_open(struct lark_reply *reply, const struct lark_resp_event *event)
{
    const struct layout *layout = layout_of(reply->plan);
    if (event->depth == 0) {
        if (!lark__shape_accepts(reply, event->type)) return LARK_E_PROTOCOL;
        if (layout->frame == FRAME_SCAN && event->n != 2) return LARK_E_PROTOCOL;
        reply->expected = event->n;
        return open_frame(reply, layout->frame);
    }
    if (layout->frame == FRAME_SCAN && event->depth == 1) {
        if (--reply->expected != 0) return LARK_E_PROTOCOL; /* the cursor comes first */
        enum lark_status status = LARK_APPEND(reply->out, ", ");
        return status == LARK_OK ? open_frame(reply, layout->inner) : status;
    }
    /* RESP3 puts each pair into an array of its own */
    bool pair = layout->frame == FRAME_PAIRS && event->depth == 1 && event->type == LARK_RESP_ARRAY && event->n == 2;
    return pair && reply->leaf % 2 == 0 ? LARK_OK : LARK_E_PROTOCOL;
}

enum lark_status lark__shape_close(struct lark_reply *reply, const struct lark_resp_event *event)
{
    const struct layout *layout = layout_of(reply->plan);
    if (event->depth == 0) return close_frame(reply, layout->frame);
    return layout->frame == FRAME_SCAN && event->depth == 1 ? close_frame(reply, layout->inner) : LARK_OK;
}

static LARK_APART enum lark_status whole(struct lark_reply *reply, const struct lark_resp_event *leaf)
{
    if (!lark__shape_accepts(reply, leaf->type)) return LARK_E_PROTOCOL;
    return leaf->type == LARK_RESP_BULK ? whole_bulk(reply, leaf) : whole_scalar(reply, leaf);
}

static LARK_APART enum lark_status cursor(struct lark_reply *reply, const struct lark_resp_event *leaf)
{
    uint64_t n;
    if (leaf->type != LARK_RESP_BULK || --reply->expected != 1) return LARK_E_PROTOCOL;
    return lark__parse_u64(leaf->text, &n) ? lark_json_write_text(reply->out, leaf->text) : LARK_E_PROTOCOL;
}

enum lark_status lark__shape_leaf(struct lark_reply *reply, const struct lark_resp_event *leaf)
{
    if (leaf->depth == 0) return whole(reply, leaf);
    const struct layout *layout = layout_of(reply->plan);
    if (layout->frame == FRAME_SCAN && leaf->depth == 1) return cursor(reply, leaf);
    enum frame frame = layout->frame == FRAME_SCAN ? layout->inner : layout->frame;
    return frame == FRAME_LIST ? list_item(reply, layout, leaf) : framed_item(reply, layout, frame, leaf);
}
