/* make.h - what lark_plan_make's parts share: parameter values, and where they come from.
 *
 *   path.c    values from the path and the query
 *   body.c    values from the JSON body
 *   value.c   are they of their parameter's type? defaults, rules between parameters
 *   argv.c    the command's arguments from the values
 */
#ifndef LARK_MAKE_H
#define LARK_MAKE_H

#include <lark/plan.h>

#include "catalogue.h"
#include "fail.h"

enum lark__kind {
    LARK__KIND_TEXT,
    LARK__KIND_NUMBER,
    LARK__KIND_TRUE,
    LARK__KIND_FALSE,
    LARK__KIND_NULL,
    LARK__KIND_OBJECT,
    LARK__KIND_ARRAY,
    LARK__KIND_BYTES, /* {"$base64": "..."}, or base64 text that is decoded when it is written */
    LARK__KIND_BAD    /* text that was to be such, and is not */
};

/* A scalar, or one item of a list. */
struct lark_item {
    struct lark_arg arg;
    uint8_t kind;
};

/* A parameter's value.
 * items: n of them; for pairs first and second in turn; room for cap
 * pairs: of a type that may have seconds, these have them */
struct lark_value {
    struct lark_item *items;
    uint32_t n;
    uint32_t cap;
    uint8_t source; /* LARK__IN_* */
    bool present;
    bool pairs;
    bool flag;       /* a bool's value */
    int64_t time_ms; /* a datetime's */
};

struct lark__make {
    struct lark_plan *plan;
    const struct lark_method *row;
    struct lark_arena *arena;
    struct lark_value *values; /* row->n_params of them */
    struct lark_err *err;
    uint32_t max_items; /* of one parameter */
};

/* Bytes of a parameter that is read here and not only passed on: numbers, flags, dates, words, patterns. */
#define LARK__TEXT_MAX 65536

/* Does this type hold several items? [a, b] pairs? */
bool lark__is_list(uint8_t type);
bool lark__is_pairs(uint8_t type);

/* A new item at the end of a value. return: NULL with *status set (LARK_E_TOO_LARGE, LARK_E_NOMEM) */
struct lark_item *lark__value_push(struct lark__make *make, const struct lark_param *param, struct lark_value *value,
                                   enum lark_status *status);

LARK_MUST_USE enum lark_status lark__make_path(struct lark__make *make);
LARK_MUST_USE enum lark_status lark__make_query(struct lark__make *make);
LARK_MUST_USE enum lark_status lark__make_check(struct lark__make *make);
LARK_MUST_USE enum lark_status lark__make_argv(struct lark__make *make);

/* A parameter is wrong: expected is a noun phrase. return: LARK_E_BAD_PARAMETER */
enum lark_status lark__bad(struct lark__make *make, const struct lark_param *param, const char *expected,
                           struct lark_slice got);
/* The words for an item in a message: its text, or what kind of thing it is. */
struct lark_slice lark__item_shown(const struct lark_plan *plan, const struct lark_item *item);

/* What a type takes, for messages. */
const char *lark__type_expected(uint8_t type);

/* The item's bytes as one slice: decoded into the arena when they are still in the body.
 * return: LARK_OK | LARK_E_TOO_LARGE (over LARK__TEXT_MAX) | LARK_E_NOMEM | what body->read returned */
LARK_MUST_USE enum lark_status lark__item_text(struct lark__make *make, const struct lark_param *param,
                                               struct lark_item *item);

#endif
