/* TLS between a link and Redis: nginx' own (its contexts, handshake, reads and writes), with what src/redis/tls.h asks of it
 * set on top. */
#include "ngx_http_lark_link.h"

#define TLS_POOL 512

ngx_int_t ngx_http_lark_tls_create(ngx_conf_t *cf, ngx_http_lark_redis_t *redis, const struct lark_tls_options *options)
{
    char why[LARK_TLS_SETUP_TEXT_MAX];
    ngx_ssl_t *ssl = ngx_pcalloc(cf->pool, sizeof(ngx_ssl_t));
    ngx_pool_cleanup_t *cleanup = ngx_pool_cleanup_add(cf->pool, 0);
    if (ssl == NULL || cleanup == NULL) {
        return NGX_ERROR;
    }
    ssl->log = cf->log;
    if (ngx_ssl_create(ssl, NGX_SSL_TLSv1_2 | NGX_SSL_TLSv1_3, NULL) != NGX_OK) {
        return NGX_ERROR;
    }
    cleanup->handler = ngx_ssl_cleanup_ctx;
    cleanup->data = ssl;
    if (!lark_tls_setup(ssl->ctx, options, why)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "lark_redis: %s", why);
        return NGX_ERROR;
    }
    redis->ssl = ssl;
    return ngx_ssl_client_session_cache(cf, ssl, 1);
}

/* With a session of before the next handshake needs no certificates: each private call makes one. */
static void session_keep(ngx_connection_t *c)
{
    ngx_http_lark_link_t *link = c->data;
    ngx_ssl_session_t *session = ngx_ssl_get_session(c);
    if (session != NULL) {
        ngx_http_lark_tls_forget(link->redis);
        link->redis->session = session;
    }
}

void ngx_http_lark_tls_forget(ngx_http_lark_redis_t *redis)
{
    if (redis->session != NULL) {
        ngx_ssl_free_session(redis->session);
        redis->session = NULL;
    }
}

ngx_int_t ngx_http_lark_tls_start(ngx_http_lark_link_t *link, ngx_connection_handler_pt done)
{
    ngx_connection_t *c = link->c;
    c->pool = ngx_create_pool(TLS_POOL, c->log);
    if (c->pool == NULL || ngx_ssl_create_connection(link->redis->ssl, c, NGX_SSL_CLIENT) != NGX_OK ||
        !lark_tls_begin(c->ssl->connection, &link->watch) || ngx_ssl_set_session(c, link->redis->session) != NGX_OK) {
        return NGX_ERROR;
    }
    c->ssl->handler = done;
    c->ssl->save_session = session_keep;
    return ngx_ssl_handshake(c);
}

const char *ngx_http_lark_tls_why(ngx_http_lark_link_t *link)
{
    ngx_connection_t *c = link->c;
    if (c == NULL || c->ssl == NULL) {
        return NULL;
    }
    /* ngx_ssl_handshake sets eof whatever happened, error only when the other side has not closed. */
    return lark_tls_why(c->ssl->connection, &link->watch, !c->read->error);
}

void ngx_http_lark_tls_close(ngx_connection_t *c)
{
    ngx_pool_t *pool = c->pool;
    if (c->ssl != NULL) {
        c->ssl->no_wait_shutdown = 1;
        if (ngx_ssl_shutdown(c) == NGX_AGAIN) {
            c->timedout = 1; /* no room for the goodbye: then without */
            (void)ngx_ssl_shutdown(c);
        }
    }
    ngx_close_connection(c);
    if (pool != NULL) {
        ngx_destroy_pool(pool);
    }
}
