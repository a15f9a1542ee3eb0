/* body.c - parameter values from the JSON body: one pass of the streaming reader, nothing copied that stands in the body
 * as it is needed. */
#include "planning.h"

static bool is_mapping(const struct lark_param *param)
{
    return param->type == LARK__TYPE_MAPPING || param->type == LARK__TYPE_KEYS_WEIGHTS || param->type == LARK__TYPE_IDS;
}

static void collect_name(struct lark__binder *b, const struct lark_json_event *event)
{
    if (event->first) b->name_len = 0;
    size_t room = sizeof b->name - b->name_len;
    size_t n = event->text.len < room ? event->text.len : room;
    if (n > 0) memcpy(b->name + b->name_len, event->text.p, n);
    b->name_len += n; /* a name that fills the buffer is too long for any parameter */
}

/* A member's name of the body is complete: which parameter is it? */
static void member(struct lark__binder *b)
{
    struct lark_slice name = lark__slice(b->name, b->name_len);
    const struct lark_method *row = b->make->row;
    b->param = NULL;
    for (size_t i = 0; i < row->n_params; i++) {
        if (!(row->params[i].in & LARK__IN_JSON) || !lark__same(row->params[i].name, name)) continue;
        if (b->make->values[i].present) return; /* the path wins */
        b->param = &row->params[i];
        b->value = &b->make->values[i];
        return;
    }
}

/* What came, for a message. The event's own text dies with the callback: text is shown as it stands in the body. */
static struct lark_slice kind_word(const struct lark__binder *b, const struct lark_json_event *event)
{
    const struct lark_body *body = &b->make->plan->body;
    switch (event->type) {
    case LARK_JSON_OBJECT: return LARK_TEXT("an object");
    case LARK_JSON_ARRAY: return LARK_TEXT("an array");
    case LARK_JSON_NULL: return LARK_TEXT("null");
    case LARK_JSON_TRUE: return LARK_TEXT("true");
    case LARK_JSON_FALSE: return LARK_TEXT("false");
    case LARK_JSON_NAME:
    case LARK_JSON_STRING: {
        uint64_t to = event->end - (event->last ? 1 : 0); /* without the quotes */
        if (body->p == NULL || to <= event->offset) return LARK_TEXT("a text");
        return lark__slice(body->p + event->offset + 1, (size_t)(to - event->offset - 1));
    }
    case LARK_JSON_NUMBER:
        if (body->p == NULL) return LARK_TEXT("a number");
        return lark__slice(body->p + event->offset, (size_t)(event->end - event->offset));
    case LARK_JSON_OBJECT_END:
    case LARK_JSON_ARRAY_END: break;
    }
    return LARK_TEXT("an array of too few");
}

/* --- items ----------------------------------------------------------------------------------------------------- */

static uint8_t item_kind(enum lark_json_type type)
{
    switch (type) {
    case LARK_JSON_OBJECT: return LARK__KIND_OBJECT;
    case LARK_JSON_ARRAY: return LARK__KIND_ARRAY;
    case LARK_JSON_NUMBER: return LARK__KIND_NUMBER;
    case LARK_JSON_TRUE: return LARK__KIND_TRUE;
    case LARK_JSON_FALSE: return LARK__KIND_FALSE;
    case LARK_JSON_NULL: return LARK__KIND_NULL;
    case LARK_JSON_NAME:
    case LARK_JSON_STRING:
    case LARK_JSON_OBJECT_END:
    case LARK_JSON_ARRAY_END: break;
    }
    return LARK__KIND_TEXT;
}

static enum lark_status begin_item(struct lark__binder *b, const struct lark_json_event *event)
{
    enum lark_status status;
    b->item = lark__value_push(b->make, b->param, b->value, &status);
    if (b->item == NULL) return status;
    b->value->source = LARK__IN_JSON;
    b->item->kind = item_kind(event->type);
    b->item->arg.at = event->offset;
    b->region = (struct lark__region){.depth = event->depth, .form = LARK_ARG_JSON};
    if (b->item->kind == LARK__KIND_TEXT) {
        bool lazy = b->param->type == LARK__TYPE_BASE64 && !(event->first && event->last);
        b->region.form = lazy ? LARK_ARG_BASE64 : LARK_ARG_STRING;
    }
    b->in_item = event->type == LARK_JSON_OBJECT || event->type == LARK_JSON_ARRAY;
    b->b64_only = event->type == LARK_JSON_OBJECT;
    b->members = 0;
    b->b64_bad = false;
    return LARK_OK;
}

/* The item ended: settle how its bytes will be got. */
static void end_item(struct lark__binder *b, const struct lark_json_event *event)
{
    struct lark_arg *arg = &b->item->arg;
    bool whole = event->first && event->last && b->make->plan->body.p != NULL;
    if (b->item->kind == LARK__KIND_TRUE || b->item->kind == LARK__KIND_FALSE) {
        arg->text = b->item->kind == LARK__KIND_TRUE ? LARK_TEXT("true") : LARK_TEXT("false");
        arg->len = arg->text.len;
        return;
    }
    if (b->in_item && b->b64_only && b->members == 1) {
        b->item->kind = LARK__KIND_BYTES;
        arg->form = LARK_ARG_BASE64;
        arg->at = b->b64_at;
        arg->raw_len = b->b64_raw_len;
        arg->len = b->b64.count;
        return;
    }
    if (!b->in_item && whole) { /* stands in the body as it is needed */
        arg->text = event->text;
        arg->len = event->text.len;
        return;
    }
    arg->form = b->region.form;
    arg->raw_len = event->end - arg->at;
    arg->len = b->region.count;
    if (arg->form == LARK_ARG_BASE64) b->item->kind = b->b64_bad ? LARK__KIND_BAD : LARK__KIND_BYTES;
}

/* Inside an object item: is it {"$base64": "..."}? */
static enum lark_status watch_base64(struct lark__binder *b, const struct lark_json_event *event)
{
    if (event->depth != b->region.depth + 1) {
        if (event->depth > b->region.depth + 1) b->b64_only = false;
        return LARK_OK;
    }
    if (event->type == LARK_JSON_NAME) {
        collect_name(b, event);
        if (!event->last) return LARK_OK;
        b->members++;
        if (!lark__same(lark__slice(b->name, b->name_len), LARK_TEXT("$base64"))) b->b64_only = false;
        return LARK_OK;
    }
    if (event->type != LARK_JSON_STRING) {
        b->b64_only = false;
        return LARK_OK;
    }
    if (!b->b64_only || b->members != 1) return LARK_OK;
    if (event->first) {
        b->b64 = (struct lark__region){.form = LARK_ARG_BASE64, .base64.strict = true};
        b->b64_at = event->offset;
    }
    b->b64_raw_len = event->end - b->b64_at;
    if (!b->b64_bad && lark__region_event(&b->b64, event) != LARK_OK) b->b64_bad = true;
    return LARK_OK;
}

static enum lark_status in_item(struct lark__binder *b, const struct lark_json_event *event)
{
    enum lark_status status = b->b64_bad && !b->in_item ? LARK_OK : lark__region_event(&b->region, event);
    if (status == LARK_E_BAD_PARAMETER) { /* told when the whole body has been read, as for short ones */
        b->b64_bad = true;
        status = LARK_OK;
    }
    if (status != LARK_OK) return status;
    if (b->in_item && b->b64_only) status = watch_base64(b, event);
    bool closes = event->depth == b->region.depth && event->last &&
                  (!b->in_item || event->type == LARK_JSON_OBJECT_END || event->type == LARK_JSON_ARRAY_END);
    if (status != LARK_OK || !closes) return status;
    end_item(b, event);
    if (b->item->kind == LARK__KIND_BYTES && b->b64_bad) {
        return lark__bad(b->make, b->param, "base64 text in $base64", LARK_NOTHING);
    }
    b->item = NULL;
    b->in_item = false;
    return LARK_OK;
}

/* --- structure ------------------------------------------------------------------------------------------------- */

static enum lark_status wrong(struct lark__binder *b, const struct lark_json_event *event, struct lark_slice got)
{
    const char *expected = lark__type_expected(b->param->type);
    if (b->base == 0 && event->depth == 0) {
        return lark__fail(b->make->err, LARK_E_BAD_BODY, expected, LARK_NOTHING, got);
    }
    return lark__bad(b->make, b->param, expected, got);
}

static enum lark_status wrong_kind(struct lark__binder *b, const struct lark_json_event *event)
{
    return wrong(b, event, kind_word(b, event));
}

/* The outermost bracket of a list or mapping. */
static enum lark_status list_bracket(struct lark__binder *b, const struct lark_json_event *event)
{
    if (event->type == LARK_JSON_ARRAY_END || event->type == LARK_JSON_OBJECT_END) {
        b->param = NULL;
        return LARK_OK;
    }
    bool object = event->type == LARK_JSON_OBJECT && is_mapping(b->param);
    if (!object && event->type != LARK_JSON_ARRAY) return wrong_kind(b, event);
    b->as_object = object;
    b->value->present = true;
    b->value->pairs = object || lark__is_pairs(b->param->type);
    b->value->source = LARK__IN_JSON;
    return LARK_OK;
}

/* The brackets of one [a, b]. */
static enum lark_status pair_bracket(struct lark__binder *b, const struct lark_json_event *event)
{
    if (event->type == LARK_JSON_ARRAY) {
        b->pair_start = b->value->n;
        return LARK_OK;
    }
    bool complete = event->type == LARK_JSON_ARRAY_END && b->value->n - b->pair_start == 2;
    return complete ? LARK_OK : wrong_kind(b, event);
}

static enum lark_status value_event(struct lark__binder *b, const struct lark_json_event *event)
{
    unsigned level = event->depth - b->base;
    if (b->item != NULL) return in_item(b, event);
    if (level == 0 && event->type == LARK_JSON_NULL) {
        b->param = NULL; /* null means missing */
        return LARK_OK;
    }
    if (lark__is_list(b->param->type)) {
        bool arrays = b->value->pairs && !b->as_object;
        if (level == 0) return list_bracket(b, event);
        if (arrays && level == 1) return pair_bracket(b, event);
        if (arrays && b->value->n - b->pair_start >= 2) {
            return wrong(b, event, LARK_TEXT("an array of more than two"));
        }
    }
    enum lark_status status = begin_item(b, event);
    return status == LARK_OK ? in_item(b, event) : status;
}

static enum lark_status on_event(void *ctx, const struct lark_json_event *event)
{
    struct lark__binder *b = ctx;
    if (b->base == 1 && event->depth == 0) {
        bool outer =
            event->type == LARK_JSON_OBJECT || event->type == LARK_JSON_OBJECT_END || event->type == LARK_JSON_NULL;
        return outer ? LARK_OK
                     : lark__fail(b->make->err, LARK_E_BAD_BODY, "an object", LARK_NOTHING, kind_word(b, event));
    }
    if (b->base == 1 && event->type == LARK_JSON_NAME && event->depth == 1) {
        collect_name(b, event);
        if (event->last) member(b);
        return LARK_OK;
    }
    return b->param ? value_event(b, event) : LARK_OK;
}

static void bind_whole_body(struct lark__binder *b)
{
    for (size_t i = 0; i < b->make->row->n_params; i++) {
        if (!(b->make->row->params[i].in & LARK__IN_BODY)) continue;
        b->base = 0;
        b->param = &b->make->row->params[i];
        b->value = &b->make->values[i];
    }
}

static enum lark_status bad_json(struct lark__binder *b, const struct lark_json *json)
{
    if (b->make->err) b->make->err->offset = lark_json_offset(json);
    return lark__fail(b->make->err, LARK_E_BAD_JSON, lark_json_error(json), LARK_NOTHING, LARK_NOTHING);
}

/* The body as it is: a PUT. */
static enum lark_status take_raw(struct lark__make *make, const struct lark_body *body)
{
    enum lark_status status;
    struct lark_value *value = &make->values[make->row->put];
    struct lark_item *item = lark__value_push(make, &make->row->params[make->row->put], value, &status);
    if (item == NULL) return status;
    value->source = LARK__IN_JSON;
    item->arg.len = body->len;
    if (body->p != NULL || body->len == 0) {
        item->arg.text = lark__slice(body->p, (size_t)body->len);
    } else {
        item->arg.form = LARK_ARG_RAW;
        item->arg.raw_len = body->len;
    }
    return LARK_OK;
}

enum lark_status lark__body_begin(struct lark_planning *planning)
{
    struct lark__make *make = &planning->make;
    const struct lark_body *body = &make->plan->body;
    if (body->len > make->plan->body_max) {
        if (make->err) make->err->offset = make->plan->body_max;
        return lark__fail(make->err, LARK_E_TOO_LARGE, "bytes of a body", LARK_NOTHING, LARK_NOTHING);
    }
    planning->phase = LARK__PLANNING_DONE;
    if (make->plan->put) return take_raw(make, body);
    if (body->len == 0) return LARK_OK;
    planning->phase = LARK__PLANNING_BODY;
    planning->at = 0;
    planning->binder = (struct lark__binder){.make = make, .base = 1};
    bind_whole_body(&planning->binder);
    lark_json_init(&planning->json, make->arena->mem, LARK_JSON_DEPTH_MAX, LARK_JSON_NAMES_MAX, on_event,
                   &planning->binder);
    return LARK_OK;
}

static enum lark_status read_until(struct lark_planning *planning, uint64_t until)
{
    const struct lark_body *body = &planning->make.plan->body;
    enum lark_status status = LARK_OK;
    while (planning->at < until && status == LARK_OK) {
        struct lark_slice piece = {NULL, (size_t)(until - planning->at)};
        if (body->p) {
            piece.p = body->p + planning->at;
        } else {
            status = lark__body_piece(body, planning->at, until - planning->at, &piece);
        }
        if (status == LARK_OK) status = lark_json_feed(&planning->json, piece);
        planning->at += piece.len;
    }
    return status;
}

enum lark_status lark__body_step(struct lark_planning *planning, uint64_t max_bytes)
{
    struct lark__make *make = &planning->make;
    struct lark_json *json = &planning->json;
    const uint64_t len = make->plan->body.len;
    const uint64_t left = len - planning->at;
    enum lark_status status = read_until(planning, max_bytes < left ? planning->at + max_bytes : len);
    if (status == LARK_OK && planning->at < len) return LARK_MORE;
    if (status == LARK_OK) status = lark_json_finish(json);
    if (status == LARK_E_BAD_JSON) status = bad_json(&planning->binder, json);
    if (status == LARK_E_TOO_LARGE && make->err && make->err->status == LARK_OK) { /* the reader's own, not of a list */
        make->err->offset = LARK_JSON_NAMES_MAX;
        status = lark__fail(make->err, status, "member names in a body", LARK_NOTHING, LARK_NOTHING);
    }
    lark_json_done(json);
    planning->phase = LARK__PLANNING_DONE;
    return status;
}
