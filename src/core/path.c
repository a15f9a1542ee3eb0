/* path.c - parameter values from the path and the query. */
#include "make.h"
#include "uri.h"

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

static enum lark_status push_text(struct lark__make *make, const struct lark_param *param, struct lark_value *value,
                                  struct lark_slice text)
{
    enum lark_status status;
    struct lark_item *item = lark__value_push(make, param, value, &status);
    if (item == NULL) return status;
    item->arg.text = text;
    item->arg.len = text.len;
    return LARK_OK;
}

static enum lark_status push_raw(struct lark__make *make, const struct lark_param *param, struct lark_value *value,
                                 struct lark_slice raw, bool plus_is_blank)
{
    if (!lark__percent_needed(raw, plus_is_blank)) return push_text(make, param, value, raw);
    uint8_t *decoded = lark_arena_alloc(make->arena, raw.len);
    if (decoded == NULL) return LARK_E_NOMEM;
    return push_text(make, param, value, lark__slice(decoded, lark__percent_decode(raw, plus_is_blank, decoded)));
}

enum lark_status lark__make_path(struct lark__make *make)
{
    const struct lark_route *route = make->plan->route;
    for (size_t i = 0; route && i < route->n_params; i++) {
        struct lark_value *value = &make->values[route->params[i]];
        value->source = LARK__IN_PATH;
        enum lark_status status =
            push_raw(make, &make->row->params[route->params[i]], value, make->plan->path[i], false);
        if (status != LARK_OK) return status;
    }
    return LARK_OK;
}

/* The parameter that a query name means, or NULL. In the query form path parameters are in the query too. */
static const struct lark_param *by_query_name(const struct lark__make *make, struct lark_slice name, bool plain)
{
    unsigned in = LARK__IN_QUERY | (make->plan->route == NULL || make->plan->n_path == 0 ? LARK__IN_PATH : 0);
    if (make->plan->put) in |= LARK__IN_JSON; /* the body is not JSON: its members come here */
    for (size_t i = 0; i < make->row->n_params; i++) {
        const struct lark_param *param = &make->row->params[i];
        if (!(param->in & in)) continue;
        if (plain ? lark__same(name, param->name) : lark__query_name_is(name, param->name)) return param;
    }
    return NULL;
}

enum lark_status lark__make_query(struct lark__make *make)
{
    struct lark_slice query = make->plan->query;
    struct lark_slice name, raw;
    const bool plain = !lark__percent_needed(query, true); /* nearly all are: one look spares five at each part */
    while (lark__query_next(&query, &name, &raw)) {
        const struct lark_param *param = by_query_name(make, name, plain);
        if (param == NULL) continue;
        struct lark_value *value = &make->values[param - make->row->params];
        if (value->present && value->source != LARK__IN_QUERY) continue; /* path and body win */
        if (!plain && !lark__percent_valid(raw)) {
            return lark__bad(make, param, "percent-encoded text: a % is not followed by two digits", raw);
        }
        if (value->present && !lark__is_list(param->type)) {
            return lark__bad(make, param, "one value, not several", raw);
        }
        value->source = LARK__IN_QUERY;
        enum lark_status status = plain ? push_text(make, param, value, raw) : push_raw(make, param, value, raw, true);
        if (status != LARK_OK) return status;
    }
    return LARK_OK;
}
