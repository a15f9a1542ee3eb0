/* fail.h - filling a struct lark_err in one line. */
#ifndef LARK_FAIL_H
#define LARK_FAIL_H

#include "num.h"

/* Sets the detail when there is one to set; keeps the method. return: status */
static inline enum lark_status lark__fail(struct lark_err *err, enum lark_status status, const char *text,
                                          struct lark_slice name, struct lark_slice got)
{
    if (err) {
        err->status = status;
        err->text = text;
        err->name = name;
        err->got = got;
    }
    return status;
}

#define LARK_NOTHING ((struct lark_slice){NULL, 0})

#endif
