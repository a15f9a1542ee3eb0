/* tls.h - TLS to Redis: what every host asks of OpenSSL, and how a failure is called. Sockets and waiting are the host's.
 *
 *     lark_tls_setup   once for each Redis: whom to trust, who we are, whom we expect
 *     lark_tls_begin   for each connection, before its handshake
 *     lark_tls_why     what went wrong, in words for people */
#ifndef LARK_TLS_H
#define LARK_TLS_H

#include <lark/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LARK_TLS_TEXT_MAX 192
/* What lark_tls_setup says has the path of a file in it. */
#define LARK_TLS_SETUP_TEXT_MAX 1024

/* A Redis without TLS says nothing at all to the beginning of a handshake. */
#define LARK_TLS_LATE "no answer to the TLS handshake in time; does it speak TLS?"

/* SSL_CTX and SSL: who includes this needs nothing of OpenSSL's. */
struct ssl_ctx_st;
struct ssl_st;

/* All are NUL-terminated; NULL: not given.
 * ca:        file of the certificates (PEM) that are trusted instead of the system's
 * cert, key: files (PEM) of our certificate, its chain behind it, and our key without a passphrase; both or neither
 * name:      whom the certificate of Redis must be for: an IP address, or a host name, which is sent, too (SNI) */
struct lark_tls_options {
    const char *ca;
    const char *cert;
    const char *key;
    const char *name;
};

/* What OpenSSL tells in passing. peer_alert, our_alert: the fatal alert that came or was sent, -1: none (RFC 8446, 6.2) */
struct lark_tls_watch {
    int peer_alert;
    int our_alert;
    char text[LARK_TLS_TEXT_MAX];
};

/* lark_tls_setup - make a context that takes TLS 1.2 and later, a certificate that is trusted, for that name, and in
 * time, and no other; reads the files.
 * in:     options: name is not NULL; not kept
 * out:    why: on false the file and what is wrong with it
 * note:   writes are partial: what SSL_write has not told to be written, Redis cannot have executed. The buffer of a
 *         write may have moved when it is repeated, its bytes must be the same */
LARK_MUST_USE bool lark_tls_setup(struct ssl_ctx_st *ctx, const struct lark_tls_options *options,
                                  char why[LARK_TLS_SETUP_TEXT_MAX]);

/* lark_tls_begin - before the handshake of a connection with such a context.
 * in:     watch: as long as ssl
 * return: false: out of memory */
LARK_MUST_USE bool lark_tls_begin(struct ssl_st *ssl, struct lark_tls_watch *watch);

/* lark_tls_why - after a handshake or a read has failed.
 * in:     closed: the other side closed the connection
 * return: in watch or static; NULL: it has not to do with TLS. Never a secret */
const char *lark_tls_why(struct ssl_st *ssl, struct lark_tls_watch *watch, bool closed);

#ifdef __cplusplus
}
#endif
#endif
