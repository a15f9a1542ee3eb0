/* fetch.h - a document by HTTPS, through libcurl: whole, bounded, in time, from whom the URL names. */
#ifndef LARK_CLI_FETCH_H
#define LARK_CLI_FETCH_H

#include <lark/types.h>

#define LARK_FETCH_WHY_MAX 400

/* ca:        PEM file of certificates to trust; NULL: the system's
 * timeout_s: for all of it; connecting may take half of it */
struct lark_fetch {
    const char *url;
    const char *ca;
    uint32_t timeout_s;
};

/* lark__fetch_fault - may documents be fetched from there? https, or http from a loopback address; no user, no fragment.
 * return: NULL: they may; else what was expected, static */
const char *lark__fetch_fault(const char *url);

/* lark__fetch_issuer_fault - can its configuration be fetched from below this issuer? As above, and no query.
 * source: OpenID Connect Discovery 1.0 section 3; RFC 8414 section 2 */
const char *lark__fetch_issuer_fault(const char *issuer);

/* lark__fetch_get - GET. TLS is 1.2 or later, the certificate is verified. Up to 3 redirects are followed, from https to https
 * only.
 * out:    out_body: what came, of an answer 200 only; its max is the bound; out_code: the HTTP status, 0: no answer
 * return: false: out_why says why, and out_body has no meaning */
LARK_MUST_USE bool lark__fetch_get(const struct lark_fetch *fetch, struct lark_buf *out_body, long *out_code,
                                   char out_why[LARK_FETCH_WHY_MAX]);

#endif
