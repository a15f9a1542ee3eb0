/* buf.c - lark_buf over the caller's allocator. */
#include "buf.h"

void lark_buf_init(struct lark_buf *buf, const struct lark_mem *mem, size_t max_bytes, void *block, size_t block_bytes)
{
    size_t cap = block_bytes < max_bytes ? block_bytes : max_bytes; /* the ceiling counts for the block, too */
    *buf = (struct lark_buf){.p = block, .cap = block ? cap : 0, .max = max_bytes, .mem = mem};
    buf->inlined = block != NULL;
}

void lark_buf_done(struct lark_buf *buf)
{
    if (!buf->inlined && buf->p) buf->mem->free(buf->mem->ctx, buf->p, buf->cap);
    buf->p = NULL;
    buf->len = 0;
    buf->cap = 0;
    buf->inlined = false;
}

/* Twice as much, or what is needed, but never over the ceiling. */
static size_t grown(const struct lark_buf *buf, size_t need)
{
    size_t cap = buf->cap < 32 ? 64 : buf->cap;
    while (cap < need) {
        if (cap > buf->max / 2) return buf->max;
        cap *= 2;
    }
    return cap > buf->max ? buf->max : cap;
}

enum lark_status lark_buf_reserve(struct lark_buf *buf, size_t n)
{
    if (n <= buf->cap - buf->len) return LARK_OK;
    if (buf->len > buf->max || n > buf->max - buf->len) return LARK_E_TOO_LARGE;
    size_t cap = grown(buf, buf->len + n);
    uint8_t *p;
    if (buf->inlined || buf->p == NULL) {
        p = buf->mem->alloc(buf->mem->ctx, cap);
        if (p && buf->p) memcpy(p, buf->p, buf->len);
    } else {
        p = buf->mem->resize(buf->mem->ctx, buf->p, buf->cap, cap);
    }
    if (p == NULL) return LARK_E_NOMEM;
    buf->p = p;
    buf->cap = cap;
    buf->inlined = false;
    return LARK_OK;
}

enum lark_status lark_buf_append(struct lark_buf *buf, struct lark_slice bytes)
{
    return lark__append(buf, bytes.p, bytes.len);
}

enum lark_status lark__append_u64(struct lark_buf *out, uint64_t n)
{
    uint8_t digits[20];
    return lark__append(out, digits, lark__format_u64(n, digits));
}

enum lark_status lark__append_i64(struct lark_buf *out, int64_t n)
{
    uint8_t digits[21];
    return lark__append(out, digits, lark__format_i64(n, digits));
}
