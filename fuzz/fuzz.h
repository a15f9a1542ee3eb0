/* fuzz.h - what the targets share: the input's pieces, an allocator that watches and fails, JSON checked by jansson. */
#ifndef LARK_FUZZ_H
#define LARK_FUZZ_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lark/lark.h>

#define LARK_BANNED_H /* the core's list of banned functions: with clang stdio.h has them as macros */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A wrong result ends the program, as a crash does. */
#define FUZZ_CHECK(condition)                                                                                          \
    do {                                                                                                               \
        if (!(condition)) fuzz_fail(__FILE__, __LINE__, #condition);                                                   \
    } while (0)
_Noreturn void fuzz_fail(const char *file, int line, const char *what);

/* --- the input ------------------------------------------------------------------------------------------------- */

/* Takes bytes off the front; 0 when there are none left. */
uint8_t fuzz_byte(struct lark_slice *in);
/* Takes what stands before the mark, and the mark; all when there is none. */
struct lark_slice fuzz_until(struct lark_slice *in, uint8_t mark);
struct lark_slice fuzz_text(const char *text);
bool fuzz_same(struct lark_slice a, struct lark_slice b);
bool fuzz_starts(struct lark_slice s, struct lark_slice with);

/* Where a stream is cut: the same from the same two bytes. */
struct fuzz_cuts {
    uint32_t state;
    uint32_t max;
};
struct fuzz_cuts fuzz_cuts(uint8_t size, uint8_t seed);
/* 1..left */
size_t fuzz_cut(struct fuzz_cuts *cuts, size_t left);

/* A copy of its own, so that the address sanitizer sees who reads past it. free() it */
uint8_t *fuzz_copy(struct lark_slice bytes);

/* --- bytes that grow ------------------------------------------------------------------------------------------- */

struct fuzz_log {
    uint8_t *p;
    size_t len;
    size_t cap;
};
void fuzz_add(struct fuzz_log *log, const void *p, size_t n);
void fuzz_add_slice(struct fuzz_log *log, struct lark_slice bytes);
void fuzz_add_text(struct fuzz_log *log, const char *text);
void fuzz_add_u64(struct fuzz_log *log, uint64_t n);
bool fuzz_log_same(const struct fuzz_log *a, const struct fuzz_log *b);
void fuzz_log_done(struct fuzz_log *log);

/* --- memory ---------------------------------------------------------------------------------------------------- */

/* fail_at: the allocation that fails, from 0 on; with all later ones where fail_after. SIZE_MAX: none */
struct fuzz_mem {
    struct lark_mem mem;
    size_t fail_at;
    size_t count;
    size_t held;
    bool fail_after;
    bool failed;
};
void fuzz_mem_init(struct fuzz_mem *mem, size_t fail_at);
/* Everything was given back. */
void fuzz_mem_done(struct fuzz_mem *mem);

/* Runs with one allocation that fails: the one that the input says, or (in the ordinary tests) each in turn; once it alone
 * and once with all that follow. */
typedef void (*fuzz_memory_fn)(void *ctx, struct fuzz_mem *mem);
void fuzz_fail_memory(fuzz_memory_fn run, void *ctx, size_t n_allocations, uint8_t choice);
/* Set by the ordinary tests. */
extern bool fuzz_every_allocation;

/* --- JSON ------------------------------------------------------------------------------------------------------ */

/* Is it JSON? By jansson; what jansson cannot hold (numbers out of range, NUL in a member's name) counts as JSON. */
bool fuzz_is_json(struct lark_slice text);
/* The same by our own reader, which has a depth of its own. */
bool fuzz_is_json_of_ours(struct lark_slice text);

/* --- requests -------------------------------------------------------------------------------------------------- */

void fuzz_config(struct lark_config *config);
struct lark_slice fuzz_prefix(uint8_t choice);

/* Takes one command (an array of bulks) off RESP bytes that we made. return: false at the end; anything else is a bug */
#define FUZZ_ARGS_MAX 8200
bool fuzz_command(struct lark_slice *resp, struct lark_slice *args, size_t *n_args);

#endif
