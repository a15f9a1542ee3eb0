#include "ngx_http_lark.h"

/* Chromium keeps a preflight's answer no longer. */
#define MAX_AGE "7200"

typedef struct {
    ngx_str_t key;
    ngx_str_t value;
} header_t;

/* On every answer. Data of Redis is never run or kept by a browser, nor read by another site. */
static const header_t always[] = {
    {NGX_HTTP_LARK_TEXT("X-Content-Type-Options"), NGX_HTTP_LARK_TEXT("nosniff")},
    {NGX_HTTP_LARK_TEXT("Content-Security-Policy"), NGX_HTTP_LARK_TEXT("sandbox; default-src 'none'")},
    {NGX_HTTP_LARK_TEXT("Cross-Origin-Resource-Policy"), NGX_HTTP_LARK_TEXT("same-origin")},
    {NGX_HTTP_LARK_TEXT("Cache-Control"), NGX_HTTP_LARK_TEXT("private, no-store")},
};

static ngx_int_t push(ngx_http_request_t *r, const header_t *header)
{
    return ngx_http_lark_push_header(r, header->key, header->value);
}

static ngx_int_t push_retry_after(ngx_http_request_t *r, ngx_int_t seconds)
{
    header_t header = {NGX_HTTP_LARK_TEXT("Retry-After"), ngx_null_string};
    header.value.data = ngx_pnalloc(r->pool, NGX_INT_T_LEN);
    if (header.value.data == NULL) {
        return NGX_ERROR;
    }
    header.value.len = (size_t)(ngx_sprintf(header.value.data, "%i", seconds) - header.value.data);
    return push(r, &header);
}

static ngx_int_t push_allow(ngx_http_request_t *r, unsigned verbs)
{
    header_t header = {NGX_HTTP_LARK_TEXT("Allow"), ngx_null_string};
    struct lark_buf list;
    u_char *block = ngx_pnalloc(r->pool, 64);
    if (block == NULL) {
        return NGX_ERROR;
    }
    lark_buf_init(&list, &ngx_http_lark_mem, 64, block, 64);
    if (lark_verbs_list(verbs, &list) != LARK_OK) {
        return NGX_ERROR;
    }
    header.value.data = block;
    header.value.len = list.len;
    return push(r, &header);
}

/* format: with three numbers of off_t; further ones are not used. */
static ngx_int_t push_range(ngx_http_request_t *r, const char *format, uint64_t a, uint64_t b, uint64_t c)
{
    header_t header = {NGX_HTTP_LARK_TEXT("Content-Range"), ngx_null_string};
    header.value.data = ngx_pnalloc(r->pool, sizeof("bytes -/") + 3 * NGX_INT64_LEN);
    if (header.value.data == NULL) {
        return NGX_ERROR;
    }
    u_char *end = ngx_sprintf(header.value.data, format, a, b, c);
    header.value.len = (size_t)(end - header.value.data);
    return push(r, &header);
}

/* What the reply says about the bytes of a value. */
static ngx_int_t push_bytes(ngx_http_lark_ctx_t *ctx, ngx_uint_t status)
{
    static const header_t accept = {NGX_HTTP_LARK_TEXT("Accept-Ranges"), NGX_HTTP_LARK_TEXT("bytes")};
    const struct lark_reply *reply = &ctx->reply;
    if (ctx->bytes && reply->accepts_ranges && push(ctx->request, &accept) != NGX_OK) {
        return NGX_ERROR;
    }
    if (status == NGX_HTTP_PARTIAL_CONTENT) {
        return push_range(ctx->request, "bytes %uL-%uL/%uL", reply->range_first, reply->range_last, reply->range_total);
    }
    if (status == NGX_HTTP_RANGE_NOT_SATISFIABLE) {
        return push_range(ctx->request, "bytes */%uL", reply->range_total, 0, 0);
    }
    return NGX_OK;
}

static ngx_int_t push_all(ngx_http_lark_ctx_t *ctx, ngx_int_t retry_after_s)
{
    ngx_http_request_t *r = ctx->request;
    for (ngx_uint_t i = 0; i < sizeof(always) / sizeof(always[0]); i++) {
        if (push(r, &always[i]) != NGX_OK) {
            return NGX_ERROR;
        }
    }
    if (ngx_http_lark_push_cors(r, ctx->conf) != NGX_OK) {
        return NGX_ERROR;
    }
    return retry_after_s > 0 ? push_retry_after(r, retry_after_s) : NGX_OK;
}

ngx_int_t ngx_http_lark_send_head(ngx_http_lark_ctx_t *ctx, ngx_uint_t status, ngx_int_t retry_after_s, off_t length)
{
    static ngx_str_t json = NGX_HTTP_LARK_TEXT("application/json");
    static ngx_str_t octets = NGX_HTTP_LARK_TEXT("application/octet-stream");
    ngx_http_request_t *r = ctx->request;
    if (push_all(ctx, retry_after_s) != NGX_OK || push_bytes(ctx, status) != NGX_OK) {
        return NGX_ERROR;
    }
    if (ngx_http_lark_trace_push(ctx) != NGX_OK) {
        return NGX_ERROR;
    }
    r->headers_out.status = status;
    r->disable_not_modified = 1; /* nginx would look at the conditions now, when all is done */
    if (r->err_status != 0) {
        r->err_status = status; /* nginx would write its own, of the error that led to lark_error */
    }
    r->headers_out.content_type = ctx->bytes ? octets : json;
    if (ctx->content_type != NULL) {
        r->headers_out.content_type = *ctx->content_type;
    }
    r->headers_out.content_type_len = r->headers_out.content_type.len;
    r->headers_out.content_type_lowcase = NULL;
    r->headers_out.content_length_n = ctx->bytes ? (off_t)ctx->reply.content_len : length;
    return ngx_http_send_header(r);
}

/* Sends ctx->out. The buffer lives until the request's cleanup, which is after its last byte has gone. */
ngx_int_t ngx_http_lark_send(ngx_http_lark_ctx_t *ctx, ngx_uint_t status, ngx_int_t retry_after_s)
{
    ngx_http_request_t *r = ctx->request;
    ngx_int_t rc = ngx_http_lark_send_head(ctx, status, retry_after_s, (off_t)ctx->out.len);
    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }
    ctx->body_buf.pos = ctx->out.p;
    ctx->body_buf.last = ctx->out.p + ctx->out.len;
    ctx->body_buf.memory = ctx->out.len > 0; /* nginx takes an empty buffer in memory for a fault */
    ctx->body_buf.last_buf = 1;
    ctx->body_buf.last_in_chain = 1;
    ctx->body_chain.buf = &ctx->body_buf;
    return ngx_http_output_filter(r, &ctx->body_chain);
}

ngx_int_t ngx_http_lark_send_error(ngx_http_lark_ctx_t *ctx, const struct lark_err *err)
{
    const struct lark_error_row *row = lark_error_row(err->status);
    ctx->out.len = 0;
    ctx->bytes = 0;
    ctx->error = err->status;
    if (lark_error_render(&ctx->conf->config, err, &ctx->out) != LARK_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
    if (err->status == LARK_E_WRONG_VERB && push_allow(ctx->request, err->verbs) != NGX_OK) {
        return NGX_ERROR;
    }
    if (ngx_http_lark_push_challenge(ctx, err) != NGX_OK) {
        return NGX_ERROR;
    }
    ngx_int_t retry_after_s = ctx->retry_after_s > 0 ? ctx->retry_after_s : row->retry_after_s;
    return ngx_http_lark_send(ctx, (ngx_uint_t)row->http_status, retry_after_s);
}

ngx_int_t ngx_http_lark_send_options(ngx_http_lark_ctx_t *ctx)
{
    if (lark_options_render(&ctx->plan, &ctx->out) != LARK_OK || push_allow(ctx->request, ctx->plan.verbs) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
    return ngx_http_lark_send(ctx, NGX_HTTP_OK, 0);
}

/* The same for every path: what is wrong with it is told to the call itself, where a page can read it. */
ngx_int_t ngx_http_lark_send_preflight(ngx_http_lark_ctx_t *ctx)
{
    static const header_t headers[] = {
        {NGX_HTTP_LARK_TEXT("Access-Control-Allow-Methods"), NGX_HTTP_LARK_TEXT("GET, HEAD, POST, PUT, DELETE")},
        {NGX_HTTP_LARK_TEXT("Access-Control-Allow-Headers"),
         NGX_HTTP_LARK_TEXT("Authorization, Content-Type, Lark-Timing, Lark-Values, Range, Traceparent, X-Request-ID")},
        {NGX_HTTP_LARK_TEXT("Access-Control-Max-Age"), NGX_HTTP_LARK_TEXT(MAX_AGE)},
    };
    for (ngx_uint_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
        if (push(ctx->request, &headers[i]) != NGX_OK) {
            return NGX_ERROR;
        }
    }
    ngx_http_lark_body_refuse(ctx->request);
    return ngx_http_lark_send(ctx, NGX_HTTP_NO_CONTENT, 0);
}
