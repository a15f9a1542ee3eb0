/* types.h - slices, allocator, buffer with a ceiling, arena: what every other header builds on. */
#ifndef LARK_TYPES_H
#define LARK_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <lark/status.h>

#if defined(__GNUC__) || defined(__clang__)
#define LARK_API __attribute__((visibility("default")))
#define LARK_MUST_USE __attribute__((warn_unused_result))
#else
#define LARK_API
#define LARK_MUST_USE
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Bytes that somebody else owns; any byte may occur, NUL too. p may be NULL only when len is 0. */
struct lark_slice {
    const uint8_t *p;
    size_t len;
};

/* The caller's allocator. ctx is handed back on each call.
 * alloc:  n > 0 bytes, aligned for any type, or NULL
 * resize: p holds old_n bytes and may move; NULL leaves p as it was; p NULL allocates
 * free:   p holds n bytes; never called with NULL
 * lifetime: must outlive everything made with it */
struct lark_mem {
    void *ctx;
    void *(*alloc)(void *ctx, size_t n);
    void *(*resize)(void *ctx, void *p, size_t old_n, size_t n);
    void (*free)(void *ctx, void *p, size_t n);
};

/* lark_mem_default - the C library's malloc as an allocator (liblark only, not in the core archive).
 * return: borrowed for ever */
LARK_API const struct lark_mem *lark_mem_default(void);

/* A growing run of bytes with a ceiling.
 * p: cap bytes, owned through mem; first `len` of them are in use
 * max: bytes the buffer may ever hold; over it lark_buf_* answer LARK_E_TOO_LARGE
 * inlined: p is the caller's first block, which is never freed or resized */
struct lark_buf {
    uint8_t *p;
    size_t len;
    size_t cap;
    size_t max;
    const struct lark_mem *mem;
    bool inlined;
};

/* lark_buf_init - make an empty buffer.
 * in:   mem: for growth; max_bytes: the ceiling; block, block_bytes: first storage of the caller's, or NULL and 0
 * note: block must outlive the buffer */
LARK_API void lark_buf_init(struct lark_buf *buf, const struct lark_mem *mem, size_t max_bytes, void *block,
                            size_t block_bytes);

/* lark_buf_done - give the memory back; the buffer is empty and may be used again. */
LARK_API void lark_buf_done(struct lark_buf *buf);

/* lark_buf_reserve - room for n more bytes behind len.
 * return: LARK_OK | LARK_E_TOO_LARGE (over max) | LARK_E_NOMEM; on failure nothing changed */
LARK_API LARK_MUST_USE enum lark_status lark_buf_reserve(struct lark_buf *buf, size_t n);

/* lark_buf_append - copy bytes to the end. return: as lark_buf_reserve */
LARK_API LARK_MUST_USE enum lark_status lark_buf_append(struct lark_buf *buf, struct lark_slice bytes);

/* Memory of one request: allocations are freed together.
 * lifetime: what it hands out is dead after lark_arena_done */
struct lark_arena {
    const struct lark_mem *mem;
    uint8_t *next;           /* free bytes of the newest block */
    size_t left;             /* how many */
    struct lark_block *head; /* blocks taken from mem, newest first */
    size_t used_bytes;       /* taken from mem so far */
    size_t max_bytes;        /* ceiling for used_bytes */
};

/* lark_arena_init - start an arena. in: as lark_buf_init */
LARK_API void lark_arena_init(struct lark_arena *arena, const struct lark_mem *mem, size_t max_bytes, void *block,
                              size_t block_bytes);

/* lark_arena_done - free all that the arena handed out. */
LARK_API void lark_arena_done(struct lark_arena *arena);

/* lark_arena_alloc - n bytes aligned for any type, or NULL when the allocator or max_bytes says no. */
LARK_API LARK_MUST_USE void *lark_arena_alloc(struct lark_arena *arena, size_t n);

/* What went wrong, for lark_error_render. Never owns memory: slices point into the request, the plan or static text.
 * status:   which error; LARK_OK when there is none
 * text:     static sentence part: what was expected, or NULL
 * name:     the parameter, word or header it is about, or empty
 * got:      what came in its place, or empty (shown cut to 64 bytes)
 * offset:   byte of the body or target where it was seen, for LARK_E_BAD_JSON and LARK_E_BAD_PATH; the limit, for
 *           LARK_E_TOO_LARGE (0: not told); keys deleted, for an emulated FLUSHDB
 * method:   index in the catalogue, or -1
 * verbs:    LARK_VERB_* that would do, for LARK_E_WRONG_VERB */
struct lark_err {
    enum lark_status status;
    const char *text;
    struct lark_slice name;
    struct lark_slice got;
    uint64_t offset;
    int method;
    unsigned verbs;
};

/* One row of data/errors.json. */
struct lark_error_row {
    enum lark_status status;
    const char *code;    /* the stable word in the envelope's error_code */
    const char *message; /* a general sentence */
    int http_status;
    int retry_after_s; /* seconds for Retry-After, 0: no such header */
};

/* lark_error_row - the row of a status. return: borrowed for ever; the `internal` row for what is no error */
LARK_API const struct lark_error_row *lark_error_row(enum lark_status status);

#ifdef __cplusplus
}
#endif
#endif
