/* value.c - are the values of their parameter's type? Defaults, and rules between parameters. */
#include "datetime.h"
#include "make.h"
#include "region.h"

bool lark__is_pairs(uint8_t type)
{
    return type == LARK__TYPE_KEY_VALUES || type == LARK__TYPE_SCORES || type == LARK__TYPE_MAPPING ||
           type == LARK__TYPE_IDS;
}

bool lark__is_list(uint8_t type)
{
    return lark__is_pairs(type) || type == LARK__TYPE_KEYS || type == LARK__TYPE_SORT_GETS ||
           type == LARK__TYPE_KEYS_WEIGHTS || type == LARK__TYPE_VALUES || type == LARK__TYPE_FIELDS;
}

struct lark_item *lark__value_push(struct lark__make *make, const struct lark_param *param, struct lark_value *value,
                                   enum lark_status *status)
{
    if (value->n >= make->max_items) {
        if (make->err) make->err->offset = make->plan->config->limits.args;
        *status = lark__fail(make->err, LARK_E_TOO_LARGE, "arguments of one command", param->name, LARK_NOTHING);
        return NULL;
    }
    if (value->n == value->cap) {
        uint32_t cap = value->cap == 0 ? (lark__is_list(param->type) ? 4 : 1) : value->cap * 2;
        struct lark_item *items = lark_arena_alloc(make->arena, cap * sizeof *items);
        if (items == NULL) {
            *status = LARK_E_NOMEM;
            return NULL;
        }
        if (value->n > 0) memcpy(items, value->items, value->n * sizeof *items);
        value->items = items;
        value->cap = cap;
    }
    value->present = true;
    struct lark_item *item = &value->items[value->n++];
    *item = (struct lark_item){.kind = LARK__KIND_TEXT};
    *status = LARK_OK;
    return item;
}

const char *lark__type_expected(uint8_t type)
{
    static const char *const expected[] = {
        [LARK__TYPE_KEY] = "a key: text or a number",
        [LARK__TYPE_KEYS] = "an array of keys",
        [LARK__TYPE_KEY_PATTERN] = "a pattern",
        [LARK__TYPE_SORT_BY] = "a pattern",
        [LARK__TYPE_SORT_GETS] = "an array of patterns",
        [LARK__TYPE_KEYS_WEIGHTS] = "an array of keys, or an object of keys and their weights",
        [LARK__TYPE_KEY_VALUES] = "an array of [key, value] pairs",
        [LARK__TYPE_SCORES] = "an array of [member, score] pairs",
        [LARK__TYPE_MAPPING] = "an object of fields and values",
        [LARK__TYPE_VALUE] = "a value",
        [LARK__TYPE_VALUES] = "an array of values",
        [LARK__TYPE_FIELD] = "a field: text or a number",
        [LARK__TYPE_FIELDS] = "an array of fields",
        [LARK__TYPE_STRING] = "text",
        [LARK__TYPE_INT] = "a whole number",
        [LARK__TYPE_FLOAT] = "a number",
        [LARK__TYPE_BOOL] = "true, false, 1 or 0",
        [LARK__TYPE_DATETIME] = "a date in ISO 8601, such as 2013-12-18T23:11:39Z",
        [LARK__TYPE_BASE64] = "base64 text",
        [LARK__TYPE_SCORE_BOUND] = "a score: a number, -inf or +inf, a ( before it excludes it",
        [LARK__TYPE_IDS] = "an object of keys and ids",
    };
    return expected[type];
}

struct lark_slice lark__item_shown(const struct lark_plan *plan, const struct lark_item *item)
{
    switch (item->kind) {
    case LARK__KIND_OBJECT: return LARK_TEXT("an object");
    case LARK__KIND_ARRAY: return LARK_TEXT("an array");
    case LARK__KIND_NULL: return LARK_TEXT("null");
    case LARK__KIND_BYTES: return LARK_TEXT("bytes in base64");
    case LARK__KIND_BAD: return LARK_TEXT("a long text");
    default: break;
    }
    if (item->arg.form == LARK_ARG_BYTES) return item->arg.text;
    if (plan->body.p == NULL) return LARK_TEXT("a long text");
    return lark__slice(plan->body.p + item->arg.at, (size_t)item->arg.raw_len);
}

enum lark_status lark__bad(struct lark__make *make, const struct lark_param *param, const char *expected,
                           struct lark_slice got)
{
    return lark__fail(make->err, LARK_E_BAD_PARAMETER, expected, param->name, got);
}

static enum lark_status bad_item(struct lark__make *make, const struct lark_param *param, const struct lark_item *item)
{
    return lark__bad(make, param, lark__type_expected(param->type), lark__item_shown(make->plan, item));
}

enum lark_status lark__item_text(struct lark__make *make, const struct lark_param *param, struct lark_item *item)
{
    struct lark_buf buf;
    if (item->arg.len > LARK__TEXT_MAX) {
        if (make->err) make->err->offset = LARK__TEXT_MAX;
        return lark__fail(make->err, LARK_E_TOO_LARGE, "bytes", param->name, LARK_NOTHING);
    }
    if (item->arg.form == LARK_ARG_BYTES) return LARK_OK;
    const size_t len = (size_t)item->arg.len;
    uint8_t *p = lark_arena_alloc(make->arena, len + 3);
    if (p == NULL) return LARK_E_NOMEM;
    lark_buf_init(&buf, make->arena->mem, len + 3, p, len + 3);
    enum lark_status status = lark__region_append(&make->plan->body, make->arena->mem, &item->arg, &buf);
    if (status != LARK_OK) return status;
    item->arg.form = LARK_ARG_BYTES;
    item->arg.text = lark__slice(p, buf.len);
    return LARK_OK;
}

/* --- one item -------------------------------------------------------------------------------------------------- */

static bool is_scalar(const struct lark_item *item)
{
    return item->kind != LARK__KIND_OBJECT && item->kind != LARK__KIND_ARRAY && item->kind != LARK__KIND_NULL;
}

static bool is_number_like(const struct lark_item *item)
{
    return item->kind == LARK__KIND_NUMBER || item->kind == LARK__KIND_TEXT;
}

/* infinite: is inf a number here? whole: only whole ones */
static enum lark_status check_number(struct lark__make *make, const struct lark_param *param, struct lark_item *item,
                                     bool whole, bool infinite)
{
    if (!is_number_like(item)) return bad_item(make, param, item);
    enum lark_status status = lark__item_text(make, param, item);
    if (status != LARK_OK) return status;
    enum lark__number kind = lark__classify_number(item->arg.text);
    bool good = kind == LARK__WHOLE || (!whole && kind == LARK__FRACTION) || (infinite && kind == LARK__INFINITE);
    return good ? LARK_OK : bad_item(make, param, item);
}

static enum lark_status check_bool(struct lark__make *make, const struct lark_param *param, struct lark_value *value,
                                   struct lark_item *item)
{
    static const char *const words[] = {"false", "0", "true", "1"};
    bool scalar = is_number_like(item) || item->kind == LARK__KIND_TRUE || item->kind == LARK__KIND_FALSE;
    enum lark_status status = scalar ? lark__item_text(make, param, item) : LARK_OK;
    if (status != LARK_OK) return status;
    for (size_t i = 0; scalar && i < 4; i++) {
        if (!lark__same_fold(item->arg.text, lark__text(words[i]))) continue;
        value->flag = i >= 2;
        item->arg.text = value->flag ? LARK_TEXT("1") : LARK_TEXT("0");
        item->arg.len = 1;
        return LARK_OK;
    }
    return bad_item(make, param, item);
}

static enum lark_status check_datetime(struct lark__make *make, const struct lark_param *param,
                                       struct lark_value *value, struct lark_item *item)
{
    if (item->kind != LARK__KIND_TEXT) return bad_item(make, param, item);
    enum lark_status status = lark__item_text(make, param, item);
    if (status != LARK_OK) return status;
    status = lark__parse_datetime(make->plan->config->zone, item->arg.text, &value->time_ms);
    return status == LARK_OK ? LARK_OK : bad_item(make, param, item);
}

/* A JSON string that holds base64 becomes its bytes; {"$base64": ...} is that already. */
static enum lark_status check_base64(struct lark__make *make, const struct lark_param *param, struct lark_item *item)
{
    if (item->kind == LARK__KIND_BYTES) return LARK_OK;
    if (item->kind != LARK__KIND_TEXT) return bad_item(make, param, item);
    if (item->arg.form != LARK_ARG_BYTES) { /* a piece of the body, which is not there for long */
        enum lark_status decoded = lark__item_text(make, param, item);
        if (decoded != LARK_OK) return decoded;
    }
    size_t room = item->arg.text.len / 4 * 3 + 3;
    size_t len;
    struct lark__base64 state = {.bits = 0};
    uint8_t *bytes = lark_arena_alloc(make->arena, room);
    if (bytes == NULL) return LARK_E_NOMEM;
    enum lark_status status = lark__base64_feed(&state, item->arg.text, bytes, &len);
    if (status != LARK_OK || !lark__base64_complete(&state)) return bad_item(make, param, item);
    item->arg.text = lark__slice(bytes, len);
    item->arg.len = len;
    return LARK_OK;
}

static enum lark_status check_bound(struct lark__make *make, const struct lark_param *param, struct lark_item *item)
{
    if (!is_number_like(item)) return bad_item(make, param, item);
    enum lark_status status = lark__item_text(make, param, item);
    if (status != LARK_OK) return status;
    struct lark_slice text = item->arg.text;
    if (text.len > 0 && text.p[0] == '(') text = lark__from(text, 1);
    return lark__classify_number(text) != LARK__NOT_A_NUMBER ? LARK_OK : bad_item(make, param, item);
}

static enum lark_status check_one_of(struct lark__make *make, const struct lark_param *param, struct lark_item *item)
{
    if (item->kind == LARK__KIND_TEXT) {
        enum lark_status status = lark__item_text(make, param, item);
        if (status != LARK_OK) return status;
        for (uint8_t i = 0; i < param->n_one_of; i++) {
            if (!lark__same_fold(item->arg.text, param->one_of[i])) continue;
            if (param->shapes == LARK__SHAPES_CAST) make->plan->cast = i;
            return LARK_OK;
        }
    }
    return lark__bad(make, param, param->expected, lark__item_shown(make->plan, item));
}

/* Patterns of callers with a prefix are short, so that matching them stays cheap for the others. */
static enum lark_status check_tenant_bytes(struct lark__make *make, const struct lark_param *param,
                                           const struct lark_item *item, uint64_t max_bytes)
{
    if (max_bytes == 0 || make->plan->prefix.len == 0 || item->arg.len <= max_bytes) return LARK_OK;
    if (make->err) make->err->offset = max_bytes;
    return lark__fail(make->err, LARK_E_TOO_LARGE, "bytes of a pattern", param->name, LARK_NOTHING);
}

/* Of keys. They are decoded here: whether SORT's BY and GET name keys depends on their bytes (is_key in argv.c), however they
 * were written in the body. */
static enum lark_status check_pattern(struct lark__make *make, const struct lark_param *param, struct lark_item *item)
{
    if (!is_scalar(item)) return bad_item(make, param, item);
    enum lark_status status = check_tenant_bytes(make, param, item, 256); /* docs/ARCHITECTURE.md, tenants */
    return status == LARK_OK ? lark__item_text(make, param, item) : status;
}

/* A sign does not count: SRANDMEMBER takes so many below 0, too, and then gives members again and again. */
static enum lark_status check_tenant_max(struct lark__make *make, const struct lark_param *param,
                                         const struct lark_item *item)
{
    uint64_t n;
    struct lark_slice digits = item->arg.text;
    if (param->tenant_max == 0 || make->plan->prefix.len == 0) return LARK_OK;
    if (digits.len > 0 && digits.p[0] == '-') digits = lark__from(digits, 1);
    if (lark__parse_u64(digits, &n) && n <= param->tenant_max) return LARK_OK;
    return lark__bad(make, param, "a smaller number: callers with a prefix have a ceiling", item->arg.text);
}

static enum lark_status check_item(struct lark__make *make, const struct lark_param *param, struct lark_value *value,
                                   size_t at)
{
    struct lark_item *item = &value->items[at];
    bool second = value->pairs && at % 2 == 1;
    switch ((enum lark__type)param->type) {
    case LARK__TYPE_INT: {
        enum lark_status status = check_number(make, param, item, true, false);
        return status == LARK_OK ? check_tenant_max(make, param, item) : status;
    }
    case LARK__TYPE_FLOAT: return check_number(make, param, item, false, true);
    case LARK__TYPE_BOOL: return check_bool(make, param, value, item);
    case LARK__TYPE_DATETIME: return check_datetime(make, param, value, item);
    case LARK__TYPE_BASE64: return check_base64(make, param, item);
    case LARK__TYPE_SCORE_BOUND: return check_bound(make, param, item);
    case LARK__TYPE_KEY_PATTERN:
    case LARK__TYPE_SORT_BY:
    case LARK__TYPE_SORT_GETS: return check_pattern(make, param, item);
    case LARK__TYPE_SCORES:
    case LARK__TYPE_KEYS_WEIGHTS:
        if (second) return check_number(make, param, item, false, true);
        return param->type == LARK__TYPE_SCORES && item->kind != LARK__KIND_NULL ? LARK_OK
               : is_scalar(item)                                                 ? LARK_OK
                                                                                 : bad_item(make, param, item);
    case LARK__TYPE_VALUE:
    case LARK__TYPE_VALUES: return item->kind != LARK__KIND_NULL ? LARK_OK : bad_item(make, param, item);
    case LARK__TYPE_KEY_VALUES:
    case LARK__TYPE_MAPPING:
        if (second && item->kind != LARK__KIND_NULL) return LARK_OK;
        break;
    case LARK__TYPE_STRING:
        if (param->n_one_of > 0) return check_one_of(make, param, item);
        return is_scalar(item) ? check_tenant_bytes(make, param, item, param->tenant_max) : bad_item(make, param, item);
    case LARK__TYPE_KEY:
    case LARK__TYPE_KEYS:
    case LARK__TYPE_FIELD:
    case LARK__TYPE_FIELDS:
    case LARK__TYPE_IDS: break;
    }
    return is_scalar(item) ? LARK_OK : bad_item(make, param, item);
}

/* --- one value ------------------------------------------------------------------------------------------------- */

static enum lark_status check_value(struct lark__make *make, const struct lark_param *param, struct lark_value *value)
{
    unsigned verb = make->plan->request->verb == LARK_VERB_HEAD ? LARK_VERB_GET : (unsigned)make->plan->request->verb;
    if (value->n == 0) return lark__bad(make, param, lark__type_expected(param->type), LARK_TEXT("an empty one"));
    if (param->verbs && !(param->verbs & verb)) {
        return lark__bad(make, param, "absent from a GET, which never changes anything: use POST",
                         lark__item_shown(make->plan, &value->items[0]));
    }
    for (size_t i = 0; i < value->n; i++) {
        enum lark_status status = check_item(make, param, value, i);
        if (status != LARK_OK) return status;
    }
    return LARK_OK;
}

/* The exponent behind the "e" of a number, cut to what decides nothing more. */
static int64_t exponent_of(struct lark_slice text)
{
    const int64_t enough = 1 << 24; /* no body is so long */
    size_t at = text.p[0] == '-' || text.p[0] == '+' ? 1 : 0;
    int64_t n = 0;
    for (size_t i = at; i < text.len && n < enough; i++) n = n * 10 + (text.p[i] - '0');
    return text.p[0] == '-' ? -n : n;
}

/* Seconds as a number of any form, without its sign, in milliseconds: rounded up, as Redis does, and at most max_ms + 1. */
static uint64_t milliseconds(struct lark_slice text, uint64_t max_ms)
{
    size_t len = 0;
    int64_t weight = 2; /* power of ten of the first digit, in milliseconds */
    while (len < text.len && (text.p[len] | 0x20) != 'e') len++;
    if (len < text.len) weight += exponent_of(lark__from(text, len + 1));
    for (size_t i = 0; i < len && text.p[i] != '.'; i++) weight++;
    uint64_t ms = 0;
    bool more = false;
    for (size_t i = 0; i < len; i++) {
        if (text.p[i] == '.') continue;
        uint64_t digit = (uint64_t)(text.p[i] - '0');
        if (weight-- < 0) {
            more |= digit > 0;
        } else if (ms <= max_ms) {
            ms = ms * 10 + digit;
        }
    }
    while (weight-- >= 0 && ms > 0 && ms <= max_ms) ms *= 10;
    ms += more;
    return ms <= max_ms ? ms : max_ms + 1;
}

/* The time that Redis may wait, cut to the limit; 0 and more than the limit mean the limit. */
static enum lark_status cut_block(struct lark__make *make, struct lark_value *value)
{
    const uint32_t longest_s = 4000000; /* fits in block_ms */
    uint32_t max_s = make->plan->config->limits.block_max_s;
    if (max_s == 0) max_s = 1; /* to Redis 0 is for ever */
    if (max_s > longest_s) max_s = longest_s;
    struct lark_arg *arg = &value->items[0].arg;
    struct lark_slice text = arg->text;
    uint64_t ms = (uint64_t)max_s * 1000 + 1;
    bool negative = text.len > 0 && text.p[0] == '-';
    if (negative || (text.len > 0 && text.p[0] == '+')) text = lark__from(text, 1);
    if (lark__classify_number(text) != LARK__INFINITE) ms = milliseconds(text, (uint64_t)max_s * 1000);
    if (negative && ms > 0) return LARK_OK; /* Redis has an error for it */
    if (ms > 0 && ms <= (uint64_t)max_s * 1000) {
        make->plan->block_ms = (uint32_t)ms;
        if (ms > 1) return LARK_OK;
        arg->text = LARK_TEXT("0.001"); /* Redis before 7.0 makes 0 of less, which is for ever */
        arg->len = arg->text.len;
        return LARK_OK;
    }
    uint8_t *digits = lark_arena_alloc(make->arena, 20);
    if (digits == NULL) return LARK_E_NOMEM;
    arg->text = lark__slice(digits, lark__format_u64(max_s, digits));
    arg->len = arg->text.len;
    make->plan->block_ms = max_s * 1000;
    return LARK_OK;
}

static enum lark_status set_default(struct lark__make *make, const struct lark_param *param, struct lark_value *value)
{
    enum lark_status status;
    struct lark_slice text = param->default_text;
    /* without a pattern a caller with a prefix still sees only what is below it */
    if (text.len == 0 && param->type == LARK__TYPE_KEY_PATTERN && make->plan->prefix.len > 0) text = LARK_TEXT("*");
    if (text.len == 0) return LARK_OK;
    struct lark_item *item = lark__value_push(make, param, value, &status);
    if (item == NULL) return status;
    item->arg.text = text;
    item->arg.len = text.len;
    return LARK_OK;
}

/* Rules that join two parameters. */
static enum lark_status check_together(struct lark__make *make, const struct lark_param *param,
                                       const struct lark_value *value)
{
    if (param->with >= 0 && value->present && !make->values[param->with].present) {
        return lark__fail(make->err, LARK_E_MISSING_PARAMETER, "goes together with another, which was given",
                          make->row->params[param->with].name, LARK_NOTHING);
    }
    if (param->needs >= 0 && value->flag && make->values[param->needs].n < param->needs_items) {
        return lark__fail(make->err, LARK_E_BAD_PARAMETER, param->needs_message, LARK_NOTHING, LARK_NOTHING);
    }
    return LARK_OK;
}

static enum lark_status check_param(struct lark__make *make, const struct lark_param *param, struct lark_value *value)
{
    if (!value->present && param->required) {
        return lark__fail(make->err, LARK_E_MISSING_PARAMETER, lark__type_expected(param->type), param->name,
                          LARK_NOTHING);
    }
    enum lark_status status = value->present ? LARK_OK : set_default(make, param, value);
    if (status == LARK_OK && value->present) status = check_value(make, param, value);
    if (status == LARK_OK && value->present && param->blocks) status = cut_block(make, value);
    return status;
}

enum lark_status lark__make_check(struct lark__make *make)
{
    for (size_t i = 0; i < make->row->n_params; i++) {
        enum lark_status status = check_param(make, &make->row->params[i], &make->values[i]);
        if (status != LARK_OK) return status;
    }
    for (size_t i = 0; i < make->row->n_params; i++) {
        const struct lark_param *param = &make->row->params[i];
        enum lark_status status = check_together(make, param, &make->values[i]);
        if (status != LARK_OK) return status;
        if (param->shapes == LARK__SHAPES_GROUPS && make->values[i].flag) {
            make->plan->groups = make->values[param->needs].n;
        }
        if (param->shapes == LARK__SHAPES_SCORES) make->plan->scores = make->values[i].flag;
    }
    return LARK_OK;
}
