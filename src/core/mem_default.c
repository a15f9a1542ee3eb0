/* mem_default.c - malloc as an allocator: in liblark, outside the core archive. */
#include <stdlib.h>

#include <lark/types.h>

static void *default_alloc(void *ctx, size_t n)
{
    (void)ctx;
    return malloc(n);
}

static void *default_resize(void *ctx, void *p, size_t old_n, size_t n)
{
    (void)ctx;
    (void)old_n;
    return realloc(p, n);
}

static void default_free(void *ctx, void *p, size_t n)
{
    (void)ctx;
    (void)n;
    free(p);
}

const struct lark_mem *lark_mem_default(void)
{
    static const struct lark_mem mem = {NULL, default_alloc, default_resize, default_free};
    return &mem;
}
