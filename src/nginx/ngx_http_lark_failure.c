/* A call that failed: why, in the words of an error. */
#include "ngx_http_lark.h"

ngx_int_t ngx_http_lark_answer_failure(ngx_http_lark_ctx_t *ctx, enum lark_status status)
{
    struct lark_err err;
    ngx_memzero(&err, sizeof(err));
    if (ctx->has_reply) {
        lark_reply_fail(&ctx->reply, status, &err);
    } else {
        err.status = status;
        err.method = ctx->plan.method;
    }
    if (err.status == LARK_E_REPLY_UNKNOWN) {
        ngx_log_error(NGX_LOG_ERR, ctx->request->connection->log, 0, "lark: the reply to a write is lost: %s",
                      lark_error_row(status)->message);
    }
    if (status == LARK_E_TOO_MANY) {
        err.text = ctx->caller_full ? "of this caller (lark_block_calls_max)" : "of all callers (lark_pool_max)";
        err.offset = ctx->caller_full ? ctx->conf->redis->block_calls_max : ctx->conf->redis->pool_max;
    }
    if (status == LARK_E_AWAY && err.got.len == 0) {
        ngx_http_lark_away_detail(ctx->conf->redis, &err);
    }
    return ngx_http_lark_send_error(ctx, &err);
}
