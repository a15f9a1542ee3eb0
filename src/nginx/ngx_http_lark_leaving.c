/* A worker that was told to go: nginx ends it after worker_shutdown_timeout, whoever still waits. Calls that block longer
 * have the null of a time that is over shortly before: no request that was read is left without an answer. */
#include "ngx_http_lark_link.h"

/* It is looked at with each PING: up to two of these are lost, and Redis and the caller need a moment. */
#define BEFORE_MS ((ngx_msec_t)(2 * NGX_HTTP_LARK_PING_EVERY + 1000))

/* Is it time? Without worker_shutdown_timeout it never is: all are waited for. */
static ngx_uint_t is_late(void)
{
    static ngx_msec_t since;
    const ngx_core_conf_t *ccf = (void *)ngx_get_conf(ngx_cycle->conf_ctx, ngx_core_module);
    if (!ngx_exiting || ccf->shutdown_timeout == 0) {
        return 0;
    }
    if (since == 0) {
        since = ngx_current_msec;
    }
    return ngx_current_msec - since + BEFORE_MS >= ccf->shutdown_timeout;
}

void ngx_http_lark_leaving(ngx_http_lark_redis_t *redis)
{
    if (!is_late() || redis->no_unblock || ngx_http_lark_shared(redis) == NULL) {
        return;
    }
    for (ngx_queue_t *q = ngx_queue_head(&redis->links); q != ngx_queue_sentinel(&redis->links);
         q = ngx_queue_next(q)) {
        ngx_http_lark_link_t *link = ngx_queue_data(q, ngx_http_lark_link_t, queue);
        if (link->waiter != NULL && link->established && link->epoch == redis->epoch &&
            lark_conn_id(&link->conn) != 0) {
            link->take_back_until = ngx_current_msec + NGX_HTTP_LARK_PING_EVERY;
            ngx_http_lark_unblock(link);
        }
    }
}
