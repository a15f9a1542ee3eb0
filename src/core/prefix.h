/* prefix.h - keys of a caller with a prefix: in Redis their names begin with the prefix and a colon. */
#ifndef LARK_PREFIX_H
#define LARK_PREFIX_H

#include <lark/plan.h>

#include "num.h"

/* A key's name without the caller's prefix; false when it is not below it. */
static inline LARK_MUST_USE bool lark__strip_prefix(const struct lark_plan *plan, struct lark_slice *name)
{
    size_t n = plan->prefix.len;
    if (n == 0) return true;
    if (name->len <= n || name->p[n] != ':' || !lark__starts(*name, plan->prefix)) return false;
    *name = lark__from(*name, n + 1);
    return true;
}

#endif
