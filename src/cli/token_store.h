/* token_store.h - tokens in a Redis of their own: "lark:token:<SHA-256>" holds an entry as it would stand in a tokens file, the
 * hash "lark:tokens" each name's SHA-256. */
#ifndef LARK_CLI_TOKEN_STORE_H
#define LARK_CLI_TOKEN_STORE_H

#include "settings.h"
#include "stream.h"
#include "token.h"

struct lark_token_store {
    struct lark_arena *arena;
    const char *url;
    struct lark_stream stream;
};

/* Each says on standard error why it returns false. */

LARK_MUST_USE bool lark__token_store_open(struct lark_arena *arena, const struct lark_redis_place *place,
                                          const char *url, struct lark_token_store *out_store);
void lark__token_store_close(struct lark_token_store *store);

LARK_MUST_USE bool lark__token_store_add(struct lark_token_store *store, const struct lark_new_token *token);

/* lark__token_store_remove - and wait until no gateway lets it in any more. */
LARK_MUST_USE bool lark__token_store_remove(struct lark_token_store *store, const char *name);

typedef void (*lark_token_store_fn)(struct lark_arena *arena, const struct lark_token *token);
LARK_MUST_USE bool lark__token_store_list(struct lark_token_store *store, lark_token_store_fn fn);

/* lark__token_store_apart - is the store another Redis, or another database of it, than the data? By what the two say of
 * themselves, whatever their addresses are. No store is apart, too. */
LARK_MUST_USE bool lark__token_store_apart(struct lark_arena *arena, const struct lark_settings *settings);

#endif
