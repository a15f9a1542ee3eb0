/* catalogue.h - the rows that tools/catalogue.py makes from data/methods: plain constant data. */
#ifndef LARK_CATALOGUE_ROWS_H
#define LARK_CATALOGUE_ROWS_H

#include <lark/catalogue.h>
#include <lark/plan.h>

#include "num.h"

#define LARK_PARAMS_MAX 16
#define LARK_PATH_MAX 8

/* Parameter types: data/README.md says what each takes and what it becomes. */
enum lark__type {
    LARK__TYPE_KEY,
    LARK__TYPE_KEYS,
    LARK__TYPE_KEY_PATTERN,  /* a glob over key names */
    LARK__TYPE_SORT_BY,      /* a key pattern where it holds a star */
    LARK__TYPE_SORT_GETS,    /* a list of these; "#" is the element itself */
    LARK__TYPE_KEYS_WEIGHTS, /* a list of keys, or an object key -> weight */
    LARK__TYPE_KEY_VALUES,   /* a list of [key, value] */
    LARK__TYPE_SCORES,       /* a list of [member, score] */
    LARK__TYPE_MAPPING,      /* an object field -> value, or a list of [field, value] */
    LARK__TYPE_VALUE,
    LARK__TYPE_VALUES,
    LARK__TYPE_FIELD,
    LARK__TYPE_FIELDS,
    LARK__TYPE_STRING,
    LARK__TYPE_INT,
    LARK__TYPE_FLOAT,
    LARK__TYPE_BOOL,
    LARK__TYPE_DATETIME,
    LARK__TYPE_BASE64,
    LARK__TYPE_SCORE_BOUND,
    LARK__TYPE_IDS /* a list of [key, text]: streams and the ids to read from */
};

enum lark__in { LARK__IN_PATH = 1, LARK__IN_JSON = 2, LARK__IN_QUERY = 4, LARK__IN_BODY = 8 };

/* What a parameter does to the reply instead of to the command. */
enum lark__shapes { LARK__SHAPES_NOTHING, LARK__SHAPES_CAST, LARK__SHAPES_GROUPS, LARK__SHAPES_SCORES };

struct lark_param {
    struct lark_slice name;
    struct lark_slice default_text; /* empty: none */
    const struct lark_slice *one_of;
    const char *expected; /* the words of one_of for a message */
    const char *needs_message;
    uint64_t tenant_max; /* largest number, or most bytes of a string, for a caller with a prefix; 0: any */
    uint8_t n_one_of;
    uint8_t type;
    uint8_t in;
    uint8_t shapes;
    uint8_t verbs; /* LARK_VERB_* that may carry it, 0: any */
    int8_t with;   /* index of the parameter that must come too, -1: none */
    int8_t needs;  /* index of a list that must have needs_items, -1: none */
    uint8_t needs_items;
    bool required;
    bool blocks; /* seconds that Redis may wait */
};

/* Steps that lay out argv. */
enum lark__op_code {
    LARK__OP_TEXT,    /* text */
    LARK__OP_PARAM,   /* all items of the parameter */
    LARK__OP_COUNT,   /* how many items it has */
    LARK__OP_SECOND,  /* the second part of each pair: weights, ids */
    LARK__OP_FIRST,   /* the first part of each pair */
    LARK__OP_SWAPPED, /* pairs, second part first */
    LARK__OP_TIME_S,
    LARK__OP_TIME_MS,
    LARK__OP_EACH, /* for each item: text, item */
    LARK__OP_IF,   /* skip ops unless the parameter is there (a flag: true) */
    LARK__OP_IF_SECOND,
    LARK__OP_ELSE /* skip ops (reached when the branch before was taken) */
};

struct lark_op {
    struct lark_slice text;
    uint8_t code;
    uint8_t param;
    uint8_t skip;
};

enum lark__shape {
    LARK__REPLY_OK,
    LARK__REPLY_OK_OR_NULL,
    LARK__REPLY_INT,
    LARK__REPLY_INT_OR_NULL,
    LARK__REPLY_BOOL,
    LARK__REPLY_TTL,
    LARK__REPLY_FLOAT, /* Redis' digits */
    LARK__REPLY_SCORE, /* the shortest digits */
    LARK__REPLY_SCORE_OR_NULL,
    LARK__REPLY_VALUE,
    LARK__REPLY_WORD, /* a status line */
    LARK__REPLY_STRING,
    LARK__REPLY_STRING_OR_NULL,
    LARK__REPLY_BASE64,
    LARK__REPLY_DATETIME,
    LARK__REPLY_KEY_OR_NULL,
    LARK__REPLY_VALUE_LIST,
    LARK__REPLY_SET,
    LARK__REPLY_FIELD_LIST,
    LARK__REPLY_KEY_LIST,
    LARK__REPLY_VALUE_OR_LIST,
    LARK__REPLY_MAP,
    LARK__REPLY_CONFIG,
    LARK__REPLY_PAIRS,
    LARK__REPLY_POPPED,
    LARK__REPLY_SORT,
    LARK__REPLY_SCAN_KEYS,
    LARK__REPLY_SCAN_MEMBERS,
    LARK__REPLY_SCAN_MAP,
    LARK__REPLY_SCAN_PAIRS,
    LARK__REPLY_INFO,
    LARK__REPLY_CLIENT_LIST,
    LARK__REPLY_DEBUG_OBJECT,
    LARK__REPLY_OBJECT_INFO
};

enum lark__tenant { LARK__TENANT_PREFIX, LARK__TENANT_REFUSE, LARK__TENANT_EMULATE };

/* Calls that take several steps: all but CLIENT KILL only below a prefix. */
enum lark__steps {
    LARK__STEPS_NONE,
    LARK__STEPS_KEYS,
    LARK__STEPS_DBSIZE,
    LARK__STEPS_RANDOMKEY,
    LARK__STEPS_FLUSHDB,
    LARK__STEPS_CLIENT_KILL
};

/* Commands with a key: is it there? how long is its value? a part of it. */
struct lark__raw_words {
    struct lark_slice exists, length, range;
};

struct lark_method {
    struct lark_slice name;    /* "client_list" */
    struct lark_slice display; /* "CLIENT LIST" */
    const char *usage;         /* its paths, for a message */
    const char *scopes;        /* "admin, key:* or read:get" */
    const struct lark_param *params;
    const struct lark_op *ops;
    uint8_t n_params;
    uint8_t n_ops;
    uint8_t verbs; /* as the row lists them, without HEAD and OPTIONS */
    uint8_t reply;
    uint8_t lane;
    uint8_t access;
    uint8_t tenant;
    uint8_t steps;
    struct lark_slice give_back;   /* the command that puts back what was popped for nobody; empty: none */
    int8_t put;                    /* index of the parameter that the body of a PUT is, -1: no PUT */
    bool raw;                      /* the reply is one value: its bytes can be the answer */
    struct lark__raw_words ranged; /* empty: neither Range nor HEAD without the value */
};

/* One path template below a word. */
struct lark_route {
    uint8_t method;
    uint8_t n_params;
    uint8_t params[LARK_PATH_MAX]; /* indices into the method's params */
};

/* The literal begin of paths: "GET", "CLIENT/LIST"; "CLIENT" alone is a container of words. */
struct lark_word {
    struct lark_slice text;
    uint8_t first_route;
    uint8_t n_routes;
    bool container;
};

struct lark_scope_word {
    struct lark_slice word;
    uint64_t methods[LARK_METHODS_MAX / 64];
};

#define LARK_SLOTS 1024

struct lark_catalogue {
    const struct lark_method *methods;
    const struct lark_route *routes;
    const struct lark_word *words;
    const struct lark_scope_word *scopes;
    size_t n_methods;
    size_t n_words;
    size_t n_scopes;
    uint32_t hash_seed;
    const uint8_t *slots; /* word index + 1 by hash; LARK_SLOTS of them; no two words share one */
};

/* The word with this text in any case of letters, or NULL. cost: O(text). second may be empty */
const struct lark_word *lark__find_word(const struct lark_catalogue *catalogue, struct lark_slice first,
                                        struct lark_slice second);

/* Words or scope words spelled nearly like text: at most max of them. return: how many */
size_t lark__near_words(const struct lark_catalogue *catalogue, struct lark_slice text, struct lark_slice *out,
                        size_t max);

static inline bool lark__allowed(const struct lark_scopes *scopes, size_t method)
{
    return (scopes->methods[method / 64] >> (method % 64)) & 1;
}

#endif
