/* Request ids, trace ids of W3C Trace Context, and how long it took, for those who ask.
 * source: W3C Trace Context, Recommendation, section 3.2; W3C Server Timing */
#include "ngx_http_lark.h"

#include <sys/random.h>

#define ID_MAX 128
#define ID_MADE 32

/* ---- what came ---- */

static ngx_uint_t is_id(ngx_str_t id)
{
    for (size_t i = 0; i < id.len; i++) {
        u_char c = id.data[i];
        u_char lower = (u_char)(c | 0x20);
        if (!(lower >= 'a' && lower <= 'z') && !(c >= '0' && c <= '9') && c != '.' && c != '_' && c != '-') {
            return 0;
        }
    }
    return id.len >= 1 && id.len <= ID_MAX;
}

/* n lower-case hexadecimal digits; out_zero: all of them are zeros */
static ngx_uint_t is_hex(const u_char *p, size_t n, ngx_uint_t *out_zero)
{
    *out_zero = 1;
    for (size_t i = 0; i < n; i++) {
        if (!(p[i] >= '0' && p[i] <= '9') && !(p[i] >= 'a' && p[i] <= 'f')) {
            return 0;
        }
        *out_zero = *out_zero && p[i] == '0';
    }
    return 1;
}

/* VERSION-TRACEID-PARENTID-FLAGS: 2, 32, 16 and 2 digits. Version 00 ends there; a later one may go on behind a dash, and ff is
 * none. */
static ngx_uint_t trace_id_of(ngx_str_t parent, ngx_str_t *out)
{
    static const size_t lengths[] = {2, 32, 16, 2};
    ngx_uint_t is_zero[4];
    const u_char *p = parent.data;
    size_t at = 0;
    if (parent.len < 55 || (parent.len > 55 && (parent.data[55] != '-' || ngx_memcmp(p, "00", 2) == 0))) {
        return 0;
    }
    for (ngx_uint_t i = 0; i < 4; i++) {
        if (!is_hex(p + at, lengths[i], &is_zero[i]) || (i < 3 && p[at + lengths[i]] != '-')) {
            return 0;
        }
        at += lengths[i] + 1;
    }
    if (ngx_memcmp(p, "ff", 2) == 0 || is_zero[1] || is_zero[2]) {
        return 0;
    }
    out->data = parent.data + 3;
    out->len = 32;
    return 1;
}

static ngx_uint_t key_is(const ngx_table_elt_t *h, const char *lowercase)
{
    return h->key.len == ngx_strlen(lowercase) && ngx_memcmp(h->lowcase_key, lowercase, h->key.len) == 0;
}

enum lark_status ngx_http_lark_trace_header(const ngx_table_elt_t *h, ngx_http_lark_trace_t *trace,
                                            struct lark_err *err)
{
    static const char timing[] = "Lark-Timing";
    if (key_is(h, "x-request-id")) {
        if (trace->id.len == 0 && is_id(h->value)) {
            trace->id = h->value;
        }
    } else if (key_is(h, "traceparent")) {
        if (trace->n_parents++ > 0 || !trace_id_of(h->value, &trace->trace_id)) {
            ngx_str_null(&trace->trace_id); /* of two nobody knows which */
        }
    } else if (key_is(h, "lark-timing")) {
        if (h->value.len != 1 || h->value.data[0] != '1') {
            err->name = (struct lark_slice){(const uint8_t *)timing, sizeof(timing) - 1};
            err->text = "1";
            err->got = ngx_http_lark_slice(h->value);
            err->status = LARK_E_BAD_HEADER;
            return LARK_E_BAD_HEADER;
        }
        trace->timing = 1;
    }
    return LARK_OK;
}

void ngx_http_lark_trace_scan(ngx_http_request_t *r, ngx_http_lark_trace_t *out)
{
    struct lark_err err;
    ngx_memzero(out, sizeof(ngx_http_lark_trace_t));
    for (ngx_list_part_t *part = &r->headers_in.headers.part; part != NULL; part = part->next) {
        ngx_table_elt_t *h = part->elts;
        for (ngx_uint_t i = 0; i < part->nelts; i++) {
            (void)ngx_http_lark_trace_header(&h[i], out, &err);
        }
    }
}

/* ---- an id of ours ---- */

/* A number of the worker's and one that counts: no two are the same. Nothing is secret in it. */
void ngx_http_lark_trace_make(ngx_http_lark_ctx_t *ctx)
{
    static const char digits[] = "0123456789abcdef";
    static uint64_t worker[2]; /* which of them, and how many so far */
    static ngx_pid_t owner;
    ngx_http_lark_main_conf_t *lmcf = ngx_http_get_module_main_conf(ctx->request, ngx_http_lark_module);
    ngx_str_t *id = &ctx->trace.id;
    if (!lmcf->makes_ids || id->len > 0) {
        return;
    }
    if (owner != ngx_pid) {
        if (getrandom(worker, sizeof(worker), 0) != sizeof(worker)) {
            return;
        }
        owner = ngx_pid;
    }
    id->data = ngx_pnalloc(ctx->request->pool, ID_MADE);
    if (id->data == NULL) {
        return;
    }
    worker[1]++;
    for (ngx_uint_t i = 0; i < ID_MADE; i++) {
        id->data[i] = (u_char)digits[worker[i / 16] >> (60 - i % 16 * 4) & 15];
    }
    id->len = ID_MADE;
}

/* ---- what is told ---- */

static u_char *put_ms(u_char *p, const char *name, uint64_t ns)
{
    return ngx_sprintf(p, "%s;dur=%uL.%03uL", name, ns / 1000000, ns / 1000 % 1000);
}

/* Of a large answer: until its headers go. */
static ngx_int_t push_timing(ngx_http_lark_ctx_t *ctx)
{
    static ngx_str_t key = NGX_HTTP_LARK_TEXT("Server-Timing");
    ngx_str_t value;
    uint64_t now_ns = ngx_http_lark_now_ns();
    value.data = ngx_pnalloc(ctx->request->pool, sizeof("redis;dur=.000, total;dur=.000") + (size_t)2 * NGX_INT64_LEN);
    if (value.data == NULL) {
        return NGX_ERROR;
    }
    u_char *p = value.data;
    if (ctx->has_reply) {
        p = put_ms(p, "redis", (ctx->replied_ns != 0 ? ctx->replied_ns : now_ns) - ctx->sent_ns);
        *p++ = ',';
        *p++ = ' ';
    }
    p = put_ms(p, "total", now_ns - ctx->entered_ns);
    value.len = (size_t)(p - value.data);
    return ngx_http_lark_push_header(ctx->request, key, value);
}

ngx_int_t ngx_http_lark_trace_push(ngx_http_lark_ctx_t *ctx)
{
    static ngx_str_t key = NGX_HTTP_LARK_TEXT("X-Request-ID");
    if (ctx->trace.id.len > 0 && ngx_http_lark_push_header(ctx->request, key, ctx->trace.id) != NGX_OK) {
        return NGX_ERROR;
    }
    return ctx->trace.timing && ctx->is_call ? push_timing(ctx) : NGX_OK;
}
