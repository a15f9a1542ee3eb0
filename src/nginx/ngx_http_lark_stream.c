/* A large answer: what has come of it goes out while the rest comes. Redis is read as fast as it gives; what the caller
 * cannot take yet waits in a spool. */
#include "ngx_http_lark_spool.h"

/* Bytes of the spool that belong together, and how they stand in the answer. JSON of the core is LARK_FORM_JSON, too. */
typedef struct ngx_http_lark_segment_s ngx_http_lark_segment_t;
struct ngx_http_lark_segment_s {
    ngx_http_lark_segment_t *next;
    uint64_t len;
    enum lark_value_form form;
};

/* open_len: bytes of a value whose form is not known yet, at the end of the spool
 * length: of the answer, when it is known before the headers go; else -1
 * json: what nginx has been given last, or still has; buf and chain are its */
struct ngx_http_lark_stream_s {
    ngx_http_lark_ctx_t *ctx;
    ngx_http_lark_spool_t spool;
    ngx_http_lark_segment_t *first;
    ngx_http_lark_segment_t *last; /* when there is a first one */
    uint64_t open_len;
    off_t length;
    struct lark_value_writer writer;
    struct lark_buf json;
    ngx_buf_t buf;
    ngx_chain_t chain;
    ngx_event_t again;
    unsigned in_value : 1;
    unsigned writing : 1; /* the first segment has been begun */
    unsigned complete : 1;
    unsigned started : 1; /* the headers have gone */
    unsigned no_body : 1; /* HEAD */
    unsigned broken : 1;  /* the caller's connection */
};

static void again_handler(ngx_event_t *ev);
static void write_handler(ngx_http_request_t *r);
static ngx_int_t pump(ngx_http_lark_stream_t *stream);

/* ---- its life ---- */

static ngx_http_lark_stream_t *stream_of(ngx_http_lark_ctx_t *ctx)
{
    if (ctx->stream != NULL) {
        return ctx->stream;
    }
    ngx_http_request_t *r = ctx->request;
    ngx_http_lark_stream_t *stream = ngx_calloc(sizeof(ngx_http_lark_stream_t), r->connection->log);
    if (stream == NULL) {
        return NULL;
    }
    stream->ctx = ctx;
    stream->length = -1;
    stream->no_body = r->method == NGX_HTTP_HEAD;
    stream->again.data = stream;
    stream->again.log = r->connection->log;
    stream->again.handler = again_handler;
    ngx_http_lark_spool_init(&stream->spool, ngx_http_get_module_main_conf(r, ngx_http_lark_module));
    lark_buf_init(&stream->json, &ngx_http_lark_mem, NGX_HTTP_LARK_SEND_BYTES, NULL, 0);
    ctx->stream = stream;
    ngx_http_lark_stats->n[NGX_HTTP_LARK_N_LARGE_ANSWERS]++;
    return stream;
}

static void segment_pop(ngx_http_lark_stream_t *stream)
{
    ngx_http_lark_segment_t *segment = stream->first;
    stream->first = segment->next;
    ngx_free(segment);
    stream->writing = 0;
}

/* More of it in the next turn. A worker that is told to go waits for timers, and when Redis has said all and the caller
 * takes it as it comes there is no other. */
static void again_post(ngx_http_lark_stream_t *stream)
{
    if (!stream->again.timer_set) {
        ngx_add_timer(&stream->again, NGX_HTTP_LARK_STEP_TIMER);
    }
    ngx_post_event(&stream->again, &ngx_posted_next_events);
}

static void again_end(ngx_http_lark_stream_t *stream)
{
    if (stream->again.posted) {
        ngx_delete_posted_event(&stream->again);
    }
    if (stream->again.timer_set) {
        ngx_del_timer(&stream->again);
    }
}

/* The caller has gone; what nginx still holds stays where it is. */
void ngx_http_lark_stream_stop(ngx_http_lark_ctx_t *ctx)
{
    if (ctx->stream != NULL) {
        again_end(ctx->stream);
    }
}

void ngx_http_lark_stream_drop(ngx_http_lark_ctx_t *ctx)
{
    ngx_http_lark_stream_t *stream = ctx->stream;
    if (stream == NULL) {
        return;
    }
    ngx_http_lark_stream_stop(ctx);
    while (stream->first != NULL) {
        segment_pop(stream);
    }
    ngx_http_lark_spool_done(&stream->spool);
    lark_buf_done(&stream->json);
    ngx_free(stream);
    ctx->stream = NULL;
    ngx_http_lark_stats->n[NGX_HTTP_LARK_N_LARGE_ANSWERS]--;
}

ngx_uint_t ngx_http_lark_stream_started(const ngx_http_lark_ctx_t *ctx)
{
    return ctx->stream != NULL && ctx->stream->started;
}

/* Nginx has bytes that the caller has not taken yet, or this turn of the loop has seen enough of them. */
static ngx_uint_t is_busy(const ngx_http_lark_stream_t *stream)
{
    return stream->buf.pos != stream->buf.last || stream->again.posted;
}

/* ---- what comes ---- */

static enum lark_status segment_add(ngx_http_lark_stream_t *stream, uint64_t len, enum lark_value_form form)
{
    if (len == 0) {
        return LARK_OK;
    }
    if (stream->first != NULL && stream->last->form == LARK_FORM_JSON && form == LARK_FORM_JSON) {
        stream->last->len += len;
        return LARK_OK;
    }
    ngx_http_lark_segment_t *segment = ngx_alloc(sizeof(ngx_http_lark_segment_t), stream->again.log);
    if (segment == NULL) {
        return LARK_E_NOMEM;
    }
    segment->len = len;
    segment->form = form;
    segment->next = NULL;
    if (stream->first == NULL) {
        stream->first = segment;
    } else {
        stream->last->next = segment;
    }
    stream->last = segment;
    return LARK_OK;
}

static enum lark_status take_json(ngx_http_lark_stream_t *stream, struct lark_slice json)
{
    enum lark_status status = ngx_http_lark_spool_append(&stream->spool, stream->ctx->request, json);
    return status == LARK_OK ? segment_add(stream, json.len, LARK_FORM_JSON) : status;
}

/* What the core has written so far. As long as the caller takes it, it need not go into a file. */
static enum lark_status take_out(ngx_http_lark_stream_t *stream, ngx_uint_t may_send)
{
    struct lark_buf *out = &stream->ctx->out;
    enum lark_status status = LARK_OK;
    size_t at = stream->no_body ? out->len : 0;
    while (status == LARK_OK && at < out->len) {
        ngx_uint_t sends = may_send && !is_busy(stream);
        size_t n = sends ? ngx_min(out->len - at, NGX_HTTP_LARK_STREAM_BYTES) : out->len - at;
        status = take_json(stream, (struct lark_slice){out->p + at, n});
        at += n;
        if (status == LARK_OK && sends && at < out->len && pump(stream) == NGX_ERROR) {
            stream->broken = 1;
            break;
        }
    }
    out->len = 0;
    if (out->cap > NGX_HTTP_LARK_SPOOL_MEMORY) {
        lark_buf_done(out);
    }
    return status;
}

static enum lark_status value_begin(void *data)
{
    ngx_http_lark_stream_t *stream = stream_of(data);
    if (stream == NULL) {
        return LARK_E_NOMEM;
    }
    enum lark_status status = take_out(stream, 0);
    stream->in_value = 1;
    return status;
}

static enum lark_status value_append(void *data, struct lark_slice bytes)
{
    ngx_http_lark_ctx_t *ctx = data;
    ngx_http_lark_stream_t *stream = ctx->stream;
    if (stream->no_body) {
        return LARK_OK;
    }
    stream->open_len += bytes.len;
    return ngx_http_lark_spool_append(&stream->spool, ctx->request, bytes);
}

static enum lark_status value_settle(void *data, enum lark_value_form form)
{
    ngx_http_lark_ctx_t *ctx = data;
    ngx_http_lark_stream_t *stream = ctx->stream;
    uint64_t len = stream->open_len;
    stream->open_len = 0;
    stream->in_value = 0;
    return segment_add(stream, len, form);
}

void ngx_http_lark_stream_begin(ngx_http_lark_ctx_t *ctx)
{
    ctx->spool.ctx = ctx;
    ctx->spool.over_bytes = NGX_HTTP_LARK_SPOOL_VALUE;
    ctx->spool.begin = value_begin;
    ctx->spool.append = value_append;
    ctx->spool.settle = value_settle;
    ctx->reply.spool = &ctx->spool;
}

/* ---- what goes ---- */

/* Bytes of the first segment, as many as there is room for. return: LARK_OK | LARK_MORE (no room) | an error */
static enum lark_status write_segment(ngx_http_lark_stream_t *stream)
{
    ngx_http_lark_segment_t *segment = stream->first;
    size_t room = NGX_HTTP_LARK_SEND_BYTES - stream->json.len;
    size_t growth = segment->form == LARK_FORM_JSON ? 1 : segment->form == LARK_FORM_TEXT ? LARK_VALUE_GROWTH : 2;
    if (room < NGX_HTTP_LARK_SEND_BYTES / 32) {
        return LARK_MORE;
    }
    struct lark_slice bytes;
    size_t max = (size_t)ngx_min(segment->len, (room - (size_t)2 * LARK_VALUE_EXTRA) / growth);
    enum lark_status status = ngx_http_lark_spool_peek(&stream->spool, max, &bytes);
    if (status != LARK_OK) {
        return status;
    }
    if (!stream->writing) {
        lark_value_writer_init(&stream->writer, segment->form);
        stream->writing = 1;
    }
    status = lark_value_writer_put(&stream->writer, bytes, &stream->json);
    if (status != LARK_OK) {
        return status;
    }
    ngx_http_lark_spool_skip(&stream->spool, bytes.len);
    segment->len -= bytes.len;
    if (segment->len > 0) {
        return LARK_OK;
    }
    status = lark_value_writer_end(&stream->writer, &stream->json);
    segment_pop(stream);
    return status;
}

static enum lark_status write_json(ngx_http_lark_stream_t *stream)
{
    enum lark_status status = LARK_OK;
    stream->json.len = 0;
    while (status == LARK_OK && stream->first != NULL) {
        status = write_segment(stream);
    }
    return status == LARK_MORE ? LARK_OK : status;
}

static ngx_int_t start(ngx_http_lark_stream_t *stream)
{
    ngx_http_lark_ctx_t *ctx = stream->ctx;
    stream->started = 1;
    ctx->bytes = ctx->reply.content == LARK_CONTENT_BYTES;
    ngx_int_t rc = ngx_http_lark_send_head(ctx, (ngx_uint_t)ctx->reply.http_status, 0, stream->length);
    if (rc == NGX_ERROR || rc > NGX_OK) {
        return NGX_ERROR;
    }
    ctx->request->write_event_handler = write_handler;
    return ctx->request->header_only ? NGX_DONE : NGX_OK;
}

static ngx_int_t send_json(ngx_http_lark_stream_t *stream, ngx_uint_t is_last)
{
    ngx_buf_t *buf = &stream->buf;
    ngx_memzero(buf, sizeof(ngx_buf_t));
    buf->pos = stream->json.p;
    buf->last = stream->json.p + stream->json.len;
    buf->memory = stream->json.len > 0;
    buf->flush = is_last ? 0 : 1;
    buf->last_buf = is_last ? 1 : 0;
    buf->last_in_chain = buf->last_buf;
    stream->chain.buf = buf;
    stream->chain.next = NULL;
    return ngx_http_output_filter(stream->ctx->request, &stream->chain);
}

/* return: NGX_DONE: nginx has the last byte, or needs none; NGX_OK: all that can go now has gone, or is waited for;
 * NGX_ERROR */
static ngx_int_t pump(ngx_http_lark_stream_t *stream)
{
    if (stream->broken) {
        return NGX_ERROR;
    }
    if (!stream->started) {
        ngx_int_t rc = start(stream);
        if (rc != NGX_OK) {
            return rc;
        }
    }
    for (ngx_uint_t n = 0; stream->buf.pos == stream->buf.last; n++) {
        ngx_uint_t is_empty = stream->first == NULL;
        if (is_empty && !stream->complete) {
            return NGX_OK;
        }
        if (n == (stream->complete ? 1 : NGX_HTTP_LARK_SENDS_A_TURN)) {
            again_post(stream);
            return NGX_OK;
        }
        enum lark_status status = write_json(stream);
        if (status != LARK_OK) {
            stream->ctx->error = status;
            ngx_log_error(NGX_LOG_ERR, stream->again.log, 0, "lark: an answer was cut off: %s",
                          lark_error_row(status)->message);
            return NGX_ERROR;
        }
        ngx_uint_t is_last = stream->complete && stream->first == NULL;
        if (send_json(stream, is_last) == NGX_ERROR) {
            return NGX_ERROR;
        }
        if (is_last) {
            again_end(stream); /* it may be posted since another event: the end is sent once */
            return NGX_DONE;
        }
    }
    return NGX_OK;
}

/* The caller is waited for, or Redis. return: as pump */
static ngx_int_t wait_for_room(ngx_http_lark_stream_t *stream)
{
    ngx_http_request_t *r = stream->ctx->request;
    ngx_event_t *wev = r->connection->write;
    ngx_http_core_loc_conf_t *clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);
    if (stream->buf.pos == stream->buf.last && !r->buffered && !r->connection->buffered) {
        if (wev->timer_set && !wev->delayed) {
            ngx_del_timer(wev);
        }
        return NGX_OK;
    }
    if (!wev->delayed) {
        ngx_add_timer(wev, clcf->send_timeout);
    }
    return ngx_handle_write_event(wev, clcf->send_lowat) == NGX_OK ? NGX_OK : NGX_ERROR;
}

/* return: as pump; after the last two the request is to be finalized with what out_rc says */
static ngx_int_t run(ngx_http_lark_stream_t *stream, ngx_int_t *out_rc)
{
    ngx_int_t rc = pump(stream);
    if (rc == NGX_OK) {
        rc = wait_for_room(stream);
    }
    *out_rc = rc == NGX_DONE ? NGX_OK : rc;
    return rc;
}

/* An event of Redis or of our own. */
static void run_and_finish(ngx_http_lark_stream_t *stream)
{
    ngx_http_lark_ctx_t *ctx = stream->ctx;
    ngx_connection_t *c = ctx->request->connection;
    ngx_int_t rc;
    if (run(stream, &rc) != NGX_OK) {
        ngx_http_lark_finish(ctx, rc);
        return;
    }
    ngx_http_run_posted_requests(c);
}

static void again_handler(ngx_event_t *ev)
{
    again_end(ev->data);
    run_and_finish(ev->data);
}

/* The request's own event: the caller has taken something, or is too slow. */
static void write_handler(ngx_http_request_t *r)
{
    ngx_http_lark_ctx_t *ctx = ngx_http_get_module_ctx(r, ngx_http_lark_module);
    ngx_connection_t *c = r->connection;
    ngx_int_t rc;
    if (ctx == NULL || ctx->stream == NULL) {
        return;
    }
    if (c->write->timedout) {
        ngx_log_error(NGX_LOG_INFO, c->log, NGX_ETIMEDOUT, "lark: the caller takes nothing of its answer");
        c->timedout = 1;
        ngx_http_finalize_request(r, NGX_HTTP_REQUEST_TIME_OUT);
        return;
    }
    if (!c->write->delayed && ngx_http_output_filter(r, NULL) == NGX_ERROR) {
        ngx_http_finalize_request(r, NGX_ERROR);
        return;
    }
    if (run(ctx->stream, &rc) != NGX_OK) {
        ngx_http_finalize_request(r, rc);
    }
}

/* ---- the call ---- */

static void give_up(ngx_http_lark_ctx_t *ctx, enum lark_status status)
{
    ngx_http_lark_cancel(ctx); /* the rest of the reply is read and dropped */
    ngx_http_lark_fail(ctx, status);
}

void ngx_http_lark_stream_more(void *data)
{
    ngx_http_lark_ctx_t *ctx = data;
    ngx_http_lark_stream_t *stream = ctx->stream;
    if (stream == NULL) {
        if (ctx->out.len < NGX_HTTP_LARK_STREAM_BYTES) {
            return;
        }
        stream = stream_of(ctx);
        if (stream == NULL) {
            give_up(ctx, LARK_E_NOMEM);
            return;
        }
    }
    if (!stream->in_value) { /* else it stands behind the value */
        enum lark_status status = take_out(stream, 1);
        if (status != LARK_OK) {
            give_up(ctx, status);
            return;
        }
    } else if (!stream->started && !stream->no_body) {
        return;
    }
    if (stream->no_body) {
        ngx_http_lark_cancel(ctx);
    }
    run_and_finish(stream);
}

ngx_uint_t ngx_http_lark_stream_end(ngx_http_lark_ctx_t *ctx)
{
    ngx_uint_t is_large = ctx->out.len > NGX_HTTP_LARK_SPOOL_MEMORY && ctx->request->method != NGX_HTTP_HEAD;
    if (ctx->stream == NULL && !is_large) {
        return 0;
    }
    off_t length = ctx->stream == NULL ? (off_t)ctx->out.len : -1;
    ngx_http_lark_stream_t *stream = stream_of(ctx);
    enum lark_status status = LARK_E_NOMEM;
    if (stream != NULL) {
        if (!stream->started) {
            stream->length = length;
        }
        status = take_out(stream, 1);
    }
    if (status != LARK_OK) {
        ngx_http_lark_fail(ctx, status);
        return 1;
    }
    stream->complete = 1;
    run_and_finish(stream);
    return 1;
}

/* A part of the answer has gone: the caller must see that it is not all. Without chunks or a length only a reset tells.
 * return: 0 when nothing has gone out yet: an error can be sent */
static ngx_uint_t stream_fail(ngx_http_lark_ctx_t *ctx, enum lark_status status)
{
    struct linger at_once = {1, 0};
    ngx_http_request_t *r = ctx->request;
    if (!ngx_http_lark_stream_started(ctx)) {
        ngx_http_lark_stream_drop(ctx);
        return 0;
    }
    ctx->error = status;
    ngx_log_error(NGX_LOG_ERR, r->connection->log, 0, "lark: an answer was cut off: %s",
                  lark_error_row(status)->message);
    r->keepalive = 0;
    ngx_uint_t is_framed = r->chunked || r->headers_out.content_length_n != -1;
#if (NGX_HTTP_V2)
    is_framed = is_framed || r->stream != NULL;
#endif
    if (!is_framed) {
        r->connection->error = 1;
        if (setsockopt(r->connection->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)) == -1) {
            ngx_log_error(NGX_LOG_ERR, r->connection->log, ngx_socket_errno, "lark: setsockopt(SO_LINGER) failed");
        }
    }
    return 1;
}

/* The end of a request whose reply failed: an error, or when a part of the answer has gone, no end of it. */
void ngx_http_lark_fail(ngx_http_lark_ctx_t *ctx, enum lark_status status)
{
    ngx_http_lark_finish(ctx, stream_fail(ctx, status) ? NGX_ERROR : ngx_http_lark_answer_failure(ctx, status));
}
