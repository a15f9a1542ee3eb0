/* What is checked before a request is looked at: rules against DNS rebinding and requests that a page of another origin
 * makes a browser send. source: docs/SECURITY.md, browsers and the wire */
#include "ngx_http_lark.h"

#define LITERAL(text) ((struct lark_slice){(const uint8_t *)(text), sizeof(text) - 1})

static enum lark_status refuse(struct lark_err *err, enum lark_status status, struct lark_slice name, ngx_str_t got)
{
    err->status = status;
    err->name = name;
    err->got = ngx_http_lark_slice(got);
    return status;
}

static ngx_uint_t same_text(ngx_str_t a, ngx_str_t b)
{
    return a.len == b.len && ngx_strncasecmp(a.data, b.data, a.len) == 0;
}

/* "host:port" -> both. The port is empty when there is none; an IPv6 address keeps its brackets. */
static void split_authority(ngx_str_t authority, ngx_str_t *out_host, ngx_str_t *out_port)
{
    size_t end = 0;
    if (authority.len > 0 && authority.data[0] == '[') {
        while (end < authority.len && authority.data[end] != ']') {
            end++;
        }
    }
    while (end < authority.len && authority.data[end] != ':') {
        end++;
    }
    out_host->data = authority.data;
    out_host->len = end;
    out_port->data = authority.data + end;
    out_port->len = authority.len - end;
    if (out_port->len > 0) {
        out_port->data++;
        out_port->len--;
    }
}

/* host is in lower case, as nginx makes headers_in.server; so is the list. */
static ngx_uint_t host_listed(ngx_array_t *hosts, ngx_str_t host)
{
    ngx_str_t *listed = hosts->elts;
    for (ngx_uint_t i = 0; i < hosts->nelts; i++) {
        if (listed[i].len == host.len && ngx_memcmp(listed[i].data, host.data, host.len) == 0) {
            return 1;
        }
    }
    return 0;
}

/* Is the Host header the very host that nginx took? It differs when the target is absolute. */
static ngx_uint_t same_host(ngx_http_request_t *r)
{
    ngx_str_t host;
    ngx_str_t port;
    ngx_str_t server = r->headers_in.server;
    ngx_str_t header = r->headers_in.host->value;
    if (header.len >= server.len && ngx_memcmp(header.data, server.data, server.len) == 0 &&
        (header.len == server.len || header.data[server.len] == ':')) {
        return 1; /* as good as always */
    }
    split_authority(header, &host, &port);
    if (host.len > 1 && host.data[host.len - 1] == '.') {
        host.len--;
    }
    return same_text(host, server);
}

static ngx_uint_t header_listed(ngx_http_request_t *r, ngx_array_t *hosts)
{
    u_char lower[256];
    ngx_str_t host;
    ngx_str_t port;
    split_authority(r->headers_in.host->value, &host, &port);
    if (host.len > 1 && host.data[host.len - 1] == '.') {
        host.len--;
    }
    if (host.len > sizeof(lower)) {
        return 0;
    }
    ngx_strlow(lower, host.data, host.len);
    host.data = lower;
    return host_listed(hosts, host);
}

/* A request with an absolute target has two hosts: nginx takes the target's, the next program might take the header. */
enum lark_status ngx_http_lark_guard_host(ngx_http_request_t *r, ngx_array_t *hosts, struct lark_err *err)
{
    if (r->headers_in.host == NULL) {
        return refuse(err, LARK_E_MISSING_HOST, LITERAL(""), (ngx_str_t)ngx_null_string);
    }
    if (!host_listed(hosts, r->headers_in.server)) {
        return refuse(err, LARK_E_FOREIGN_HOST, LITERAL("Host"), r->headers_in.server);
    }
    if (!same_host(r) && !header_listed(r, hosts)) {
        return refuse(err, LARK_E_FOREIGN_HOST, LITERAL("Host"), r->headers_in.host->value);
    }
    return LARK_OK;
}

/* An Origin is ours when scheme, host and port are those of the request. "null" and lists are not. */
static ngx_uint_t origin_is_ours(ngx_http_request_t *r, ngx_str_t origin)
{
    static ngx_str_t http = NGX_HTTP_LARK_TEXT("http://");
    static ngx_str_t https = NGX_HTTP_LARK_TEXT("https://");
    static ngx_str_t http_port = NGX_HTTP_LARK_TEXT("80");
    static ngx_str_t https_port = NGX_HTTP_LARK_TEXT("443");
    ngx_uint_t is_tls = 0;
#if (NGX_HTTP_SSL)
    is_tls = r->connection->ssl != NULL;
#endif
    ngx_str_t scheme = is_tls ? https : http;
    ngx_str_t own_host;
    ngx_str_t own_port;
    ngx_str_t host;
    ngx_str_t port;
    if (origin.len <= scheme.len || ngx_strncasecmp(origin.data, scheme.data, scheme.len) != 0) {
        return 0;
    }
    origin.data += scheme.len;
    origin.len -= scheme.len;
    split_authority(origin, &host, &port);
    split_authority(r->headers_in.host->value, &own_host, &own_port);
    if (port.len == 0) {
        port = is_tls ? https_port : http_port;
    }
    if (own_port.len == 0) {
        own_port = is_tls ? https_port : http_port;
    }
    return same_text(host, own_host) && same_text(port, own_port);
}

static ngx_uint_t value_is(ngx_table_elt_t *h, const char *text)
{
    return h->value.len == ngx_strlen(text) &&
           ngx_strncasecmp(h->value.data, (u_char *)(uintptr_t)text, h->value.len) == 0;
}

static ngx_uint_t key_is(ngx_table_elt_t *h, const char *lowercase)
{
    return ngx_memcmp(h->lowcase_key, lowercase, h->key.len) == 0;
}

static ngx_uint_t is_foreign_site(ngx_table_elt_t *h)
{
    return !value_is(h, "same-origin") && !value_is(h, "none");
}

/* Told apart by the length of the name first: most headers are none of ours. */
static enum lark_status guard_header(ngx_http_request_t *r, ngx_table_elt_t *h, ngx_http_lark_headers_t *out_headers,
                                     struct lark_err *err)
{
    switch (h->key.len) {
    case sizeof("origin") - 1:
        if (key_is(h, "origin") && !out_headers->listed && !origin_is_ours(r, h->value)) {
            return refuse(err, LARK_E_FOREIGN_ORIGIN, LITERAL("Origin"), h->value);
        }
        return LARK_OK;
    case sizeof("sec-fetch-site") - 1:
        if (key_is(h, "sec-fetch-site") && !out_headers->listed && is_foreign_site(h)) {
            return refuse(err, LARK_E_FOREIGN_ORIGIN, LITERAL("Sec-Fetch-Site"), h->value);
        }
        return LARK_OK;
    case sizeof("content-encoding") - 1:
        if (key_is(h, "content-encoding") && !value_is(h, "identity")) {
            return refuse(err, LARK_E_ENCODING, LITERAL("Content-Encoding"), h->value);
        }
        return LARK_OK;
    case sizeof("content-range") - 1: /* RFC 9110 section 14.5: a part must not be taken for the whole */
        if (key_is(h, "content-range") && r->method == NGX_HTTP_PUT) {
            err->text = "absent: SETRANGE stores a part of a value";
            return refuse(err, LARK_E_BAD_HEADER, LITERAL("Content-Range"), h->value);
        }
        return LARK_OK;
    case sizeof("lark-values") - 1:
        if (key_is(h, "lark-values")) {
            if (out_headers->values.data != NULL && !same_text(out_headers->values, h->value)) {
                return refuse(err, LARK_E_BAD_HEADER, LITERAL("Lark-Values"), h->value);
            }
            out_headers->values = h->value;
            return LARK_OK;
        }
        return ngx_http_lark_trace_header(h, &out_headers->trace, err); /* traceparent, Lark-Timing: as long */
    case sizeof("x-request-id") - 1: return ngx_http_lark_trace_header(h, &out_headers->trace, err);
    default: return LARK_OK;
    }
}

/* RFC 9110 section 13: no answer has a validator, so a write that hangs on one cannot be right. What a GET asks for so is
 * answered; that an entity tag is none of ours, as most of If-None-Match say, is true. */
static enum lark_status guard_condition(ngx_http_request_t *r, struct lark_err *err)
{
    ngx_table_elt_t *match = r->headers_in.if_match;
    ngx_table_elt_t *none = r->headers_in.if_none_match;
    if (r->method & (NGX_HTTP_GET | NGX_HTTP_HEAD | NGX_HTTP_OPTIONS)) {
        return LARK_OK;
    }
    err->text = "absent: values have no entity tags; SET has nx and xx";
    if (match != NULL) {
        return refuse(err, LARK_E_BAD_HEADER, LITERAL("If-Match"), match->value);
    }
    if (none != NULL && value_is(none, "*")) {
        return refuse(err, LARK_E_BAD_HEADER, LITERAL("If-None-Match"), none->value);
    }
    err->text = NULL;
    return LARK_OK;
}

enum lark_status ngx_http_lark_guard(ngx_http_request_t *r, ngx_http_lark_loc_conf_t *conf,
                                     ngx_http_lark_headers_t *out_headers, struct lark_err *err)
{
    enum lark_status status = ngx_http_lark_guard_host(r, conf->hosts, err);
    ngx_list_part_t *part = &r->headers_in.headers.part;
    ngx_memzero(out_headers, sizeof(ngx_http_lark_headers_t));
    out_headers->listed = ngx_http_lark_cors_origin(r, conf) != NULL;
    while (status == LARK_OK && part != NULL) {
        ngx_table_elt_t *h = part->elts;
        for (ngx_uint_t i = 0; i < part->nelts && status == LARK_OK; i++) {
            status = guard_header(r, &h[i], out_headers, err);
        }
        part = part->next;
    }
    return status == LARK_OK ? guard_condition(r, err) : status;
}
