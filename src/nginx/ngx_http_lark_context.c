/* A request's memory, from its first line until the last byte of its answer has gone. */
#include "ngx_http_lark.h"

static ngx_http_lark_ctx_t *ctx_take(ngx_http_request_t *r)
{
    ngx_http_lark_main_conf_t *conf = ngx_http_get_module_main_conf(r, ngx_http_lark_module);
    ngx_http_lark_ctx_t *ctx = conf->free_ctx;
    if (ctx == NULL) {
        return ngx_alloc(sizeof(ngx_http_lark_ctx_t), r->connection->log);
    }
    conf->free_ctx = ctx->next_free;
    conf->n_free_ctx--;
    return ctx;
}

static void ctx_give_back(ngx_http_lark_ctx_t *ctx)
{
    ngx_http_lark_main_conf_t *conf = ngx_http_get_module_main_conf(ctx->request, ngx_http_lark_module);
    if (conf->n_free_ctx + 1 > NGX_HTTP_LARK_FREE_CTX_MAX) {
        ngx_free(ctx);
        return;
    }
    ctx->next_free = conf->free_ctx;
    conf->free_ctx = ctx;
    conf->n_free_ctx++;
}

static void ctx_free(void *data)
{
    ngx_http_lark_ctx_t *ctx = data;
    ngx_http_lark_stream_drop(ctx);
    if (ctx->has_reply) {
        lark_reply_done(&ctx->reply);
        ctx->has_reply = 0;
    }
    lark_arena_done(&ctx->arena);
    lark_buf_done(&ctx->out);
    ctx_give_back(ctx);
}

/* Runs when the last byte of the answer has gone, or the caller has. Frames of HTTP/2 may still be queued then, and point
 * into the answer: the request's pool lives as long as they do. */
static void ctx_cleanup(void *data)
{
    ngx_http_lark_ctx_t *ctx = data;
    ngx_http_lark_record_end(ctx);
    ngx_http_lark_cancel(ctx);
    ngx_http_lark_planning_end(ctx);
    ngx_http_lark_body_release(ctx);
    ngx_http_set_ctx(ctx->request, NULL, ngx_http_lark_module);
#if (NGX_HTTP_V2)
    if (ctx->request->stream != NULL && ctx->request->stream->queued > 0) {
        ngx_http_lark_stream_stop(ctx);
        ngx_pool_cleanup_t *later = ngx_pool_cleanup_add(ctx->request->pool, 0);
        if (later != NULL) {
            later->handler = ctx_free;
            later->data = ctx;
        }
        return; /* without memory for that it is better kept for ever */
    }
#endif
    ctx_free(ctx);
}

ngx_http_lark_ctx_t *ngx_http_lark_ctx_create(ngx_http_request_t *r, ngx_http_lark_loc_conf_t *conf)
{
    ngx_http_cleanup_t *cleanup = ngx_http_cleanup_add(r, 0);
    ngx_http_lark_ctx_t *ctx = cleanup == NULL ? NULL : ctx_take(r);
    if (ctx == NULL) {
        return NULL;
    }
    ngx_memzero(ctx, offsetof(ngx_http_lark_ctx_t, plan));
    ctx->body_chain.next = NULL;
    ctx->method = -1;
    ctx->request = r;
    ctx->conf = conf;
    lark_arena_init(&ctx->arena, &ngx_http_lark_mem, NGX_HTTP_LARK_ARENA_MAX, ctx->arena_block,
                    sizeof(ctx->arena_block));
    /* JSON makes six bytes of one at worst */
    lark_buf_init(&ctx->out, &ngx_http_lark_mem, conf->reply_max * 6 + 65536, ctx->out_block, sizeof(ctx->out_block));
    cleanup->handler = ctx_cleanup;
    cleanup->data = ctx;
    ngx_http_set_ctx(r, ctx, ngx_http_lark_module);
    return ctx;
}

void ngx_http_lark_ctx_succeed(ngx_http_lark_ctx_t *ctx)
{
    for (ngx_http_cleanup_t *cleanup = ctx->request->cleanup; cleanup != NULL; cleanup = cleanup->next) {
        ngx_http_lark_ctx_t *former = cleanup->data;
        if (cleanup->handler == ctx_cleanup && former != ctx && former->is_call) {
            ngx_http_lark_record_pass(former, ctx);
        }
    }
}

void ngx_http_lark_ctx_reset(ngx_http_lark_ctx_t *ctx)
{
    if (ctx->has_reply) {
        lark_reply_done(&ctx->reply);
        ctx->has_reply = 0;
    }
    ctx->out.len = 0;
    lark_arena_done(&ctx->arena);
    lark_arena_init(&ctx->arena, &ngx_http_lark_mem, NGX_HTTP_LARK_ARENA_MAX, ctx->arena_block,
                    sizeof(ctx->arena_block));
}
