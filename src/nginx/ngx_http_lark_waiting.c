/* The caller while a reply is awaited, and the end of its request. */
#include "ngx_http_lark.h"

/* A caller who has closed its side of the connection may still read: only a broken connection ends a quick call. A
 * blocking one ends with the first sign of leaving, else it would take an element that nobody gets. */
static ngx_uint_t caller_left(ngx_http_request_t *r, ngx_http_lark_ctx_t *ctx)
{
    ngx_connection_t *c = r->connection;
    u_char byte;
    int err = 0;
    socklen_t len = sizeof(err);
    if (c->error) {
        return 1;
    }
#if (NGX_HTTP_V2)
    if (r->stream != NULL) {
        c = r->stream->connection->connection; /* a stream's own reset sets error */
        if (c->error) {
            return 1;
        }
    }
#endif
    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &err, &len) == -1 || err != 0) {
        return 1;
    }
    ssize_t n = recv(c->fd, &byte, 1, MSG_PEEK);
    if (n == -1) {
        return ngx_socket_errno != NGX_EAGAIN && ngx_socket_errno != NGX_EINTR;
    }
    if (n > 0) {
        return ctx->plan.lane == LARK_LANE_BLOCKING && c->read->pending_eof;
    }
    return ctx->plan.lane == LARK_LANE_BLOCKING;
}

/* Just before a blocked call's reply is read: news of both may have come in one turn. */
void ngx_http_lark_look_after(ngx_http_lark_ctx_t *ctx)
{
    if (caller_left(ctx->request, ctx)) {
        ctx->request->connection->error = 1;
        ngx_http_lark_finish(ctx, NGX_HTTP_CLIENT_CLOSED_REQUEST);
    }
}

static void test_reading(ngx_http_request_t *r)
{
    ngx_http_lark_ctx_t *ctx = ngx_http_get_module_ctx(r, ngx_http_lark_module);
    ngx_event_t *rev = r->connection->read;
    if (ctx != NULL && caller_left(r, ctx)) {
        rev->eof = 1;
        r->connection->error = 1;
        ngx_log_error(NGX_LOG_INFO, rev->log, 0, "lark: the caller left while a reply of Redis was awaited");
        ngx_http_finalize_request(r, NGX_HTTP_CLIENT_CLOSED_REQUEST);
        return;
    }
    if ((ngx_event_flags & NGX_USE_LEVEL_EVENT) && rev->active && ngx_del_event(rev, NGX_READ_EVENT, 0) != NGX_OK) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
    }
}

void ngx_http_lark_wait(ngx_http_request_t *r)
{
    ngx_http_lark_ctx_t *ctx = ngx_http_get_module_ctx(r, ngx_http_lark_module);
    ngx_event_t *rev = r->connection->read;
    r->read_event_handler = test_reading;
    /* The end of what the caller sends may have come together with the request: there is no further event then. */
    if (ctx->plan.lane == LARK_LANE_BLOCKING && r->connection->fd != (ngx_socket_t)-1 &&
        (rev->ready || rev->pending_eof)) {
#if (NGX_HTTP_V2)
        if (r->stream != NULL) {
            return;
        }
#endif
        ngx_post_event(rev, &ngx_posted_events);
    }
}

/* The end of a request from an event that is not its own. */
void ngx_http_lark_finish(ngx_http_lark_ctx_t *ctx, ngx_int_t rc)
{
    ngx_connection_t *c = ctx->request->connection;
    ngx_http_finalize_request(ctx->request, rc);
    ngx_http_run_posted_requests(c);
}
