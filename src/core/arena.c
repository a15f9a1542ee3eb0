/* arena.c - lark_arena over the caller's allocator. */
#include "num.h"

#define ARENA_ALIGN (_Alignof(max_align_t))
#define ARENA_BLOCK 4096

struct lark_block {
    struct lark_block *next;
    size_t size; /* bytes taken from mem, this header included */
};

void lark_arena_init(struct lark_arena *arena, const struct lark_mem *mem, size_t max_bytes, void *block,
                     size_t block_bytes)
{
    *arena = (struct lark_arena){.mem = mem, .max_bytes = max_bytes};
    if (block) {
        size_t skew = (size_t)(-(uintptr_t)block) & (ARENA_ALIGN - 1);
        if (skew < block_bytes) {
            arena->next = (uint8_t *)block + skew;
            arena->left = block_bytes - skew;
            LARK_POISON(arena->next, arena->left);
        }
    }
}

void lark_arena_done(struct lark_arena *arena)
{
    if (arena->next) LARK_UNPOISON(arena->next, arena->left);
    while (arena->head) {
        struct lark_block *block = arena->head;
        arena->head = block->next;
        LARK_UNPOISON(block, block->size);
        arena->mem->free(arena->mem->ctx, block, block->size);
    }
    arena->next = NULL;
    arena->left = 0;
    arena->used_bytes = 0;
}

/* A new block for n bytes; a large piece gets one of its own and leaves the current block in use. */
static uint8_t *new_block(struct lark_arena *arena, size_t n)
{
    const size_t header = (sizeof(struct lark_block) + ARENA_ALIGN - 1) & ~(ARENA_ALIGN - 1);
    size_t size = n > ARENA_BLOCK / 4 ? n : ARENA_BLOCK - header;
    if (!lark__add(size, header, &size) || arena->used_bytes > arena->max_bytes ||
        size > arena->max_bytes - arena->used_bytes) {
        return NULL;
    }
    struct lark_block *block = arena->mem->alloc(arena->mem->ctx, size);
    if (block == NULL) return NULL;
    block->next = arena->head;
    block->size = size;
    arena->head = block;
    arena->used_bytes += size;
    uint8_t *p = (uint8_t *)block + header;
    if (size - header > n) {
        /* what is left of the old block is not used again; were it the caller's, he may */
        if (arena->next) LARK_UNPOISON(arena->next, arena->left);
        arena->next = p + n;
        arena->left = size - header - n;
        LARK_POISON(arena->next, arena->left);
    }
    return p;
}

void *lark_arena_alloc(struct lark_arena *arena, size_t n)
{
    if (!lark__add(n, ARENA_ALIGN - 1, &n)) return NULL;
    n &= ~(ARENA_ALIGN - 1);
    if (n == 0) n = ARENA_ALIGN;
    if (n > arena->left) return new_block(arena, n);
    uint8_t *p = arena->next;
    arena->next += n;
    arena->left -= n;
    LARK_UNPOISON(p, n);
    return p;
}
