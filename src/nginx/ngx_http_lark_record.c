/* What is told of a request when it ends. */
#include "ngx_http_lark.h"

void ngx_http_lark_record_begin(ngx_http_lark_ctx_t *ctx)
{
    ctx->is_call = 1;
    ctx->entered_ns = ngx_http_lark_now_ns();
    ngx_http_lark_stats->n[NGX_HTTP_LARK_N_IN_PROGRESS]++;
}

/* One request is counted once. */
void ngx_http_lark_record_pass(ngx_http_lark_ctx_t *from, ngx_http_lark_ctx_t *to)
{
    from->is_call = 0;
    from->passed = 1;
    to->method = from->method;
    to->entered_ns = from->entered_ns;
    to->trace = from->trace;
    to->caller = from->caller;
    if (from->caller == &from->own) {
        ngx_http_lark_use(to, from->caller);
    }
    ngx_http_lark_stats->n[NGX_HTTP_LARK_N_IN_PROGRESS]--;
}

static ngx_uint_t class_of(ngx_uint_t status)
{
    return status >= 200 && status < 600 ? status / 100 - 1 : 0;
}

void ngx_http_lark_record_end(ngx_http_lark_ctx_t *ctx)
{
    ngx_http_request_t *r = ctx->request;
    ngx_http_lark_stats_t *stats = ngx_http_lark_stats;
    if (!ctx->passed) {
        ngx_http_lark_keep_variables(ctx);
    }
    if (!ctx->is_call) {
        return;
    }
    ngx_uint_t lane = ctx->has_reply ? ctx->plan.lane : LARK_LANE_SHARED;
    ngx_http_lark_time_add(&stats->request_times[lane], ngx_http_lark_now_ns() - ctx->entered_ns);
    if (ctx->replied_ns != 0) {
        ngx_http_lark_time_add(&stats->redis_times[lane], ctx->replied_ns - ctx->sent_ns);
    }
    stats->requests[ctx->method + 1][class_of(r->headers_out.status)]++;
    stats->n[NGX_HTTP_LARK_N_RECEIVED] += (uint64_t)r->request_length;
    stats->n[NGX_HTTP_LARK_N_SENT] += (uint64_t)r->connection->sent;
    stats->n[NGX_HTTP_LARK_N_IN_PROGRESS]--;
    if (ctx->error != LARK_OK) {
        stats->errors[-ctx->error - 1]++;
    }
}
