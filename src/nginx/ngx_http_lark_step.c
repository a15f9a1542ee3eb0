/* A large body is read in parts: the others have their turn between two of them. */
#include "ngx_http_lark.h"

void ngx_http_lark_step(ngx_http_lark_ctx_t *ctx, ngx_event_handler_pt handler)
{
    if (!ctx->has_step) {
        ngx_memzero(&ctx->step, sizeof(ctx->step));
        ctx->step.data = ctx;
        ctx->step.log = ctx->request->connection->log;
        ctx->has_step = 1;
    }
    ctx->step.handler = handler;
    if (!ctx->step.timer_set) {
        ngx_add_timer(&ctx->step, NGX_HTTP_LARK_STEP_TIMER);
    }
    ngx_post_event(&ctx->step, &ngx_posted_next_events);
}

void ngx_http_lark_step_end(ngx_http_lark_ctx_t *ctx)
{
    if (!ctx->has_step) {
        return;
    }
    if (ctx->step.posted) {
        ngx_delete_posted_event(&ctx->step);
    }
    if (ctx->step.timer_set) {
        ngx_del_timer(&ctx->step);
    }
}

void ngx_http_lark_planning_end(ngx_http_lark_ctx_t *ctx)
{
    ngx_http_lark_step_end(ctx);
    if (ctx->planning != NULL) {
        lark_plan_end(ctx->planning);
        ctx->planning = NULL;
    }
}
