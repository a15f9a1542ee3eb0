/* take_back.c - the caller of a blocking call has left. */
#include "conn_parts.h"

void lark_conn_keep(struct lark_conn *conn, uint64_t ticket, struct lark_give_back *give_back)
{
    struct lark_conn_entry *entry = lark__conn_entry_of(conn, ticket);
    if (entry != NULL) {
        entry->give_back = give_back;
    }
}

enum lark_status lark_conn_take_back(struct lark_conn *conn, uint64_t ticket, const struct lark_call *call,
                                     struct lark_give_back *give_back)
{
    struct lark_conn_entry *entry = lark__conn_entry_of(conn, ticket);
    if (conn->state != LARK_CONN_READY || entry == NULL || conn->ring_len != 1 || entry->n_replies != 1 ||
        !lark__conn_may_be_done(conn, entry)) {
        return LARK_E_AWAY;
    }
    enum lark_status status = lark_give_back_leave(give_back, &conn->out);
    if (status != LARK_OK) {
        return status;
    }
    entry->reply = NULL;
    entry->give_back = give_back;
    entry->fn = call->fn;
    entry->ctx = call->ctx;
    entry->more = NULL;
    entry->deadline_ms = call->deadline_ms;
    entry->patience_ms = call->patience_ms;
    conn->min_deadline_ms = call->deadline_ms;
    conn->settled = LARK_MORE;
    return LARK_OK;
}

/* ---- what is known of a connection ---- */

size_t lark_conn_awaited(const struct lark_conn *conn)
{
    return conn->ring_len;
}

void *lark_conn_soon(const struct lark_conn *conn, size_t i, lark_call_fn fn)
{
    if (i >= conn->ring_len) {
        return NULL;
    }
    const struct lark_conn_entry *entry = lark__conn_entry_at(conn, i);
    return entry->fn == fn ? entry->ctx : NULL;
}

int64_t lark_conn_number(const struct lark_conn *conn)
{
    return conn->number;
}

uint64_t lark_conn_id(const struct lark_conn *conn)
{
    return conn->client_id;
}
