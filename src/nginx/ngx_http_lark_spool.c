#include "ngx_http_lark_spool.h"

#define MEMORY_FIRST ((size_t)64 * 1024)
#define WINDOW_BYTES ((size_t)16 * 1024)

/* Of all spools of the worker, in bytes. */
static ngx_http_lark_counter_t *spool_memory(void)
{
    return &ngx_http_lark_stats->n[NGX_HTTP_LARK_N_SPOOL_MEMORY];
}

static ngx_http_lark_counter_t *spool_files(void)
{
    return &ngx_http_lark_stats->n[NGX_HTTP_LARK_N_SPOOL_FILES];
}

void ngx_http_lark_spool_init(ngx_http_lark_spool_t *spool, ngx_http_lark_main_conf_t *conf)
{
    ngx_memzero(spool, sizeof(ngx_http_lark_spool_t));
    spool->conf = conf;
    spool->file.fd = NGX_INVALID_FILE;
}

static void memory_free(ngx_http_lark_spool_t *spool)
{
    if (spool->mem != NULL) {
        *spool_memory() -= spool->cap;
        ngx_free(spool->mem);
        spool->mem = NULL;
    }
    spool->pos = 0;
    spool->last = 0;
    spool->cap = 0;
}

static void window_free(ngx_http_lark_spool_t *spool)
{
    if (spool->window != NULL) {
        ngx_free(spool->window);
        spool->window = NULL;
    }
    spool->window_len = 0;
}

static void file_forget(ngx_http_lark_spool_t *spool)
{
    *spool_files() -= (size_t)(spool->file_last - spool->file_freed);
    spool->file_pos = 0;
    spool->file_last = 0;
    spool->file_freed = 0;
}

void ngx_http_lark_spool_done(ngx_http_lark_spool_t *spool)
{
    memory_free(spool);
    window_free(spool);
    if (spool->file.fd != NGX_INVALID_FILE) {
        ngx_http_lark_release_file(spool->file.fd, spool->file_last);
    }
    file_forget(spool);
}

/* Room for n more bytes in memory. return: 0: there is none to be had */
static ngx_uint_t memory_reserve(ngx_http_lark_spool_t *spool, size_t n)
{
    if (n <= spool->cap - spool->last) {
        return 1;
    }
    size_t used = spool->last - spool->pos;
    if (spool->pos > 0) {
        ngx_memmove(spool->mem, spool->mem + spool->pos, used);
        spool->pos = 0;
        spool->last = used;
    }
    if (n <= spool->cap - used) {
        return 1;
    }
    size_t cap = ngx_max(spool->cap, MEMORY_FIRST);
    while (cap < NGX_HTTP_LARK_SPOOL_MEMORY && n > cap - used) {
        cap *= 2;
    }
    if (n > cap - used || cap - spool->cap > NGX_HTTP_LARK_SPOOL_MEMORY_ALL - *spool_memory()) {
        return 0;
    }
    u_char *mem = ngx_alloc(cap, ngx_cycle->log);
    if (mem == NULL) {
        return 0;
    }
    if (used > 0) {
        ngx_memcpy(mem, spool->mem, used);
    }
    memory_free(spool);
    *spool_memory() += cap;
    spool->mem = mem;
    spool->last = used;
    spool->cap = cap;
    return 1;
}

static enum lark_status file_open(ngx_http_lark_spool_t *spool, ngx_http_request_t *r)
{
    ngx_http_core_loc_conf_t *clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);
    ngx_memzero(&spool->file, sizeof(ngx_file_t));
    spool->file.fd = NGX_INVALID_FILE;
    spool->file.log = r->connection->log;
    if (ngx_create_temp_file(&spool->file, clcf->client_body_temp_path, r->pool, 0, 0, 0) != NGX_OK) {
        spool->file.fd = NGX_INVALID_FILE;
        return LARK_E_INTERNAL;
    }
    return LARK_OK;
}

static enum lark_status file_append(ngx_http_lark_spool_t *spool, ngx_http_request_t *r, struct lark_slice bytes)
{
    if (*spool_files() > spool->conf->spool_max || bytes.len > spool->conf->spool_max - *spool_files()) {
        return LARK_E_SPOOL_FULL;
    }
    if (spool->file.fd == NGX_INVALID_FILE && file_open(spool, r) != LARK_OK) {
        return LARK_E_INTERNAL;
    }
    ssize_t n = ngx_write_file(&spool->file, (u_char *)(uintptr_t)bytes.p, bytes.len, spool->file_last);
    if (n == NGX_ERROR || (size_t)n != bytes.len) {
        return ngx_errno == ENOSPC || ngx_errno == EDQUOT ? LARK_E_SPOOL_FULL : LARK_E_INTERNAL;
    }
    spool->file_last += n;
    *spool_files() += bytes.len;
    return LARK_OK;
}

enum lark_status ngx_http_lark_spool_append(ngx_http_lark_spool_t *spool, ngx_http_request_t *r,
                                            struct lark_slice bytes)
{
    if (bytes.len == 0) {
        return LARK_OK;
    }
    if (spool->file_last > 0 || !memory_reserve(spool, bytes.len)) {
        return file_append(spool, r, bytes);
    }
    ngx_memcpy(spool->mem + spool->last, bytes.p, bytes.len);
    spool->last += bytes.len;
    return LARK_OK;
}

static enum lark_status window_read(ngx_http_lark_spool_t *spool)
{
    size_t size = (size_t)ngx_min(spool->file_last - spool->file_pos, (off_t)WINDOW_BYTES);
    if (spool->window == NULL) {
        spool->window = ngx_alloc(WINDOW_BYTES, ngx_cycle->log);
        if (spool->window == NULL) {
            return LARK_E_NOMEM;
        }
    }
    ssize_t n = ngx_read_file(&spool->file, spool->window, size, spool->file_pos);
    spool->window_len = 0;
    if (n <= 0) {
        return LARK_E_INTERNAL;
    }
    spool->window_at = spool->file_pos;
    spool->window_len = (size_t)n;
    return LARK_OK;
}

enum lark_status ngx_http_lark_spool_peek(ngx_http_lark_spool_t *spool, size_t max, struct lark_slice *out_bytes)
{
    if (spool->last > spool->pos) {
        *out_bytes = (struct lark_slice){spool->mem + spool->pos, ngx_min(spool->last - spool->pos, max)};
        return LARK_OK;
    }
    if (spool->file_pos < spool->window_at || spool->file_pos - spool->window_at >= (off_t)spool->window_len) {
        enum lark_status status = window_read(spool);
        if (status != LARK_OK) {
            return status;
        }
    }
    size_t from = (size_t)(spool->file_pos - spool->window_at);
    *out_bytes = (struct lark_slice){spool->window + from, ngx_min(spool->window_len - from, max)};
    return LARK_OK;
}

/* All of the file was taken: its place is free again, and what comes next may stand in memory. */
static void file_reset(ngx_http_lark_spool_t *spool)
{
    if (ftruncate(spool->file.fd, 0) == -1) {
        ngx_log_error(NGX_LOG_ERR, spool->file.log, ngx_errno, "lark: ftruncate() of a spool failed");
    }
    file_forget(spool);
    window_free(spool);
}

/* What was taken gives its place back on the way: at once it would cost milliseconds. Where the file system cannot do that
 * (fallocate(2)), its end does. */
static void file_free(ngx_http_lark_spool_t *spool)
{
    off_t n = spool->file_pos - spool->file_freed;
    if (n >= (off_t)NGX_HTTP_LARK_RELEASE_BYTES &&
        fallocate(spool->file.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, spool->file_freed, n) == 0) {
        spool->file_freed += n;
        *spool_files() -= (size_t)n;
    }
}

void ngx_http_lark_spool_skip(ngx_http_lark_spool_t *spool, size_t n)
{
    if (spool->last > spool->pos) {
        spool->pos += n;
        if (spool->pos == spool->last) {
            spool->pos = 0;
            spool->last = 0;
            if (spool->file_last > 0) {
                memory_free(spool);
            }
        }
        return;
    }
    spool->file_pos += (off_t)n;
    if (spool->file_pos == spool->file_last) {
        file_reset(spool);
    } else {
        file_free(spool);
    }
}
