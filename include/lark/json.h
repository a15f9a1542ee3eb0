/* json.h - a streaming JSON reader and the pieces of a writer (RFC 8259).
 *
 * Strict: UTF-8 only, no duplicate member names, no lone surrogates, no comments, one value and white space. Numbers
 * keep their text. */
#ifndef LARK_JSON_H
#define LARK_JSON_H

#include <lark/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LARK_JSON_DEPTH_MAX 32
#define LARK_JSON_NAMES_MAX 750000 /* members in one body or stored object: the set takes 12 MiB at most, growing */

enum lark_json_type {
    LARK_JSON_OBJECT,
    LARK_JSON_OBJECT_END,
    LARK_JSON_ARRAY,
    LARK_JSON_ARRAY_END,
    LARK_JSON_NAME,   /* in pieces, see first and last */
    LARK_JSON_STRING, /* in pieces */
    LARK_JSON_NUMBER, /* in pieces: the text as it came */
    LARK_JSON_TRUE,
    LARK_JSON_FALSE,
    LARK_JSON_NULL
};

/* type:   what was read
 * text:   decoded bytes of this piece; dead when the callback returns
 * first, last: this piece opens, closes the name, string or number (both on one that came whole)
 * depth:  containers open around it; a container's own begin and end carry the depth outside it
 * offset: of the first byte of the token in the stream (its quote, bracket or digit)
 * end:    of the byte behind what was read so far; with last, behind the token */
struct lark_json_event {
    enum lark_json_type type;
    struct lark_slice text;
    bool first;
    bool last;
    unsigned depth;
    uint64_t offset;
    uint64_t end;
};

/* return: LARK_OK to go on; anything else stops the reader and is what lark_json_feed returns */
typedef enum lark_status (*lark_json_fn)(void *ctx, const struct lark_json_event *event);

/* The reader. Every field is its own; 0..depth containers open. */
struct lark_json {
    const struct lark_mem *mem;
    lark_json_fn fn;
    void *ctx;
    uint64_t *names; /* set of 64-bit hashes of (object, name), to see duplicates */
    size_t names_cap;
    size_t names_len;
    size_t names_max;
    uint64_t hash;
    uint64_t offset; /* bytes read before this feed */
    uint64_t token;  /* offset of the token being read */
    const char *error;
    uint32_t object_serial;
    uint32_t stack[LARK_JSON_DEPTH_MAX]; /* serial of the object, 0 for an array */
    unsigned depth;
    unsigned max_depth;
    uint8_t state;
    uint8_t literal_at;
    uint8_t utf8_need;
    uint8_t utf8_low;
    uint8_t utf8_high;
    uint8_t escape[12]; /* one that is cut, as far as it has come */
    uint8_t escape_len;
    bool in_name;
    bool started; /* the current token has given a piece */
    bool failed;
    uint64_t names_inline[16];
};

/* lark_json_init - start a reader.
 * in: mem: for the set of names of objects with many members; max_depth: 1..LARK_JSON_DEPTH_MAX;
 *     max_names: members in all, over it LARK_E_TOO_LARGE; fn: called for each event */
LARK_API void lark_json_init(struct lark_json *json, const struct lark_mem *mem, unsigned max_depth, size_t max_names,
                             lark_json_fn fn, void *ctx);

/* lark_json_done - free the set of names. */
LARK_API void lark_json_done(struct lark_json *json);

/* lark_json_feed - read a further part of the text.
 * in:     data: any split of the stream, borrowed for the call
 * events: text points into data or the reader, dead when the callback returns
 * return: LARK_OK | LARK_E_BAD_JSON | LARK_E_TOO_LARGE | LARK_E_NOMEM | what fn returned; after an error only
 *         lark_json_done, lark_json_error and lark_json_offset are allowed
 * cost:   O(bytes)
 * source: RFC 8259; RFC 3629 for UTF-8 */
LARK_API LARK_MUST_USE enum lark_status lark_json_feed(struct lark_json *json, struct lark_slice data);

/* lark_json_finish - say that the stream ended. return: as lark_json_feed; LARK_E_BAD_JSON when a value is unfinished */
LARK_API LARK_MUST_USE enum lark_status lark_json_finish(struct lark_json *json);

/* lark_json_error - what was wrong: static text, or NULL. lark_json_offset - the byte where it was seen. */
LARK_API const char *lark_json_error(const struct lark_json *json);
LARK_API uint64_t lark_json_offset(const struct lark_json *json);

/* lark_json_write_text - a JSON string from UTF-8 text, with its quotes.
 * return: LARK_OK | LARK_E_BAD_TEXT (not UTF-8; nothing written) | LARK_E_TOO_LARGE | LARK_E_NOMEM
 * source: RFC 8259 section 7: escapes only ", \ and U+0000..U+001F */
LARK_API LARK_MUST_USE enum lark_status lark_json_write_text(struct lark_buf *out, struct lark_slice text);

/* lark_json_write_bytes - a JSON value from any bytes: text as a string, else {"$base64": "..."}. */
LARK_API LARK_MUST_USE enum lark_status lark_json_write_bytes(struct lark_buf *out, struct lark_slice bytes);

#ifdef __cplusplus
}
#endif
#endif
