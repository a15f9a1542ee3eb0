/* ngx_http_lark_trace.h - what ties a request to those before and behind it. Included by the module's header. */
#ifndef NGX_HTTP_LARK_TRACE_H
#define NGX_HTTP_LARK_TRACE_H

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include <lark/lark.h>

/* From the headers X-Request-ID, traceparent and Lark-Timing. id: the caller's, or made; empty: none. trace_id: of the first good
 * traceparent; n_parents: how many came */
typedef struct {
    ngx_str_t id;
    ngx_str_t trace_id;
    ngx_uint_t n_parents;
    ngx_uint_t timing;
} ngx_http_lark_trace_t;

/* A header of a request, if it is one of these. return: LARK_OK | LARK_E_BAD_HEADER (Lark-Timing; err says what) */
enum lark_status ngx_http_lark_trace_header(const ngx_table_elt_t *h, ngx_http_lark_trace_t *trace,
                                            struct lark_err *err);

#endif
