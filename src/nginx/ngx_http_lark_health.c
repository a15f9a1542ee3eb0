/* lark_health: does Redis answer? lark_ready: could this process answer a call? Each Redis of the list is asked in turn. */
#include "ngx_http_lark.h"

#define LITERAL(text) ((struct lark_slice){(const uint8_t *)(text), sizeof(text) - 1})

static enum lark_status ping(ngx_http_lark_ctx_t *ctx);

/* The one that is asked now, or would be. */
static ngx_http_lark_redis_t *pinged(ngx_http_lark_ctx_t *ctx)
{
    return ((ngx_http_lark_redis_t **)ctx->conf->pinged->elts)[ctx->n_pinged];
}

/* A token store that is away is what callers with tokens are told, too. */
static void tell(ngx_http_lark_ctx_t *ctx, struct lark_err *err, enum lark_status status)
{
    ngx_http_lark_redis_t *redis = pinged(ctx);
    ngx_http_lark_away_detail(redis, err);
    if (redis->is_store && !redis->is_data) {
        err->status = LARK_E_TOKENS_AWAY;
    }
    if (status == LARK_E_OVERLOAD || status == LARK_E_NOMEM) {
        err->status = status;
        err->got.len = 0;
    } else if (status == LARK_E_DEADLINE) {
        err->got = LITERAL("no answer to a PING in time");
    } else if (status == LARK_E_REDIS_ERROR) {
        err->got = ngx_http_lark_refusal(ctx->link);
    }
}

static ngx_int_t send_good(ngx_http_lark_ctx_t *ctx)
{
    struct lark_slice good = LITERAL("{\"meta\": {\"status\": \"ok\", \"status_code\": 200}, \"data\": true}");
    return lark_buf_append(&ctx->out, good) == LARK_OK ? ngx_http_lark_send(ctx, NGX_HTTP_OK, 0)
                                                       : NGX_HTTP_INTERNAL_SERVER_ERROR;
}

static void ponged(void *data, enum lark_status status)
{
    ngx_http_lark_ctx_t *ctx = data;
    struct lark_err err;
    if (status != LARK_OK) {
        tell(ctx, &err, status);
    }
    ctx->link = NULL;
    if (status == LARK_OK && ++ctx->n_pinged < ctx->conf->pinged->nelts) {
        status = ping(ctx);
        if (status == LARK_OK) {
            return;
        }
        tell(ctx, &err, status);
    }
    ngx_http_lark_finish(ctx, status == LARK_OK ? send_good(ctx) : ngx_http_lark_send_error(ctx, &err));
}

static enum lark_status ping(ngx_http_lark_ctx_t *ctx)
{
    ctx->started = ngx_current_msec;
    return ngx_http_lark_submit_ping(ctx, pinged(ctx), ponged);
}

/* What a call would meet before any Redis is asked. */
static enum lark_status look_at_self(ngx_http_lark_ctx_t *ctx, struct lark_err *err)
{
    ngx_http_lark_keys_t *keys = ctx->conf->oauth.keys;
    ngx_memzero(err, sizeof(struct lark_err));
    err->method = -1;
    if (ngx_exiting || ngx_quit || ngx_terminate) {
        err->status = LARK_E_STOPPING;
    } else if (keys != NULL && ngx_http_lark_keys_now(keys, ctx->request->connection->log) == NULL) {
        err->status = LARK_E_ISSUER_AWAY;
        err->text = "its keys were not refreshed for too long";
    }
    return err->status;
}

ngx_int_t ngx_http_lark_health_handler(ngx_http_request_t *r)
{
    struct lark_err err;
    ngx_http_lark_ctx_t *ctx = NULL;
    ngx_int_t rc = ngx_http_lark_page_begin(r, &ctx);
    if (rc != NGX_DECLINED) {
        return rc;
    }
    if (ctx->conf->is_ready && look_at_self(ctx, &err) != LARK_OK) {
        return ngx_http_lark_send_error(ctx, &err);
    }
    ngx_memzero(&ctx->plan, sizeof(ctx->plan)); /* a read on the shared connection */
    enum lark_status status = ping(ctx);
    if (status != LARK_OK) {
        tell(ctx, &err, status);
        return ngx_http_lark_send_error(ctx, &err);
    }
    r->main->count++;
    ngx_http_lark_wait(r);
    return NGX_DONE;
}
