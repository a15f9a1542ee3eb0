/* Words NAME=VALUE of a directive. */
#include "ngx_http_lark.h"

char *ngx_http_lark_read_words(ngx_conf_t *cf, ngx_uint_t from, const ngx_str_t *names, ngx_uint_t n, const char *takes,
                               ngx_str_t *out_values)
{
    ngx_str_t *words = cf->args->elts;
    ngx_memzero(out_values, n * sizeof(ngx_str_t));
    for (ngx_uint_t i = from; i < cf->args->nelts; i++) {
        ngx_uint_t w = 0;
        while (w < n && (words[i].len <= names[w].len || ngx_memcmp(words[i].data, names[w].data, names[w].len) != 0)) {
            w++;
        }
        if (w == n || out_values[w].len > 0) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "%s, each once, got \"%V\"", takes, &words[i]);
            return NGX_CONF_ERROR;
        }
        out_values[w].data = words[i].data + names[w].len;
        out_values[w].len = words[i].len - names[w].len;
    }
    return NGX_CONF_OK;
}
