/* errors.h - error rows, and the errors of Redis by their first word. */
#ifndef LARK_ERRORS_H
#define LARK_ERRORS_H

#include "num.h"

/* "WRONGTYPE Operation ...": the status of an error reply's first word (data/errors.json), LARK_E_REDIS_ERROR for others. */
enum lark_status lark__redis_status(struct lark_slice text);

#endif
