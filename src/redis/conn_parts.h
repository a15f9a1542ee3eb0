/* conn_parts.h - how the files of one connection reach its queue and its stream. */
#ifndef LARK_CONN_PARTS_H
#define LARK_CONN_PARTS_H

#include "greeting.h"

static inline struct lark_conn_entry *lark__conn_entry_at(const struct lark_conn *conn, size_t i)
{
    return &conn->ring[(conn->ring_head + i) & (conn->ring_cap - 1)];
}

/* NULL: its reply has been read */
static inline struct lark_conn_entry *lark__conn_entry_of(const struct lark_conn *conn, uint64_t ticket)
{
    bool waits = ticket >= conn->first_ticket && ticket - conn->first_ticket < conn->ring_len;
    return waits ? lark__conn_entry_at(conn, (size_t)(ticket - conn->first_ticket)) : NULL;
}

static inline bool lark__conn_may_be_done(const struct lark_conn *conn, const struct lark_conn_entry *entry)
{
    return conn->out_sent >= entry->edge;
}

static inline uint64_t lark__conn_stream_end(const struct lark_conn *conn)
{
    return conn->out_sent + (conn->out.len - conn->out_at);
}

#endif
