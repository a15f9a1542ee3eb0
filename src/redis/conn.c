#include "conn.h"

#include <assert.h>
#include <string.h>

#include "conn_parts.h"

/* Redis' own ceiling for what one client may have queued (client-query-buffer-limit). */
#define OUT_MAX_BYTES ((size_t)1 << 30)
#define RING_FIRST 64u
/* A buffer that a large command has blown up goes back when it is empty. */
#define OUT_KEEP_BYTES ((size_t)256 * 1024)

static enum lark_status take_event(void *ctx, const struct lark_resp_event *event);

static void reader_start(struct lark_conn *conn)
{
    if (conn->resp_ready) {
        lark_resp_done(&conn->resp);
    }
    /* No limits here: a reply over its caller's limit is skipped, and the connection lives on. */
    lark_resp_init(&conn->resp, conn->mem, INT64_MAX, INT64_MAX, take_event, conn);
    conn->resp_ready = true;
}

static void encoding_end(struct lark_conn *conn)
{
    if (conn->encoding) {
        lark_encoder_done(&conn->encoder);
        conn->encoding = false;
    }
}

void lark_conn_init(struct lark_conn *conn, const struct lark_mem *mem, size_t max_calls, size_t max_pending_bytes)
{
    memset(conn, 0, sizeof *conn);
    conn->mem = mem;
    conn->ring_max = max_calls;
    conn->pending_max = max_pending_bytes;
    conn->min_deadline_ms = LARK_CONN_NO_DEADLINE;
    conn->settled = LARK_MORE;
    lark_buf_init(&conn->out, mem, OUT_MAX_BYTES, NULL, 0);
}

void lark_conn_done(struct lark_conn *conn)
{
    if (conn->resp_ready) {
        lark_resp_done(&conn->resp);
        conn->resp_ready = false;
    }
    if (conn->ring != NULL) {
        conn->mem->free(conn->mem->ctx, conn->ring, conn->ring_cap * sizeof *conn->ring);
        conn->ring = NULL;
    }
    conn->ring_cap = 0;
    conn->ring_len = 0;
    encoding_end(conn);
    lark_buf_done(&conn->out);
    conn->state = LARK_CONN_CLOSED;
}

enum lark_status lark_conn_open(struct lark_conn *conn, const struct lark_conn_login *login)
{
    assert(conn->state == LARK_CONN_CLOSED && conn->ring_len == 0);
    conn->out.len = 0;
    conn->out_at = 0;
    conn->out_sent = 0;
    conn->reply_bytes = 0;
    conn->settled = LARK_MORE;
    enum lark_status status = lark__conn_greet(conn, login);
    if (status != LARK_OK) {
        conn->out.len = 0;
        return status;
    }
    reader_start(conn);
    conn->reason_len = 0;
    conn->greeting_bytes = conn->out.len;
    conn->state = conn->n_greetings > 0 ? LARK_CONN_GREETING : LARK_CONN_READY;
    return LARK_OK;
}

/* ---- calls ---- */

static enum lark_status ring_reserve(struct lark_conn *conn)
{
    if (conn->ring_len >= conn->ring_max) {
        return LARK_E_OVERLOAD;
    }
    if (conn->ring_len < conn->ring_cap) {
        return LARK_OK;
    }
    size_t cap = conn->ring_cap == 0 ? RING_FIRST : conn->ring_cap * 2;
    struct lark_conn_entry *ring = conn->mem->alloc(conn->mem->ctx, cap * sizeof *ring);
    if (ring == NULL) {
        return LARK_E_NOMEM;
    }
    for (size_t i = 0; i < conn->ring_len; i++) {
        ring[i] = *lark__conn_entry_at(conn, i);
    }
    if (conn->ring != NULL) {
        conn->mem->free(conn->mem->ctx, conn->ring, conn->ring_cap * sizeof *ring);
    }
    conn->ring = ring;
    conn->ring_cap = cap;
    conn->ring_head = 0;
    return LARK_OK;
}

static enum lark_status call_check(struct lark_conn *conn)
{
    if (conn->state != LARK_CONN_GREETING && conn->state != LARK_CONN_READY) {
        return LARK_E_AWAY;
    }
    if (conn->encoding || conn->out.len - conn->out_at > conn->pending_max) {
        return LARK_E_OVERLOAD;
    }
    return ring_reserve(conn);
}

static void call_push(struct lark_conn *conn, const struct lark_call *call, size_t n_replies, uint64_t begin,
                      uint64_t *out_ticket)
{
    struct lark_conn_entry *entry = lark__conn_entry_at(conn, conn->ring_len);
    entry->reply = call->reply;
    entry->give_back = NULL;
    entry->is_ping = false;
    entry->fn = call->fn;
    entry->ctx = call->ctx;
    entry->deadline_ms = call->deadline_ms;
    entry->access = call->access;
    entry->n_replies = n_replies;
    entry->more = call->more;
    entry->patience_ms = call->patience_ms;
    entry->begin = begin;
    /* Redis does nothing before a command's last byte has come; of several, the first may be done long before. */
    entry->edge = n_replies == 1 ? lark__conn_stream_end(conn) : begin + 1;
    *out_ticket = conn->first_ticket + conn->ring_len;
    conn->ring_len++;
    if (call->deadline_ms < conn->min_deadline_ms) {
        conn->min_deadline_ms = call->deadline_ms;
    }
}

enum lark_status lark_conn_call(struct lark_conn *conn, const struct lark_call *call, const struct lark_plan *plan,
                                uint64_t *out_ticket)
{
    enum lark_status status = call_check(conn);
    if (status != LARK_OK) {
        return status;
    }
    uint64_t begin = lark__conn_stream_end(conn);
    size_t len = conn->out.len;
    status = lark_plan_encode(plan, &conn->out);
    if (status != LARK_OK) {
        conn->out.len = len;
        return status;
    }
    call_push(conn, call, plan->n_commands, begin, out_ticket);
    return LARK_OK;
}

enum lark_status lark_conn_call_large(struct lark_conn *conn, const struct lark_call *call,
                                      const struct lark_plan *plan, uint64_t *out_ticket)
{
    enum lark_status status = call_check(conn);
    if (status != LARK_OK) {
        return status;
    }
    uint64_t begin = lark__conn_stream_end(conn);
    call_push(conn, call, plan->n_commands, begin, out_ticket);
    if (plan->n_commands == 1) {
        lark__conn_entry_at(conn, conn->ring_len - 1)->edge = begin + lark_plan_wire_bytes(plan);
    }
    lark_encoder_init(&conn->encoder, plan, conn->mem);
    conn->encoding = true;
    return LARK_OK;
}

enum lark_status lark_conn_call_next(struct lark_conn *conn, const struct lark_call *call, uint64_t *out_ticket)
{
    enum lark_status status = call_check(conn);
    if (status != LARK_OK) {
        return status;
    }
    uint64_t begin = lark__conn_stream_end(conn);
    size_t len = conn->out.len;
    status = lark_reply_next(call->reply, &conn->out);
    if (status != LARK_OK) {
        conn->out.len = len;
        return status;
    }
    call_push(conn, call, 1, begin, out_ticket);
    return LARK_OK;
}

static enum lark_status call_words(struct lark_conn *conn, const struct lark_call *call, const struct lark_slice *words,
                                   size_t n_words, uint64_t *out_ticket)
{
    enum lark_status status = call_check(conn);
    if (status != LARK_OK) {
        return status;
    }
    uint64_t begin = lark__conn_stream_end(conn);
    status = lark__conn_write_words(&conn->out, words, n_words);
    if (status != LARK_OK) {
        return status;
    }
    struct lark_call plain = *call;
    plain.reply = NULL;
    plain.access = LARK_ACCESS_READ;
    call_push(conn, &plain, 1, begin, out_ticket);
    return LARK_OK;
}

enum lark_status lark_conn_ping(struct lark_conn *conn, const struct lark_call *call, uint64_t *out_ticket)
{
    struct lark_slice word = lark__conn_text("PING");
    enum lark_status status = call_words(conn, call, &word, 1, out_ticket);
    if (status == LARK_OK) {
        lark__conn_entry_at(conn, conn->ring_len - 1)->is_ping = true;
    }
    return status;
}

enum lark_status lark_conn_unblock(struct lark_conn *conn, const struct lark_call *call, uint64_t id,
                                   uint64_t *out_ticket)
{
    uint8_t digits[20];
    struct lark_slice words[3] = {lark__conn_text("CLIENT"), lark__conn_text("UNBLOCK"), lark__conn_digits(id, digits)};
    return call_words(conn, call, words, 3, out_ticket);
}

/* The call at i ends, and with it the plan that is perhaps still being encoded. Half a command is out then: nothing can
 * follow it. */
static void encoding_cut(struct lark_conn *conn, size_t i)
{
    if (conn->encoding && i == conn->ring_len - 1) {
        encoding_end(conn);
        lark__conn_reason_set(conn, "a command was given up half way");
        conn->state = LARK_CONN_FAILED;
    }
}

static void entry_bury(struct lark_conn_entry *entry)
{
    entry->fn = NULL;
    entry->more = NULL;
    entry->reply = NULL;
    entry->give_back = NULL;
    entry->ctx = NULL;
}

void lark_conn_cancel(struct lark_conn *conn, uint64_t ticket)
{
    struct lark_conn_entry *entry = lark__conn_entry_of(conn, ticket);
    if (entry != NULL) {
        encoding_cut(conn, (size_t)(ticket - conn->first_ticket));
        entry_bury(entry);
    }
}

/* ---- replies ---- */

static void ring_pop(struct lark_conn *conn)
{
    conn->ring_head = (conn->ring_head + 1) & (conn->ring_cap - 1);
    conn->ring_len--;
    conn->first_ticket++;
    conn->settled = LARK_MORE;
    conn->moved = false;
    conn->moved_ms = 0;
    if (conn->ring_len == 0) {
        conn->min_deadline_ms = LARK_CONN_NO_DEADLINE;
    }
}

/* Tell a call that has stayed in the queue. The callback may grow the ring: no entry is touched after it. */
static void entry_tell(struct lark_conn_entry *entry, enum lark_status status)
{
    lark_call_fn fn = entry->fn;
    void *ctx = entry->ctx;
    entry_bury(entry);
    if (fn != NULL) {
        fn(ctx, status);
    }
}

/* The answer to what has no reply to be shaped: PING, UNBLOCK, a push. A user who may not PING has an answer all the same:
 * Redis is there and has let him in. */
static enum lark_status take_plain(struct lark_conn *conn, const struct lark_conn_entry *entry,
                                   const struct lark_resp_event *event)
{
    conn->number = event->n;
    if (event->type != LARK_RESP_ERROR || (entry->is_ping && lark__conn_begins(event->text, "NOPERM"))) {
        return LARK_OK;
    }
    conn->reason_len = 0;
    lark__conn_reason_add(conn, event->text);
    return LARK_E_REDIS_ERROR;
}

static enum lark_status take_event(void *ctx, const struct lark_resp_event *event)
{
    struct lark_conn *conn = ctx;
    if (conn->greetings_done < conn->n_greetings) {
        return lark__conn_take_greeting(conn, event);
    }
    struct lark_conn_entry *entry = lark__conn_entry_at(conn, 0);
    if (entry->fn == NULL || conn->settled != LARK_MORE) {
        return LARK_OK;
    }
    if (entry->give_back != NULL) {
        enum lark_status kept = lark_give_back_event(entry->give_back, event);
        if (entry->reply == NULL) {
            return kept;
        }
    }
    if (entry->reply == NULL) {
        conn->settled = take_plain(conn, entry, event);
        return LARK_OK;
    }
    enum lark_status status = lark_reply_event(entry->reply, event);
    if (status < 0) {
        encoding_cut(conn, 0);
        /* Whichever buffer was too small for it: it was the reply that is too large. The rest of it is skipped. */
        entry_tell(entry, status == LARK_E_TOO_LARGE ? LARK_E_REPLY_TOO_LARGE : status);
        return LARK_OK;
    }
    conn->settled = status;
    return LARK_OK;
}

/* What came for a caller who left. An element has its push in the output already; the call's place is the push's now. */
static void end_taken_back(struct lark_conn *conn)
{
    struct lark_conn_entry entry = *lark__conn_entry_at(conn, 0);
    ring_pop(conn);
    if (!entry.give_back->pushed) {
        entry.fn(entry.ctx, LARK_OK);
        return;
    }
    struct lark_call push = {.fn = entry.fn,
                             .ctx = entry.ctx,
                             .deadline_ms = entry.deadline_ms,
                             .access = LARK_ACCESS_WRITE,
                             .patience_ms = entry.patience_ms};
    uint64_t ticket;
    call_push(conn, &push, 1, 0, &ticket); /* a part of it may have left */
}

static void end_reply(struct lark_conn *conn)
{
    if (conn->greetings_done < conn->n_greetings) {
        conn->greetings_done++;
        if (conn->greetings_done == conn->n_greetings) {
            conn->state = LARK_CONN_READY;
        }
        return;
    }
    struct lark_conn_entry *entry = lark__conn_entry_at(conn, 0);
    if (entry->reply == NULL && entry->give_back != NULL) {
        end_taken_back(conn);
        return;
    }
    enum lark_status status = conn->settled;
    entry->n_replies--;
    if (entry->n_replies > 0) {
        if (status != LARK_MORE) {
            conn->settled = LARK_MORE;
            encoding_cut(conn, 0);
            entry_tell(entry, status);
        }
        return;
    }
    lark_call_fn fn = entry->fn;
    void *ctx = entry->ctx;
    encoding_cut(conn, 0);
    ring_pop(conn);
    if (fn != NULL) {
        fn(ctx, status == LARK_MORE ? LARK_E_PROTOCOL : status);
    }
}

/* The end of what came is the middle of a reply. */
static void under_way(struct lark_conn *conn, size_t n)
{
    conn->reply_bytes += n;
    if (conn->greetings_done < conn->n_greetings) {
        return;
    }
    const struct lark_conn_entry *entry = lark__conn_entry_at(conn, 0);
    conn->moved = true;
    if (entry->more != NULL) {
        entry->more(entry->ctx);
    }
}

static enum lark_status fail(struct lark_conn *conn, enum lark_status status)
{
    conn->state = LARK_CONN_FAILED;
    return status;
}

/* The next reply would be one to a command of which nothing has left. (Redis may refuse a large one half way.) */
static bool answers_early(const struct lark_conn *conn)
{
    return conn->greetings_done == conn->n_greetings && conn->out_sent <= lark__conn_entry_at(conn, 0)->begin;
}

enum lark_status lark_conn_feed(struct lark_conn *conn, struct lark_slice bytes)
{
    if (conn->state != LARK_CONN_GREETING && conn->state != LARK_CONN_READY) {
        return fail(conn, LARK_E_PROTOCOL);
    }
    while (bytes.len > 0) {
        if (conn->ring_len == 0 && conn->greetings_done == conn->n_greetings) {
            lark__conn_reason_set(conn, "Redis sent bytes nobody asked for");
            return fail(conn, LARK_E_PROTOCOL);
        }
        if (answers_early(conn)) {
            return fail(conn, lark__conn_refused(conn, bytes));
        }
        size_t used = 0;
        enum lark_status status = lark_resp_feed(&conn->resp, bytes, &used);
        if (status == LARK_MORE) {
            under_way(conn, bytes.len);
            return conn->state == LARK_CONN_FAILED ? LARK_E_PROTOCOL : LARK_OK;
        }
        if (status != LARK_OK) {
            if (status == LARK_E_PROTOCOL) {
                lark__conn_reason_set(conn, "the reply of Redis broke the protocol");
            }
            return fail(conn, status);
        }
        bytes.p += used;
        bytes.len -= used;
        conn->reply_bytes = 0;
        end_reply(conn);
        if (conn->state == LARK_CONN_FAILED) {
            return LARK_E_PROTOCOL; /* Redis answered before it had all of a large command */
        }
    }
    return LARK_OK;
}

/* ---- what goes out ---- */

enum lark_status lark_conn_fill(struct lark_conn *conn)
{
    if (!conn->encoding || conn->state != LARK_CONN_READY ||
        conn->out.len - conn->out_at >= LARK_CONN_PIECE_BYTES / 2) {
        return LARK_OK;
    }
    enum lark_status status = lark_encoder_next(&conn->encoder, LARK_CONN_PIECE_BYTES, &conn->out);
    if (status == LARK_MORE) {
        return LARK_OK;
    }
    encoding_end(conn);
    return status == LARK_OK ? LARK_OK : fail(conn, status);
}

struct lark_slice lark_conn_output(const struct lark_conn *conn)
{
    size_t len = conn->out.len - conn->out_at;
    if (conn->state == LARK_CONN_GREETING) {
        len = (size_t)(conn->greeting_bytes - conn->out_sent);
    } else if (conn->state != LARK_CONN_READY) {
        len = 0;
    }
    if (len == 0) {
        return (struct lark_slice){NULL, 0};
    }
    return (struct lark_slice){conn->out.p + conn->out_at, len};
}

void lark_conn_wrote(struct lark_conn *conn, size_t n)
{
    assert(n <= conn->out.len - conn->out_at);
    if (conn->ring_len > 0 && conn->out_sent < lark__conn_entry_at(conn, 0)->edge) {
        conn->moved = true;
    }
    conn->out_at += n;
    conn->out_sent += n;
    if (conn->out_at == conn->out.len) {
        conn->out_at = 0;
        conn->out.len = 0;
        if (conn->out.cap > OUT_KEEP_BYTES) {
            lark_buf_done(&conn->out);
        }
    } else if (conn->out_at > conn->out.len - conn->out_at) {
        conn->out.len -= conn->out_at;
        memmove(conn->out.p, conn->out.p + conn->out_at, conn->out.len);
        conn->out_at = 0;
    }
}

/* ---- time and loss ---- */

void lark_conn_moved(struct lark_conn *conn, uint64_t now_ms)
{
    if (conn->moved) {
        conn->moved_ms = now_ms;
        conn->moved = false;
    }
}

uint64_t lark_conn_reply_bytes(const struct lark_conn *conn)
{
    return conn->reply_bytes;
}

uint64_t lark_conn_next_deadline(const struct lark_conn *conn)
{
    return conn->min_deadline_ms;
}

static enum lark_status late_status(const struct lark_conn *conn, const struct lark_conn_entry *entry)
{
    bool unknown = entry->access != LARK_ACCESS_READ && lark__conn_may_be_done(conn, entry);
    return unknown ? LARK_E_DEADLINE_UNKNOWN : LARK_E_DEADLINE;
}

/* What is large takes its time: as long as bytes move, the first call is in time. */
static void extend(struct lark_conn *conn)
{
    struct lark_conn_entry *entry = lark__conn_entry_at(conn, 0);
    if (entry->patience_ms > 0 && conn->moved_ms > 0 && conn->moved_ms + entry->patience_ms > entry->deadline_ms) {
        entry->deadline_ms = conn->moved_ms + entry->patience_ms;
    }
}

enum lark_status lark_conn_expire(struct lark_conn *conn, uint64_t now_ms)
{
    if (now_ms < conn->min_deadline_ms || conn->ring_len == 0) {
        return LARK_OK;
    }
    extend(conn);
    if (lark__conn_entry_at(conn, 0)->deadline_ms <= now_ms) {
        encoding_cut(conn, 0);
        lark__conn_reason_set(conn, "Redis did not answer in time");
        conn->state = LARK_CONN_FAILED;
        entry_tell(lark__conn_entry_at(conn, 0), late_status(conn, lark__conn_entry_at(conn, 0)));
        return LARK_E_DEADLINE;
    }
    uint64_t latest = 0;
    uint64_t earliest = LARK_CONN_NO_DEADLINE;
    size_t n = conn->ring_len; /* what a callback adds has its own minimum */
    conn->min_deadline_ms = LARK_CONN_NO_DEADLINE;
    for (size_t i = 0; i < n; i++) {
        struct lark_conn_entry *entry = lark__conn_entry_at(conn, i);
        bool late = entry->deadline_ms <= now_ms;
        if (late) {
            /* Not the connection's fault yet: the first reply is in time. Its own may come right behind it. */
            entry->deadline_ms = (latest > now_ms ? latest : now_ms) + LARK_CONN_GRACE_MS;
        }
        if (entry->deadline_ms > latest) {
            latest = entry->deadline_ms;
        }
        if (entry->deadline_ms < earliest) {
            earliest = entry->deadline_ms;
        }
        if (late) {
            encoding_cut(conn, i);
            entry_tell(entry, late_status(conn, entry));
        }
    }
    if (earliest < conn->min_deadline_ms) {
        conn->min_deadline_ms = earliest;
    }
    return conn->state == LARK_CONN_FAILED ? LARK_E_DEADLINE : LARK_OK;
}

void lark_conn_lose(struct lark_conn *conn)
{
    conn->state = LARK_CONN_CLOSED;
    while (conn->ring_len > 0) {
        struct lark_conn_entry entry = *lark__conn_entry_at(conn, 0);
        ring_pop(conn);
        if (entry.fn == NULL) {
            continue;
        }
        enum lark_status status = LARK_E_AWAY;
        if (lark__conn_may_be_done(conn, &entry)) {
            status = entry.access == LARK_ACCESS_READ ? LARK_E_LOST : LARK_E_LOST_UNKNOWN;
        }
        entry.fn(entry.ctx, status);
    }
    if (conn->resp_ready) {
        lark_resp_done(&conn->resp);
        conn->resp_ready = false;
    }
    conn->n_greetings = 0;
    conn->greetings_done = 0;
    conn->out_at = 0;
    encoding_end(conn);
    lark_buf_done(&conn->out);
}
