/* credentials.c - what was verified, for a time: sets of eight, found by the first bytes of the hash. */
#include <lark/auth.h>

#include "slices.h"

#define WAYS 8u
#define MAX 65536u

struct slot {
    struct lark_hash hash;
    uint64_t until_ms; /* 0: free */
    struct lark_credential credential;
};

struct lark_credentials {
    const struct lark_mem *mem;
    size_t n_sets; /* a power of two */
    struct slot slots[];
};

static size_t bytes_of(size_t n_sets)
{
    return sizeof(struct lark_credentials) + n_sets * WAYS * sizeof(struct slot);
}

struct lark_credentials *lark_credentials_new(const struct lark_mem *mem, size_t n)
{
    size_t n_sets = 1;
    while (n_sets * WAYS < n && n_sets * WAYS < MAX) n_sets *= 2;
    struct lark_credentials *cache = mem->alloc(mem->ctx, bytes_of(n_sets));
    if (cache == NULL) return NULL;
    cache->mem = mem;
    cache->n_sets = n_sets;
    lark_credentials_clear(cache);
    return cache;
}

void lark_credentials_free(struct lark_credentials *cache)
{
    if (cache != NULL) cache->mem->free(cache->mem->ctx, cache, bytes_of(cache->n_sets));
}

void lark_credentials_clear(struct lark_credentials *cache)
{
    memset(cache->slots, 0, cache->n_sets * WAYS * sizeof(struct slot));
}

/* The bytes are those of a SHA-256: nobody can choose many that fall together without as many tokens that are good. */
static size_t set_of(const struct lark_credentials *cache, const struct lark_hash *hash)
{
    uint64_t head;
    memcpy(&head, hash->bytes, sizeof(head));
    return (size_t)(head & (cache->n_sets - 1)) * WAYS;
}

const struct lark_credential *lark_credentials_find(const struct lark_credentials *cache, const struct lark_hash *hash,
                                                    uint64_t now_ms)
{
    const struct slot *set = &cache->slots[set_of(cache, hash)];
    for (size_t i = 0; i < WAYS; i++)
        if (now_ms < set[i].until_ms && lark_hash_same(&set[i].hash, hash)) return &set[i].credential;
    return NULL;
}

const struct lark_credential *lark_credentials_add(struct lark_credentials *cache, const struct lark_hash *hash,
                                                   const struct lark_credential *credential, uint64_t until_ms)
{
    struct slot *set = &cache->slots[set_of(cache, hash)];
    struct slot *to = &set[0];
    for (size_t i = 0; i < WAYS; i++) {
        if (set[i].until_ms != 0 && lark_hash_same(&set[i].hash, hash)) {
            to = &set[i];
            break;
        }
        if (set[i].until_ms < to->until_ms) to = &set[i];
    }
    to->hash = *hash;
    to->until_ms = until_ms;
    to->credential = *credential;
    return &to->credential;
}
