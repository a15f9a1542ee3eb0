#include "stream.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "clock.h"

static int wait_for(int fd, short events, int64_t deadline_ms)
{
    for (;;) {
        const int64_t left = deadline_ms - lark__clock_ms();
        struct pollfd wait = {.fd = fd, .events = events};
        const int n = left <= 0 ? 0 : poll(&wait, 1, (int)left);
        if (n > 0) return 0;
        if (n == 0) return ETIMEDOUT;
        if (errno != EINTR) return errno;
    }
}

static int finish_connect(int fd, int64_t deadline_ms)
{
    int error = wait_for(fd, POLLOUT, deadline_ms);
    socklen_t len = sizeof(error);
    if (error == 0 && getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0) error = errno;
    return error;
}

int lark__stream_connect(const struct sockaddr *address, socklen_t len, int64_t deadline_ms,
                         struct lark_stream *out_stream)
{
    const int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return errno;
    int error = connect(fd, address, len) == 0 ? 0 : errno;
    if (error == EINPROGRESS) error = finish_connect(fd, deadline_ms);
    if (error != 0)
        close(fd);
    else
        *out_stream = (struct lark_stream){.fd = fd, .is_local = address->sa_family == AF_UNIX};
    return error;
}

void lark__stream_close(struct lark_stream *stream)
{
    if (stream->tls != NULL) {
        if (SSL_is_init_finished(stream->tls)) (void)SSL_shutdown(stream->tls);
        ERR_clear_error();
    }
    SSL_free(stream->tls);
    SSL_CTX_free(stream->tls_context);
    if (stream->fd >= 0) close(stream->fd);
    *stream = (struct lark_stream){.fd = -1};
}

/* ---- TLS ---- */

/* What to do after a call of OpenSSL came to n <= 0: 0: again | an errno; EPROTO: TLS failed; ECONNRESET: closed */
static int tls_wait(struct lark_stream *stream, int n, int64_t deadline_ms)
{
    switch (SSL_get_error(stream->tls, n)) {
    case SSL_ERROR_WANT_READ: return wait_for(stream->fd, POLLIN, deadline_ms);
    case SSL_ERROR_WANT_WRITE: return wait_for(stream->fd, POLLOUT, deadline_ms);
    case SSL_ERROR_ZERO_RETURN: return ECONNRESET;
    case SSL_ERROR_SYSCALL: return ERR_peek_error() != 0 ? EPROTO : errno != 0 ? errno : ECONNRESET;
    default: break;
    }
    /* Since OpenSSL 3.0 an end without a word is an error of its own. */
    return ERR_GET_REASON(ERR_peek_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING ? ECONNRESET : EPROTO;
}

static bool tls_begin(struct lark_stream *stream, const struct lark_tls_options *options,
                      char text[LARK_TLS_SETUP_TEXT_MAX], const char **out_why)
{
    *out_why = "out of memory";
    stream->tls_context = SSL_CTX_new(TLS_client_method());
    if (stream->tls_context == NULL) return false;
    if (!lark_tls_setup(stream->tls_context, options, text)) {
        *out_why = text;
        return false;
    }
    stream->tls = SSL_new(stream->tls_context);
    return stream->tls != NULL && SSL_set_fd(stream->tls, stream->fd) == 1 &&
           lark_tls_begin(stream->tls, &stream->watch);
}

int lark__stream_secure(struct lark_stream *stream, const struct lark_tls_options *options, int64_t deadline_ms,
                        char text[LARK_TLS_SETUP_TEXT_MAX], const char **out_why)
{
    int error = 0;
    if (!tls_begin(stream, options, text, out_why)) return EPROTO;
    *out_why = NULL;
    for (;;) {
        ERR_clear_error();
        errno = 0;
        const int n = SSL_connect(stream->tls);
        if (n == 1) return 0;
        error = tls_wait(stream, n, deadline_ms);
        if (error != 0) break;
    }
    if (error == ETIMEDOUT) return error;
    *out_why = lark_tls_why(stream->tls, &stream->watch, error != EPROTO);
    return EPROTO;
}

const char *lark__stream_why(struct lark_stream *stream)
{
    return stream->tls == NULL ? NULL : lark_tls_why(stream->tls, &stream->watch, true);
}

/* ---- bytes ---- */

/* One write: 0 and *out_n, which may be 0: again | an errno */
static int write_some(struct lark_stream *stream, struct lark_slice bytes, int64_t deadline_ms, size_t *out_n)
{
    *out_n = 0;
    if (stream->tls != NULL) {
        ERR_clear_error();
        errno = 0;
        const int n = SSL_write_ex(stream->tls, bytes.p, bytes.len, out_n);
        return n == 1 ? 0 : tls_wait(stream, n, deadline_ms);
    }
    const ssize_t n = send(stream->fd, bytes.p, bytes.len, MSG_NOSIGNAL);
    if (n >= 0) {
        *out_n = (size_t)n;
        return 0;
    }
    if (errno != EAGAIN && errno != EINTR) return errno;
    return wait_for(stream->fd, POLLOUT, deadline_ms);
}

int lark__stream_write(struct lark_stream *stream, struct lark_slice bytes, int64_t deadline_ms)
{
    size_t done = 0;
    while (done < bytes.len) {
        size_t n = 0;
        const struct lark_slice rest = {bytes.p + done, bytes.len - done};
        const int error = write_some(stream, rest, deadline_ms, &n);
        if (error != 0) return error;
        done += n;
    }
    return 0;
}

/* One read, as write_some. */
static int read_some(struct lark_stream *stream, uint8_t *p, size_t max, int64_t deadline_ms, size_t *out_n)
{
    *out_n = 0;
    if (stream->tls != NULL) {
        ERR_clear_error();
        errno = 0;
        const int n = SSL_read_ex(stream->tls, p, max, out_n);
        return n == 1 ? 0 : tls_wait(stream, n, deadline_ms);
    }
    const int error = wait_for(stream->fd, POLLIN, deadline_ms);
    if (error != 0) return error;
    const ssize_t n = recv(stream->fd, p, max, 0);
    if (n == 0) return ECONNRESET;
    if (n > 0) *out_n = (size_t)n;
    return n > 0 || errno == EAGAIN || errno == EINTR ? 0 : errno;
}

int lark__stream_read(struct lark_stream *stream, uint8_t *p, size_t max, int64_t deadline_ms, size_t *out_n)
{
    int error = 0;
    do error = read_some(stream, p, max, deadline_ms, out_n);
    while (error == 0 && *out_n == 0);
    return error;
}
