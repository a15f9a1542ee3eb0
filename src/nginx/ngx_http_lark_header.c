/* A header of an answer. */
#include "ngx_http_lark.h"

ngx_int_t ngx_http_lark_push_header(ngx_http_request_t *r, ngx_str_t key, ngx_str_t value)
{
    ngx_table_elt_t *h = ngx_list_push(&r->headers_out.headers);
    if (h == NULL) {
        return NGX_ERROR;
    }
    ngx_memzero(h, sizeof(ngx_table_elt_t));
    h->hash = 1;
    h->key = key;
    h->value = value;
    return NGX_OK;
}
