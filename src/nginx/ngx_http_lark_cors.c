/* Pages of other origins that may call: an exact list, off by default. Never a star, never credentials that a browser adds
 * by itself (Access-Control-Allow-Credentials): a page sends its token in the header Authorization.
 * source: Fetch standard, "CORS protocol"; docs/browsers.md */
#include "ngx_http_lark.h"

char *ngx_http_lark_set_cors(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_lark_loc_conf_t *llcf = conf;
    ngx_str_t *words = cf->args->elts;
    (void)cmd;
    if (llcf->cors_origins != NULL) {
        return ngx_http_lark_conf_error("is duplicate");
    }
    llcf->cors_origins = ngx_array_create(cf->pool, cf->args->nelts, sizeof(ngx_str_t));
    if (llcf->cors_origins == NULL) {
        return NGX_CONF_ERROR;
    }
    for (ngx_uint_t i = 1; i < cf->args->nelts; i++) {
        const char *wrong = lark_origin_fault(ngx_http_lark_slice(words[i]));
        if (wrong != NULL) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "lark_cors_origins: %s, got \"%V\"", wrong, &words[i]);
            return NGX_CONF_ERROR;
        }
        ngx_str_t *origin = ngx_array_push(llcf->cors_origins);
        if (origin == NULL) {
            return NGX_CONF_ERROR;
        }
        *origin = words[i];
    }
    return NGX_CONF_OK;
}

static const ngx_str_t *find(const ngx_array_t *origins, ngx_str_t origin)
{
    const ngx_str_t *listed = origins->elts;
    for (ngx_uint_t i = 0; i < origins->nelts; i++) {
        if (listed[i].len == origin.len && ngx_memcmp(listed[i].data, origin.data, origin.len) == 0) {
            return &listed[i];
        }
    }
    return NULL;
}

/* name: in lower case. return: the header if there is just one of that name; NULL */
static const ngx_table_elt_t *only_header(ngx_http_request_t *r, const char *name, size_t len)
{
    const ngx_table_elt_t *found = NULL;
    for (ngx_list_part_t *part = &r->headers_in.headers.part; part != NULL; part = part->next) {
        ngx_table_elt_t *h = part->elts;
        for (ngx_uint_t i = 0; i < part->nelts; i++) {
            if (h[i].key.len != len || ngx_memcmp(h[i].lowcase_key, name, len) != 0) {
                continue;
            }
            if (found != NULL) {
                return NULL;
            }
            found = &h[i];
        }
    }
    return found;
}

const ngx_str_t *ngx_http_lark_cors_origin(ngx_http_request_t *r, const ngx_http_lark_loc_conf_t *conf)
{
    static const char name[] = "origin";
    if (conf->cors_origins == NULL) {
        return NULL;
    }
    const ngx_table_elt_t *h = only_header(r, name, sizeof(name) - 1);
    return h == NULL ? NULL : find(conf->cors_origins, h->value);
}

ngx_uint_t ngx_http_lark_is_preflight(ngx_http_request_t *r, const ngx_http_lark_loc_conf_t *conf)
{
    static const char name[] = "access-control-request-method";
    return r->method == NGX_HTTP_OPTIONS && ngx_http_lark_cors_origin(r, conf) != NULL &&
           only_header(r, name, sizeof(name) - 1) != NULL;
}

/* The origin is the list's own text: no byte of a request gets into a header. */
ngx_int_t ngx_http_lark_push_cors(ngx_http_request_t *r, const ngx_http_lark_loc_conf_t *conf)
{
    static ngx_str_t vary = NGX_HTTP_LARK_TEXT("Vary");
    static ngx_str_t authorization = NGX_HTTP_LARK_TEXT("Authorization");
    static ngx_str_t both = NGX_HTTP_LARK_TEXT("Authorization, Origin");
    static ngx_str_t allow = NGX_HTTP_LARK_TEXT("Access-Control-Allow-Origin");
    static ngx_str_t expose = NGX_HTTP_LARK_TEXT("Access-Control-Expose-Headers");
    /* what a page cannot read unasked */
    static ngx_str_t exposed = NGX_HTTP_LARK_TEXT("Accept-Ranges, Allow, Content-Length, Content-Range, Retry-After, "
                                                  "Server-Timing, WWW-Authenticate, X-Request-ID");
    const ngx_str_t *origin = ngx_http_lark_cors_origin(r, conf);
    if (ngx_http_lark_push_header(r, vary, conf->cors_origins == NULL ? authorization : both) != NGX_OK) {
        return NGX_ERROR;
    }
    if (origin == NULL) {
        return NGX_OK;
    }
    return ngx_http_lark_push_header(r, allow, *origin) == NGX_OK ? ngx_http_lark_push_header(r, expose, exposed)
                                                                  : NGX_ERROR;
}

/* $lark_cors_origin: for answers that are not the module's, as the OpenAPI document. */
static ngx_int_t cors_variable(ngx_http_request_t *r, ngx_http_variable_value_t *v, uintptr_t data)
{
    const ngx_str_t *origin = ngx_http_lark_cors_origin(r, ngx_http_get_module_loc_conf(r, ngx_http_lark_module));
    (void)data;
    if (origin == NULL) {
        v->not_found = 1;
        return NGX_OK;
    }
    v->data = origin->data;
    v->len = origin->len & 0x0fffffff;
    v->valid = 1;
    v->no_cacheable = 1;
    v->not_found = 0;
    return NGX_OK;
}

ngx_int_t ngx_http_lark_add_cors_variable(ngx_conf_t *cf)
{
    static ngx_str_t name = NGX_HTTP_LARK_TEXT("lark_cors_origin");
    ngx_http_variable_t *variable = ngx_http_add_variable(cf, &name, NGX_HTTP_VAR_NOCACHEABLE);
    if (variable == NULL) {
        return NGX_ERROR;
    }
    variable->get_handler = cors_variable;
    return NGX_OK;
}
