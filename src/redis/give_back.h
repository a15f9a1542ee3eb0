/* give_back.h - an element that Redis popped for a caller who has left goes back to the end where it was.
 *
 *     lark_give_back_init    a call that may pop
 *     lark_give_back_event   its reply, while it comes in: key and element are kept beside the answer, up to a limit
 *     lark_give_back_leave   the caller has left: what has come, and what comes from now on, becomes the push
 *
 * The push is written while the reply is read: an element of any size passes through. */
#ifndef LARK_GIVE_BACK_H
#define LARK_GIVE_BACK_H

#include <lark/resp.h>
#include <lark/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Of an element whose caller is still there: over it the element cannot be given back if he leaves in its middle. */
#define LARK_GIVE_BACK_KEEP_BYTES ((size_t)1024 * 1024)

/* Fields are to be read only.
 * word: LPUSH or RPUSH; empty: nothing is given back (a move: the element stands where it was moved to)
 * key_bytes, element_bytes: their lengths, for a log line
 * begun: an element came; pushed: its push is laid out, whole */
struct lark_give_back {
    struct lark_slice word;
    uint64_t key_bytes;
    uint64_t element_bytes;
    bool begun;
    bool pushed;
    /* private */
    struct lark_buf key;
    struct lark_buf element;
    struct lark_buf *out; /* NULL: the caller is there */
    bool key_done;
    bool element_done;
    bool dropped; /* the element was too large to be kept */
};

/* in: word: borrowed until _done, as mem */
void lark_give_back_init(struct lark_give_back *give_back, const struct lark_mem *mem, struct lark_slice word);
void lark_give_back_done(struct lark_give_back *give_back);

/* lark_give_back_event - one event of the reply: [key, element]; of anything else there is nothing to give back.
 * return: LARK_OK | LARK_E_NOMEM, LARK_E_TOO_LARGE (after lark_give_back_leave only: half a push is in out) */
LARK_MUST_USE enum lark_status lark_give_back_event(struct lark_give_back *give_back,
                                                    const struct lark_resp_event *event);

/* lark_give_back_leave - from now on the push is appended to out.
 * return: LARK_OK | LARK_E_TOO_LARGE (a part of the element is gone already) | LARK_E_NOMEM; on failure nothing changed */
LARK_MUST_USE enum lark_status lark_give_back_leave(struct lark_give_back *give_back, struct lark_buf *out);

#ifdef __cplusplus
}
#endif
#endif
