/* members.h - the members of a JSON object that somebody wants, each value whole. */
#ifndef LARK_AUTH_MEMBERS_H
#define LARK_AUTH_MEMBERS_H

#include <lark/json.h>

#define LARK__MEMBERS_TEXT_MAX 8192

/* A value of a wanted member, or an element of the list that is one.
 * index:   of the name
 * type:    LARK_JSON_OBJECT and LARK_JSON_ARRAY stand for all that is in them; elements of a list follow one by one
 * element: it stands in the member's list
 * text:    of a string or number; dead when the callback returns */
struct lark__member {
    unsigned index;
    enum lark_json_type type;
    bool element;
    struct lark_slice text;
};

typedef enum lark_status (*lark__member_fn)(void *ctx, const struct lark__member *member);

/* names: up to 32; one that stands twice is told twice; an empty one is none
 * depth: of the members' names in the JSON
 * matches: bits of the names of the member that is being read */
struct lark__members {
    const struct lark_slice *names;
    unsigned n_names;
    unsigned depth;
    lark__member_fn fn;
    void *ctx;
    uint32_t matches;
    bool in_list;
    struct lark_buf text;
    uint8_t block[LARK__MEMBERS_TEXT_MAX];
};

void lark__members_init(struct lark__members *members, const struct lark_slice *names, unsigned n_names, unsigned depth,
                        lark__member_fn fn, void *ctx);

/* lark__members_take - an event of the object or of what is in it.
 * return: LARK_OK | LARK_E_TOO_LARGE (a name or a wanted text over LARK__MEMBERS_TEXT_MAX) | what fn returned */
LARK_MUST_USE enum lark_status lark__members_take(struct lark__members *members, const struct lark_json_event *event);

/* lark__members_read - a text that is one object.
 * return: as lark__members_take, and LARK_E_BAD_JSON (also for what is no object) | LARK_E_NOMEM */
LARK_MUST_USE enum lark_status lark__members_read(const struct lark_mem *mem, struct lark_slice json,
                                                  struct lark__members *members);

#endif
