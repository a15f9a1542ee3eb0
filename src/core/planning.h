/* planning.h - where the making of a plan stands between two steps. */
#ifndef LARK_PLANNING_H
#define LARK_PLANNING_H

#include <lark/json.h>

#include "make.h"
#include "region.h"

#define LARK__NAME_MAX_BYTES 64

/* JSON events of the body become parameter values. */
struct lark__binder {
    struct lark__make *make;
    unsigned base;                  /* depth of a parameter's value: 1, or 0 where the body is the parameter */
    const struct lark_param *param; /* being read, NULL: a member nobody asked for */
    struct lark_value *value;
    struct lark_item *item;     /* being read */
    struct lark__region region; /* measures the item */
    bool in_item;               /* a container is open that is one item */
    bool b64_only;              /* it has had one member, "$base64" with a string, so far */
    bool b64_bad;
    bool as_object;      /* a mapping came as an object, not as pairs */
    uint32_t pair_start; /* items before the pair being read */
    uint32_t members;
    uint64_t b64_at, b64_raw_len;
    struct lark__region b64;
    uint8_t name[LARK__NAME_MAX_BYTES];
    size_t name_len;
};

enum lark__phase { LARK__PLANNING_NEW, LARK__PLANNING_BODY, LARK__PLANNING_DONE };

/* json points into itself: it stays where it is. From at on, all is set only while the body is read. */
struct lark_planning {
    struct lark__make make;
    uint8_t phase;
    uint64_t at; /* bytes of the body read */
    struct lark__binder binder;
    struct lark_json json;
};

/* Look at the body: too large, none, bytes as they are, or JSON to be read (phase BODY). */
LARK_MUST_USE enum lark_status lark__body_begin(struct lark_planning *planning);
/* Read at most max_bytes of it. return: LARK_OK: all of it, LARK_MORE, or an error */
LARK_MUST_USE enum lark_status lark__body_step(struct lark_planning *planning, uint64_t max_bytes);

#endif
