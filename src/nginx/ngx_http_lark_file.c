/* A file that the configuration names, read whole. */
#include "ngx_http_lark.h"

#define LINE_FILE_MAX ((size_t)64 * 1024)

static ngx_int_t read_all(ngx_file_t *file, ngx_uint_t level, const char *directive, size_t max, ngx_str_t *out_text,
                          ngx_file_info_t *out_info)
{
    if (ngx_fd_info(file->fd, out_info) == NGX_FILE_ERROR || !ngx_is_file(out_info)) {
        ngx_log_error(level, file->log, 0, "%s: \"%V\" is no file", directive, &file->name);
        return NGX_ERROR;
    }
    if ((uint64_t)ngx_file_size(out_info) > max) {
        ngx_log_error(level, file->log, 0, "%s: \"%V\" has more than %uz bytes", directive, &file->name, max);
        return NGX_ERROR;
    }
    size_t size = (size_t)ngx_file_size(out_info);
    u_char *data = ngx_alloc(size + 1, file->log);
    ssize_t n = data == NULL ? -1 : ngx_read_file(file, data, size, 0);
    if (n != (ssize_t)size) {
        ngx_log_error(level, file->log, 0, "%s cannot read all of \"%V\"", directive, &file->name);
        ngx_free(data);
        return NGX_ERROR;
    }
    out_text->data = data;
    out_text->len = size;
    return NGX_OK;
}

ngx_int_t ngx_http_lark_read_file(ngx_log_t *log, ngx_uint_t level, const char *directive, ngx_str_t *path, size_t max,
                                  ngx_str_t *out_text, ngx_file_info_t *out_info)
{
    ngx_file_t file;
    ngx_memzero(&file, sizeof(file));
    file.name = *path;
    file.log = log;
    file.fd = ngx_open_file(path->data, NGX_FILE_RDONLY | NGX_FILE_NONBLOCK, NGX_FILE_OPEN, 0);
    if (file.fd == NGX_INVALID_FILE) {
        ngx_log_error(level, log, ngx_errno, "%s cannot read \"%V\"", directive, path);
        return NGX_ERROR;
    }
    ngx_int_t rc = read_all(&file, level, directive, max, out_text, out_info);
    if (ngx_close_file(file.fd) == NGX_FILE_ERROR) {
        ngx_log_error(NGX_LOG_WARN, log, ngx_errno, "closing \"%V\" failed", path);
    }
    return rc;
}

char *ngx_http_lark_read_line(ngx_conf_t *cf, const char *directive, const char *what, ngx_str_t path, size_t max,
                              ngx_str_t *out_line)
{
    ngx_str_t text;
    ngx_file_info_t info;
    if (ngx_conf_full_name(cf->cycle, &path, 1) != NGX_OK ||
        ngx_http_lark_read_file(cf->log, NGX_LOG_EMERG, directive, &path, LINE_FILE_MAX, &text, &info) != NGX_OK) {
        return NGX_CONF_ERROR;
    }
    size_t len = 0;
    while (len < text.len && text.data[len] != '\n' && text.data[len] != '\r') {
        len++;
    }
    out_line->len = len;
    out_line->data = len == 0 || len > max ? NULL : ngx_pnalloc(cf->pool, len);
    if (out_line->data != NULL) {
        ngx_memcpy(out_line->data, text.data, len);
    } else {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0, "%s: the first line of \"%V\" is no %s", directive, &path, what);
    }
    ngx_explicit_memzero(text.data, text.len);
    ngx_free(text.data);
    return out_line->data != NULL ? NGX_CONF_OK : NGX_CONF_ERROR;
}
