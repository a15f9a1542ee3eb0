/* jwks_refresh.h - an issuer's keys, fetched into a file, again and again. */
#ifndef LARK_CLI_JWKS_REFRESH_H
#define LARK_CLI_JWKS_REFRESH_H

#include <lark/types.h>

#define LARK_JWKS_INTERVAL_S 300U
#define LARK_JWKS_INTERVAL_MAX_S 1800U /* keys that are an hour old are not used any more */
#define LARK_JWKS_TIMEOUT_S 10U
#define LARK_JWKS_TIMEOUT_MAX_S 60U
/* Behind the file's name: who meets a token of a key that is not in the file touches this, and a refresh follows. */
#define LARK_JWKS_WANTED ".refresh-wanted"

/* url:    of the key set; NULL: what the issuer's metadata says
 * issuer: NULL when there is a url
 * out:    the file; ca: PEM file, NULL: the system's certificates
 * interval_s: between two refreshes, 1..LARK_JWKS_INTERVAL_MAX_S; timeout_s: of each, 1..LARK_JWKS_TIMEOUT_MAX_S */
struct lark_jwks_place {
    const char *url;
    const char *issuer;
    const char *out;
    const char *ca;
    uint32_t interval_s;
    uint32_t timeout_s;
};

/* lark__jwks_refresh - fetch the keys, check them, and put them into the file, whole or not at all; what is wrong leaves the
 * file as it was, and is said. Once, or until a signal ends us.
 * return: did the one refresh succeed? false also when the file's folder cannot be used */
LARK_MUST_USE bool lark__jwks_refresh(const struct lark_jwks_place *place, bool once);

#endif
