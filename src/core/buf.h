/* buf.h - appending to a lark_buf. */
#ifndef LARK_BUF_H
#define LARK_BUF_H

#include "num.h"

/* A number in decimal. return: as lark_buf_append */
LARK_MUST_USE enum lark_status lark__append_u64(struct lark_buf *out, uint64_t n);
LARK_MUST_USE enum lark_status lark__append_i64(struct lark_buf *out, int64_t n);

/* lark_buf_reserve and lark_buf_append, inlined for the writer's hot paths. */
static inline LARK_MUST_USE enum lark_status lark__reserve(struct lark_buf *buf, size_t n)
{
    return LARK_LIKELY(n <= buf->cap - buf->len) ? LARK_OK : lark_buf_reserve(buf, n);
}

static inline LARK_MUST_USE enum lark_status lark__append(struct lark_buf *buf, const void *p, size_t n)
{
    enum lark_status status = lark__reserve(buf, n);
    if (LARK_UNLIKELY(status != LARK_OK)) return status;
    if (n > 0) memcpy(buf->p + buf->len, p, n);
    buf->len += n;
    return LARK_OK;
}
#define LARK_APPEND(buf, literal) lark__append((buf), (literal), sizeof(literal) - 1)

#endif
