/* value_class.h - what a stored value is: an object by our own reader's rules, text, or bytes. In pieces. */
#ifndef LARK_VALUE_CLASS_H
#define LARK_VALUE_CLASS_H

#include <lark/json.h>
#include <lark/spool.h>

#include "utf8.h"

/* Is a value a JSON object, and none that looks like the form of bytes, {"$base64": ...}? */
struct lark__object_test {
    struct lark_json json;
    uint32_t members; /* of the outer object */
    size_t name_len;
    uint8_t name[8];
    bool lookalike; /* one member, called $base64, so far */
    bool failed;    /* it is none */
};
void lark__object_test_init(struct lark__object_test *test, const struct lark_mem *mem);
void lark__object_test_done(struct lark__object_test *test);
/* return: LARK_OK | LARK_E_NOMEM */
LARK_MUST_USE enum lark_status lark__object_test_feed(struct lark__object_test *test, struct lark_slice piece);
LARK_MUST_USE bool lark__object_test_end(struct lark__object_test *test);

/* What a value may be, by its place and the caller's wish. */
enum lark__value_kind {
    LARK__KIND_NONE,  /* no value: it does not go to the spool */
    LARK__KIND_ANY,   /* object, text or bytes */
    LARK__KIND_PLAIN, /* text or bytes */
    LARK__KIND_BASE64
};

struct lark__classifier {
    enum lark__value_kind kind;
    bool is_text; /* so far */
    struct lark__utf8 utf8;
    bool testing; /* object is in use */
    struct lark__object_test object;
};
/* first: the first byte of the value */
void lark__classifier_init(struct lark__classifier *c, const struct lark_mem *mem, enum lark__value_kind kind,
                           uint8_t first);
void lark__classifier_done(struct lark__classifier *c);
/* return: LARK_OK | LARK_E_NOMEM */
LARK_MUST_USE enum lark_status lark__classifier_feed(struct lark__classifier *c, struct lark_slice piece);
enum lark_value_form lark__classifier_end(struct lark__classifier *c);

#endif
