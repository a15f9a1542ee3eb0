/* catalogue.h - the table of methods made from data/methods, scopes, and who calls. */
#ifndef LARK_CATALOGUE_H
#define LARK_CATALOGUE_H

#include <lark/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LARK_METHODS_MAX 256

/* The methods, their routes and scopes. Constant data, made at build time. */
struct lark_catalogue;

/* lark_catalogue_default - the documented methods. return: borrowed for ever */
LARK_API const struct lark_catalogue *lark_catalogue_default(void);

/* lark_catalogue_count, lark_catalogue_name - the methods by index, 0 <= index < count; names in lower case. */
LARK_API size_t lark_catalogue_count(const struct lark_catalogue *catalogue);
LARK_API struct lark_slice lark_catalogue_name(const struct lark_catalogue *catalogue, size_t index);

/* lark_catalogue_scope - the scope word that gives least and still allows the method: what a caller lacks, for the
 * challenge of RFC 6750. cost: O(the method's scopes); for errors only */
LARK_API struct lark_slice lark_catalogue_scope(const struct lark_catalogue *catalogue, size_t index);

/* What a caller may call: a set of methods. Start from all zero: nothing.
 * metrics: the host's metrics may be read; read:metrics and admin give it */
struct lark_scopes {
    uint64_t methods[LARK_METHODS_MAX / 64];
    bool admin;
    bool metrics;
};

/* lark_scopes_add - allow what one scope word gives ("admin", "key:*", "read:get", ...; matched to the byte).
 * return: LARK_OK | LARK_E_UNKNOWN_SCOPE (nothing changed) */
LARK_API LARK_MUST_USE enum lark_status lark_scopes_add(const struct lark_catalogue *catalogue, struct lark_slice word,
                                                        struct lark_scopes *scopes);

/* lark_scopes_near - scope words that are spelled nearly so, for a message.
 * out: up to max words; return: how many. cost: O(words); for errors only */
LARK_API size_t lark_scopes_near(const struct lark_catalogue *catalogue, struct lark_slice word,
                                 struct lark_slice *out_words, size_t max);

/* lark_prefix_check - is this a key prefix: [A-Za-z0-9_.-]{1,64}?
 * return: LARK_OK | LARK_E_BAD_PREFIX. source: docs/SECURITY.md, tenants */
LARK_API LARK_MUST_USE enum lark_status lark_prefix_check(struct lark_slice prefix);

/* Who calls. Made by the host from verified credentials or its configuration, never from the request's own words.
 * scopes: what they may do; borrowed until the plan is made
 * prefix: their keys live below prefix + ":"; empty: no prefix. Borrowed until the reply is done
 * unidentified: nobody said who they are though the host has a source of credentials: what is not allowed is
 *         then 401 instead of 403 */
struct lark_principal {
    const struct lark_scopes *scopes;
    struct lark_slice prefix;
    bool unidentified;
};

#ifdef __cplusplus
}
#endif
#endif
