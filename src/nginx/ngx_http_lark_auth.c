/* Who calls. This runs in nginx' preaccess phase, before limit_req and limit_conn (handlers of a phase run in the reverse
 * order of their modules, and a module that is loaded comes last): limits may count by $lark_caller.
 * source: docs/SECURITY.md, credentials; RFC 6750 */
#include "ngx_http_lark.h"

ngx_int_t ngx_http_lark_add_handler(ngx_conf_t *cf)
{
    ngx_http_core_main_conf_t *cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);
    ngx_http_handler_pt *handler = ngx_array_push(&cmcf->phases[NGX_HTTP_PREACCESS_PHASE].handlers);
    if (handler == NULL) {
        return NGX_ERROR;
    }
    *handler = ngx_http_lark_enter;
    ngx_http_lark_introspect_filter();
    ngx_http_lark_find_variables(cf);
    return ngx_http_lark_check_stores(cf); /* all locations are merged now */
}

/* ---- the worker ---- */

ngx_int_t ngx_http_lark_auth_init(ngx_http_lark_main_conf_t *conf)
{
    conf->hasher = lark_hasher_new();
    if (conf->hasher == NULL || ngx_http_lark_oauth_init(conf) != NGX_OK) {
        return NGX_ERROR;
    }
    return ngx_http_lark_introspect_init(conf);
}

void ngx_http_lark_auth_done(ngx_http_lark_main_conf_t *conf)
{
    ngx_http_lark_introspect_done(conf);
    ngx_http_lark_oauth_done(conf);
    lark_hasher_free(conf->hasher);
    conf->hasher = NULL;
}

/* ---- the credential ---- */

static enum lark_status fail(struct lark_err *err, enum lark_status status, const char *text)
{
    err->status = status;
    err->text = text;
    return status;
}

ngx_uint_t ngx_http_lark_is_loopback(const struct sockaddr *address)
{
    if (address->sa_family == AF_UNIX) {
        return 1;
    }
#if (NGX_HAVE_INET6)
    if (address->sa_family == AF_INET6) {
        const struct in6_addr *six = &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr;
        return IN6_IS_ADDR_LOOPBACK(six) || (IN6_IS_ADDR_V4MAPPED(six) && six->s6_addr[12] == 127);
    }
#endif
    return address->sa_family == AF_INET &&
           ntohl(((const struct sockaddr_in *)(const void *)address)->sin_addr.s_addr) >> 24 == 127;
}

/* Could anybody on the way have read what came? The address that was connected to tells, not that of the caller, which a
 * proxy's header may have replaced. */
static ngx_uint_t is_cleartext(ngx_connection_t *c)
{
#if (NGX_HTTP_SSL)
    if (c->ssl != NULL) {
        return 0;
    }
#endif
    return ngx_connection_local_sockaddr(c, NULL, 0) != NGX_OK || !ngx_http_lark_is_loopback(c->local_sockaddr);
}

/* A source says whether it knows a token. LARK_OK: ctx->caller is set. LARK_E_BAD_CREDENTIALS: the next one is asked.
 * LARK_MORE: it waits for an answer, and calls ctx->identified then. */
typedef enum lark_status (*source_pt)(ngx_http_lark_ctx_t *ctx, const ngx_http_lark_shown_t *shown,
                                      struct lark_err *err);

static enum lark_status ask_files(ngx_http_lark_ctx_t *ctx, const ngx_http_lark_shown_t *shown, struct lark_err *err)
{
    const struct lark_token *token =
        ctx->conf->tokens == NULL ? NULL : lark_tokens_find(ctx->conf->tokens, &shown->hash);
    if (token == NULL) {
        return fail(err, LARK_E_BAD_CREDENTIALS, "the token is not known");
    }
    ctx->caller = &token->credential; /* the configuration outlives its requests */
    return LARK_OK;
}

/* A table costs nothing to look at, nor does what was verified or introspected a moment ago: so strangers cannot lock out those
 * who share an address with them. Whoever comes behind ngx_http_lark_rate_failures is not asked when too many bad credentials
 * came from the address; the token store with all that it has said. */
static const source_pt sources[] = {ask_files,
                                    ngx_http_lark_ask_verified,
                                    ngx_http_lark_ask_introspected,
                                    ngx_http_lark_rate_failures,
                                    ngx_http_lark_ask_keys,
                                    ngx_http_lark_ask_store,
                                    ngx_http_lark_ask_introspection};

#define N_SOURCES (sizeof(sources) / sizeof(sources[0]))

/* From ctx->source on. */
static enum lark_status ask_sources(ngx_http_lark_ctx_t *ctx, const ngx_http_lark_shown_t *shown, struct lark_err *err)
{
    enum lark_status status = LARK_E_BAD_CREDENTIALS;
    while (ctx->source < N_SOURCES) {
        status = sources[ctx->source](ctx, shown, err);
        if (status != LARK_E_BAD_CREDENTIALS || ctx->judged) {
            break;
        }
        ctx->source++;
    }
    return status;
}

static void identified(ngx_http_lark_ctx_t *ctx, enum lark_status status, struct lark_err *err);

/* What the header shows is read, and the sources are asked. Nothing of the token is left in memory of ours but its hash. */
static enum lark_status ask(ngx_http_lark_ctx_t *ctx, struct lark_err *err)
{
    ngx_http_lark_main_conf_t *lmcf = ngx_http_get_module_main_conf(ctx->request, ngx_http_lark_module);
    struct lark_slice header = ngx_http_lark_slice(ctx->request->headers_in.authorization->value);
    struct lark_authorization authorization;
    ngx_http_lark_shown_t shown;
    u_char storage[LARK_AUTHORIZATION_MAX];
    enum lark_status status = lark_authorization_read(header, storage, &authorization, err);
    ctx->basic = authorization.scheme == LARK_SCHEME_BASIC;
    if (status == LARK_OK) {
        shown.token = authorization.token;
        status = lark_hasher_hash(lmcf->hasher, shown.token, &shown.hash);
    }
    if (status == LARK_OK) {
        ctx->identified = identified;
        status = ask_sources(ctx, &shown, err);
    }
    if (ctx->basic) {
        ngx_explicit_memzero(storage, ngx_min(header.len, sizeof(storage)));
    }
    return status;
}

/* The caller is known: may the credential be used? */
static enum lark_status admit(ngx_http_lark_ctx_t *ctx, struct lark_err *err)
{
    ctx->principal = lark_credential_principal(ctx->caller);
    return lark_credential_check(ctx->caller, ngx_time(), ctx->conf->require_prefix, err);
}

static enum lark_status authenticate(ngx_http_lark_ctx_t *ctx, struct lark_err *err)
{
    static u_char nobody[] = "";
    ngx_http_request_t *r = ctx->request;
    ctx->principal = ctx->conf->principal;
    if (!ngx_http_lark_has_source(ctx->conf)) {
        return LARK_OK; /* the header is meant for somebody else */
    }
    r->headers_in.user.data = nobody; /* else nginx makes $remote_user of a Basic header: it may be a token */
    r->headers_in.user.len = 0;
    if (r->headers_in.authorization == NULL) {
        return LARK_OK;
    }
    if (!ctx->conf->insecure && is_cleartext(r->connection)) {
        return fail(err, LARK_E_CLEARTEXT, NULL);
    }
    enum lark_status status = ask(ctx, err);
    return status == LARK_OK ? admit(ctx, err) : status;
}

/* An answer from here: the phases that would follow are left out. */
static ngx_int_t refuse(ngx_http_lark_ctx_t *ctx, struct lark_err *err, enum lark_status status)
{
    if (status == LARK_E_BAD_CREDENTIALS || status == LARK_E_UNKNOWN_KEY || status == LARK_E_PREFIX_NEEDED) {
        ngx_http_lark_rate_failed(ctx);
    }
    ngx_http_finalize_request(ctx->request, ngx_http_lark_refuse(ctx, err, status));
    return NGX_DONE;
}

static void wait_for_answer(ngx_http_lark_ctx_t *ctx)
{
    ngx_http_request_t *r = ctx->request;
    r->write_event_handler = ngx_http_request_empty_handler;
    ngx_http_lark_wait(r);
}

/* The phase goes on where it stopped: nginx runs ngx_http_lark_enter again. */
static void identified(ngx_http_lark_ctx_t *ctx, enum lark_status status, struct lark_err *err)
{
    ngx_http_request_t *r = ctx->request;
    if (status == LARK_E_BAD_CREDENTIALS && ctx->source + 1 < N_SOURCES) {
        ctx->source++;
        status = ask(ctx, err);
    }
    if (status == LARK_MORE) {
        wait_for_answer(ctx);
        return;
    }
    if (status == LARK_OK) {
        status = admit(ctx, err);
    }
    if (status == LARK_OK) {
        status = ngx_http_lark_rate_request(ctx, err);
    }
    r->read_event_handler = ngx_http_block_reading;
    r->write_event_handler = ngx_http_core_run_phases;
    if (status == LARK_OK) {
        ctx->admitted = 1;
        ngx_http_core_run_phases(r);
    } else {
        (void)refuse(ctx, err, status);
    }
}

/* No browser sends a credential unasked: who asks for metrics with one may call this machine as he likes. */
static enum lark_status guard(ngx_http_lark_ctx_t *ctx, ngx_http_lark_headers_t *out_headers, struct lark_err *err)
{
    ngx_http_request_t *r = ctx->request;
    if (ctx->conf->is_metrics && r->headers_in.authorization != NULL && ngx_http_lark_has_source(ctx->conf)) {
        ngx_memzero(out_headers, sizeof(ngx_http_lark_headers_t));
        return LARK_OK;
    }
    return ngx_http_lark_guard(r, ctx->conf, out_headers, err);
}

ngx_int_t ngx_http_lark_enter(ngx_http_request_t *r)
{
    struct lark_err err;
    ngx_http_lark_headers_t headers;
    ngx_http_lark_loc_conf_t *conf = ngx_http_get_module_loc_conf(r, ngx_http_lark_module);
    if ((!conf->is_api && !conf->is_metrics) || r != r->main) {
        return NGX_DECLINED;
    }
    ngx_http_lark_ctx_t *ctx = ngx_http_get_module_ctx(r, ngx_http_lark_module);
    if (ctx != NULL && ctx->admitted) {
        return NGX_DECLINED;
    }
    ctx = ngx_http_lark_ctx_create(r, conf);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
    if (conf->is_api) {
        ngx_http_lark_record_begin(ctx);
    }
    ngx_memzero(&err, sizeof(err));
    err.method = -1;
    enum lark_status status = guard(ctx, &headers, &err);
    ctx->trace = headers.trace;
    if (status != LARK_OK) {
        ngx_http_lark_trace_scan(r, &ctx->trace); /* it has not seen all headers */
    }
    ngx_http_lark_trace_make(ctx);
    if (status != LARK_OK) {
        return refuse(ctx, &err, status);
    }
    if (ngx_http_lark_is_preflight(r, conf)) {
        ngx_http_finalize_request(r, ngx_http_lark_send_preflight(ctx));
        return NGX_DONE;
    }
    ctx->values = headers.values;
    status = authenticate(ctx, &err);
    if (status == LARK_MORE) {
        wait_for_answer(ctx);
        return NGX_AGAIN;
    }
    if (status == LARK_OK) {
        status = ngx_http_lark_rate_request(ctx, &err);
    }
    return status == LARK_OK ? NGX_DECLINED : refuse(ctx, &err, status);
}
