/* tokens.h - the table behind lark_tokens, shared by its reader and its index. */
#ifndef LARK_AUTH_TOKENS_H
#define LARK_AUTH_TOKENS_H

#include <lark/auth.h>

/* list:  n entries of cap
 * slots: open addressing by the first bytes of the hash: index in list + 1, 0 free; n_slots a power of two
 * texts: the scopes' words */
struct lark_tokens {
    const struct lark_mem *mem;
    struct lark_token *list;
    size_t n;
    size_t cap;
    uint64_t end;
    uint32_t *slots;
    size_t n_slots;
    struct lark_arena texts;
};

/* lark__tokens_new - an empty table, or NULL. */
struct lark_tokens *lark__tokens_new(const struct lark_mem *mem);

/* lark__tokens_add - a copy of the entry at the end. return: LARK_OK | LARK_E_NOMEM | LARK_E_TOO_LARGE */
LARK_MUST_USE enum lark_status lark__tokens_add(struct lark_tokens *tokens, const struct lark_token *token);

/* lark__tokens_index - make it searchable.
 * out:    on LARK_E_BAD_PARAMETER two entries with the same hash (same_hash) or the same name; the later one second
 * return: LARK_OK | LARK_E_NOMEM | LARK_E_BAD_PARAMETER */
LARK_MUST_USE enum lark_status lark__tokens_index(struct lark_tokens *tokens, size_t *out_first, size_t *out_second,
                                                  bool *out_same_hash);

#endif
