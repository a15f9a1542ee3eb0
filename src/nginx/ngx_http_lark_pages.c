/* lark_resource_metadata: who issues tokens. lark_error: nginx' own errors as JSON. */
#include "ngx_http_lark.h"

ngx_int_t ngx_http_lark_page_begin(ngx_http_request_t *r, ngx_http_lark_ctx_t **out_ctx)
{
    struct lark_err err;
    ngx_http_lark_ctx_t *ctx = ngx_http_lark_ctx_create(r, ngx_http_get_module_loc_conf(r, ngx_http_lark_module));
    if (ctx == NULL || r != r->main) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
    ngx_http_lark_body_refuse(r);
    *out_ctx = ctx;
    if (r->method & (NGX_HTTP_GET | NGX_HTTP_HEAD)) {
        return NGX_DECLINED;
    }
    ngx_memzero(&err, sizeof(err));
    err.status = LARK_E_WRONG_VERB;
    err.method = -1;
    err.verbs = LARK_VERB_GET | LARK_VERB_HEAD;
    return ngx_http_lark_send_error(ctx, &err);
}

/* ---- metadata of the API, for who looks for its issuer: RFC 9728 ---- */

static enum lark_status write_metadata(const ngx_http_lark_oauth_t *oauth, struct lark_buf *out)
{
    const struct {
        const char *before;
        const ngx_str_t *text;
    } parts[] = {{"{\"resource\": ", &oauth->resource}, {", \"authorization_servers\": [", &oauth->issuer}};
    static const char after[] = "], \"bearer_methods_supported\": [\"header\"]}";
    enum lark_status status = LARK_OK;
    for (ngx_uint_t i = 0; i < 2 && status == LARK_OK; i++) {
        status =
            lark_buf_append(out, (struct lark_slice){(const uint8_t *)parts[i].before, ngx_strlen(parts[i].before)});
        if (status == LARK_OK) {
            status = lark_json_write_text(out, ngx_http_lark_slice(*parts[i].text));
        }
    }
    return status == LARK_OK ? lark_buf_append(out, (struct lark_slice){(const uint8_t *)after, sizeof(after) - 1})
                             : status;
}

ngx_int_t ngx_http_lark_metadata_handler(ngx_http_request_t *r)
{
    ngx_http_lark_ctx_t *ctx = NULL;
    ngx_int_t rc = ngx_http_lark_page_begin(r, &ctx);
    if (rc != NGX_DECLINED) {
        return rc;
    }
    return write_metadata(&ctx->conf->oauth, &ctx->out) == LARK_OK ? ngx_http_lark_send(ctx, NGX_HTTP_OK, 0)
                                                                   : NGX_HTTP_INTERNAL_SERVER_ERROR;
}

/* ---- nginx' own errors ---- */

typedef struct {
    ngx_uint_t from;
    ngx_uint_t to;
    enum lark_status status;
} page_t;

/* nginx' status, those of its own among them (494 and on), and what it is in our list. The first that fits counts. */
static const page_t pages[] = {
    {401, 401, LARK_E_CREDENTIALS},
    {403, 403, LARK_E_SCOPE},
    {404, 404, LARK_E_UNKNOWN_PATH},
    {405, 405, LARK_E_WRONG_VERB},
    {413, 413, LARK_E_TOO_LARGE},
    {414, 414, LARK_E_URI_TOO_LONG},
    {415, 415, LARK_E_ENCODING},
    {416, 416, LARK_E_RANGE},
    {421, 421, LARK_E_FOREIGN_HOST},
    {429, 429, LARK_E_TOO_MANY},
    {431, 431, LARK_E_HEADERS_TOO_LARGE},
    {494, 494, LARK_E_HEADERS_TOO_LARGE},
    {400, 499, LARK_E_BAD_REQUEST},
    {501, 501, LARK_E_BAD_REQUEST}, /* a transfer coding that nginx does not know */
    {502, 502, LARK_E_LOST},
    {503, 503, LARK_E_OVERLOAD},
    {504, 504, LARK_E_DEADLINE},
    {505, 505, LARK_E_BAD_REQUEST},
};

static enum lark_status page_status(ngx_http_request_t *r)
{
    if (!r->internal || r->err_status == 0) {
        return LARK_E_UNKNOWN_PATH; /* asked for by its own name */
    }
    for (ngx_uint_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++) {
        if (r->err_status >= pages[i].from && r->err_status <= pages[i].to) {
            return pages[i].status;
        }
    }
    return LARK_E_INTERNAL;
}

/* nginx gives 494 as 400 (unless it is written `error_page 494 =431`), and has no status of its own for a missing Host.
 * Before a request is complete it wants to linger only on one whose headers are too large. */
static enum lark_status bad_request_status(ngx_http_request_t *r)
{
    if (r->internal && r->lingering_close && !ngx_http_lark_body_expected(r)) {
        return LARK_E_HEADERS_TOO_LARGE;
    }
    ngx_uint_t has_headers = r->headers_in.headers.part.elts != NULL;
    if (has_headers && r->http_version == NGX_HTTP_VERSION_11 && r->headers_in.host == NULL) {
        return LARK_E_MISSING_HOST;
    }
    return LARK_E_BAD_REQUEST;
}

/* nginx' limit of a body, where it can be the one that was met: the location that refused may have its own. By now
 * content_length_n is what is left to discard. */
static void tell_limit(ngx_http_request_t *r, struct lark_err *err)
{
    ngx_http_core_loc_conf_t *clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);
    ngx_table_elt_t *length = r->headers_in.content_length;
    if (length != NULL && ngx_atoof(length->value.data, length->value.len) > clcf->client_max_body_size) {
        err->text = "bytes of a body";
        err->offset = (uint64_t)clcf->client_max_body_size;
    }
}

ngx_int_t ngx_http_lark_error_handler(ngx_http_request_t *r)
{
    struct lark_err err;
    ngx_http_lark_ctx_t *ctx = ngx_http_lark_ctx_create(r, ngx_http_get_module_loc_conf(r, ngx_http_lark_module));
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
    ngx_http_lark_record_begin(ctx);
    ngx_http_lark_trace_scan(r, &ctx->trace);
    ngx_http_lark_ctx_succeed(ctx);
    ngx_http_lark_trace_make(ctx);
    ngx_http_lark_body_refuse(r);
    ngx_memzero(&err, sizeof(err));
    err.method = -1;
    err.status = page_status(r);
    if (r->err_status == NGX_HTTP_BAD_REQUEST) {
        err.status = bad_request_status(r);
    }
    if (err.status == LARK_E_TOO_LARGE) {
        tell_limit(r, &err);
    }
    if (err.status == LARK_E_WRONG_VERB) {
        err.verbs =
            LARK_VERB_GET | LARK_VERB_HEAD | LARK_VERB_POST | LARK_VERB_PUT | LARK_VERB_DELETE | LARK_VERB_OPTIONS;
    }
    return ngx_http_lark_send_error(ctx, &err);
}
