#include "ngx_http_lark_link.h"

/* The first byte of an alert (RFC 8446 section 5.1); no reply of Redis begins so. */
#define TLS_ALERT 0x15

static void link_lost(ngx_http_lark_link_t *link, const char *why, ngx_err_t err);
static void write_handler(ngx_event_t *wev);

static uint64_t now_ms(void)
{
    return ngx_current_msec;
}

/* How many replies are awaited, for lark_metrics. */
static void queue_tell(ngx_http_lark_link_t *link, size_t n)
{
    if (link->lane == LARK_LANE_SHARED) {
        ngx_http_lark_stats->n[NGX_HTTP_LARK_N_QUEUE] += n - link->n_told;
        link->n_told = n;
    }
}

static void timer_start(ngx_http_lark_link_t *link, ngx_msec_t ms)
{
    link->timer.cancelable = 1;
    ngx_add_timer(&link->timer, ms);
}

/* The deadline timer is moved only when an earlier deadline comes: it may fire too early, and is then set anew. That
 * spares two tree operations a request. */
static void deadline_arm(ngx_http_lark_link_t *link)
{
    uint64_t next = lark_conn_next_deadline(&link->conn);
    link->deadline.cancelable = next == LARK_CONN_NO_DEADLINE;
    if (next == LARK_CONN_NO_DEADLINE) {
        return;
    }
    if (link->deadline.timer_set) {
        if (link->deadline.timer.key <= next) {
            return;
        }
        ngx_del_timer(&link->deadline); /* ngx_add_timer alone passes over changes below 300 ms */
    }
    ngx_add_timer(&link->deadline, next > now_ms() ? (ngx_msec_t)(next - now_ms()) : 0);
}

void ngx_http_lark_link_touch(ngx_http_lark_link_t *link)
{
    deadline_arm(link);
    if (link->connected) {
        ngx_post_event(&link->flush, &ngx_posted_events);
    }
}

static void link_close(ngx_http_lark_link_t *link)
{
    if (link->c != NULL) {
        ngx_http_lark_tls_close(link->c);
        link->c = NULL;
    }
    if (link->timer.timer_set) {
        ngx_del_timer(&link->timer);
    }
    if (link->deadline.timer_set) {
        ngx_del_timer(&link->deadline);
    }
    if (link->flush.posted) {
        ngx_delete_posted_event(&link->flush);
    }
    if (link->flush.timer_set) {
        ngx_del_timer(&link->flush);
    }
    if (link->counted) {
        ngx_http_lark_stats->n[NGX_HTTP_LARK_N_CONNECTIONS_SHARED + link->lane]--;
        link->counted = 0;
    }
    link->connected = 0;
    link->broken = 0;
    link->established = 0;
    link->pinging = 0;
}

static void caller_leave(ngx_http_lark_link_t *link)
{
    if (link->caller != NULL) {
        ngx_http_lark_caller_leave(link->redis, link->caller);
        link->caller = NULL;
    }
}

void ngx_http_lark_link_destroy(ngx_http_lark_link_t *link)
{
    ngx_http_lark_redis_t *redis = link->redis;
    link_close(link);
    queue_tell(link, 0);
    lark_conn_done(&link->conn);
    ngx_http_lark_take_back_drop(link);
    caller_leave(link);
    ngx_http_lark_link_wake(link);
    if (link == redis->shared) {
        redis->shared = NULL;
    } else {
        ngx_queue_remove(&link->queue);
        redis->n_links--;
        redis->n_retired -= link->retired;
    }
    ngx_free(link);
}

/* ---- the end of a connection ---- */

/* Of several addresses of a name the next is tried at once; nobody is told before all have failed. */
static ngx_uint_t next_address(ngx_http_lark_link_t *link)
{
    ngx_http_lark_redis_t *redis = link->redis;
    while (++link->n_failed < redis->url.naddrs) {
        redis->addr = (redis->addr + 1) % redis->url.naddrs;
        if (ngx_http_lark_link_connect(link) == NGX_OK) {
            return 1;
        }
    }
    redis->addr = (redis->addr + 1) % redis->url.naddrs;
    link->n_failed = 0;
    link->telling = 0;
    return 0;
}

/* The first try is made at once: Redis may have closed an idle connection, or been restarted. */
static void shared_again(ngx_http_lark_link_t *link, ngx_uint_t was_established)
{
    ngx_http_lark_redis_t *redis = link->redis;
    ngx_uint_t is_flapping = was_established && ngx_current_msec - link->again_at < NGX_HTTP_LARK_AGAIN_MS;
    if (was_established && !is_flapping) {
        link->again_at = ngx_current_msec;
        link->backoff = NGX_HTTP_LARK_BACKOFF_FIRST;
        if (ngx_http_lark_link_connect(link) == NGX_OK) {
            return;
        }
    }
    if (!is_flapping && next_address(link)) {
        return;
    }
    ngx_http_lark_reason_tell(redis);
    link->backoff = ngx_min(ngx_max(link->backoff * 2, NGX_HTTP_LARK_BACKOFF_FIRST), NGX_HTTP_LARK_BACKOFF_MAX);
    timer_start(link, link->backoff);
}

static void link_lost(ngx_http_lark_link_t *link, const char *why, ngx_err_t err)
{
    ngx_http_lark_redis_t *redis = link->redis;
    ngx_uint_t was_established = link->established;
    ngx_http_lark_reason_take(link, why);
    if (was_established && lark_conn_awaited(&link->conn) > 0) {
        ngx_log_error(NGX_LOG_ERR, redis->log, err, "lark: lost a connection to Redis \"%V\": %*s", &redis->name,
                      redis->reason.len, redis->reason.data);
    }
    ngx_http_lark_stats->n[link->counted ? NGX_HTTP_LARK_N_LOST : NGX_HTTP_LARK_N_CONNECTS_FAILED]++;
    link_close(link);
    link->busy = 1;
    lark_conn_lose(&link->conn);
    link->busy = 0;
    queue_tell(link, lark_conn_awaited(&link->conn));
    ngx_http_lark_link_wake(link);
    ngx_http_lark_idle_drop(redis);
    if (link->lane == LARK_LANE_SHARED) {
        redis->epoch++;
        redis->no_unblock = 0; /* another Redis may take it */
    }
    if (link == redis->shared) {
        shared_again(link, was_established);
    } else {
        ngx_http_lark_link_destroy(link);
    }
    ngx_http_lark_again_all(redis);
}

/* ---- bytes ---- */

/* More of a large command. What Redis finds in its socket it reads in one go, and answers nobody meanwhile: so it is given
 * no more in a millisecond than it reads in a fraction of one. */
static void flush_later(ngx_http_lark_link_t *link)
{
    if (link->paced_ms != ngx_current_msec) {
        link->paced_ms = ngx_current_msec;
        link->paced_bytes = 0;
    }
    if (link->paced_bytes < NGX_HTTP_LARK_PACE_BYTES) {
        ngx_post_event(&link->flush, &ngx_posted_next_events);
    } else if (!link->flush.timer_set) {
        ngx_add_timer(&link->flush, 1);
    }
}

static void link_flush(ngx_http_lark_link_t *link)
{
    ngx_connection_t *c = link->c;
    if (link->released && !link->reusable) {
        return; /* the call was given up: it must not leave in this turn's last moment */
    }
    for (ngx_uint_t writes = 0; link->connected && !link->broken; writes++) {
        if (lark_conn_fill(&link->conn) != LARK_OK) {
            link_lost(link, "the request's body could not be read", 0);
            return;
        }
        struct lark_slice out = lark_conn_output(&link->conn);
        if (out.len == 0) {
            return;
        }
        queue_tell(link, lark_conn_awaited(&link->conn));
        if (writes == NGX_HTTP_LARK_WRITES_A_TURN) {
            flush_later(link);
            return;
        }
        if (!c->write->ready) {
            return; /* the write event comes when there is room: both events are edge triggered and stay */
        }
        ssize_t n = c->send(c, (u_char *)(uintptr_t)out.p, out.len);
        if (n == NGX_AGAIN) {
            return;
        }
        if (n <= 0) {
            /* Redis says why it closes, to a command that is too large for example. */
            link->broken = 1;
            c->read->ready = 1;
            ngx_post_event(c->read, &ngx_posted_events);
            return;
        }
        link->paced_bytes += (size_t)n;
        lark_conn_wrote(&link->conn, (size_t)n);
        lark_conn_moved(&link->conn, now_ms());
    }
}

/* A link that its request has left: back to the pool, or closed. true: the link is gone */
static ngx_uint_t link_settle(ngx_http_lark_link_t *link)
{
    ngx_http_lark_redis_t *redis = link->redis;
    if (!link->released) {
        return 0;
    }
    if (!link->reusable || !link->connected || ngx_exiting || link->conn.state != LARK_CONN_READY ||
        lark_conn_awaited(&link->conn) > 0 || redis->n_idle >= NGX_HTTP_LARK_IDLE_MAX) {
        ngx_http_lark_link_destroy(link);
        return 1;
    }
    caller_leave(link);
    lark_give_back_done(&link->give_back);
    link->released = 0;
    link->is_idle = 1;
    ngx_queue_insert_head(&redis->idle, &link->idle);
    redis->n_idle++;
    ngx_http_lark_stats->n[NGX_HTTP_LARK_N_IDLE]++;
    timer_start(link, NGX_HTTP_LARK_IDLE_MS);
    return 0;
}

static void flush_handler(ngx_event_t *ev)
{
    ngx_http_lark_link_t *link = ev->data;
    if (!link_settle(link)) {
        link_flush(link);
    }
}

static void link_established(ngx_http_lark_link_t *link)
{
    ngx_http_lark_redis_t *redis = link->redis;
    link->established = 1;
    if (!link->counted) { /* one of the pool that was asked whether it lives is no new one */
        link->counted = 1;
        ngx_http_lark_stats->n[NGX_HTTP_LARK_N_CONNECTIONS_SHARED + link->lane]++;
        ngx_http_lark_stats->n[NGX_HTTP_LARK_N_CONNECTS_OK]++;
    }
    link->n_failed = 0;
    if (link->timer.timer_set) {
        ngx_del_timer(&link->timer);
    }
    if (link == redis->shared) {
        link->backoff = 0;
        if (redis->away) {
            ngx_log_error(NGX_LOG_NOTICE, redis->log, 0, "lark: Redis \"%V\" is back", &redis->name);
        }
        redis->away = 0;
        redis->reason.len = 0;
        timer_start(link, NGX_HTTP_LARK_PING_EVERY);
    }
    ngx_post_event(&link->flush, &ngx_posted_events);
}

/* A large reply takes its time. The shared connection keeps it, and the calls behind it, until they are answered; those
 * that come from now on have a fresh one. */
static void link_retire(ngx_http_lark_link_t *link)
{
    ngx_http_lark_redis_t *redis = link->redis;
    if (link != redis->shared || redis->n_retired >= NGX_HTTP_LARK_RETIRED_MAX) {
        return;
    }
    ngx_http_lark_link_t *fresh = ngx_http_lark_link_create(redis, LARK_LANE_SHARED);
    if (fresh == NULL) {
        return;
    }
    ngx_queue_insert_tail(&redis->links, &link->queue);
    redis->n_links++;
    redis->n_retired++;
    link->retired = 1;
    if (link->timer.timer_set) {
        ngx_del_timer(&link->timer);
    }
    if (ngx_http_lark_link_connect(fresh) != NGX_OK) {
        shared_again(fresh, 0);
    }
}

/* What was read last. return: 0: the link is gone */
static ngx_uint_t take_bytes(ngx_http_lark_link_t *link, size_t n)
{
    struct lark_slice bytes = {link->redis->read_buf, n};
    if (!link->established && link->redis->ssl == NULL && bytes.p[0] == TLS_ALERT) {
        link_lost(link, "what answers there speaks TLS: write rediss://", 0);
        return 0;
    }
    if (link->waiter != NULL) {
        ngx_http_lark_look_after(link->waiter); /* whoever has left by now gets nothing: it goes back */
    }
    if (lark_conn_feed(&link->conn, bytes) != LARK_OK) {
        link_lost(link, "out of memory", 0);
        return 0;
    }
    lark_conn_moved(&link->conn, now_ms());
    if (!link->established && link->conn.state == LARK_CONN_READY) {
        link_established(link);
    }
    return 1;
}

static void read_settle(ngx_http_lark_link_t *link)
{
    queue_tell(link, lark_conn_awaited(&link->conn));
    if (lark_conn_reply_bytes(&link->conn) > NGX_HTTP_LARK_LARGE_REPLY) {
        link_retire(link);
    }
    if (link->retired && lark_conn_awaited(&link->conn) == 0) {
        ngx_http_lark_link_destroy(link);
        return;
    }
    if (link->give_back.out != NULL) {
        ngx_post_event(&link->flush, &ngx_posted_events); /* a push is made while its element is read */
    }
    deadline_arm(link);
}

static void read_handler(ngx_event_t *rev)
{
    ngx_connection_t *c = rev->data;
    ngx_http_lark_link_t *link = c->data;
    if (!link->connected && link->redis->ssl != NULL) {
        c->write->handler(c->write); /* nothing that comes in clear is for us */
        return;
    }
    for (ngx_uint_t reads = 0; rev->ready; reads++) {
        size_t size = link->retired ? NGX_HTTP_LARK_LARGE_READ : NGX_HTTP_LARK_READ_BUF;
        if (reads == (link->retired ? 1 : NGX_HTTP_LARK_READS_A_TURN)) {
            ngx_post_event(rev, &ngx_posted_next_events);
            break;
        }
        ssize_t n = c->recv(c, link->redis->read_buf, size);
        if (n == NGX_AGAIN && !link->broken) {
            break;
        }
        if (n <= 0) {
            ngx_err_t err = n == 0 ? 0 : ngx_socket_errno;
            link_lost(link, ngx_http_lark_read_error(link, err), err);
            return;
        }
        if (!take_bytes(link, (size_t)n)) {
            return;
        }
    }
    read_settle(link);
}

static void connected(ngx_http_lark_link_t *link)
{
    link->connected = 1;
    if (link->conn.state == LARK_CONN_READY) {
        link_established(link);
    }
    link_flush(link);
}

static void secured(ngx_connection_t *c)
{
    ngx_http_lark_link_t *link = c->data;
    if (c->ssl == NULL || !c->ssl->handshaked) {
        const char *why = ngx_http_lark_tls_why(link);
        ngx_http_lark_tls_forget(link->redis);
        link_lost(link, why == NULL ? "out of memory" : why, 0);
        return;
    }
    c->read->handler = read_handler;
    c->write->handler = write_handler;
    ngx_post_event(c->read, &ngx_posted_events);
    connected(link);
}

/* The socket is connected. */
static void opened(ngx_http_lark_link_t *link)
{
    int on = 1;
    if (link->redis->url.family != AF_UNIX &&
        setsockopt(link->c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == -1) {
        ngx_log_error(NGX_LOG_ERR, link->redis->log, ngx_socket_errno, "lark: setsockopt(TCP_NODELAY) failed");
    }
    if (link->redis->ssl == NULL) {
        connected(link);
    } else if (ngx_http_lark_tls_start(link, secured) != NGX_AGAIN) {
        secured(link->c);
    }
}

static void write_handler(ngx_event_t *wev)
{
    ngx_connection_t *c = wev->data;
    ngx_http_lark_link_t *link = c->data;
    if (link->connected) {
        link_flush(link);
        return;
    }
    int err = 0;
    socklen_t len = sizeof(err);
    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &err, &len) == -1) {
        err = ngx_socket_errno;
    }
    if (err != 0) {
        link_lost(link, ngx_http_lark_connect_error(err), err);
        return;
    }
    opened(link);
}

/* ---- time ---- */

static void deadline_handler(ngx_event_t *ev)
{
    ngx_http_lark_link_t *link = ev->data;
    if (lark_conn_expire(&link->conn, now_ms()) != LARK_OK) {
        link_lost(link, "Redis did not answer in time", 0);
        return;
    }
    deadline_arm(link);
}

static void pinged(void *ctx, enum lark_status status)
{
    ngx_http_lark_link_t *link = ctx;
    (void)status; /* any answer shows that Redis lives; none is the deadline's business */
    link->pinging = 0;
}

/* An idle connection can be dead without a sign. A busy one is watched by its deadlines. */
static void ping(ngx_http_lark_link_t *link)
{
    struct lark_call call = {NULL, pinged, link, now_ms() + NGX_HTTP_LARK_PING_TIMEOUT, LARK_ACCESS_READ, NULL, 0};
    uint64_t ticket;
    if (!link->pinging && lark_conn_awaited(&link->conn) == 0 &&
        lark_conn_ping(&link->conn, &call, &ticket) == LARK_OK) {
        link->pinging = 1;
        ngx_http_lark_link_touch(link);
        link->deadline.cancelable = 1;
    }
    timer_start(link, NGX_HTTP_LARK_PING_EVERY);
}

static void timer_handler(ngx_event_t *ev)
{
    ngx_http_lark_link_t *link = ev->data;
    ngx_http_lark_stats->leaving = ngx_exiting;
    if (link->c != NULL && !link->established) {
        link_lost(link, link->c->ssl != NULL && !link->connected ? LARK_TLS_LATE : "connecting took too long", 0);
        return;
    }
    if (link != link->redis->shared) {
        if (link->is_idle) {
            ngx_http_lark_link_destroy(link);
        } else if (link->taking_back) {
            ngx_http_lark_unblock(link);
        }
        return;
    }
    if (link->c != NULL) {
        ping(link);
        ngx_http_lark_leaving(link->redis);
        return;
    }
    if (ngx_http_lark_link_connect(link) != NGX_OK) {
        shared_again(link, 0);
    }
}

/* ---- the beginning ---- */

ngx_http_lark_link_t *ngx_http_lark_link_create(ngx_http_lark_redis_t *redis, enum lark_lane lane)
{
    ngx_http_lark_link_t *link = ngx_calloc(sizeof(ngx_http_lark_link_t), redis->log);
    if (link == NULL) {
        return NULL;
    }
    link->redis = redis;
    link->lane = lane;
    link->epoch = redis->epoch;
    lark_conn_init(&link->conn, &ngx_http_lark_mem, lane == LARK_LANE_SHARED ? redis->queue_max : 4,
                   NGX_HTTP_LARK_PENDING_MAX);
    ngx_event_t *const events[] = {&link->flush, &link->deadline, &link->timer};
    const ngx_event_handler_pt handlers[] = {flush_handler, deadline_handler, timer_handler};
    for (ngx_uint_t i = 0; i < 3; i++) {
        events[i]->data = link;
        events[i]->log = redis->log;
        events[i]->handler = handlers[i];
    }
    link->timer.cancelable = 1;
    link->deadline.cancelable = 1;
    if (lane == LARK_LANE_SHARED) {
        redis->shared = link;
    } else {
        ngx_queue_insert_tail(&redis->links, &link->queue);
        redis->n_links++;
    }
    return link;
}

ngx_int_t ngx_http_lark_link_probe(ngx_http_lark_link_t *link)
{
    if (lark_conn_probe(&link->conn) != LARK_OK) {
        return NGX_ERROR;
    }
    link->established = 0;
    if (link->timer.timer_set) {
        ngx_del_timer(&link->timer);
    }
    timer_start(link, link->redis->connect_timeout);
    return NGX_OK;
}

ngx_int_t ngx_http_lark_link_connect(ngx_http_lark_link_t *link)
{
    ngx_http_lark_redis_t *redis = link->redis;
    ngx_addr_t *addr = &redis->url.addrs[redis->addr];
    struct lark_conn_login login = redis->login;
    if (link->lane == LARK_LANE_PRIVATE) {
        login.name.len = 0;
    }
    login.wants_id = link->lane == LARK_LANE_BLOCKING;
    if (lark_conn_open(&link->conn, &login) != LARK_OK) {
        ngx_http_lark_reason_set(redis, "out of memory");
        return NGX_ERROR;
    }
    ngx_peer_connection_t peer;
    ngx_memzero(&peer, sizeof(peer));
    /* nginx would log each try of a Redis that is away: one line at the change is ours (reason_tell). */
    link->connect_log = *redis->log;
    link->connect_log.log_level = NGX_LOG_ALERT;
    peer.sockaddr = addr->sockaddr;
    peer.socklen = addr->socklen;
    peer.name = &addr->name;
    peer.get = ngx_event_get_peer;
    peer.log = &link->connect_log;
    peer.log_error = NGX_ERROR_ERR;
    ngx_int_t rc = ngx_event_connect_peer(&peer);
    if (rc != NGX_OK && rc != NGX_AGAIN) {
        ngx_http_lark_reason_set(redis, ngx_http_lark_connect_error(ngx_socket_errno));
        ngx_http_lark_stats->n[NGX_HTTP_LARK_N_CONNECTS_FAILED]++;
        lark_conn_lose(&link->conn);
        return NGX_ERROR;
    }
    link->c = peer.connection;
    link->c->data = link;
    link->c->read->handler = read_handler;
    link->c->write->handler = write_handler;
    timer_start(link, redis->connect_timeout);
    if (rc == NGX_OK) {
        ngx_post_event(link->c->write, &ngx_posted_events); /* not at once: a callback of a connection may be running */
    }
    return NGX_OK;
}

void ngx_http_lark_link_wake(ngx_http_lark_link_t *link)
{
    if (link->is_idle) {
        ngx_queue_remove(&link->idle);
        link->redis->n_idle--;
        link->is_idle = 0;
        ngx_http_lark_stats->n[NGX_HTTP_LARK_N_IDLE]--;
    }
}
