/* Files without a name that are done with. To close one costs 8 ms for 100 MB, 40 ms for 512, and all others would wait:
 * it is cut shorter bit by bit instead, some a turn of the event loop. */
#include "ngx_http_lark.h"

typedef struct {
    ngx_event_t event;
    ngx_fd_t fd;
    off_t size;
} release_t;

static void release_handler(ngx_event_t *ev)
{
    release_t *release = ev->data;
    release->size -= ngx_min(release->size, (off_t)NGX_HTTP_LARK_RELEASE_BYTES);
    if (release->size > 0 && ftruncate(release->fd, release->size) == 0) {
        ngx_post_event(ev, &ngx_posted_next_events);
        return;
    }
    if (ngx_close_file(release->fd) == NGX_FILE_ERROR) {
        ngx_log_error(NGX_LOG_ALERT, ev->log, ngx_errno, "lark: " ngx_close_file_n " failed");
    }
    ngx_free(release);
}

/* Of a descriptor of its own: nginx closes the other with the request's pool. Without memory or descriptors that does all. */
void ngx_http_lark_release_file(ngx_fd_t fd, off_t size)
{
    if (size <= (off_t)NGX_HTTP_LARK_RELEASE_BYTES) {
        return;
    }
    release_t *release = ngx_calloc(sizeof(release_t), ngx_cycle->log);
    if (release == NULL) {
        return;
    }
    release->fd = dup(fd);
    if (release->fd == NGX_INVALID_FILE) {
        ngx_free(release);
        return;
    }
    release->size = size;
    release->event.data = release;
    release->event.log = ngx_cycle->log;
    release->event.handler = release_handler;
    ngx_post_event(&release->event, &ngx_posted_next_events);
}
