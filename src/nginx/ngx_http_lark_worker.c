/* A worker begins and ends: its connections, its counters, its caches. */
#include "ngx_http_lark_link.h"

static ngx_int_t redis_init(ngx_http_lark_redis_t *redis, ngx_cycle_t *cycle)
{
    redis->log = cycle->log;
    ngx_queue_init(&redis->idle);
    ngx_queue_init(&redis->links);
    ngx_queue_init(&redis->again);
    ngx_http_lark_callers_init(redis);
    redis->read_buf = ngx_alloc(NGX_HTTP_LARK_READ_BUF, cycle->log);
    if (redis->read_buf == NULL || ngx_http_lark_store_init(redis) != NGX_OK) {
        return NGX_ERROR;
    }
    ngx_http_lark_link_t *link = ngx_http_lark_link_create(redis, LARK_LANE_SHARED);
    if (link == NULL) {
        return NGX_ERROR;
    }
    ngx_add_timer(&link->timer, 0); /* connect as soon as the loop turns */
    return NGX_OK;
}

static ngx_http_lark_main_conf_t *worker_conf(ngx_cycle_t *cycle)
{
    if (ngx_process != NGX_PROCESS_WORKER && ngx_process != NGX_PROCESS_SINGLE) {
        return NULL; /* the cache helpers */
    }
    if (ngx_get_conf(cycle->conf_ctx, ngx_http_module) == NULL) {
        return NULL; /* no http block */
    }
    return ngx_http_cycle_get_module_main_conf(cycle, ngx_http_lark_module);
}

ngx_int_t ngx_http_lark_init_process(ngx_cycle_t *cycle)
{
    ngx_http_lark_main_conf_t *conf = worker_conf(cycle);
    ngx_uint_t n = conf == NULL ? 0 : conf->redis.nelts;
    if (conf != NULL) {
        ngx_http_lark_stats_begin(conf->stats, cycle->log);
    }
    for (ngx_uint_t i = 0; i < n; i++) {
        if (redis_init(((ngx_http_lark_redis_t **)conf->redis.elts)[i], cycle) != NGX_OK) {
            return NGX_ERROR;
        }
    }
    return conf == NULL ? NGX_OK : ngx_http_lark_auth_init(conf);
}

void ngx_http_lark_exit_process(ngx_cycle_t *cycle)
{
    ngx_http_lark_main_conf_t *conf = worker_conf(cycle);
    ngx_uint_t n = conf == NULL ? 0 : conf->redis.nelts;
    for (ngx_uint_t i = 0; i < n; i++) {
        ngx_http_lark_redis_t *redis = ((ngx_http_lark_redis_t **)conf->redis.elts)[i];
        while (!ngx_queue_empty(&redis->links)) {
            ngx_http_lark_link_destroy(ngx_queue_data(ngx_queue_head(&redis->links), ngx_http_lark_link_t, queue));
        }
        if (redis->shared != NULL) {
            ngx_http_lark_link_destroy(redis->shared);
        }
        ngx_http_lark_tls_forget(redis);
        ngx_free(redis->read_buf);
        redis->read_buf = NULL;
        ngx_http_lark_store_done(redis);
    }
    if (n > 0) {
        ngx_http_lark_stats_end(conf->stats);
    }
    if (conf != NULL) {
        ngx_http_lark_auth_done(conf);
    }
}
