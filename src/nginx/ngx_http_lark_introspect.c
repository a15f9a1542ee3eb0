/* Opaque tokens of an OAuth issuer: the issuer is asked what they are, by a subrequest to a location of the same server that
 * proxies to it: TLS, addresses, time-outs are nginx' own. The question is two variables, that only this location can use.
 * What was answered is kept for a minute at most, and never beyond the token's own end; a refusal for five seconds, in a cache
 * of its own: who sends made-up tokens does not push out good ones. Whatever is no good answer is 503.
 * source: RFC 7662 */
#include "ngx_http_lark.h"

#define REFUSED_MS 5000
#define VERIFIED_MAX 8192
#define REFUSED_MAX 1024
#define BODY_BEFORE "token="
#define BODY_AFTER "&token_type_hint=access_token"
#define SECRET_MAX 4096

/* A question to an issuer. answer: what has come; overflow: it is not all. status: what came of it, once done */
struct ngx_http_lark_asked_s {
    struct lark_hash hash;
    ngx_msec_t asked;
    ngx_str_t body;
    ngx_http_request_t *subrequest;
    struct lark_mem mem;
    struct lark_buf answer;
    enum lark_status status;
    struct lark_err err;
    unsigned overflow : 1;
    unsigned done : 1;
};

static ngx_http_output_body_filter_pt next_body_filter;

/* ---- the directive ---- */

enum word { WORD_CLIENT, WORD_SECRET_FILE, WORD_CACHE, N_WORDS };

static const ngx_str_t word_names[N_WORDS] = {
    NGX_HTTP_LARK_TEXT("client="),
    NGX_HTTP_LARK_TEXT("secret_file="),
    NGX_HTTP_LARK_TEXT("cache="),
};

static char *read_words(ngx_conf_t *cf, ngx_str_t out_values[N_WORDS])
{
    return ngx_http_lark_read_words(
        cf, 2, word_names, N_WORDS,
        "lark_oauth_introspect takes client=ID, secret_file=PATH and cache=TIME behind the location", out_values);
}

/* Like a form: RFC 6749 section 2.3.1 has id and secret so before they become Basic. What is not unreserved is escaped. */
static u_char *form_encode(u_char *out, ngx_str_t text)
{
    for (size_t i = 0; i < text.len; i++) {
        u_char c = text.data[i];
        ngx_uint_t plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
                           c == '.' || c == '_' || c == '~';
        out = plain ? ngx_cpymem(out, &c, 1) : ngx_sprintf(out, "%%%02Xi", (ngx_int_t)c);
    }
    return out;
}

static char *make_authorization(ngx_conf_t *cf, ngx_http_lark_introspect_t *introspect, ngx_str_t client,
                                ngx_str_t secret)
{
    static const char scheme[] = "Basic ";
    ngx_str_t plain, coded;
    plain.data = ngx_pnalloc(cf->pool, 3 * (client.len + secret.len) + 1);
    if (plain.data == NULL) {
        return NGX_CONF_ERROR;
    }
    u_char *end = form_encode(plain.data, client);
    *end++ = ':';
    end = form_encode(end, secret);
    plain.len = (size_t)(end - plain.data);
    introspect->authorization.data = ngx_pnalloc(cf->pool, sizeof(scheme) + ngx_base64_encoded_length(plain.len));
    if (introspect->authorization.data == NULL) {
        return NGX_CONF_ERROR;
    }
    coded.data = ngx_cpymem(introspect->authorization.data, scheme, sizeof(scheme) - 1);
    ngx_encode_base64(&coded, &plain);
    introspect->authorization.len = sizeof(scheme) - 1 + coded.len;
    return NGX_CONF_OK;
}

static char *read_cache(ngx_conf_t *cf, ngx_str_t word, ngx_msec_t *out_ms)
{
    ngx_int_t ms = word.len == 0 ? NGX_HTTP_LARK_INTROSPECT_CACHE_MAX : ngx_parse_time(&word, 0);
    if (ms == NGX_ERROR || ms > NGX_HTTP_LARK_INTROSPECT_CACHE_MAX) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "lark_oauth_introspect: cache= must be from 0 to 60s, not \"%V\"",
                           &word);
        return NGX_CONF_ERROR;
    }
    *out_ms = (ngx_msec_t)ms;
    return NGX_CONF_OK;
}

char *ngx_http_lark_set_introspect(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_lark_loc_conf_t *llcf = conf;
    ngx_str_t *words = cf->args->elts;
    ngx_str_t values[N_WORDS], secret;
    (void)cmd;
    if (llcf->oauth.introspect != NULL) {
        return ngx_http_lark_conf_error("is duplicate");
    }
    if (words[1].len < 2 || words[1].data[0] != '/') {
        return ngx_http_lark_conf_error(
            "needs a location of this server, as in \"lark_oauth_introspect /introspect;\"");
    }
    if (read_words(cf, values) != NGX_CONF_OK) {
        return NGX_CONF_ERROR;
    }
    if ((values[WORD_CLIENT].len > 0) != (values[WORD_SECRET_FILE].len > 0)) {
        return ngx_http_lark_conf_error("takes client= and secret_file= together");
    }
    ngx_http_lark_introspect_t *introspect = ngx_pcalloc(cf->pool, sizeof(ngx_http_lark_introspect_t));
    if (introspect == NULL || read_cache(cf, values[WORD_CACHE], &introspect->keep) != NGX_CONF_OK) {
        return NGX_CONF_ERROR;
    }
    introspect->location = words[1];
    if (values[WORD_CLIENT].len > 0 &&
        (ngx_http_lark_read_line(cf, "lark_oauth_introspect: secret_file", "secret", values[WORD_SECRET_FILE],
                                 SECRET_MAX, &secret) != NGX_CONF_OK ||
         make_authorization(cf, introspect, values[WORD_CLIENT], secret) != NGX_CONF_OK)) {
        return NGX_CONF_ERROR;
    }
    llcf->oauth.introspect = introspect;
    return NGX_CONF_OK;
}

/* ---- what the location sends ---- */

static ngx_int_t give(ngx_http_variable_value_t *v, const ngx_str_t *text)
{
    v->not_found = text == NULL || text->len == 0;
    if (!v->not_found) {
        v->data = text->data;
        v->len = (unsigned)text->len & 0xfffffff; /* a token has 8 KB at most, a secret 4 */
        v->valid = 1;
        v->no_cacheable = 1;
    }
    return NGX_OK;
}

static ngx_int_t body_variable(ngx_http_request_t *r, ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_http_lark_ctx_t *ctx = ngx_http_get_module_ctx(r->main, ngx_http_lark_module);
    (void)data;
    return give(v, r == r->main || ctx == NULL || ctx->asked == NULL ? NULL : &ctx->asked->body);
}

static ngx_int_t authorization_variable(ngx_http_request_t *r, ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_http_lark_ctx_t *ctx = ngx_http_get_module_ctx(r->main, ngx_http_lark_module);
    (void)data;
    return give(v,
                r == r->main || ctx == NULL || ctx->asked == NULL ? NULL : &ctx->conf->oauth.introspect->authorization);
}

ngx_int_t ngx_http_lark_introspect_variables(ngx_conf_t *cf)
{
    static ngx_str_t names[] = {NGX_HTTP_LARK_TEXT("lark_introspect_body"),
                                NGX_HTTP_LARK_TEXT("lark_introspect_authorization")};
    static const ngx_http_get_variable_pt handlers[] = {body_variable, authorization_variable};
    for (ngx_uint_t i = 0; i < 2; i++) {
        ngx_http_variable_t *variable = ngx_http_add_variable(cf, &names[i], NGX_HTTP_VAR_NOCACHEABLE);
        if (variable == NULL) {
            return NGX_ERROR;
        }
        variable->get_handler = handlers[i];
    }
    return NGX_OK;
}

/* ---- the worker ---- */

ngx_int_t ngx_http_lark_introspect_init(ngx_http_lark_main_conf_t *conf)
{
    ngx_http_lark_introspect_t **all = conf->introspect.elts;
    for (ngx_uint_t i = 0; i < conf->introspect.nelts; i++) {
        all[i]->verified = lark_credentials_new(&ngx_http_lark_mem, VERIFIED_MAX);
        all[i]->refused = lark_credentials_new(&ngx_http_lark_mem, REFUSED_MAX);
        if (all[i]->verified == NULL || all[i]->refused == NULL) {
            return NGX_ERROR;
        }
    }
    return NGX_OK;
}

void ngx_http_lark_introspect_done(ngx_http_lark_main_conf_t *conf)
{
    ngx_http_lark_introspect_t **all = conf->introspect.elts;
    for (ngx_uint_t i = 0; i < conf->introspect.nelts; i++) {
        lark_credentials_free(all[i]->verified);
        lark_credentials_free(all[i]->refused);
        all[i]->verified = all[i]->refused = NULL;
    }
}

/* ---- what comes ---- */

static void *pool_alloc(void *pool, size_t n)
{
    return ngx_pnalloc(pool, n);
}

static void *pool_resize(void *pool, void *p, size_t old_n, size_t n)
{
    void *fresh = ngx_pnalloc(pool, n);
    if (fresh != NULL && p != NULL) {
        ngx_memcpy(fresh, p, old_n);
    }
    return fresh;
}

static void pool_free(void *pool, void *p, size_t n)
{
    (void)pool; /* it is freed with the request */
    (void)p;
    (void)n;
}

/* nginx' own place for the body of a subrequest ends the caller's connection when it is full. */
static ngx_int_t body_filter(ngx_http_request_t *r, ngx_chain_t *in)
{
    ngx_http_lark_ctx_t *ctx = r == r->main ? NULL : ngx_http_get_module_ctx(r->main, ngx_http_lark_module);
    if (ctx == NULL || ctx->asked == NULL || ctx->asked->subrequest != r) {
        return next_body_filter(r, in);
    }
    for (; in != NULL; in = in->next) {
        ngx_buf_t *buf = in->buf;
        if (ngx_buf_special(buf)) {
            continue;
        }
        struct lark_slice piece = {buf->pos, ngx_buf_in_memory(buf) ? (size_t)(buf->last - buf->pos) : 0};
        if (!ngx_buf_in_memory(buf) || lark_buf_append(&ctx->asked->answer, piece) != LARK_OK) {
            ctx->asked->overflow = 1;
        }
        buf->pos = buf->last;
        buf->file_pos = buf->file_last;
    }
    return NGX_OK;
}

void ngx_http_lark_introspect_filter(void)
{
    next_body_filter = ngx_http_top_body_filter;
    ngx_http_top_body_filter = body_filter;
}

/* ---- what the issuer said ---- */

static enum lark_status refuse(struct lark_err *err, enum lark_status status, const char *text)
{
    err->status = status;
    err->text = text;
    return status;
}

static void keep(ngx_http_lark_ctx_t *ctx, enum lark_status status, const struct lark_credential *credential)
{
    static const struct lark_credential nobody;
    ngx_http_lark_introspect_t *introspect = ctx->conf->oauth.introspect;
    const ngx_http_lark_asked_t *asked = ctx->asked;
    if (status == LARK_OK && introspect->keep > 0) {
        (void)lark_credentials_add(introspect->verified, &asked->hash, credential, asked->asked + introspect->keep);
    } else if (status == LARK_E_BAD_CREDENTIALS) {
        (void)lark_credentials_add(introspect->refused, &asked->hash, &nobody,
                                   asked->asked + ngx_min(introspect->keep, REFUSED_MS));
    }
}

static enum lark_status read_answer(ngx_http_lark_ctx_t *ctx, ngx_http_request_t *sr)
{
    struct lark_jwt_rules rules;
    struct lark_credential credential;
    struct lark_err *err = &ctx->asked->err;
    ngx_http_lark_main_conf_t *lmcf = ngx_http_get_module_main_conf(sr, ngx_http_lark_module);
    struct lark_slice json = {ctx->asked->answer.p, ctx->asked->answer.len};
    ngx_http_lark_oauth_rules(ctx, &rules);
    enum lark_status status = lark_claims_credential(&ngx_http_lark_mem, lmcf->hasher, &rules,
                                                     LARK_CLAIMS_INTROSPECTION, json, ngx_time(), &credential, err);
    keep(ctx, status, &credential);
    if (status == LARK_OK) {
        ngx_http_lark_use(ctx, &credential);
    }
    if (status == LARK_E_ISSUER_AWAY) {
        ngx_log_error(NGX_LOG_ERR, sr->connection->log, 0, "lark_oauth_introspect: the answer of \"%V\": %s", &sr->uri,
                      err->text);
        err->text = NULL;
    }
    return status;
}

static enum lark_status judge(ngx_http_lark_ctx_t *ctx, ngx_http_request_t *sr, ngx_int_t rc)
{
    ngx_uint_t status = rc >= NGX_HTTP_SPECIAL_RESPONSE ? (ngx_uint_t)rc : sr->headers_out.status;
    if (rc == NGX_OK && status == NGX_HTTP_OK && !ctx->asked->overflow) {
        return read_answer(ctx, sr);
    }
    ngx_log_error(NGX_LOG_ERR, sr->connection->log, 0, "lark_oauth_introspect: \"%V\" came to %sHTTP %ui", &sr->uri,
                  ctx->asked->overflow ? "more than 64 KB, "
                  : rc < 0             ? "an error, "
                                       : "",
                  status);
    return refuse(&ctx->asked->err, LARK_E_ISSUER_AWAY, NULL);
}

/* ---- asking ---- */

static void go_on(ngx_http_request_t *r)
{
    ngx_http_lark_ctx_t *ctx = ngx_http_get_module_ctx(r, ngx_http_lark_module);
    ngx_http_lark_asked_t *asked = ctx->asked;
    ctx->asked = NULL;
    ctx->identified(ctx, asked->status, &asked->err); /* called by ngx_http_run_posted_requests */
}

/* The subrequest ends, in whatever way; NGX_OK keeps nginx from writing an error page for it. With the caller gone its request
 * ends as nginx says. */
static ngx_int_t on_end(ngx_http_request_t *sr, void *data, ngx_int_t rc)
{
    ngx_http_lark_asked_t *asked = data;
    ngx_http_lark_ctx_t *ctx = ngx_http_get_module_ctx(sr->main, ngx_http_lark_module);
    if (asked->done || ctx == NULL || ctx->asked != asked || sr->connection->error ||
        rc == NGX_HTTP_CLIENT_CLOSED_REQUEST) {
        return rc;
    }
    asked->done = 1;
    asked->status = judge(ctx, sr, rc);
    ngx_explicit_memzero(asked->body.data, asked->body.len);
    sr->main->write_event_handler = go_on;
    return NGX_OK;
}

static ngx_http_lark_asked_t *question(ngx_http_request_t *r, const ngx_http_lark_shown_t *shown)
{
    ngx_str_t token = {shown->token.len, (u_char *)(uintptr_t)shown->token.p};
    ngx_http_lark_asked_t *asked = ngx_pcalloc(r->pool, sizeof(ngx_http_lark_asked_t));
    u_char *body = ngx_pnalloc(r->pool, sizeof(BODY_BEFORE) + 3 * token.len + sizeof(BODY_AFTER));
    if (asked == NULL || body == NULL) {
        return NULL;
    }
    u_char *end = form_encode(ngx_cpymem(body, BODY_BEFORE, sizeof(BODY_BEFORE) - 1), token);
    end = ngx_cpymem(end, BODY_AFTER, sizeof(BODY_AFTER) - 1);
    asked->body.data = body;
    asked->body.len = (size_t)(end - body);
    asked->hash = shown->hash;
    asked->asked = ngx_current_msec;
    asked->err.method = -1;
    asked->mem.ctx = r->pool;
    asked->mem.alloc = pool_alloc;
    asked->mem.resize = pool_resize;
    asked->mem.free = pool_free;
    lark_buf_init(&asked->answer, &asked->mem, LARK_INTROSPECTION_MAX, NULL, 0);
    return asked;
}

static enum lark_status ask(ngx_http_lark_ctx_t *ctx, const ngx_http_lark_shown_t *shown)
{
    ngx_http_request_t *sr, *r = ctx->request;
    ngx_http_post_subrequest_t *post = ngx_palloc(r->pool, sizeof(ngx_http_post_subrequest_t));
    ngx_http_lark_asked_t *asked = question(r, shown);
    ngx_http_request_body_t *none = ngx_pcalloc(r->pool, sizeof(ngx_http_request_body_t));
    if (post == NULL || asked == NULL || none == NULL) {
        return LARK_E_NOMEM;
    }
    post->handler = on_end;
    post->data = asked;
    if (ngx_http_subrequest(r, &ctx->conf->oauth.introspect->location, NULL, &sr, post, NGX_HTTP_SUBREQUEST_WAITED) !=
        NGX_OK) {
        return LARK_E_NOMEM;
    }
    sr->request_body = none; /* the caller's is read later, by the caller's request */
    sr->filter_need_in_memory = 1;
    ngx_memzero(&ctx->plan, sizeof(ctx->plan)); /* what ngx_http_lark_wait looks at: the call is not known yet */
    asked->subrequest = sr;
    ctx->asked = asked;
    return LARK_MORE;
}

/* Tokens of ours, and JWTs where there are keys, are not the issuer's to tell. */
static ngx_uint_t is_opaque(const ngx_http_lark_ctx_t *ctx, const ngx_http_lark_shown_t *shown)
{
    static const u_char ours[] = "lark_";
    const ngx_http_lark_oauth_t *oauth = &ctx->conf->oauth;
    if (oauth->introspect == NULL || (oauth->keys != NULL && lark_jwt_is(shown->token))) {
        return 0;
    }
    return shown->token.len < sizeof(ours) - 1 || ngx_memcmp(shown->token.p, ours, sizeof(ours) - 1) != 0;
}

enum lark_status ngx_http_lark_ask_introspected(ngx_http_lark_ctx_t *ctx, const ngx_http_lark_shown_t *shown,
                                                struct lark_err *err)
{
    const struct lark_credential *known = NULL;
    if (is_opaque(ctx, shown)) {
        known = lark_credentials_find(ctx->conf->oauth.introspect->verified, &shown->hash, ngx_current_msec);
    }
    if (known == NULL) {
        return refuse(err, LARK_E_BAD_CREDENTIALS, "the token is not known");
    }
    ngx_http_lark_stats->n[NGX_HTTP_LARK_N_CHECKS_ISSUER_CACHED]++;
    ngx_http_lark_use(ctx, known);
    return LARK_OK;
}

enum lark_status ngx_http_lark_ask_introspection(ngx_http_lark_ctx_t *ctx, const ngx_http_lark_shown_t *shown,
                                                 struct lark_err *err)
{
    if (!is_opaque(ctx, shown)) {
        return refuse(err, LARK_E_BAD_CREDENTIALS, "the token is not known");
    }
    if (lark_credentials_find(ctx->conf->oauth.introspect->refused, &shown->hash, ngx_current_msec) != NULL) {
        return refuse(err, LARK_E_BAD_CREDENTIALS, "the token is not active");
    }
    err->text = NULL;
    ngx_http_lark_stats->n[NGX_HTTP_LARK_N_CHECKS_ISSUER_ASKED]++;
    return ask(ctx, shown);
}
