/* conn.h - one connection to Redis as a state machine: bytes and the time are handed in, bytes are taken out.
 *
 *     lark_conn_open      a new stream: the handshake is laid out
 *     lark_conn_call      a command and what is to be told when its reply is there
 *     lark_conn_output    bytes to be written; lark_conn_wrote: how many were
 *     lark_conn_feed      bytes that were read
 *     lark_conn_moved     the time, after bytes were read or written
 *     lark_conn_expire    the time: who waited too long
 *     lark_conn_lose      the stream is gone: everybody is told
 *     lark_conn_take_back the caller of a blocking call left: what Redis still pops for him goes back
 *
 * Replies come in the order of the commands. That order is all that tells whose reply it is, so nothing ever leaves
 * the queue before its reply has been read: a caller who left stays behind as a tombstone. */
#ifndef LARK_CONN_H
#define LARK_CONN_H

#include <lark/plan.h>
#include <lark/reply.h>
#include <lark/resp.h>
#include <lark/types.h>

#include "give_back.h"

#ifdef __cplusplus
extern "C" {
#endif

#define LARK_CONN_NO_DEADLINE UINT64_MAX
/* How long a reply may still take that is late, but waits behind another one. */
#define LARK_CONN_GRACE_MS 1000u
#define LARK_CONN_REASON_MAX 192u
/* Bytes of a large command that are made at a time. */
#define LARK_CONN_PIECE_BYTES 16384u

/* status: LARK_OK    the reply is complete
 *         LARK_NEXT  call lark_conn_call_next: the plan has a further step
 *         LARK_E_AWAY  the connection is gone and Redis cannot have seen the command: it may go elsewhere
 *         LARK_E_LOST  gone; a read that Redis may have seen: it may go elsewhere once
 *         LARK_E_LOST_UNKNOWN  gone; a write that Redis may have done: never send it again
 *         LARK_E_DEADLINE | LARK_E_DEADLINE_UNKNOWN  too late; of a write that may have been done
 *         LARK_E_REDIS_ERROR  Redis refused a PING, an UNBLOCK or a push, lark_conn_reason tells how
 *         others     what lark_reply_event returned
 * The call is out of the queue then. The callback may call and cancel on any connection, this one included; it must
 * not feed, expire, lose or free this one. */
typedef void (*lark_call_fn)(void *ctx, enum lark_status status);

/* More of the reply has come and it is not complete: the host may take what is in its `out`. May do what lark_call_fn
 * may. */
typedef void (*lark_call_more_fn)(void *ctx);

/* reply: takes the events; NULL for what has none (PING, UNBLOCK). Must live until fn is called or the call is cancelled
 * deadline_ms: on the clock of lark_conn_expire
 * access: a write that may have been done is never repeated
 * more: or NULL
 * patience_ms: the first call in the queue, whose reply or command is under way, is not late before this time has passed
 *              without a byte of it; 0: the deadline stands */
struct lark_call {
    struct lark_reply *reply;
    lark_call_fn fn;
    void *ctx;
    uint64_t deadline_ms;
    enum lark_access access;
    lark_call_more_fn more;
    uint32_t patience_ms;
};

/* Who we are. Borrowed for lark_conn_open only.
 * user, password: empty: no AUTH; user empty: the default user
 * name: for CLIENT SETNAME; empty for a private connection, whose state is the caller's own
 * wants_id: ask for CLIENT ID; a Redis that refuses it is taken all the same */
struct lark_conn_login {
    struct lark_slice user;
    struct lark_slice password;
    struct lark_slice name;
    uint32_t db;
    bool wants_id;
};

enum lark_conn_state {
    LARK_CONN_CLOSED,   /* takes no call */
    LARK_CONN_GREETING, /* takes calls and holds them back until the handshake is answered */
    LARK_CONN_READY,
    LARK_CONN_FAILED /* lark_conn_reason tells why; only lark_conn_lose and lark_conn_done are allowed */
};

/* One awaited reply; private to src/redis.
 * give_back: beside reply: keeps what a reply pops; without one: the caller has left
 * begin: bytes of the stream before it; none has left while no more are out
 * edge: bytes of the stream that must have left before Redis can have executed anything of it */
struct lark_conn_entry {
    struct lark_reply *reply;
    struct lark_give_back *give_back;
    lark_call_fn fn; /* NULL: a tombstone */
    void *ctx;
    uint64_t deadline_ms;
    uint64_t begin;
    uint64_t edge;
    size_t n_replies;
    lark_call_more_fn more;
    uint32_t patience_ms;
    enum lark_access access;
    bool is_ping;
};

/* Every field is the connection's own.
 * ring: entries_cap (a power of two) entries, entries_len in use from entries_head on, modulo the cap
 * out: bytes not yet written begin at out_at; out_sent bytes of the stream were written before them
 * reply_bytes: of the reply that is under way; 0: none is
 * moved: bytes of the first call's command or reply went or came since lark_conn_moved; moved_ms: when they last did */
struct lark_conn {
    const struct lark_mem *mem;
    struct lark_conn_entry *ring;
    size_t ring_cap;
    size_t ring_head;
    size_t ring_len;
    size_t ring_max;
    size_t pending_max;
    uint64_t first_ticket;
    uint64_t min_deadline_ms; /* no deadline is earlier; may be too early itself */
    uint64_t greeting_bytes;
    uint64_t out_sent;
    uint64_t reply_bytes;
    uint64_t moved_ms;
    struct lark_buf out;
    size_t out_at;
    struct lark_encoder encoder; /* of the large command being written */
    bool encoding;
    bool moved;
    struct lark_resp resp;
    enum lark_conn_state state;
    enum lark_status settled; /* what the first entry's reply came to; LARK_MORE while it is open */
    uint64_t client_id;       /* Redis' number of this connection; 0: not known */
    int64_t number;           /* what Redis answered to an UNBLOCK */
    uint8_t greeting[4];
    uint8_t n_greetings;
    uint8_t greetings_done;
    bool resp_ready;
    uint8_t reason_len;
    char reason[LARK_CONN_REASON_MAX];
};

/* lark_conn_init - a closed connection.
 * in: mem: outlives it; max_calls: replies awaited at once; max_pending_bytes: not yet written, over it no further call
 *     is taken (one call may be larger) */
void lark_conn_init(struct lark_conn *conn, const struct lark_mem *mem, size_t max_calls, size_t max_pending_bytes);

/* lark_conn_done - free all. Calls still in the queue are dropped without a word: lark_conn_lose first. */
void lark_conn_done(struct lark_conn *conn);

/* lark_conn_open - begin a new stream on a closed connection.
 * return: LARK_OK | LARK_E_TOO_LARGE | LARK_E_NOMEM (still closed) */
LARK_MUST_USE enum lark_status lark_conn_open(struct lark_conn *conn, const struct lark_conn_login *login);

/* lark_conn_call - queue a plan's commands.
 * in:     plan: encoded here, not kept
 * out:    out_ticket: for lark_conn_cancel, until fn is called
 * return: LARK_OK | LARK_E_AWAY (closed) | LARK_E_OVERLOAD (over max_calls or max_pending_bytes) | what
 *         lark_plan_encode returned; on failure nothing is queued and fn is not called */
LARK_MUST_USE enum lark_status lark_conn_call(struct lark_conn *conn, const struct lark_call *call,
                                              const struct lark_plan *plan, uint64_t *out_ticket);

/* lark_conn_call_large - the same for commands that are larger than a buffer should be: they are encoded while they are
 * written (lark_conn_fill), and no other call is taken until they are. Cancelled before, the connection has failed.
 * in: plan: with its body lives until fn is called or the call is cancelled. return: as lark_conn_call */
LARK_MUST_USE enum lark_status lark_conn_call_large(struct lark_conn *conn, const struct lark_call *call,
                                                    const struct lark_plan *plan, uint64_t *out_ticket);

/* lark_conn_call_next - queue the next step of call->reply, after LARK_NEXT. return: as lark_conn_call */
LARK_MUST_USE enum lark_status lark_conn_call_next(struct lark_conn *conn, const struct lark_call *call,
                                                   uint64_t *out_ticket);

/* lark_conn_ping - queue a PING. return: as lark_conn_call */
LARK_MUST_USE enum lark_status lark_conn_ping(struct lark_conn *conn, const struct lark_call *call,
                                              uint64_t *out_ticket);

/* lark_conn_unblock - queue CLIENT UNBLOCK of another connection, by its id. return: as lark_conn_call; when fn is told
 * LARK_OK, lark_conn_number is 1, or 0 when that connection was not blocked (not yet, or no longer) */
LARK_MUST_USE enum lark_status lark_conn_unblock(struct lark_conn *conn, const struct lark_call *call, uint64_t id,
                                                 uint64_t *out_ticket);
int64_t lark_conn_number(const struct lark_conn *conn);

/* lark_conn_id - Redis' number of this connection, 0 when it is not known. */
uint64_t lark_conn_id(const struct lark_conn *conn);

/* lark_conn_keep - what the call's reply pops is kept in give_back, for lark_conn_take_back.
 * lifetime: give_back as the call's reply */
void lark_conn_keep(struct lark_conn *conn, uint64_t ticket, struct lark_give_back *give_back);

/* lark_conn_take_back - the caller of a blocking call, the only call of this connection, has left: nothing of it is touched
 * again. An element that comes all the same is pushed back (over this connection); call->fn is told when that is
 * answered, or when nothing came.
 * in:     call: fn, ctx and deadline_ms count; give_back: lives until fn is told or the call is cancelled
 * return: LARK_OK | LARK_E_AWAY (Redis has not seen the call: end the connection, and it never will) | what
 *         lark_give_back_leave returned; on failure nothing changed */
LARK_MUST_USE enum lark_status lark_conn_take_back(struct lark_conn *conn, uint64_t ticket,
                                                   const struct lark_call *call, struct lark_give_back *give_back);

/* lark_conn_probe - is there still somebody? A ready connection without calls sends a PING and holds calls back until it is
 * answered: who calls on a dead one is told LARK_E_AWAY. return: LARK_OK | LARK_E_NOMEM */
LARK_MUST_USE enum lark_status lark_conn_probe(struct lark_conn *conn);

/* lark_conn_cancel - the caller left: nothing of the call is touched again, its reply will be read and dropped. */
void lark_conn_cancel(struct lark_conn *conn, uint64_t ticket);

/* lark_conn_feed - bytes from Redis, in any split; all of them are taken.
 * return: LARK_OK | LARK_E_PROTOCOL (the stream broke, or bytes nobody asked for) | LARK_E_AWAY (the handshake was
 *         refused, or Redis refused the connection) | LARK_E_NOMEM; after an error the connection has failed: tell lark_conn_lose */
LARK_MUST_USE enum lark_status lark_conn_feed(struct lark_conn *conn, struct lark_slice bytes);

/* lark_conn_fill - before lark_conn_output: encode more of a large command when little is left to write.
 * return: LARK_OK | what lark_encoder_next returned (the connection has failed: tell lark_conn_lose) */
LARK_MUST_USE enum lark_status lark_conn_fill(struct lark_conn *conn);

/* lark_conn_output - what may be written now. return: until the next call of any function */
struct lark_slice lark_conn_output(const struct lark_conn *conn);
void lark_conn_wrote(struct lark_conn *conn, size_t n);

/* lark_conn_moved - after lark_conn_feed and lark_conn_wrote: what time it is. cost: O(1) */
void lark_conn_moved(struct lark_conn *conn, uint64_t now_ms);

/* lark_conn_reply_bytes - how much has come of the reply that is under way; 0: none is. */
uint64_t lark_conn_reply_bytes(const struct lark_conn *conn);

/* lark_conn_next_deadline - no call is late before it; LARK_CONN_NO_DEADLINE when none is awaited. cost: O(1) */
uint64_t lark_conn_next_deadline(const struct lark_conn *conn);

/* lark_conn_expire - tell calls that are late.
 * return: LARK_OK | LARK_E_DEADLINE (the first one was late: the stream is stuck, lark_conn_lose it)
 * cost: O(awaited) */
LARK_MUST_USE enum lark_status lark_conn_expire(struct lark_conn *conn, uint64_t now_ms);

/* lark_conn_lose - the stream ended: every call is told, the connection is closed and may be opened again. */
void lark_conn_lose(struct lark_conn *conn);

/* lark_conn_soon - the ctx of the call whose reply comes i places behind the next one; NULL: there is none, or its callback is
 * another than fn. For hosts that bring its memory into the cache before its turn. */
void *lark_conn_soon(const struct lark_conn *conn, size_t i, lark_call_fn fn);

/* lark_conn_awaited - replies still to come, tombstones counted. */
size_t lark_conn_awaited(const struct lark_conn *conn);

/* lark_conn_reason - why it failed, or how Redis refused a PING; empty when nothing is known. */
struct lark_slice lark_conn_reason(const struct lark_conn *conn);

#ifdef __cplusplus
}
#endif
#endif
