/* Requests whose connection broke before Redis can have done anything: they are sent once more. */
#include "ngx_http_lark.h"

void ngx_http_lark_again_later(ngx_http_lark_ctx_t *ctx, ngx_http_lark_again_pt again)
{
    ctx->again = again;
    ctx->queued = 1;
    ngx_queue_insert_tail(&ctx->conf->redis->again, &ctx->queue);
}

void ngx_http_lark_again_drop(ngx_http_lark_ctx_t *ctx)
{
    if (ctx->queued) {
        ngx_queue_remove(&ctx->queue);
        ctx->queued = 0;
    }
}

void ngx_http_lark_again_all(ngx_http_lark_redis_t *redis)
{
    ngx_queue_t again;
    if (ngx_queue_empty(&redis->again)) {
        return;
    }
    /* What fails again at once is not to come round in this loop. */
    ngx_queue_init(&again);
    ngx_queue_add(&again, &redis->again);
    ngx_queue_init(&redis->again);
    while (!ngx_queue_empty(&again)) {
        ngx_queue_t *q = ngx_queue_head(&again);
        ngx_http_lark_ctx_t *ctx = ngx_queue_data(q, ngx_http_lark_ctx_t, queue);
        ngx_queue_remove(q);
        ctx->queued = 0;
        ctx->again(ctx);
    }
}
