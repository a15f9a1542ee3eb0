/* Tokens in a Redis of their own, shared by many gateways: the key "lark:token:<SHA-256 of the token>" holds the entry as it
 * would stand in a tokens file. What was found is kept for half a second from the moment it was asked for, and asking may take
 * 0.9 s: so a revocation holds within a second everywhere, without anybody being told. The request's own context asks, before
 * it is used for the call itself. */
#include "ngx_http_lark.h"

#define KEPT_MS 500
#define ASK_MS 900
#define ENTRY_MAX 8192
#define VERIFIED_MAX 8192
#define KEY_BEFORE "/GET/lark:token:"

static void on_answer(void *data, enum lark_status status);

/* ---- the worker ---- */

/* A GET like any other, of a mount point of its own. */
void ngx_http_lark_store_prepare(ngx_http_lark_redis_t *redis)
{
    static const struct lark_slice word = {(const uint8_t *)"read:get", 8};
    struct lark_config *config = &redis->lookup;
    redis->is_store = 1;
    config->catalogue = lark_catalogue_default();
    config->dialect = lark_dialect_native();
    config->zone = lark_zone_utc();
    lark_limits_default(&config->limits);
    config->limits.reply_bytes = ENTRY_MAX;
    if (lark_scopes_add(config->catalogue, word, &redis->lookup_scopes) != LARK_OK) {
        ngx_memzero(&redis->lookup_scopes, sizeof(redis->lookup_scopes));
    }
}

ngx_int_t ngx_http_lark_store_init(ngx_http_lark_redis_t *redis)
{
    if (!redis->is_store) {
        return NGX_OK;
    }
    redis->verified = lark_credentials_new(&ngx_http_lark_mem, VERIFIED_MAX);
    return redis->verified == NULL ? NGX_ERROR : NGX_OK;
}

void ngx_http_lark_store_done(ngx_http_lark_redis_t *redis)
{
    lark_credentials_free(redis->verified);
    redis->verified = NULL;
}

/* ---- what Redis said ---- */

/* The text of "data" in an answer of ours. */
typedef struct {
    struct lark_buf text;
    unsigned in_data : 1;
    unsigned found : 1;
} data_t;

static enum lark_status take_data(void *ctx, const struct lark_json_event *event)
{
    data_t *data = ctx;
    if (event->depth == 1 && event->type == LARK_JSON_NAME) {
        data->in_data = event->text.len == 4 && ngx_memcmp(event->text.p, "data", 4) == 0;
        return LARK_OK;
    }
    if (event->depth != 1 || !data->in_data || event->type != LARK_JSON_STRING) {
        return LARK_OK;
    }
    data->found = 1;
    return lark_buf_append(&data->text, event->text);
}

static void warn(void *ctx, const char *text)
{
    ngx_log_error(NGX_LOG_WARN, ((ngx_http_request_t *)ctx)->connection->log, 0, "lark_token_store: %s", text);
}

/* {"tokens": [ENTRY]}: one format, one reader. An entry under the hash of another token is none. */
static enum lark_status read_entry(ngx_http_lark_ctx_t *ctx, data_t *data, struct lark_credential *out)
{
    static const struct lark_slice after = {(const uint8_t *)"]}", 2};
    struct lark_tokens *tokens = NULL;
    struct lark_tokens_error error;
    enum lark_status status = lark_buf_append(&data->text, after);
    if (status != LARK_OK) {
        return status;
    }
    status = lark_tokens_parse(&ngx_http_lark_mem, lark_catalogue_default(),
                               (struct lark_slice){data->text.p, data->text.len}, warn, ctx->request, &tokens, &error);
    if (status == LARK_E_NOMEM) {
        return status;
    }
    if (status != LARK_OK) {
        ngx_log_error(NGX_LOG_ERR, ctx->request->connection->log, 0, "lark_token_store: an entry is refused: %s",
                      error.text);
        return LARK_E_BAD_CREDENTIALS;
    }
    const struct lark_token *token = lark_tokens_find(tokens, &ctx->lookup->hash);
    status = token == NULL ? LARK_E_BAD_CREDENTIALS : LARK_OK;
    if (token != NULL) {
        *out = token->credential;
    }
    lark_tokens_free(tokens);
    return status;
}

static enum lark_status read_answer(ngx_http_lark_ctx_t *ctx, struct lark_credential *out)
{
    static const struct lark_slice before = {(const uint8_t *)"{\"tokens\": [", 12};
    struct lark_json json;
    data_t data;
    if (ctx->reply.error != NULL) {
        ngx_log_error(NGX_LOG_ERR, ctx->request->connection->log, 0, "lark_token_store: Redis refuses: %*s",
                      ctx->out.len, ctx->out.p);
        return LARK_E_TOKENS_AWAY;
    }
    ngx_memzero(&data, sizeof(data));
    lark_buf_init(&data.text, &ngx_http_lark_mem, ENTRY_MAX + 64, NULL, 0);
    enum lark_status status = lark_buf_append(&data.text, before);
    lark_json_init(&json, &ngx_http_lark_mem, 4, 16, take_data, &data);
    if (status == LARK_OK) {
        status = lark_json_feed(&json, (struct lark_slice){ctx->out.p, ctx->out.len});
    }
    lark_json_done(&json);
    if (status == LARK_OK) {
        status = data.found ? read_entry(ctx, &data, out) : LARK_E_BAD_CREDENTIALS;
    }
    lark_buf_done(&data.text);
    return status;
}

/* ---- asking ---- */

static enum lark_status settle(ngx_http_lark_ctx_t *ctx, enum lark_status status, struct lark_err *err)
{
    struct lark_credential credential;
    ngx_http_lark_lookup_t *lookup = ctx->lookup;
    if (status != LARK_OK) {
        status = LARK_E_TOKENS_AWAY;
    } else {
        status = read_answer(ctx, &credential);
    }
    ngx_http_lark_ctx_reset(ctx);
    if (status == LARK_OK) {
        (void)lark_credentials_add(ctx->conf->store->verified, &lookup->hash, &credential, lookup->asked_ms + KEPT_MS);
        ngx_http_lark_use(ctx, &credential);
    }
    err->status = status;
    err->text = status == LARK_E_BAD_CREDENTIALS ? "the token is not known" : NULL;
    return status;
}

static void on_answer(void *data, enum lark_status status)
{
    struct lark_err err;
    ngx_http_lark_ctx_t *ctx = data;
    ngx_http_lark_link_t *link = ctx->link;
    ngx_connection_t *c = ctx->request->connection;
    ctx->link = NULL;
    ngx_http_lark_leave(link, 1);
    ngx_memzero(&err, sizeof(err));
    err.method = -1;
    status = settle(ctx, status, &err);
    ctx->identified(ctx, status, &err);
    ngx_http_run_posted_requests(c);
}

static enum lark_status ask(ngx_http_lark_ctx_t *ctx)
{
    static const struct lark_slice text_mode = {(const uint8_t *)"text", 4};
    ngx_http_lark_redis_t *store = ctx->conf->store;
    struct lark_principal principal;
    ngx_memzero(&principal, sizeof(principal));
    principal.scopes = &store->lookup_scopes;
    ctx->lark_request.verb = LARK_VERB_GET;
    ctx->lark_request.target = (struct lark_slice){ctx->lookup->target, sizeof(ctx->lookup->target) - 1};
    ctx->lark_request.values = text_mode;
    ctx->lark_request.seed = 0;
    enum lark_status status = lark_plan_route(&store->lookup, &ctx->lark_request, &principal, &ctx->plan, NULL);
    if (status == LARK_OK) {
        status = lark_plan_make(&ctx->plan, &ctx->arena, NULL, NULL);
    }
    if (status != LARK_OK) {
        return LARK_E_INTERNAL;
    }
    lark_reply_init(&ctx->reply, &ctx->plan, &ngx_http_lark_mem, &ctx->out);
    ctx->has_reply = 1;
    status = ngx_http_lark_submit_lookup(ctx, store, ASK_MS, on_answer);
    if (status != LARK_OK) {
        ngx_http_lark_ctx_reset(ctx);
    }
    return status == LARK_OK ? LARK_MORE : LARK_E_TOKENS_AWAY;
}

enum lark_status ngx_http_lark_ask_store(ngx_http_lark_ctx_t *ctx, const ngx_http_lark_shown_t *shown,
                                         struct lark_err *err)
{
    const struct lark_hash *hash = &shown->hash;
    if (ctx->conf->store == NULL) {
        err->status = LARK_E_BAD_CREDENTIALS;
        err->text = "the token is not known";
        return LARK_E_BAD_CREDENTIALS;
    }
    const struct lark_credential *known = lark_credentials_find(ctx->conf->store->verified, hash, ngx_current_msec);
    ngx_http_lark_stats->n[known != NULL ? NGX_HTTP_LARK_N_CHECKS_STORE_CACHED : NGX_HTTP_LARK_N_CHECKS_STORE_ASKED]++;
    if (known != NULL) {
        ngx_http_lark_use(ctx, known);
        return LARK_OK;
    }
    ctx->lookup = ngx_palloc(ctx->request->pool, sizeof(ngx_http_lark_lookup_t));
    if (ctx->lookup == NULL) {
        return LARK_E_NOMEM;
    }
    ctx->lookup->hash = *hash;
    ctx->lookup->asked_ms = ngx_current_msec;
    ngx_memcpy(ctx->lookup->target, KEY_BEFORE, sizeof(KEY_BEFORE) - 1);
    lark_hash_write(hash, (char *)ctx->lookup->target + sizeof(KEY_BEFORE) - 1);
    err->text = NULL;
    return ask(ctx);
}
