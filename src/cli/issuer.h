/* issuer.h - where an issuer says that its keys are. */
#ifndef LARK_CLI_ISSUER_H
#define LARK_CLI_ISSUER_H

#include "fetch.h"

/* lark__issuer_keys_url - ask the issuer for its metadata: OpenID Connect's, and where there is none OAuth's.
 * in:     fetch: its url is the issuer
 * return: "jwks_uri", in the arena; NULL: out_why says why. The document's "issuer" is the same to the byte, and the URL may be
 *         fetched from
 * source: OpenID Connect Discovery 1.0 section 4, RFC 8414 section 3 */
LARK_MUST_USE const char *lark__issuer_keys_url(struct lark_arena *arena, const struct lark_fetch *fetch,
                                                char out_why[LARK_FETCH_WHY_MAX]);

#endif
