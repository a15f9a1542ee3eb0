#include "ngx_http_lark_link.h"

static ngx_http_lark_link_t *shared_link(ngx_http_lark_redis_t *redis)
{
    ngx_http_lark_link_t *link = redis->shared;
    if (link == NULL) {
        link = ngx_http_lark_link_create(redis, LARK_LANE_SHARED);
        if (link == NULL) {
            return NULL;
        }
    }
    /* While it is away its own timer tries again: a caller never makes the tries more frequent. */
    if (link->c == NULL && !redis->away && ngx_http_lark_link_connect(link) != NGX_OK) {
        redis->away = 1;
        link->timer.cancelable = 1;
        ngx_add_timer(&link->timer, NGX_HTTP_LARK_BACKOFF_FIRST);
    }
    return link;
}

/* What broke one connection has perhaps broken these, and they would not tell. */
void ngx_http_lark_idle_drop(ngx_http_lark_redis_t *redis)
{
    while (!ngx_queue_empty(&redis->idle)) {
        ngx_http_lark_link_destroy(ngx_queue_data(ngx_queue_head(&redis->idle), ngx_http_lark_link_t, idle));
    }
}

/* One from the pool, which is asked first whether it lives: NULL when there is none. */
static ngx_http_lark_link_t *idle_link(ngx_http_lark_redis_t *redis)
{
    while (!ngx_queue_empty(&redis->idle)) {
        ngx_http_lark_link_t *link = ngx_queue_data(ngx_queue_head(&redis->idle), ngx_http_lark_link_t, idle);
        if (link->epoch == redis->epoch && ngx_http_lark_link_probe(link) == NGX_OK) {
            ngx_http_lark_link_wake(link);
            return link;
        }
        ngx_http_lark_link_destroy(link);
    }
    return NULL;
}

static enum lark_status own_link(ngx_http_lark_redis_t *redis, enum lark_lane lane, ngx_http_lark_link_t **out_link)
{
    ngx_http_lark_link_t *idle = lane == LARK_LANE_BLOCKING ? idle_link(redis) : NULL;
    if (idle != NULL) {
        *out_link = idle;
        return LARK_OK;
    }
    if (redis->n_links >= redis->pool_max && !ngx_queue_empty(&redis->idle)) {
        ngx_http_lark_link_destroy(ngx_queue_data(ngx_queue_last(&redis->idle), ngx_http_lark_link_t, idle));
    }
    if (redis->n_links >= redis->pool_max) {
        return LARK_E_TOO_MANY;
    }
    ngx_http_lark_link_t *link = ngx_http_lark_link_create(redis, lane);
    if (link == NULL) {
        return LARK_E_NOMEM;
    }
    if (ngx_http_lark_link_connect(link) != NGX_OK) {
        ngx_http_lark_link_destroy(link);
        return LARK_E_AWAY;
    }
    *out_link = link;
    return LARK_OK;
}

static enum lark_status link_for(ngx_http_lark_redis_t *redis, enum lark_lane lane, ngx_http_lark_link_t **out_link)
{
    ngx_http_lark_link_t *shared = shared_link(redis);
    if (shared == NULL) {
        return LARK_E_NOMEM;
    }
    if (redis->away) {
        return LARK_E_AWAY;
    }
    if (lane == LARK_LANE_SHARED) {
        *out_link = shared;
        return LARK_OK;
    }
    return own_link(redis, lane, out_link);
}

ngx_http_lark_link_t *ngx_http_lark_shared(ngx_http_lark_redis_t *redis)
{
    ngx_http_lark_link_t *link;
    return link_for(redis, LARK_LANE_SHARED, &link) == LARK_OK ? link : NULL;
}

/* A blocking call counts as its caller's until its connection is free again. */
static enum lark_status link_of(ngx_http_lark_ctx_t *ctx, enum lark_lane lane, ngx_http_lark_link_t **out_link)
{
    ngx_http_lark_redis_t *redis = ctx->conf->redis;
    ngx_http_lark_caller_t *caller = NULL;
    if (ctx->plan.lane == LARK_LANE_BLOCKING) {
        enum lark_status status = ngx_http_lark_caller_enter(ctx, &caller);
        if (status != LARK_OK) {
            ctx->caller_full = status == LARK_E_TOO_MANY;
            return status;
        }
    }
    enum lark_status status = link_for(redis, lane, out_link);
    if (status == LARK_OK && lane != LARK_LANE_SHARED) {
        (*out_link)->caller = caller;
    } else if (caller != NULL) {
        ngx_http_lark_caller_leave(redis, caller);
    }
    return status;
}

/* What a blocking call pops is kept until its caller has it. */
static void keep_popped(ngx_http_lark_ctx_t *ctx, ngx_http_lark_link_t *link)
{
    if (ctx->plan.lane == LARK_LANE_BLOCKING) {
        lark_give_back_done(&link->give_back);
        lark_give_back_init(&link->give_back, &ngx_http_lark_mem, ctx->plan.give_back);
        lark_conn_keep(&link->conn, ctx->ticket, &link->give_back);
        link->waiter = ctx;
    }
}

static struct lark_call call_of(ngx_http_lark_ctx_t *ctx, ngx_msec_t from, lark_call_fn fn, lark_call_more_fn more)
{
    struct lark_call call;
    call.reply = &ctx->reply;
    call.fn = fn;
    call.ctx = ctx;
    call.deadline_ms = from + ctx->conf->timeout + ctx->plan.block_ms;
    call.access = ctx->plan.access;
    call.more = more;
    call.patience_ms = (uint32_t)ctx->conf->timeout;
    return call;
}

static enum lark_status submitted(ngx_http_lark_ctx_t *ctx, ngx_http_lark_link_t *link, enum lark_status status)
{
    if (status != LARK_OK) {
        ngx_http_lark_leave(link, 1);
        return status;
    }
    ctx->link = link;
    ngx_http_lark_link_touch(link);
    return LARK_OK;
}

enum lark_status ngx_http_lark_submit(ngx_http_lark_ctx_t *ctx, lark_call_fn fn, lark_call_more_fn more)
{
    ngx_http_lark_link_t *link;
    ngx_uint_t is_large = ctx->body.len > NGX_HTTP_LARK_LARGE_BODY;
    enum lark_lane lane = is_large && ctx->plan.lane == LARK_LANE_SHARED ? LARK_LANE_BLOCKING : ctx->plan.lane;
    enum lark_status status = link_of(ctx, lane, &link);
    if (status != LARK_OK) {
        return status;
    }
    struct lark_call call = call_of(ctx, ctx->started, fn, more);
    status = is_large ? lark_conn_call_large(&link->conn, &call, &ctx->plan, &ctx->ticket)
                      : lark_conn_call(&link->conn, &call, &ctx->plan, &ctx->ticket);
    if (status == LARK_OK) {
        keep_popped(ctx, link);
    }
    return submitted(ctx, link, status);
}

enum lark_status ngx_http_lark_submit_next(ngx_http_lark_ctx_t *ctx, ngx_http_lark_link_t *link, lark_call_fn fn,
                                           lark_call_more_fn more)
{
    struct lark_call call = call_of(ctx, ngx_current_msec, fn, more);
    return submitted(ctx, link, lark_conn_call_next(&link->conn, &call, &ctx->ticket));
}

enum lark_status ngx_http_lark_submit_ping(ngx_http_lark_ctx_t *ctx, ngx_http_lark_redis_t *redis, lark_call_fn fn)
{
    ngx_http_lark_link_t *link;
    enum lark_status status = link_for(redis, LARK_LANE_SHARED, &link);
    if (status != LARK_OK) {
        return status;
    }
    struct lark_call call = call_of(ctx, ctx->started, fn, NULL);
    return submitted(ctx, link, lark_conn_ping(&link->conn, &call, &ctx->ticket));
}

/* A question of ours, before the request's own call; on a Redis that may be another. */
enum lark_status ngx_http_lark_submit_lookup(ngx_http_lark_ctx_t *ctx, ngx_http_lark_redis_t *redis, ngx_msec_t timeout,
                                             lark_call_fn fn)
{
    ngx_http_lark_link_t *link;
    enum lark_status status = link_for(redis, LARK_LANE_SHARED, &link);
    if (status != LARK_OK) {
        return status;
    }
    struct lark_call call = call_of(ctx, ngx_current_msec, fn, NULL);
    call.deadline_ms = ngx_current_msec + timeout;
    call.patience_ms = 0; /* a revocation has to hold in time: bytes that trickle in buy none */
    return submitted(ctx, link, lark_conn_call(&link->conn, &call, &ctx->plan, &ctx->ticket));
}

/* The request is done with the link, which may be in the middle of a callback: the posted event does the rest. */
void ngx_http_lark_leave(ngx_http_lark_link_t *link, ngx_uint_t reusable)
{
    link->waiter = NULL;
    if (link->lane == LARK_LANE_SHARED || link->busy) {
        return;
    }
    if (link->released && !link->reusable) {
        return; /* it is to be closed: nothing makes it good again */
    }
    link->released = 1;
    link->reusable = reusable && link->lane == LARK_LANE_BLOCKING;
    ngx_post_event(&link->flush, &ngx_posted_events);
}

/* The caller left. On the shared connection the reply is still read, by nobody. A blocking call is taken back; where that
 * cannot be its connection is closed, and Redis takes nothing more from a list for it. */
void ngx_http_lark_cancel(ngx_http_lark_ctx_t *ctx)
{
    ngx_http_lark_link_t *link = ctx->link;
    ngx_http_lark_again_drop(ctx);
    if (link != NULL) {
        ctx->link = NULL;
        link->waiter = NULL;
        if (link->lane != LARK_LANE_BLOCKING || ngx_http_lark_take_back(ctx, link) != NGX_OK) {
            lark_conn_cancel(&link->conn, ctx->ticket);
            ngx_http_lark_leave(link, 0);
        }
    }
}
