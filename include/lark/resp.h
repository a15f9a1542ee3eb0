/* resp.h - a streaming reader and a writer of the Redis serialization protocol, RESP2 and RESP3. */
#ifndef LARK_RESP_H
#define LARK_RESP_H

#include <lark/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LARK_RESP_DEPTH_MAX 16
#define LARK_RESP_LINE_MAX 65536

enum lark_resp_type {
    LARK_RESP_NULL,   /* $-1, *-1, _ */
    LARK_RESP_BOOL,   /* n is 0 or 1 */
    LARK_RESP_INT,    /* n */
    LARK_RESP_DOUBLE, /* text: the digits as they came */
    LARK_RESP_BIGNUM, /* text */
    LARK_RESP_SIMPLE, /* text: a status line */
    LARK_RESP_ERROR,  /* text */
    LARK_RESP_BULK,   /* text: a piece; n: bytes in all; first, last */
    LARK_RESP_ARRAY,  /* n: elements that follow at depth + 1, until LARK_RESP_END */
    LARK_RESP_MAP,    /* n: elements that follow, names and values counted apiece */
    LARK_RESP_SET,
    LARK_RESP_PUSH,
    LARK_RESP_END
};

/* text: dead when the callback returns. depth: aggregates open around it (an END carries its opener's). */
struct lark_resp_event {
    enum lark_resp_type type;
    bool first;
    bool last;
    unsigned depth;
    int64_t n;
    struct lark_slice text;
};

typedef enum lark_status (*lark_resp_fn)(void *ctx, const struct lark_resp_event *event);

/* The reader of one stream of replies. */
struct lark_resp {
    lark_resp_fn fn;
    void *ctx;
    int64_t bulk_len;   /* of the bulk being read */
    uint64_t bulk_left; /* bytes of it still to come */
    uint64_t elements;  /* of this reply so far */
    uint64_t max_elements;
    uint64_t max_bulk_bytes;
    uint64_t left[LARK_RESP_DEPTH_MAX]; /* elements still to come at each depth */
    uint32_t hidden;                    /* bit per depth: an attribute, which gives no events */
    unsigned depth;
    unsigned line_len;
    uint8_t state;
    uint8_t kind;
    uint8_t skip; /* bytes of a verbatim string's format still to drop */
    bool failed;
    char line[64];        /* a header cut by the end of a feed */
    struct lark_buf text; /* a status or error line cut by the end of a feed */
};

/* lark_resp_init - start a reader.
 * in: mem: for a status line cut by the end of a feed; max_bulk_bytes, max_elements: of one reply, over it
 *     LARK_E_REPLY_TOO_LARGE */
LARK_API void lark_resp_init(struct lark_resp *resp, const struct lark_mem *mem, uint64_t max_bulk_bytes,
                             uint64_t max_elements, lark_resp_fn fn, void *ctx);

/* lark_resp_done - free what it holds, at any moment; only lark_resp_init may follow. */
LARK_API void lark_resp_done(struct lark_resp *resp);

/* lark_resp_feed - turn RESP bytes into events, up to the end of one reply.
 * in:     data: any split of the stream, 0..n bytes, borrowed for the call
 * out:    out_used: bytes taken, 0 <= used <= data.len; set on LARK_OK and LARK_MORE only
 * events: slices point into data or the reader, dead when the callback returns
 * return: LARK_OK (a reply ended; call again for the next) | LARK_MORE | LARK_E_PROTOCOL | LARK_E_REPLY_TOO_LARGE |
 *         LARK_E_NOMEM | what fn returned (fatal: all but the first two; then only lark_resp_done)
 * cost:   O(bytes), no allocation but for a status line that comes in parts
 * source: Redis "RESP protocol" (RESP2, RESP3; no streamed strings and aggregates, which Redis does not send) */
LARK_API LARK_MUST_USE enum lark_status lark_resp_feed(struct lark_resp *resp, struct lark_slice data,
                                                       size_t *out_used);

/* lark_resp_write_array, lark_resp_write_bulk - a command's header and one of its arguments. */
LARK_API LARK_MUST_USE enum lark_status lark_resp_write_array(struct lark_buf *out, size_t n_items);
LARK_API LARK_MUST_USE enum lark_status lark_resp_write_bulk(struct lark_buf *out, struct lark_slice bytes);

#ifdef __cplusplus
}
#endif
#endif
