/* tokens_index.c - the table of tokens: memory, and finding one by its hash. */
#include "slices.h"
#include "tokens.h"

struct lark_tokens *lark__tokens_new(const struct lark_mem *mem)
{
    struct lark_tokens *tokens = mem->alloc(mem->ctx, sizeof(*tokens));
    if (tokens == NULL) return NULL;
    *tokens = (struct lark_tokens){.mem = mem};
    lark_arena_init(&tokens->texts, mem, LARK_TOKENS_FILE_MAX, NULL, 0);
    return tokens;
}

void lark_tokens_free(struct lark_tokens *tokens)
{
    if (tokens == NULL) return;
    const struct lark_mem *mem = tokens->mem;
    lark_arena_done(&tokens->texts);
    if (tokens->list != NULL) mem->free(mem->ctx, tokens->list, tokens->cap * sizeof(*tokens->list));
    if (tokens->slots != NULL) mem->free(mem->ctx, tokens->slots, tokens->n_slots * sizeof(*tokens->slots));
    mem->free(mem->ctx, tokens, sizeof(*tokens));
}

enum lark_status lark__tokens_add(struct lark_tokens *tokens, const struct lark_token *token)
{
    const struct lark_mem *mem = tokens->mem;
    if (tokens->n >= LARK_TOKENS_MAX) return LARK_E_TOO_LARGE;
    if (tokens->n == tokens->cap) {
        const size_t cap = tokens->cap == 0 ? 16 : tokens->cap * 2;
        struct lark_token *list = mem->resize(mem->ctx, tokens->list, tokens->cap * sizeof(*list), cap * sizeof(*list));
        if (list == NULL) return LARK_E_NOMEM;
        tokens->list = list;
        tokens->cap = cap;
    }
    tokens->list[tokens->n++] = *token;
    return LARK_OK;
}

/* --- by the hash ----------------------------------------------------------------------------------------------- */

static uint64_t head_of(const struct lark_hash *hash)
{
    uint64_t head;
    memcpy(&head, hash->bytes, sizeof(head));
    return head;
}

const struct lark_token *lark_tokens_find(const struct lark_tokens *tokens, const struct lark_hash *hash)
{
    if (tokens->n_slots == 0) return NULL;
    for (size_t at = (size_t)head_of(hash);; at++) {
        const uint32_t slot = tokens->slots[at & (tokens->n_slots - 1)];
        if (slot == 0) return NULL;
        if (lark_hash_same(&tokens->list[slot - 1].hash, hash)) return &tokens->list[slot - 1];
    }
}

/* --- by the name, once, to see duplicates ---------------------------------------------------------------------- */

static struct lark_slice name_of(const struct lark_token *token)
{
    return lark__auth_slice(token->credential.name, token->credential.name_len);
}

static bool same_name(const struct lark_token *a, const struct lark_token *b)
{
    return name_of(a).len == name_of(b).len && memcmp(name_of(a).p, name_of(b).p, name_of(a).len) == 0;
}

/* FNV-1a */
static uint64_t hash_name(const struct lark_token *token)
{
    uint64_t h = 14695981039346656037u;
    for (size_t i = 0; i < name_of(token).len; i++) h = (h ^ name_of(token).p[i]) * 1099511628211u;
    return h ^ h >> 32;
}

/* Puts entry `index` in; false: one that is the same is there already, at *out_other. */
static bool put(struct lark_tokens *tokens, size_t index, bool by_hash, size_t *out_other)
{
    const struct lark_token *token = &tokens->list[index];
    size_t at = (size_t)(by_hash ? head_of(&token->hash) : hash_name(token));
    for (;; at++) {
        uint32_t *slot = &tokens->slots[at & (tokens->n_slots - 1)];
        if (*slot == 0) {
            *slot = (uint32_t)index + 1;
            return true;
        }
        const struct lark_token *other = &tokens->list[*slot - 1];
        if (by_hash ? lark_hash_same(&other->hash, &token->hash) : same_name(other, token)) {
            *out_other = *slot - 1;
            return false;
        }
    }
}

enum lark_status lark__tokens_index(struct lark_tokens *tokens, size_t *out_first, size_t *out_second,
                                    bool *out_same_hash)
{
    const struct lark_mem *mem = tokens->mem;
    size_t n_slots = 16;
    while (n_slots < tokens->n * 2) n_slots *= 2;
    tokens->slots = mem->alloc(mem->ctx, n_slots * sizeof(*tokens->slots));
    if (tokens->slots == NULL) return LARK_E_NOMEM;
    tokens->n_slots = n_slots;
    for (int by_hash = 0; by_hash <= 1; by_hash++) { /* the one by hash stays */
        memset(tokens->slots, 0, n_slots * sizeof(*tokens->slots));
        for (size_t i = 0; i < tokens->n; i++) {
            if (put(tokens, i, by_hash == 1, out_first)) continue;
            *out_second = i;
            *out_same_hash = by_hash == 1;
            return LARK_E_BAD_PARAMETER;
        }
    }
    return LARK_OK;
}

size_t lark_tokens_count(const struct lark_tokens *tokens)
{
    return tokens->n;
}

const struct lark_token *lark_tokens_at(const struct lark_tokens *tokens, size_t index)
{
    return &tokens->list[index];
}

uint64_t lark_tokens_end(const struct lark_tokens *tokens)
{
    return tokens->end;
}
