/* Access tokens of an issuer, as JWTs: what a location asks of them, and the source of credentials that checks them. What was
 * good is kept for a minute, by its hash and by the keys that it was good by; a location has its own, since another one may ask
 * for another audience.
 * source: RFC 9068; docs/SECURITY.md, credentials */
#include "ngx_http_lark.h"

#define KEPT_MS 60000
#define VERIFIED_MAX 4096
#define WARN_EVERY_MS 1000
#define MAX_AGE_S_MIN 60
#define MAX_AGE_S_MAX 3600
#define RESOURCE_MAX 1024

/* ---- directives ---- */

char *ngx_http_lark_set_jwks(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    static const ngx_str_t word = NGX_HTTP_LARK_TEXT("max_age=");
    ngx_http_lark_oauth_t *oauth = &((ngx_http_lark_loc_conf_t *)conf)->oauth;
    ngx_str_t *words = cf->args->elts;
    ngx_str_t path = words[1];
    time_t max_age_s = 0;
    (void)cmd;
    if (oauth->keys != NULL) {
        return ngx_http_lark_conf_error("is duplicate");
    }
    if (path.len == 0 || ngx_conf_full_name(cf->cycle, &path, 1) != NGX_OK) {
        return ngx_http_lark_conf_error("needs a file");
    }
    if (cf->args->nelts > 2) {
        ngx_str_t age = words[2];
        if (cf->args->nelts > 3 || age.len <= word.len || ngx_memcmp(age.data, word.data, word.len) != 0) {
            return ngx_http_lark_conf_error("takes max_age=TIME behind the file, and nothing else");
        }
        age.data += word.len;
        age.len -= word.len;
        max_age_s = ngx_parse_time(&age, 1);
        if (max_age_s < MAX_AGE_S_MIN || max_age_s > MAX_AGE_S_MAX) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "lark_oauth_jwks: max_age= must be from 1m to 1h, not \"%V\"",
                               &age);
            return NGX_CONF_ERROR;
        }
    }
    oauth->keys = ngx_http_lark_keys_from_file(cf, path, max_age_s);
    return oauth->keys == NULL ? NGX_CONF_ERROR : NGX_CONF_OK;
}

char *ngx_http_lark_set_typ(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    static const struct {
        ngx_str_t name;
        enum lark_jwt_typ typ;
    } names[] = {{NGX_HTTP_LARK_TEXT("at+jwt"), LARK_JWT_TYP_ACCESS},
                 {NGX_HTTP_LARK_TEXT("jwt"), LARK_JWT_TYP_ANY},
                 {NGX_HTTP_LARK_TEXT("any"), LARK_JWT_TYP_ANY}};
    ngx_http_lark_oauth_t *oauth = &((ngx_http_lark_loc_conf_t *)conf)->oauth;
    ngx_str_t *word = &((ngx_str_t *)cf->args->elts)[1];
    (void)cmd;
    if (oauth->typ != NGX_CONF_UNSET_UINT) {
        return ngx_http_lark_conf_error("is duplicate");
    }
    for (ngx_uint_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (word->len == names[i].name.len && ngx_memcmp(word->data, names[i].name.data, word->len) == 0) {
            oauth->typ = names[i].typ;
            return NGX_CONF_OK;
        }
    }
    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "lark_oauth_typ must be at+jwt, jwt or any, not \"%V\"", word);
    return NGX_CONF_ERROR;
}

void ngx_http_lark_create_oauth(ngx_http_lark_oauth_t *oauth)
{
    oauth->typ = NGX_CONF_UNSET_UINT;
    oauth->leeway = NGX_CONF_UNSET_MSEC;
}

/* It stands in a header between quotes. */
static ngx_uint_t is_url(ngx_str_t *url, size_t *out_host)
{
    static const ngx_str_t schemes[] = {NGX_HTTP_LARK_TEXT("https://"), NGX_HTTP_LARK_TEXT("http://")};
    ngx_uint_t i = 0;
    while (i < 2 && (url->len <= schemes[i].len || ngx_memcmp(url->data, schemes[i].data, schemes[i].len) != 0)) {
        i++;
    }
    if (i == 2 || url->len > RESOURCE_MAX) {
        return 0;
    }
    *out_host = schemes[i].len;
    for (size_t at = 0; at < url->len; at++) {
        u_char c = url->data[at];
        if (c <= ' ' || c >= 0x7f || c == '"' || c == '\\' || c == '#') {
            return 0;
        }
    }
    return url->data[*out_host] != '/';
}

/* The well-known path goes between the host and the path: RFC 9728 section 3.1 */
static char *make_metadata(ngx_conf_t *cf, ngx_http_lark_oauth_t *oauth)
{
    static const ngx_str_t well_known = NGX_HTTP_LARK_TEXT("/.well-known/oauth-protected-resource");
    ngx_str_t *resource = &oauth->resource;
    size_t at = 0;
    if (!is_url(resource, &at)) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "lark_oauth_resource must be the URL of the API, as https://HOST/PATH, not \"%V\"", resource);
        return NGX_CONF_ERROR;
    }
    while (at < resource->len && resource->data[at] != '/' && resource->data[at] != '?') {
        at++;
    }
    size_t rest = resource->len - at;
    if (rest == 1 && resource->data[at] == '/') {
        rest = 0;
    }
    oauth->metadata.data = ngx_pnalloc(cf->pool, at + well_known.len + rest);
    if (oauth->metadata.data == NULL) {
        return NGX_CONF_ERROR;
    }
    u_char *end = ngx_cpymem(oauth->metadata.data, resource->data, at);
    end = ngx_cpymem(end, well_known.data, well_known.len);
    end = ngx_cpymem(end, resource->data + at, rest);
    oauth->metadata.len = (size_t)(end - oauth->metadata.data);
    return NGX_CONF_OK;
}

/* A location's own, with what it was told: another location may ask more of the same answer. */
static ngx_http_lark_introspect_t *introspect_own(ngx_conf_t *cf, const ngx_http_lark_introspect_t *from)
{
    ngx_http_lark_main_conf_t *lmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_lark_module);
    ngx_http_lark_introspect_t **slot = ngx_array_push(&lmcf->introspect);
    ngx_http_lark_introspect_t *own = ngx_palloc(cf->pool, sizeof(ngx_http_lark_introspect_t));
    if (slot == NULL || own == NULL) {
        return NULL;
    }
    *own = *from;
    *slot = own;
    return own;
}

/* Room for the worker's caches. */
static char *add_door(ngx_conf_t *cf, ngx_http_lark_oauth_t *oauth)
{
    ngx_http_lark_main_conf_t *lmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_lark_module);
    if (oauth->issuer.len == 0 || oauth->issuer.len > LARK_JWT_ISSUER_MAX || oauth->audience.len == 0) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "%s needs lark_oauth_issuer (1024 bytes at most) and lark_oauth_audience beside it: "
                      "who has signed for whom",
                      oauth->keys != NULL ? "lark_oauth_jwks" : "lark_oauth_introspect");
        return NGX_CONF_ERROR;
    }
    if (oauth->introspect != NULL) {
        oauth->introspect = introspect_own(cf, oauth->introspect);
        if (oauth->introspect == NULL) {
            return NGX_CONF_ERROR;
        }
    }
    if (oauth->keys == NULL) {
        return NGX_CONF_OK;
    }
    ngx_http_lark_oauth_t **door = ngx_array_push(&lmcf->oauth);
    if (door == NULL) {
        return NGX_CONF_ERROR;
    }
    *door = oauth;
    return NGX_CONF_OK;
}

static void inherit(ngx_str_t *text, const ngx_str_t *from)
{
    if (text->data == NULL) {
        *text = *from;
    }
}

char *ngx_http_lark_merge_oauth(ngx_conf_t *cf, ngx_http_lark_oauth_t *prev, ngx_http_lark_oauth_t *conf,
                                ngx_uint_t is_api)
{
    inherit(&conf->issuer, &prev->issuer);
    inherit(&conf->audience, &prev->audience);
    inherit(&conf->scope_claim, &prev->scope_claim);
    inherit(&conf->prefix_claim, &prev->prefix_claim);
    inherit(&conf->resource, &prev->resource);
    ngx_conf_merge_uint_value(conf->typ, prev->typ, LARK_JWT_TYP_ACCESS);
    if (conf->keys == NULL) {
        conf->keys = prev->keys;
    }
    if (conf->introspect == NULL) {
        conf->introspect = prev->introspect;
    }
    if (conf->resource.len > 0 && make_metadata(cf, conf) != NGX_CONF_OK) {
        return NGX_CONF_ERROR;
    }
    if (conf->tells && (conf->resource.len == 0 || conf->issuer.len == 0)) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "lark_resource_metadata needs lark_oauth_resource and lark_oauth_issuer");
        return NGX_CONF_ERROR;
    }
    return is_api && (conf->keys != NULL || conf->introspect != NULL) ? add_door(cf, conf) : NGX_CONF_OK;
}

/* ---- the worker ---- */

ngx_int_t ngx_http_lark_oauth_init(ngx_http_lark_main_conf_t *conf)
{
    ngx_http_lark_oauth_t **doors = conf->oauth.elts;
    for (ngx_uint_t i = 0; i < conf->oauth.nelts; i++) {
        doors[i]->verified = lark_credentials_new(&ngx_http_lark_mem, VERIFIED_MAX);
        if (doors[i]->verified == NULL) {
            return NGX_ERROR;
        }
    }
    return NGX_OK;
}

void ngx_http_lark_oauth_done(ngx_http_lark_main_conf_t *conf)
{
    ngx_http_lark_oauth_t **doors = conf->oauth.elts;
    for (ngx_uint_t i = 0; i < conf->oauth.nelts; i++) {
        lark_credentials_free(doors[i]->verified);
        doors[i]->verified = NULL;
    }
}

/* ---- a token ---- */

/* Scopes of other services may stand in every token: one line a second is enough. */
static void warn(void *data, const char *text)
{
    ngx_http_request_t *r = data;
    ngx_http_lark_main_conf_t *lmcf = ngx_http_get_module_main_conf(r, ngx_http_lark_module);
    if (lmcf->warned != 0 && ngx_current_msec - lmcf->warned < WARN_EVERY_MS) {
        return;
    }
    lmcf->warned = ngx_current_msec;
    ngx_log_error(NGX_LOG_WARN, r->connection->log, 0, "lark_oauth: a token: %s", text);
}

void ngx_http_lark_oauth_rules(ngx_http_lark_ctx_t *ctx, struct lark_jwt_rules *out)
{
    const ngx_http_lark_oauth_t *oauth = &ctx->conf->oauth;
    out->catalogue = ctx->conf->config.catalogue;
    out->issuer = ngx_http_lark_slice(oauth->issuer);
    out->audience = ngx_http_lark_slice(oauth->audience);
    out->scope_claim = ngx_http_lark_slice(oauth->scope_claim);
    out->prefix_claim = ngx_http_lark_slice(oauth->prefix_claim);
    out->typ = (enum lark_jwt_typ)oauth->typ;
    out->leeway_s = (uint32_t)(oauth->leeway / 1000);
    out->warn = warn;
    out->warn_ctx = ctx->request;
}

static enum lark_status refuse(struct lark_err *err, enum lark_status status, const char *text)
{
    err->status = status;
    err->text = text;
    return status;
}

static enum lark_status verify(ngx_http_lark_ctx_t *ctx, struct lark_jwks *jwks, const ngx_http_lark_shown_t *shown,
                               struct lark_err *err)
{
    struct lark_jwt_rules rules;
    struct lark_credential credential;
    ngx_http_lark_oauth_t *oauth = &ctx->conf->oauth;
    ngx_http_lark_oauth_rules(ctx, &rules);
    ngx_http_lark_stats->n[NGX_HTTP_LARK_N_CHECKS_JWT_VERIFIED]++;
    enum lark_status status = lark_jwt_verify(jwks, &rules, shown->token, ngx_time(), &credential, err);
    if (status == LARK_E_UNKNOWN_KEY) {
        ngx_http_lark_keys_wish(oauth->keys, ctx->request->connection->log);
    }
    if (status == LARK_OK) {
        (void)lark_credentials_add(oauth->verified, &shown->hash, &credential, ngx_current_msec + KEPT_MS);
        ngx_http_lark_use(ctx, &credential);
    }
    return status;
}

/* The keys that count now; what was verified by others is forgotten. */
static struct lark_jwks *keys_now(ngx_http_lark_ctx_t *ctx)
{
    ngx_http_lark_oauth_t *oauth = &ctx->conf->oauth;
    struct lark_jwks *jwks = ngx_http_lark_keys_now(oauth->keys, ctx->request->connection->log);
    ngx_uint_t generation = ngx_http_lark_keys_generation(oauth->keys);
    if (oauth->verified_by != generation) {
        lark_credentials_clear(oauth->verified);
        oauth->verified_by = generation;
    }
    return jwks;
}

static ngx_uint_t is_ours(ngx_http_lark_ctx_t *ctx, const ngx_http_lark_shown_t *shown)
{
    return ctx->conf->oauth.keys != NULL && lark_jwt_is(shown->token);
}

enum lark_status ngx_http_lark_ask_verified(ngx_http_lark_ctx_t *ctx, const ngx_http_lark_shown_t *shown,
                                            struct lark_err *err)
{
    const struct lark_credential *known = NULL;
    if (is_ours(ctx, shown) && keys_now(ctx) != NULL) {
        known = lark_credentials_find(ctx->conf->oauth.verified, &shown->hash, ngx_current_msec);
    }
    if (known == NULL) {
        return refuse(err, LARK_E_BAD_CREDENTIALS, "the token is not known");
    }
    ngx_http_lark_stats->n[NGX_HTTP_LARK_N_CHECKS_JWT_CACHED]++;
    ngx_http_lark_use(ctx, known);
    return LARK_OK;
}

enum lark_status ngx_http_lark_ask_keys(ngx_http_lark_ctx_t *ctx, const ngx_http_lark_shown_t *shown,
                                        struct lark_err *err)
{
    if (!is_ours(ctx, shown)) {
        return refuse(err, LARK_E_BAD_CREDENTIALS, "the token is not known");
    }
    ctx->judged = 1;
    struct lark_jwks *jwks = keys_now(ctx);
    if (jwks == NULL) {
        return refuse(err, LARK_E_ISSUER_AWAY, "its keys were not refreshed for too long");
    }
    return verify(ctx, jwks, shown, err);
}
