/* spool.h - large values on their way out, without ever being in memory whole.
 *
 * Whether a value is an object, text or bytes is known at its end only, and its first byte of JSON depends on it. So the
 * core hands the raw bytes of a large value to the host (struct lark_spool), tells at the end what it was, and goes on
 * with the JSON behind it. The host encodes the value while it sends it (struct lark_value_writer). */
#ifndef LARK_SPOOL_H
#define LARK_SPOOL_H

#include <lark/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What must be held in memory all the same: names, keys and texts of Redis; over it LARK_E_REPLY_TOO_LARGE. */
#define LARK_SPOOL_HELD_BYTES 67108864
/* lark_value_writer: bytes of JSON from n bytes of a value: at most n * LARK_VALUE_GROWTH + LARK_VALUE_EXTRA. */
#define LARK_VALUE_GROWTH 6
#define LARK_VALUE_EXTRA 16

/* How the bytes of a value stand in the answer. */
enum lark_value_form {
    LARK_FORM_JSON,  /* as they are: an object */
    LARK_FORM_TEXT,  /* "..." */
    LARK_FORM_BYTES, /* {"$base64": "..."} */
    LARK_FORM_BASE64 /* "...", in base64 */
};

/* The host's keeping place. Each function returns LARK_OK, or an error that ends the reply.
 * over_bytes: a value that is longer, and comes in pieces, goes here
 * begin:  a value stands behind what is in the reply's `out` now; what comes into `out` from here on stands behind it
 * append: the next bytes of it
 * settle: it is complete, and this is its form */
struct lark_spool {
    void *ctx;
    uint64_t over_bytes;
    enum lark_status (*begin)(void *ctx);
    enum lark_status (*append)(void *ctx, struct lark_slice bytes);
    enum lark_status (*settle)(void *ctx, enum lark_value_form form);
};

/* Writes one value as JSON from pieces of it. All fields are its own. */
struct lark_value_writer {
    enum lark_value_form form;
    uint8_t held[3]; /* bytes that do not fill a group of base64 yet */
    uint8_t n_held;
    bool begun;
};

/* lark_value_writer_init - start a value. */
LARK_API void lark_value_writer_init(struct lark_value_writer *writer, enum lark_value_form form);

/* lark_value_writer_put - append the JSON of further bytes to out. The pieces may be cut anywhere, inside characters too.
 * in: bytes: for LARK_FORM_TEXT UTF-8 in all. return: as lark_buf_append; then the writer is of no use any more */
LARK_API LARK_MUST_USE enum lark_status lark_value_writer_put(struct lark_value_writer *writer, struct lark_slice bytes,
                                                              struct lark_buf *out);

/* lark_value_writer_end - append what closes the value. return: as lark_buf_append */
LARK_API LARK_MUST_USE enum lark_status lark_value_writer_end(struct lark_value_writer *writer, struct lark_buf *out);

#ifdef __cplusplus
}
#endif
#endif
