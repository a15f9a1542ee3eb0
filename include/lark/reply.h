/* reply.h - Redis' reply to a plan becomes the body of the HTTP response, while it comes in. */
#ifndef LARK_REPLY_H
#define LARK_REPLY_H

#include <lark/plan.h>
#include <lark/resp.h>
#include <lark/spool.h>
#include <lark/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What the answer's body is. */
enum lark_content { LARK_CONTENT_JSON, LARK_CONTENT_BYTES /* application/octet-stream */ };

#define LARK_LENGTH_UNKNOWN UINT64_MAX

/* One reply being shaped. The host gives it bytes (lark_reply_feed) or events (lark_reply_event), and takes the JSON
 * from `out` as often as it likes by setting out->len to 0.
 *
 * All from http_status to accepts_ranges is settled before the first byte is in out.
 * error:       NULL for a good reply
 * content_len: bytes of the body, also of one that a HEAD leaves out; LARK_LENGTH_UNKNOWN: seen when it is complete
 * range_*:     http_status 206: Content-Range is "bytes first-last/total"; 416: it has range_total alone
 * accepts_ranges: for Accept-Ranges: bytes
 * spool: where large values of JSON go; NULL after lark_reply_init: they are gathered in memory. The host's to set */
struct lark_reply {
    int http_status;
    const struct lark_error_row *error;
    enum lark_content content;
    uint64_t content_len;
    uint64_t range_first, range_last, range_total;
    bool accepts_ranges;
    const struct lark_spool *spool;
    /* private to the core */
    const struct lark_plan *plan;
    const struct lark_mem *mem;
    struct lark_buf *out;
    struct lark__classifier *classifier; /* of the value that goes to the spool now */
    enum lark_status after_value;        /* what the reply comes to behind it */
    bool spooling;
    struct lark_resp resp;
    struct lark_buf text;  /* a value or a text that came in pieces */
    struct lark_buf names; /* an emulated call: what it has found so far, joined */
    uint64_t *seen;        /* an emulated call: hashes of the names found */
    size_t seen_cap, seen_len;
    uint64_t total;     /* bytes of this reply so far */
    uint64_t looked_at; /* keys an emulated call has looked at */
    uint64_t found;     /* keys it has found, or deleted */
    uint64_t random;
    uint64_t leaf;    /* leaves of the reply so far */
    int64_t expected; /* elements of the outer aggregate */
    size_t commands_left;
    char cursor[24];
    uint8_t cursor_len;
    uint8_t step;
    enum lark_status outcome; /* of the newest event */
    bool resp_ready;
    bool begun;
    bool in_value;
    bool wrapped;
    bool done;
};

/* lark_reply_init - start to shape the reply to a plan.
 * in: mem: for what must be held back; out: the JSON is appended here
 * lifetime: plan, mem and out must outlive the reply */
LARK_API void lark_reply_init(struct lark_reply *reply, const struct lark_plan *plan, const struct lark_mem *mem,
                              struct lark_buf *out);

/* lark_reply_done - free what was held back, at any moment; what is in out stays. */
LARK_API void lark_reply_done(struct lark_reply *reply);

/* lark_reply_event - take one event of a RESP reader (or of a host that has parsed replies).
 * return: LARK_MORE (the answer is not complete) | LARK_OK (it is) | LARK_NEXT (call lark_reply_next and send what it
 *         gives: one more reply will come) | LARK_E_PROTOCOL (a reply this method cannot have) |
 *         LARK_E_REPLY_TOO_LARGE | LARK_E_TOO_EXPENSIVE | LARK_E_NOMEM (fatal: the rest of the reply is to be skipped)
 * cost:   O(bytes), no allocation for elements that come whole */
LARK_API LARK_MUST_USE enum lark_status lark_reply_event(struct lark_reply *reply, const struct lark_resp_event *event);

/* lark_reply_text_type - what a text was on the wire, for a host whose Redis client gives parsed replies in which a status
 * line and a string look the same.
 * in:     depth: of the event that the host is about to make; 0 for a text that is the whole reply
 * return: LARK_RESP_SIMPLE where only a status line can be the answer, else LARK_RESP_BULK */
LARK_API enum lark_resp_type lark_reply_text_type(const struct lark_reply *reply, unsigned depth);

/* lark_reply_feed - the same from RESP bytes in any split.
 * out: out_used: bytes taken, set on LARK_OK, LARK_MORE and LARK_NEXT. return: as lark_reply_event and lark_resp_feed */
LARK_API LARK_MUST_USE enum lark_status lark_reply_feed(struct lark_reply *reply, struct lark_slice data,
                                                        size_t *out_used);

/* lark_reply_next - after LARK_NEXT: the RESP of the next step. return: as lark_buf_append */
LARK_API LARK_MUST_USE enum lark_status lark_reply_next(struct lark_reply *reply, struct lark_buf *out_resp);

/* lark_reply_fail - the detail of an error that lark_reply_event returned, or of one of the host's (a deadline, a lost
 * connection), ready for lark_error_render; says how many keys an emulated FLUSHDB has deleted by then. */
LARK_API void lark_reply_fail(const struct lark_reply *reply, enum lark_status status, struct lark_err *out_err);

#ifdef __cplusplus
}
#endif
#endif
