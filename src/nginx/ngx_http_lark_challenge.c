/* What is told to who must show credentials. source: RFC 6750 section 3, RFC 9728 section 5.1 */
#include "ngx_http_lark.h"

static ngx_str_t challenge_key = NGX_HTTP_LARK_TEXT("WWW-Authenticate");

/* Bearer, and parameters. error: NULL: none; method: -1: no scope */
static ngx_int_t push_bearer(ngx_http_lark_ctx_t *ctx, const char *error, int method)
{
    ngx_str_t value;
    ngx_str_t *metadata = &ctx->conf->oauth.metadata;
    struct lark_slice scope = {NULL, 0};
    if (method >= 0) {
        scope = lark_catalogue_scope(ctx->conf->config.catalogue, (size_t)method);
    }
    size_t size = sizeof("Bearer error=\"insufficient_scope\", scope=\"\", resource_metadata=\"\"");
    value.data = ngx_pnalloc(ctx->request->pool, size + scope.len + metadata->len);
    if (value.data == NULL) {
        return NGX_ERROR;
    }
    u_char *end = ngx_sprintf(value.data, "Bearer");
    if (error != NULL) {
        end = ngx_sprintf(end, " error=\"%s\"", error);
    }
    if (scope.len > 0) {
        end = ngx_sprintf(end, ", scope=\"%*s\"", scope.len, scope.p);
    }
    if (metadata->len > 0) {
        end = ngx_sprintf(end, "%s resource_metadata=\"%V\"", error == NULL ? "" : ",", metadata);
    }
    value.len = (size_t)(end - value.data);
    return ngx_http_lark_push_header(ctx->request, challenge_key, value);
}

/* Basic is offered to who used it, never unasked: a browser would remember the token and send it by itself from then on. */
ngx_int_t ngx_http_lark_push_challenge(ngx_http_lark_ctx_t *ctx, const struct lark_err *err)
{
    static ngx_str_t basic = NGX_HTTP_LARK_TEXT("Basic realm=\"lark\", charset=\"UTF-8\"");
    if (err->status == LARK_E_CREDENTIALS) {
        return push_bearer(ctx, NULL, -1);
    }
    if (err->status == LARK_E_SCOPE && ctx->caller != NULL && err->method >= 0) {
        return push_bearer(ctx, "insufficient_scope", err->method);
    }
    if (err->status != LARK_E_BAD_CREDENTIALS && err->status != LARK_E_UNKNOWN_KEY) {
        return NGX_OK;
    }
    if (push_bearer(ctx, "invalid_token", -1) != NGX_OK) {
        return NGX_ERROR;
    }
    return ctx->basic ? ngx_http_lark_push_header(ctx->request, challenge_key, basic) : NGX_OK;
}
