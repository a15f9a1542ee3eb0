/* url.h - where a Redis is and who we are there, from one URL.
 *
 *     redis://[user[:password]@]host[:port][/db]      host may be a name, an IPv4 address or [an IPv6 address]
 *     redis://:password@host                          a password alone
 *     rediss://...                                    the same over TLS
 *     unix://[user[:password]@]/path[?db=N]           also with &user=... and &password=...
 *
 * User and password are percent-decoded, the path of a socket too. */
#ifndef LARK_REDIS_URL_H
#define LARK_REDIS_URL_H

#include <lark/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LARK_REDIS_PORT 6379
/* sun_path of Linux, its NUL included: a longer path cannot be bound or connected to */
#define LARK_REDIS_PATH_MAX 107
#define LARK_REDIS_URL_MAX 4096

/* is_unix:  path counts; otherwise host and port
 * is_tls:   never of a Unix socket
 * host:     without the brackets of an IPv6 address; 1..255 bytes
 * port:     1..65535
 * path:     begins with a slash; 1..LARK_REDIS_PATH_MAX bytes, no NUL
 * user:     empty: the default user
 * password: empty: none. A user without a password is left to the caller to refuse (it may come from a file)
 * db:       0 when not given
 * lifetime: the slices point into the url or the storage given to lark_redis_url_parse */
struct lark_redis_url {
    bool is_unix;
    bool is_tls;
    uint16_t port;
    uint32_t db;
    struct lark_slice host;
    struct lark_slice path;
    struct lark_slice user;
    struct lark_slice password;
};

/* lark_redis_url_parse - read one URL.
 * in:     url: not NUL-terminated; storage: at least url.len bytes, for what is percent-decoded
 * out:    out_url: set on LARK_OK only
 * err:    optional: err->text says what was expected; err->got is what was seen (never a password)
 * return: LARK_OK | LARK_E_BAD_PARAMETER */
LARK_MUST_USE enum lark_status lark_redis_url_parse(struct lark_slice url, uint8_t *storage,
                                                    struct lark_redis_url *out_url, struct lark_err *err);

#ifdef __cplusplus
}
#endif
#endif
