#include "fuzz.h"

#include <malloc.h>

#include <jansson.h>

bool fuzz_every_allocation;

_Noreturn void fuzz_fail(const char *file, int line, const char *what)
{
    fprintf(stderr, "%s:%d: wrong: %s\n", file, line, what);
    abort();
}

uint8_t fuzz_byte(struct lark_slice *in)
{
    if (in->len == 0) return 0;
    in->len--;
    return *in->p++;
}

struct lark_slice fuzz_until(struct lark_slice *in, uint8_t mark)
{
    const uint8_t *at = in->len > 0 ? memchr(in->p, mark, in->len) : NULL;
    struct lark_slice part = {in->p, at ? (size_t)(at - in->p) : in->len};
    size_t skip = part.len + (at ? 1 : 0);
    if (skip > 0) *in = (struct lark_slice){in->p + skip, in->len - skip};
    return part;
}

struct lark_slice fuzz_text(const char *text)
{
    return (struct lark_slice){(const uint8_t *)text, strlen(text)};
}

bool fuzz_same(struct lark_slice a, struct lark_slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0);
}

bool fuzz_starts(struct lark_slice s, struct lark_slice with)
{
    return s.len >= with.len && (with.len == 0 || memcmp(s.p, with.p, with.len) == 0);
}

struct fuzz_cuts fuzz_cuts(uint8_t size, uint8_t seed)
{
    return (struct fuzz_cuts){.state = (uint32_t)seed * 2654435761u + 1, .max = (uint32_t)1 << (size & 7)};
}

size_t fuzz_cut(struct fuzz_cuts *cuts, size_t left)
{
    cuts->state ^= cuts->state << 13;
    cuts->state ^= cuts->state >> 17;
    cuts->state ^= cuts->state << 5;
    size_t n = 1 + cuts->state % cuts->max;
    return n < left ? n : left;
}

uint8_t *fuzz_copy(struct lark_slice bytes)
{
    uint8_t *copy = malloc(bytes.len);
    if (copy == NULL && bytes.len > 0) abort();
    if (bytes.len > 0) memcpy(copy, bytes.p, bytes.len);
    return copy;
}

void fuzz_add(struct fuzz_log *log, const void *p, size_t n)
{
    if (n > log->cap - log->len) {
        log->cap = 2 * log->cap + n + 256;
        log->p = realloc(log->p, log->cap);
        if (log->p == NULL) abort();
    }
    if (n > 0) memcpy(log->p + log->len, p, n);
    log->len += n;
}

void fuzz_add_slice(struct fuzz_log *log, struct lark_slice bytes)
{
    fuzz_add(log, bytes.p, bytes.len);
}

void fuzz_add_text(struct fuzz_log *log, const char *text)
{
    fuzz_add(log, text, strlen(text));
}

void fuzz_add_u64(struct fuzz_log *log, uint64_t n)
{
    fuzz_add(log, &n, sizeof n);
}

bool fuzz_log_same(const struct fuzz_log *a, const struct fuzz_log *b)
{
    return a->len == b->len && (a->len == 0 || memcmp(a->p, b->p, a->len) == 0);
}

void fuzz_log_done(struct fuzz_log *log)
{
    free(log->p);
    *log = (struct fuzz_log){.len = 0};
}

/* --- memory ---------------------------------------------------------------------------------------------------- */

static bool fails(struct fuzz_mem *mem)
{
    size_t at = mem->count++;
    bool failing = at == mem->fail_at || (mem->fail_after && at > mem->fail_at);
    mem->failed = mem->failed || failing;
    return failing;
}

/* The size a caller tells is the size it asked for; only the address sanitizer's malloc knows that. */
static void check_size(void *p, size_t n)
{
    FUZZ_CHECK(malloc_usable_size(p) >= n);
#if defined(__SANITIZE_ADDRESS__)
    FUZZ_CHECK(malloc_usable_size(p) == n);
#endif
}

static void *mem_alloc(void *ctx, size_t n)
{
    struct fuzz_mem *mem = ctx;
    FUZZ_CHECK(n > 0);
    if (fails(mem)) return NULL;
    mem->held++;
    return malloc(n);
}

static void *mem_resize(void *ctx, void *p, size_t old_n, size_t n)
{
    struct fuzz_mem *mem = ctx;
    if (p == NULL) return mem_alloc(ctx, n);
    FUZZ_CHECK(n > 0);
    check_size(p, old_n);
    return fails(mem) ? NULL : realloc(p, n);
}

static void mem_free(void *ctx, void *p, size_t n)
{
    struct fuzz_mem *mem = ctx;
    FUZZ_CHECK(p != NULL && mem->held > 0);
    check_size(p, n);
    mem->held--;
    free(p);
}

void fuzz_mem_init(struct fuzz_mem *mem, size_t fail_at)
{
    *mem = (struct fuzz_mem){.mem = {mem, mem_alloc, mem_resize, mem_free}, .fail_at = fail_at};
}

void fuzz_mem_done(struct fuzz_mem *mem)
{
    FUZZ_CHECK(mem->held == 0);
}

static void fail_one(fuzz_memory_fn run, void *ctx, size_t at, bool after)
{
    struct fuzz_mem mem;
    fuzz_mem_init(&mem, at);
    mem.fail_after = after;
    run(ctx, &mem);
    fuzz_mem_done(&mem);
}

void fuzz_fail_memory(fuzz_memory_fn run, void *ctx, size_t n_allocations, uint8_t choice)
{
    if (n_allocations == 0) return;
    if (!fuzz_every_allocation) {
        if (choice < 128) fail_one(run, ctx, (choice >> 1) % n_allocations, choice & 1);
        return;
    }
    for (size_t i = 0; i < n_allocations; i++) {
        fail_one(run, ctx, i, false);
        fail_one(run, ctx, i, true);
    }
}

/* --- JSON ------------------------------------------------------------------------------------------------------ */

bool fuzz_is_json(struct lark_slice text)
{
    json_error_t error;
    size_t flags = JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL;
    json_t *value = json_loadb(text.len > 0 ? (const char *)text.p : "", text.len, flags, &error);
    if (value != NULL) {
        json_decref(value);
        return true;
    }
    bool can_be = json_error_code(&error) == json_error_numeric_overflow ||
                  json_error_code(&error) == json_error_null_byte_in_key;
    if (!can_be) fprintf(stderr, "%s: %.*s\n", error.text, (int)text.len, (const char *)text.p);
    return can_be;
}

static enum lark_status take_any(void *ctx, const struct lark_json_event *event)
{
    (void)ctx;
    (void)event;
    return LARK_OK;
}

bool fuzz_is_json_of_ours(struct lark_slice text)
{
    struct lark_json json;
    lark_json_init(&json, lark_mem_default(), LARK_JSON_DEPTH_MAX, 1000000, take_any, NULL);
    enum lark_status status = lark_json_feed(&json, text);
    if (status == LARK_OK) status = lark_json_finish(&json);
    lark_json_done(&json);
    return status == LARK_OK;
}

/* --- requests -------------------------------------------------------------------------------------------------- */

void fuzz_config(struct lark_config *config)
{
    *config = (struct lark_config){
        .catalogue = lark_catalogue_default(),
        .dialect = lark_dialect_native(),
        .zone = lark_zone_utc(),
        .several = true,
    };
    lark_limits_default(&config->limits);
}

struct lark_slice fuzz_prefix(uint8_t choice)
{
    static const char *const prefixes[] = {"", "u1", "u1", "a.b-c_D"};
    return fuzz_text(prefixes[choice & 3]);
}

static size_t number(struct lark_slice *resp, uint8_t type)
{
    size_t n = 0;
    FUZZ_CHECK(resp->len > 3 && fuzz_byte(resp) == type);
    FUZZ_CHECK(resp->p[0] != '\r');
    while (resp->len > 0 && resp->p[0] != '\r') {
        uint8_t c = fuzz_byte(resp);
        FUZZ_CHECK(c >= '0' && c <= '9' && n < 100000000);
        n = n * 10 + (size_t)(c - '0');
    }
    FUZZ_CHECK(fuzz_byte(resp) == '\r' && fuzz_byte(resp) == '\n');
    return n;
}

bool fuzz_command(struct lark_slice *resp, struct lark_slice *args, size_t *n_args)
{
    if (resp->len == 0) return false;
    *n_args = number(resp, '*');
    FUZZ_CHECK(*n_args > 0 && *n_args <= FUZZ_ARGS_MAX);
    for (size_t i = 0; i < *n_args; i++) {
        size_t n = number(resp, '$');
        FUZZ_CHECK(resp->len >= 2 && n <= resp->len - 2);
        args[i] = (struct lark_slice){resp->p, n};
        *resp = (struct lark_slice){resp->p + n, resp->len - n};
        FUZZ_CHECK(fuzz_byte(resp) == '\r' && fuzz_byte(resp) == '\n');
    }
    return true;
}
