/* What a caller has not taken yet: bytes in their order, the oldest in memory, those behind them in a file without a name. */
#ifndef NGX_HTTP_LARK_SPOOL_H
#define NGX_HTTP_LARK_SPOOL_H

#include "ngx_http_lark.h"

/* in memory: mem[pos..last); behind them, in the file: at[file_pos..file_last)
 * window: a part of the file as it was read last */
typedef struct {
    ngx_http_lark_main_conf_t *conf;
    u_char *mem;
    size_t pos;
    size_t last;
    size_t cap;
    ngx_file_t file;
    off_t file_pos;
    off_t file_last;
    off_t file_freed; /* up to there the file is a hole */
    u_char *window;
    off_t window_at;
    size_t window_len;
} ngx_http_lark_spool_t;

void ngx_http_lark_spool_init(ngx_http_lark_spool_t *spool, ngx_http_lark_main_conf_t *conf);
/* Gives memory and place back; the file is closed with the request's pool. */
void ngx_http_lark_spool_done(ngx_http_lark_spool_t *spool);

/* return: LARK_OK | LARK_E_SPOOL_FULL | LARK_E_NOMEM | LARK_E_INTERNAL (the file; the log says more) */
enum lark_status ngx_http_lark_spool_append(ngx_http_lark_spool_t *spool, ngx_http_request_t *r,
                                            struct lark_slice bytes);
/* The next bytes: one or more, at most max, until the next call of any function; there must be some. return: as append */
enum lark_status ngx_http_lark_spool_peek(ngx_http_lark_spool_t *spool, size_t max, struct lark_slice *out_bytes);
/* Bytes of what peek gave are done with. */
void ngx_http_lark_spool_skip(ngx_http_lark_spool_t *spool, size_t n);

#endif
