/* stream.h - a socket with a deadline, for the few bytes that the program itself exchanges; with TLS if that is wanted. */
#ifndef LARK_CLI_STREAM_H
#define LARK_CLI_STREAM_H

#include <sys/socket.h>

#include <lark/types.h>

#include "tls.h"

/* fd:    the socket; -1: none
 * is_local: a Unix socket
 * tls:   NULL: in clear; else with its context
 * watch: of tls */
struct lark_stream {
    int fd;
    bool is_local;
    struct ssl_st *tls;
    struct ssl_ctx_st *tls_context;
    struct lark_tls_watch watch;
};

/* Each returns 0 | an errno; ETIMEDOUT when deadline_ms (of lark__clock_ms) passes. */

/* lark__stream_connect - out: out_stream: to be closed by the caller with lark__stream_close */
LARK_MUST_USE int lark__stream_connect(const struct sockaddr *address, socklen_t len, int64_t deadline_ms,
                                       struct lark_stream *out_stream);
void lark__stream_close(struct lark_stream *stream);

/* lark__stream_secure - the TLS handshake.
 * in:     stream: as lark__stream_connect made it
 * out:    out_why: on EPROTO why, in stream or in text */
LARK_MUST_USE int lark__stream_secure(struct lark_stream *stream, const struct lark_tls_options *options,
                                      int64_t deadline_ms, char text[LARK_TLS_SETUP_TEXT_MAX], const char **out_why);

/* lark__stream_why - after a read or write has failed: what TLS has to say of it, or NULL. */
const char *lark__stream_why(struct lark_stream *stream);

/* lark__stream_write - all of the bytes. */
LARK_MUST_USE int lark__stream_write(struct lark_stream *stream, struct lark_slice bytes, int64_t deadline_ms);

/* lark__stream_read - 1..max bytes. return: also ECONNRESET: the other side closed */
LARK_MUST_USE int lark__stream_read(struct lark_stream *stream, uint8_t *p, size_t max, int64_t deadline_ms,
                                    size_t *out_n);

#endif
