/* support.h - what the unit tests of the core share: an allocator that counts and fails on demand, bytes in pieces, and
 * one call from request to RESP. */
#ifndef LARK_TEST_SUPPORT_H
#define LARK_TEST_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include <lark/lark.h>

#define LARK_BANNED_H /* the core's list of banned functions: stdio.h, which jansson needs, has them as macros */

#define LIT(text) ((struct lark_slice){(const uint8_t *)(text), sizeof(text) - 1})
#define NO_FAILURE UINT64_MAX
#define ONLY_THIS ((uint64_t)1 << 63)

struct lark_slice slice_of(const char *text);
bool same_slice(struct lark_slice a, struct lark_slice b);
/* Fails the test when they differ, with both in the message. */
void assert_slice(struct lark_slice got, struct lark_slice want, const char *what);

/* An allocator over malloc: gives each block its own exact size (so that sanitizers see every byte), counts what lives by
 * the sizes it is told at free, and fails allocation number fail_at (from 0) and all after it; of fail_at | ONLY_THIS it alone. */
struct test_mem {
    struct lark_mem mem;
    uint64_t n;
    uint64_t fail_at;
    size_t live_bytes;
};
void test_mem_init(struct test_mem *mem, uint64_t fail_at);

/* A heap copy of exactly these bytes: reads beyond them and after free are seen. */
uint8_t *copy_of(struct lark_slice bytes);

/* A small random number generator; the seed is told where a test fails. */
struct test_random {
    uint64_t state;
};
uint64_t random_next(struct test_random *random);
/* 1..left bytes: 0 all at once, 1 one by one, else random cuts, mostly short */
size_t cut_of(struct test_random *random, int way, size_t left);

/* Ways to bring the same bytes: whole, one byte at a time, random cuts. */
#define WAYS 5

/* How a call is made. body_way, encode_way: -1: in memory, at once; else as cut_of */
struct test_way {
    int body_way;
    int encode_way;
    uint64_t fail_at;
};

/* One call with all that must live as long as it. */
struct test_call {
    struct test_mem mem;
    struct lark_config config;
    struct lark_request request;
    struct lark_scopes scopes;
    struct lark_principal principal;
    struct lark_body body;
    struct lark_arena arena;
    struct lark_plan plan;
    struct lark_err err;
    struct lark_buf wire;
    struct test_random random;
    struct test_way way;
    uint8_t *target;
    uint8_t *body_bytes;
    uint8_t *piece;
    size_t body_len;
};

/* From a row of tests/vectors/core: prepares, routes, makes, encodes. What it returns is the first error; err tells.
 * row: verb, target, values, range, body, as {scopes, prefix, unidentified}, limits {name: number}, several, seed */
enum lark_status call_begin(struct test_call *call, const json_t *row, struct test_way way);
void call_done(struct test_call *call);

/* The bytes of a vector's text: a string, or {"b64": "..."}. Freed by the caller. */
uint8_t *bytes_of(const json_t *value, size_t *out_len);

/* RESP of a command from a list of texts, by other code than the core's. Freed by the caller. */
uint8_t *resp_of(const json_t *argv, size_t *out_len);

/* Rows of a JSONL file below tests/vectors. Freed by the caller (json_decref). */
json_t *load_rows(const char *name);

/* The error_message of an envelope. Freed by the caller. */
char *message_of(const struct lark_buf *envelope);

#endif
