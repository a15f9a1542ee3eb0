/* The caller of a blocking call has left. CLIENT UNBLOCK over the shared connection ends the command in Redis; its
 * connection reads the null, and goes back to the pool. An element that was on its way is pushed back.
 *
 * The link is not used again before the answer to CLIENT UNBLOCK is there: one that comes late would hit the next call. */
#include "ngx_http_lark_link.h"

static void unblocked(void *data, enum lark_status status);

/* The values of callers are no business of a log. */
static void log_element(ngx_http_lark_link_t *link, enum lark_status status)
{
    ngx_http_lark_redis_t *redis = link->redis;
    struct lark_give_back *give_back = &link->give_back;
    struct lark_slice reason = lark_conn_reason(&link->conn);
    const char *why = status == LARK_E_TOO_LARGE ? "he left in its middle" : "the connection broke";
    if (status == LARK_OK) {
        ngx_http_lark_stats->n[NGX_HTTP_LARK_N_GIVEN_BACK]++;
        redis->n_given_back++;
        ngx_log_error(NGX_LOG_NOTICE, redis->log, 0,
                      "lark: an element that Redis popped for a caller who had left was given back by %*s, the "
                      "%uith of this worker",
                      give_back->word.len, give_back->word.p, redis->n_given_back);
        return;
    }
    ngx_log_error(NGX_LOG_ERR, redis->log, 0,
                  "lark: an element of %uL bytes that Redis popped for a caller who had left could not be given back "
                  "by %*s to its list, a key of %uL bytes: %s%*s",
                  give_back->element_bytes, give_back->word.len, give_back->word.p, give_back->key_bytes,
                  reason.len > 0 ? "" : why, reason.len, reason.p);
}

/* ---- CLIENT UNBLOCK ---- */

/* Until the call's own deadline, which ends it. */
static void unblock_later(ngx_http_lark_link_t *link)
{
    if ((ngx_msec_int_t)(link->take_back_until - ngx_current_msec) <= 0) {
        return;
    }
    ngx_add_timer(&link->timer, link->unblock_wait);
    link->unblock_wait = ngx_min(link->unblock_wait * 2, NGX_HTTP_LARK_UNBLOCK_MAX);
}

void ngx_http_lark_unblock(ngx_http_lark_link_t *link)
{
    struct lark_call call;
    ngx_http_lark_link_t *shared = ngx_http_lark_shared(link->redis);
    if (link->give_back.begun || link->unblock_on != NULL) {
        return; /* it is blocked no more, or is told so already */
    }
    if (shared == NULL || link->epoch != link->redis->epoch) {
        ngx_http_lark_leave(link, 0); /* Redis is gone, and what it did for this connection */
        return;
    }
    ngx_memzero(&call, sizeof(call));
    call.fn = unblocked;
    call.ctx = link;
    /* time enough for the last one: a connection that is late for a moment is not stuck */
    call.deadline_ms = link->take_back_until + NGX_HTTP_LARK_PING_TIMEOUT;
    if (lark_conn_unblock(&shared->conn, &call, lark_conn_id(&link->conn), &link->unblock_ticket) != LARK_OK) {
        unblock_later(link);
        return;
    }
    link->unblock_on = shared;
    ngx_http_lark_link_touch(shared);
}

static ngx_uint_t begins(struct lark_slice text, const char *with)
{
    size_t n = ngx_strlen(with);
    return text.len >= n && ngx_memcmp(text.p, with, n) == 0;
}

/* For good: the user may not, or Redis does not know it. Else it may be busy. */
static ngx_uint_t unblock_refused(ngx_http_lark_link_t *link, struct lark_slice reason)
{
    ngx_http_lark_redis_t *redis = link->redis;
    if (!begins(reason, "NOPERM") && !begins(reason, "ERR unknown")) {
        return 0;
    }
    if (!redis->no_unblock) {
        redis->no_unblock = 1;
        ngx_log_error(NGX_LOG_WARN, redis->log, 0,
                      "lark: Redis \"%V\" refused CLIENT UNBLOCK: when callers leave blocking calls, connections are "
                      "closed instead, and an element that was on its way is lost: %*s",
                      &redis->name, reason.len, reason.p);
    }
    return 1;
}

static void unblocked(void *data, enum lark_status status)
{
    ngx_http_lark_link_t *link = data;
    ngx_http_lark_link_t *shared = link->unblock_on;
    link->unblock_on = NULL;
    if (link->waiter != NULL) { /* the worker leaves: the call ends by itself */
        (void)(status == LARK_E_REDIS_ERROR && unblock_refused(link, lark_conn_reason(&shared->conn)));
        return;
    }
    if (status == LARK_E_REDIS_ERROR && !unblock_refused(link, lark_conn_reason(&shared->conn)) && link->taking_back) {
        unblock_later(link);
        return;
    }
    if (status != LARK_OK && link->taking_back && link->give_back.begun) {
        return; /* an element is on its way back: that is seen to the end */
    }
    if (status != LARK_OK || !link->taking_back) {
        ngx_http_lark_leave(link, status == LARK_OK);
    } else if (lark_conn_number(&shared->conn) == 0) {
        unblock_later(link); /* the command has not come yet, or its reply is on the way */
    }
}

/* ---- the reply ---- */

static void taken_back(void *data, enum lark_status status)
{
    ngx_http_lark_link_t *link = data;
    link->taking_back = 0;
    if (link->timer.timer_set) {
        ngx_del_timer(&link->timer);
    }
    if (link->give_back.begun) {
        log_element(link, status);
    }
    if (link->unblock_on == NULL && (status == LARK_OK || status == LARK_E_REDIS_ERROR)) {
        ngx_http_lark_leave(link, 1);
    }
}

ngx_int_t ngx_http_lark_take_back(ngx_http_lark_ctx_t *ctx, ngx_http_lark_link_t *link)
{
    struct lark_call call;
    ngx_memzero(&call, sizeof(call));
    call.fn = taken_back;
    call.ctx = link;
    call.deadline_ms = ngx_current_msec + ctx->conf->timeout;
    call.patience_ms = (uint32_t)ctx->conf->timeout;
    if (ctx->plan.lane != LARK_LANE_BLOCKING || !link->established || lark_conn_id(&link->conn) == 0 ||
        link->redis->no_unblock || link->epoch != link->redis->epoch) {
        return NGX_DECLINED;
    }
    enum lark_status status = lark_conn_take_back(&link->conn, ctx->ticket, &call, &link->give_back);
    if (status != LARK_OK) {
        if (link->give_back.begun) {
            log_element(link, LARK_E_TOO_LARGE);
        }
        return NGX_DECLINED;
    }
    link->taking_back = 1;
    link->unblock_wait = NGX_HTTP_LARK_UNBLOCK_FIRST;
    link->take_back_until = call.deadline_ms;
    ngx_http_lark_link_touch(link);
    ngx_http_lark_unblock(link);
    return NGX_OK;
}

/* The link is going: nobody is to tell it anything. */
void ngx_http_lark_take_back_drop(ngx_http_lark_link_t *link)
{
    if (link->unblock_on != NULL) {
        lark_conn_cancel(&link->unblock_on->conn, link->unblock_ticket);
        link->unblock_on = NULL;
    }
    lark_give_back_done(&link->give_back);
}
