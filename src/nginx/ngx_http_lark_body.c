#include "ngx_http_lark.h"

#define WINDOW_BYTES ((size_t)32 * 1024)

ngx_int_t ngx_http_lark_body_expected(ngx_http_request_t *r)
{
    return r->headers_in.content_length_n > 0 || r->headers_in.chunked;
}

/* Who answers before the body was read must take it off the connection, or close: its bytes would be executed as the
 * next request. Who asked whether to send it ("Expect: 100-continue") may do either: only closing is safe. */
void ngx_http_lark_body_refuse(ngx_http_request_t *r)
{
    if (r->headers_in.expect != NULL && ngx_http_lark_body_expected(r)) {
        r->keepalive = 0;
    }
    r->expect_tested = 1;
    if (ngx_http_discard_request_body(r) != NGX_OK) {
        r->keepalive = 0;
    }
}

/* ---- a body that may be large comes in, some buffers a turn ----
 *
 * nginx reads on as long as there is something to read: a quick caller with a large body would keep all others waiting.
 * So nginx is told not to buffer, and what comes goes to its temporary file from here. */

static void body_event(ngx_http_request_t *r);

static ngx_int_t file_open(ngx_http_request_t *r)
{
    ngx_http_core_loc_conf_t *clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);
    ngx_temp_file_t *file = ngx_pcalloc(r->pool, sizeof(ngx_temp_file_t));
    if (file == NULL) {
        return NGX_ERROR;
    }
    file->file.fd = NGX_INVALID_FILE;
    file->file.log = r->connection->log;
    file->path = clcf->client_body_temp_path;
    file->pool = r->pool;
    r->request_body->temp_file = file;
    return NGX_OK;
}

/* What is in the buffers goes to the file; they are free then. */
static ngx_int_t file_append(ngx_http_request_t *r)
{
    ngx_http_request_body_t *body = r->request_body;
    if (body->bufs == NULL) {
        return NGX_OK;
    }
    if (body->temp_file == NULL) {
        ngx_http_lark_ctx_t *ctx = ngx_http_get_module_ctx(r, ngx_http_lark_module);
        if (file_open(r) != NGX_OK) {
            return NGX_ERROR;
        }
        ctx->own_file = 1;
        ngx_http_lark_stats->n[NGX_HTTP_LARK_N_LARGE_BODIES]++;
    }
    ssize_t n = ngx_write_chain_to_temp_file(body->temp_file, body->bufs);
    if (n == NGX_ERROR) {
        return NGX_ERROR;
    }
    body->temp_file->offset += n;
    while (body->bufs != NULL) {
        ngx_chain_t *link = body->bufs;
        body->bufs = link->next;
        link->buf->pos = link->buf->last;
        ngx_free_chain(r->pool, link);
    }
    return NGX_OK;
}

/* All of it is there. In the file, once anything is. */
static ngx_int_t file_close(ngx_http_request_t *r)
{
    ngx_http_request_body_t *body = r->request_body;
    if (body->temp_file == NULL) {
        return NGX_OK;
    }
    ngx_buf_t *buf = ngx_calloc_buf(r->pool);
    ngx_chain_t *link = ngx_alloc_chain_link(r->pool);
    if (buf == NULL || link == NULL || file_append(r) != NGX_OK) {
        return NGX_ERROR;
    }
    buf->in_file = 1;
    buf->file = &body->temp_file->file;
    buf->file_last = body->temp_file->offset;
    link->buf = buf;
    link->next = NULL;
    body->bufs = link;
    return NGX_OK;
}

/* A body that did not tell its length has become too large. */
static ngx_uint_t is_over(ngx_http_request_t *r)
{
    const ngx_http_lark_ctx_t *ctx = ngx_http_get_module_ctx(r, ngx_http_lark_module);
    const ngx_temp_file_t *file = r->request_body->temp_file;
    return file != NULL && (uint64_t)file->offset > ctx->plan.body_max;
}

enum lark_status ngx_http_lark_body_over(const ngx_http_lark_ctx_t *ctx, struct lark_err *err)
{
    ngx_memzero(err, sizeof(struct lark_err));
    err->status = LARK_E_TOO_LARGE;
    err->method = ctx->plan.method;
    err->text = "bytes of a body";
    err->offset = ctx->plan.body_max;
    return err->status;
}

static ngx_int_t refuse_over(ngx_http_lark_ctx_t *ctx)
{
    struct lark_err err;
    (void)ngx_http_lark_body_over(ctx, &err);
    ctx->request->keepalive = 0; /* the rest of it is no request */
    return ngx_http_lark_send_error(ctx, &err);
}

/* return: NGX_OK: all is read, NGX_AGAIN: an event will tell of more, NGX_BUSY: more in the next turn, or an error */
static ngx_int_t body_more(ngx_http_request_t *r)
{
    for (ngx_uint_t n = 0; r->reading_body; n++) {
        ngx_buf_t *buf = r->request_body->buf;
        ngx_uint_t is_full = buf == NULL || buf->last == buf->end;
        if (is_full && file_append(r) != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
        if (is_over(r)) {
            return NGX_HTTP_REQUEST_ENTITY_TOO_LARGE;
        }
        if (n == NGX_HTTP_LARK_BODY_BUFS_A_TURN) {
            return NGX_BUSY;
        }
        ngx_int_t rc = ngx_http_read_unbuffered_request_body(r);
        if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
            return rc;
        }
        buf = r->request_body->buf;
        if (rc == NGX_AGAIN && buf != NULL && buf->last != buf->end) {
            return NGX_AGAIN;
        }
    }
    return file_close(r) == NGX_OK ? NGX_OK : NGX_HTTP_INTERNAL_SERVER_ERROR;
}

static void body_step(ngx_event_t *ev)
{
    ngx_http_lark_ctx_t *ctx = ev->data;
    ngx_connection_t *c = ctx->request->connection;
    body_event(ctx->request);
    ngx_http_run_posted_requests(c);
}

static void body_event(ngx_http_request_t *r)
{
    ngx_http_lark_ctx_t *ctx = ngx_http_get_module_ctx(r, ngx_http_lark_module);
    ngx_int_t rc = body_more(r);
    if (rc == NGX_AGAIN) {
        ngx_http_lark_step_end(ctx);
        return;
    }
    if (rc == NGX_BUSY) {
        ngx_http_lark_step(ctx, body_step);
        return;
    }
    ngx_http_lark_step_end(ctx);
    if (rc != NGX_OK) {
        ngx_http_finalize_request(r, is_over(r) ? refuse_over(ctx) : rc);
        return;
    }
    r->read_event_handler = ngx_http_block_reading;
    ctx->body_then(r);
}

static void body_begun(ngx_http_request_t *r)
{
    r->read_event_handler = body_event;
    body_event(r);
}

ngx_int_t ngx_http_lark_body_read(ngx_http_lark_ctx_t *ctx, ngx_http_client_body_handler_pt then)
{
    ngx_http_request_t *r = ctx->request;
    ngx_uint_t may_be_large = r->headers_in.chunked || r->headers_in.content_length_n > (off_t)NGX_HTTP_LARK_LARGE_BODY;
    r->request_body_in_single_buf = 1;
#if (NGX_HTTP_V2)
    if (r->stream != NULL) {
        may_be_large = 0; /* frames are small, and streams take turns */
    }
#endif
    if (!may_be_large) {
        return ngx_http_read_client_request_body(r, then);
    }
    ctx->body_then = then;
    r->request_body_no_buffering = 1;
    return ngx_http_read_client_request_body(r, body_begun);
}

/* ---- the end of a body's file ---- */

void ngx_http_lark_body_release(ngx_http_lark_ctx_t *ctx)
{
    ngx_temp_file_t *file = ctx->own_file ? ctx->request->request_body->temp_file : NULL;
    ngx_http_lark_stats->n[NGX_HTTP_LARK_N_LARGE_BODIES] -= ctx->own_file;
    if (file != NULL) {
        ngx_http_lark_release_file(file->file.fd, file->offset);
    }
}

/* A piece of a file, through a window: the reader of the body goes forwards in small steps. */
static enum lark_status read_file_piece(ngx_http_lark_ctx_t *ctx, ngx_buf_t *buf, uint64_t at, size_t max,
                                        struct lark_slice *out_piece)
{
    ngx_http_lark_window_t *window = &ctx->window;
    uint64_t offset = (uint64_t)buf->file_pos + at;
    if (window->buf == NULL) {
        window->buf = ngx_palloc(ctx->request->pool, WINDOW_BYTES);
        if (window->buf == NULL) {
            return LARK_E_NOMEM;
        }
    }
    if (offset < window->at || offset - window->at >= window->len) {
        size_t size = (size_t)ngx_min((uint64_t)(buf->file_last - buf->file_pos) - at, WINDOW_BYTES);
        ssize_t n = ngx_read_file(buf->file, window->buf, size, (off_t)offset);
        if (n <= 0) {
            window->len = 0;
            return LARK_E_INTERNAL;
        }
        window->at = offset;
        window->len = (size_t)n;
    }
    out_piece->p = window->buf + (offset - window->at);
    out_piece->len = ngx_min((size_t)(window->len - (offset - window->at)), max);
    return LARK_OK;
}

static enum lark_status read_piece(void *data, uint64_t offset, size_t max, struct lark_slice *out_piece)
{
    ngx_http_lark_ctx_t *ctx = data;
    for (ngx_chain_t *cl = ctx->request->request_body->bufs; cl != NULL; cl = cl->next) {
        uint64_t size = (uint64_t)ngx_buf_size(cl->buf);
        if (offset >= size) {
            offset -= size;
            continue;
        }
        if (!ngx_buf_in_memory(cl->buf)) {
            return read_file_piece(ctx, cl->buf, offset, max, out_piece);
        }
        out_piece->p = cl->buf->pos + offset;
        out_piece->len = (size_t)ngx_min(size - offset, max);
        return LARK_OK;
    }
    return LARK_E_INTERNAL;
}

void ngx_http_lark_body_set(ngx_http_lark_ctx_t *ctx)
{
    struct lark_body *body = &ctx->body;
    ngx_http_request_body_t *read = ctx->request->request_body;
    ngx_memzero(body, sizeof(struct lark_body));
    if (read == NULL || read->bufs == NULL) {
        return;
    }
    for (ngx_chain_t *cl = read->bufs; cl != NULL; cl = cl->next) {
        body->len += (uint64_t)ngx_buf_size(cl->buf);
    }
    if (body->len == 0) {
        return;
    }
    ngx_buf_t *first = read->bufs->buf;
    if (ngx_buf_in_memory(first) && (uint64_t)(first->last - first->pos) == body->len) {
        body->p = first->pos;
        return;
    }
    body->ctx = ctx;
    body->read = read_piece;
}
