/* path.c - parameter values from the path and the query. */
#include "make.h"
#include "uri.h"

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
