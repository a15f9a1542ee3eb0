/* Variables for logs and limits. nginx writes its log when a request's context is gone: what the configuration names (and only
 * that) gets its value when the request ends. */
#include "ngx_http_lark.h"

typedef ngx_str_t (*value_pt)(ngx_http_lark_ctx_t *ctx);

static ngx_str_t caller_of(ngx_http_lark_ctx_t *ctx)
{
    ngx_str_t name = ngx_null_string;
    if (ctx->caller != NULL) {
        name.data = (u_char *)(uintptr_t)ctx->caller->name;
        name.len = ctx->caller->name_len;
    }
    return name;
}

static ngx_str_t method_of(ngx_http_lark_ctx_t *ctx)
{
    struct lark_slice name = {NULL, 0};
    if (ctx->method >= 0) {
        name = lark_catalogue_name(ctx->conf->config.catalogue, (size_t)ctx->method);
    }
    return (ngx_str_t){name.len, (u_char *)(uintptr_t)name.p};
}

static ngx_str_t seconds(ngx_http_lark_ctx_t *ctx, uint64_t ns)
{
    ngx_str_t text = {0, ngx_pnalloc(ctx->request->pool, NGX_INT64_LEN + sizeof(".000000"))};
    if (text.data != NULL) {
        text.len = (size_t)(ngx_sprintf(text.data, "%uL.%06uL", ns / 1000000000, ns / 1000 % 1000000) - text.data);
    }
    return text;
}

static ngx_str_t time_of(ngx_http_lark_ctx_t *ctx)
{
    return seconds(ctx, ctx->is_call ? ngx_http_lark_now_ns() - ctx->entered_ns : 0);
}

static ngx_str_t redis_time_of(ngx_http_lark_ctx_t *ctx)
{
    return seconds(ctx, ctx->replied_ns != 0 ? ctx->replied_ns - ctx->sent_ns : 0);
}

static ngx_str_t error_of(ngx_http_lark_ctx_t *ctx)
{
    ngx_str_t code = ngx_null_string;
    if (ctx->error != LARK_OK) {
        const char *text = lark_error_row(ctx->error)->code;
        code.data = (u_char *)(uintptr_t)text;
        code.len = ngx_strlen(text);
    }
    return code;
}

static ngx_str_t id_of(ngx_http_lark_ctx_t *ctx)
{
    return ctx->trace.id;
}

static ngx_str_t trace_id_of(ngx_http_lark_ctx_t *ctx)
{
    return ctx->trace.trace_id;
}

/* without: of a request that is none of ours */
static const struct {
    ngx_str_t name;
    value_pt value;
    ngx_str_t without;
} variables[NGX_HTTP_LARK_N_VARIABLES] = {
    {NGX_HTTP_LARK_TEXT("lark_caller"), caller_of, ngx_null_string},
    {NGX_HTTP_LARK_TEXT("lark_method"), method_of, ngx_null_string},
    {NGX_HTTP_LARK_TEXT("lark_time"), time_of, NGX_HTTP_LARK_TEXT("0.000000")},
    {NGX_HTTP_LARK_TEXT("lark_redis_time"), redis_time_of, NGX_HTTP_LARK_TEXT("0.000000")},
    {NGX_HTTP_LARK_TEXT("lark_error"), error_of, ngx_null_string},
    {NGX_HTTP_LARK_TEXT("lark_request_id"), id_of, ngx_null_string},
    {NGX_HTTP_LARK_TEXT("lark_trace_id"), trace_id_of, ngx_null_string},
};

#define REQUEST_ID 5 /* of the variables */

static void set(ngx_http_variable_value_t *v, ngx_str_t value)
{
    v->data = value.data;
    v->len = value.len & 0x0fffffff;
    v->valid = value.len > 0;
    v->not_found = value.len == 0;
}

static ngx_int_t get(ngx_http_request_t *r, ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_http_lark_ctx_t *ctx = ngx_http_get_module_ctx(r, ngx_http_lark_module);
    set(v, ctx == NULL ? variables[data].without : variables[data].value(ctx));
    v->no_cacheable = 1;
    return NGX_OK;
}

static ngx_int_t get_route(ngx_http_request_t *r, ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_http_lark_loc_conf_t *conf = ngx_http_get_module_loc_conf(r, ngx_http_lark_module);
    (void)data;
    set(v, conf->route);
    v->no_cacheable = 1;
    return NGX_OK;
}

/* As it came, but for bytes that are none of a URL: those could be no UTF-8, and a line of a log no JSON. */
static ngx_int_t get_target(ngx_http_request_t *r, ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_str_t target = {0, ngx_pnalloc(r->pool, 3 * r->unparsed_uri.len + 1)};
    (void)data;
    if (target.data == NULL) {
        return NGX_ERROR;
    }
    u_char *end = target.data;
    for (size_t i = 0; i < r->unparsed_uri.len; i++) {
        u_char c = r->unparsed_uri.data[i];
        ngx_uint_t plain = c > ' ' && c < 0x7f && c != '"' && c != '\\';
        end = plain ? ngx_cpymem(end, &c, 1) : ngx_sprintf(end, "%%%02Xi", (ngx_int_t)c);
    }
    target.len = (size_t)(end - target.data);
    set(v, target);
    v->no_cacheable = 0;
    return NGX_OK;
}

/* Variables that any request has. */
static ngx_int_t add_getter(ngx_conf_t *cf, ngx_str_t name, ngx_http_get_variable_pt handler)
{
    ngx_http_variable_t *variable = ngx_http_add_variable(cf, &name, NGX_HTTP_VAR_NOCACHEABLE);
    if (variable == NULL) {
        return NGX_ERROR;
    }
    variable->get_handler = handler;
    return NGX_OK;
}

ngx_int_t ngx_http_lark_add_variables(ngx_conf_t *cf)
{
    static const ngx_str_t route = NGX_HTTP_LARK_TEXT("lark_route");
    static const ngx_str_t target = NGX_HTTP_LARK_TEXT("lark_target");
    for (ngx_uint_t i = 0; i < NGX_HTTP_LARK_N_VARIABLES; i++) {
        ngx_str_t name = variables[i].name;
        ngx_http_variable_t *variable = ngx_http_add_variable(cf, &name, NGX_HTTP_VAR_NOCACHEABLE);
        if (variable == NULL) {
            return NGX_ERROR;
        }
        variable->get_handler = get;
        variable->data = i;
    }
    return add_getter(cf, route, get_route) == NGX_OK ? add_getter(cf, target, get_target) : NGX_ERROR;
}

/* All of the configuration is read: which of them does it name? */
void ngx_http_lark_find_variables(ngx_conf_t *cf)
{
    ngx_http_lark_main_conf_t *lmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_lark_module);
    ngx_http_core_main_conf_t *cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);
    const ngx_http_variable_t *named = cmcf->variables.elts;
    for (ngx_uint_t i = 0; i < NGX_HTTP_LARK_N_VARIABLES; i++) {
        ngx_str_t name = variables[i].name;
        for (ngx_uint_t k = 0; k < cmcf->variables.nelts; k++) {
            if (named[k].name.len == name.len && ngx_strncmp(named[k].name.data, name.data, name.len) == 0) {
                lmcf->variables[lmcf->n_variables].index = k;
                lmcf->variables[lmcf->n_variables++].which = i;
                lmcf->makes_ids |= i == REQUEST_ID;
            }
        }
    }
}

void ngx_http_lark_keep_variables(ngx_http_lark_ctx_t *ctx)
{
    ngx_http_request_t *r = ctx->request;
    ngx_http_lark_main_conf_t *lmcf = ngx_http_get_module_main_conf(r, ngx_http_lark_module);
    for (ngx_uint_t i = 0; i < lmcf->n_variables; i++) {
        ngx_http_variable_value_t *v = &r->variables[lmcf->variables[i].index];
        ngx_str_t value = variables[lmcf->variables[i].which].value(ctx);
        if (lmcf->variables[i].which == 0 && ctx->caller == &ctx->own) {
            value.data = ngx_pstrdup(r->pool, &value); /* it goes with the context */
            value.len = value.data == NULL ? 0 : value.len;
        }
        set(v, value);
        v->no_cacheable = 0;
    }
}
