/* One connection to Redis on nginx' event loop. The shared one of a worker comes back by itself; the others are freed
 * when they end. Nothing here frees a link from inside a callback of its connection: that is left to the posted event. */
#ifndef NGX_HTTP_LARK_LINK_H
#define NGX_HTTP_LARK_LINK_H

#include "ngx_http_lark.h"

struct ngx_http_lark_link_s {
    ngx_queue_t idle;  /* in redis->idle */
    ngx_queue_t queue; /* in redis->links */
    ngx_http_lark_redis_t *redis;
    ngx_connection_t *c;
    struct lark_conn conn;
    struct lark_tls_watch watch;
    ngx_event_t
        flush; /* posted: what one turn of the loop has queued leaves in one write; by time: more of a large command */
    ngx_msec_t paced_ms; /* the millisecond in which paced_bytes were written */
    size_t paced_bytes;
    ngx_event_t deadline; /* not cancelable while a reply is awaited: an exiting worker waits for it */
    ngx_event_t timer;    /* cancelable: the end of connecting, the next PING or try */
    ngx_log_t connect_log;
    ngx_msec_t backoff;
    ngx_msec_t again_at;            /* when it was last tried again at once */
    ngx_uint_t epoch;               /* redis->epoch when it was made */
    ngx_http_lark_caller_t *caller; /* in whose count it is */
    ngx_http_lark_ctx_t *waiter;    /* for whom Redis may pop an element */
    struct lark_give_back give_back;
    ngx_http_lark_link_t *unblock_on; /* where CLIENT UNBLOCK is awaited, under the ticket */
    uint64_t unblock_ticket;
    ngx_msec_t take_back_until;
    ngx_msec_t unblock_wait;
    enum lark_lane lane;
    size_t n_told;            /* replies awaited, as lark_metrics knows them */
    ngx_uint_t n_failed;      /* addresses of Redis that failed since one did not */
    unsigned connected : 1;   /* with TLS: its handshake is done, too */
    unsigned established : 1; /* the handshake was answered */
    unsigned counted : 1;     /* by lark_metrics as a connection */
    unsigned is_idle : 1;
    unsigned released : 1; /* its request is done with it */
    unsigned reusable : 1;
    unsigned pinging : 1;
    unsigned telling : 1;     /* the reason is that of an address that answered, since all failed */
    unsigned retired : 1;     /* was the shared one; ends with its last reply */
    unsigned taking_back : 1; /* its caller left: what Redis still says is awaited */
    unsigned busy : 1;        /* inside lark_conn_lose */
    unsigned broken : 1;      /* writing failed: what Redis has said before is still to be read */
};

ngx_http_lark_link_t *ngx_http_lark_link_create(ngx_http_lark_redis_t *redis, enum lark_lane lane);
/* Starts to connect. NGX_OK, or NGX_ERROR: it failed at once, redis->reason is set, and the link still exists. */
ngx_int_t ngx_http_lark_link_connect(ngx_http_lark_link_t *link);
/* After a call was queued: see that it is written, and that its deadline is kept. */
void ngx_http_lark_link_touch(ngx_http_lark_link_t *link);
/* Is an idle one still there? Calls are held back until it has answered. NGX_OK | NGX_ERROR */
ngx_int_t ngx_http_lark_link_probe(ngx_http_lark_link_t *link);
/* Idle links: out of redis->idle, if it is there; the end of all (in lane). */
void ngx_http_lark_link_wake(ngx_http_lark_link_t *link);
void ngx_http_lark_idle_drop(ngx_http_lark_redis_t *redis);
/* Only of a link that is in no callback. */
void ngx_http_lark_link_destroy(ngx_http_lark_link_t *link);

/* reason: why Redis is away. set: in words; take: of a connection that is lost, unless one before it had more to say; tell: a
 * line in the log when Redis goes away, and when the reason changes */
void ngx_http_lark_reason_set(ngx_http_lark_redis_t *redis, const char *text);
void ngx_http_lark_reason_take(ngx_http_lark_link_t *link, const char *why);
void ngx_http_lark_reason_tell(ngx_http_lark_redis_t *redis);
const char *ngx_http_lark_connect_error(ngx_err_t err);
const char *ngx_http_lark_read_error(ngx_http_lark_link_t *link, ngx_err_t err);

/* tls: NGX_OK: done; NGX_AGAIN: done will be called, c->ssl->handshaked says how it went; NGX_ERROR */
ngx_int_t ngx_http_lark_tls_start(ngx_http_lark_link_t *link, ngx_connection_handler_pt done);
/* Why it failed, or NULL when TLS has nothing to say. */
const char *ngx_http_lark_tls_why(ngx_http_lark_link_t *link);
/* Close any connection, with TLS or without. */
void ngx_http_lark_tls_close(ngx_connection_t *c);

#endif
