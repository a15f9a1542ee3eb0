/* Why Redis is away, in words. */
#include "ngx_http_lark_link.h"

static void set(ngx_http_lark_redis_t *redis, struct lark_slice text)
{
    redis->reason.len = ngx_min(text.len, sizeof(redis->reason.data));
    if (redis->reason.len > 0) {
        ngx_memcpy(redis->reason.data, text.p, redis->reason.len);
    }
}

void ngx_http_lark_reason_set(ngx_http_lark_redis_t *redis, const char *text)
{
    set(redis, (struct lark_slice){(const uint8_t *)text, ngx_strlen(text)});
}

const char *ngx_http_lark_connect_error(ngx_err_t err)
{
    if (err == ECONNREFUSED) {
        return "connection refused";
    }
    return err == ENOENT ? "there is no such socket" : "connecting failed";
}

/* With TLS 1.3 a client certificate is refused after the handshake. A Redis with TLS closes what has none. */
const char *ngx_http_lark_read_error(ngx_http_lark_link_t *link, ngx_err_t err)
{
    const char *why = ngx_http_lark_tls_why(link);
    if (why != NULL) {
        return why;
    }
    if (!link->connected) {
        return ngx_http_lark_connect_error(err);
    }
    if (!link->established && link->redis->ssl == NULL && link->redis->url.family != AF_UNIX) {
        return "Redis closed the connection without an answer; does it want TLS (rediss://)?";
    }
    return "Redis closed the connection";
}

void ngx_http_lark_reason_tell(ngx_http_lark_redis_t *redis)
{
    ngx_uint_t is_new =
        redis->reason.len != redis->told.len || ngx_memcmp(redis->reason.data, redis->told.data, redis->told.len) != 0;
    if (!redis->away || is_new) {
        redis->away = 1;
        redis->told = redis->reason;
        ngx_log_error(NGX_LOG_ERR, redis->log, 0, "lark: Redis \"%V\" cannot be reached: %*s", &redis->name,
                      redis->reason.len, redis->reason.data);
    }
}

/* Of several addresses one that answers has more to say than one where nobody is. */
void ngx_http_lark_reason_take(ngx_http_lark_link_t *link, const char *why)
{
    ngx_http_lark_redis_t *redis = link->redis;
    ngx_uint_t is_bare = !link->connected && link->c->ssl == NULL;
    ngx_uint_t has_next = link->n_failed + 1 < redis->url.naddrs;
    if (is_bare && (link->telling || (redis->away && has_next))) {
        return;
    }
    link->telling = !is_bare && !link->established;
    struct lark_slice reason = lark_conn_reason(&link->conn);
    if (reason.len > 0) {
        set(redis, reason);
    } else {
        ngx_http_lark_reason_set(redis, why);
    }
}

void ngx_http_lark_away_detail(ngx_http_lark_redis_t *redis, struct lark_err *err)
{
    ngx_memzero(err, sizeof(struct lark_err));
    err->status = LARK_E_AWAY;
    err->method = -1;
    err->got.p = redis->reason.data;
    err->got.len = redis->reason.len;
}

/* How Redis refused a PING. */
struct lark_slice ngx_http_lark_refusal(const ngx_http_lark_link_t *link)
{
    return lark_conn_reason(&link->conn);
}
