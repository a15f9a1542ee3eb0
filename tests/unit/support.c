#include "support.h"

#include <stdio.h>
#include <stdlib.h>

struct lark_slice slice_of(const char *text)
{
    return (struct lark_slice){(const uint8_t *)text, text ? strlen(text) : 0};
}

bool same_slice(struct lark_slice a, struct lark_slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0);
}

void assert_slice(struct lark_slice got, struct lark_slice want, const char *what)
{
    if (same_slice(got, want)) return;
    fail_msg("%s: got %zu bytes \"%.*s\", want %zu bytes \"%.*s\"", what, got.len, (int)(got.len < 800 ? got.len : 800),
             got.p ? (const char *)got.p : "", want.len, (int)(want.len < 800 ? want.len : 800),
             want.p ? (const char *)want.p : "");
}

/* --- memory ---------------------------------------------------------------------------------------------------- */

static void *mem_alloc(void *ctx, size_t n)
{
    struct test_mem *mem = ctx;
    assert_true(n > 0);
    bool only = (mem->fail_at & ONLY_THIS) != 0;
    uint64_t at = mem->n++;
    if (only ? at == (mem->fail_at & ~ONLY_THIS) : at >= mem->fail_at) return NULL;
    if (n == 0) return NULL;
    mem->live_bytes += n;
    return malloc(n);
}

static void mem_free(void *ctx, void *p, size_t n)
{
    struct test_mem *mem = ctx;
    assert_non_null(p);
    assert_true(mem->live_bytes >= n);
    mem->live_bytes -= n;
    free(p);
}

static void *mem_resize(void *ctx, void *p, size_t old_n, size_t n)
{
    if (p == NULL) return mem_alloc(ctx, n);
    void *moved = mem_alloc(ctx, n); /* always elsewhere: old pointers are dead */
    if (moved == NULL) return NULL;
    memcpy(moved, p, old_n < n ? old_n : n);
    mem_free(ctx, p, old_n);
    return moved;
}

void test_mem_init(struct test_mem *mem, uint64_t fail_at)
{
    *mem = (struct test_mem){.mem = {mem, mem_alloc, mem_resize, mem_free}, .fail_at = fail_at};
}

uint8_t *copy_of(struct lark_slice bytes)
{
    uint8_t *p = malloc(bytes.len > 0 ? bytes.len : 1);
    assert_non_null(p);
    if (bytes.len > 0) memcpy(p, bytes.p, bytes.len);
    return p;
}

/* --- pieces ---------------------------------------------------------------------------------------------------- */

uint64_t random_next(struct test_random *random)
{
    uint64_t x = random->state += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

size_t cut_of(struct test_random *random, int way, size_t left)
{
    if (way <= 0) return left;
    if (way == 1) return 1;
    uint64_t r = random_next(random);
    size_t n = (size_t)(r >> 8) % (r % 4 == 0 ? 40 : 7) + 1;
    return n < left ? n : left;
}

/* A body that is not in memory: each piece dies at the next call. */
static enum lark_status read_piece(void *ctx, uint64_t offset, size_t max, struct lark_slice *out_piece)
{
    struct test_call *call = ctx;
    assert_true(max > 0 && offset < call->body_len);
    size_t left = call->body_len - (size_t)offset;
    size_t n = cut_of(&call->random, call->way.body_way, left < max ? left : max);
    free(call->piece);
    call->piece = copy_of((struct lark_slice){call->body_bytes + offset, n});
    *out_piece = (struct lark_slice){call->piece, n};
    return LARK_OK;
}

/* --- vectors --------------------------------------------------------------------------------------------------- */

static int base64_value(char c)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c == '\0' ? NULL : strchr(alphabet, c);
    return at ? (int)(at - alphabet) : -1;
}

static uint8_t *from_base64(const char *text, size_t *out_len)
{
    uint8_t *out = malloc(strlen(text) + 1);
    uint32_t bits = 0;
    unsigned n_bits = 0;
    size_t len = 0;
    assert_non_null(out);
    for (; *text != '\0' && *text != '='; text++) {
        bits = bits << 6 | (uint32_t)base64_value(*text);
        n_bits += 6;
        if (n_bits < 8) continue;
        n_bits -= 8;
        out[len++] = (uint8_t)(bits >> n_bits);
    }
    *out_len = len;
    return out;
}

uint8_t *bytes_of(const json_t *value, size_t *out_len)
{
    const json_t *b64 = json_object_get(value, "b64");
    if (b64) return from_base64(json_string_value(b64), out_len);
    *out_len = json_string_length(value);
    return copy_of((struct lark_slice){(const uint8_t *)json_string_value(value), *out_len});
}

uint8_t *resp_of(const json_t *argv, size_t *out_len)
{
    size_t i, len = 0;
    const json_t *item;
    size_t cap = 32;
    json_array_foreach(argv, i, item)
    {
        size_t n;
        free(bytes_of(item, &n));
        cap += n + 32;
    }
    char *out = malloc(cap);
    assert_non_null(out);
    len += (size_t)snprintf(out, cap, "*%zu\r\n", json_array_size(argv));
    json_array_foreach(argv, i, item)
    {
        size_t n;
        uint8_t *bytes = bytes_of(item, &n);
        len += (size_t)snprintf(out + len, cap - len, "$%zu\r\n", n);
        memcpy(out + len, bytes, n);
        memcpy(out + len + n, "\r\n", 2);
        len += n + 2;
        free(bytes);
    }
    *out_len = len;
    return (uint8_t *)out;
}

json_t *load_rows(const char *name)
{
    char path[1024], *line = NULL;
    size_t cap = 0;
    snprintf(path, sizeof path, "%s/%s", LARK_TEST_VECTORS, name);
    FILE *file = fopen(path, "r");
    if (file == NULL) fail_msg("%s cannot be read", path);
    json_t *rows = json_array();
    for (ssize_t n; (n = getline(&line, &cap, file)) > 0;) {
        json_error_t error;
        json_t *row = json_loadb(line, (size_t)n, JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, &error);
        if (row == NULL) fail_msg("%s: row %zu: %s", path, json_array_size(rows) + 1, error.text);
        json_array_append_new(rows, row);
    }
    free(line);
    fclose(file);
    return rows;
}

char *message_of(const struct lark_buf *envelope)
{
    json_error_t error;
    json_t *whole = json_loadb((const char *)envelope->p, envelope->len, JSON_ALLOW_NUL, &error);
    if (whole == NULL) {
        fail_msg("no JSON: %s: %.*s", error.text, (int)envelope->len, (const char *)envelope->p);
        return NULL;
    }
    const json_t *text = json_object_get(json_object_get(whole, "meta"), "error_message");
    char *copy = text ? strdup(json_string_value(text)) : NULL;
    json_decref(whole);
    return copy;
}

/* --- one call -------------------------------------------------------------------------------------------------- */

static void set_limits(struct lark_limits *limits, const json_t *row)
{
    const struct {
        const char *name;
        uint64_t *wide;
        uint32_t *narrow;
    } fields[] = {
        {"body_bytes", &limits->body_bytes, NULL},
        {"value_bytes", &limits->value_bytes, NULL},
        {"reply_bytes", &limits->reply_bytes, NULL},
        {"reply_elements", &limits->reply_elements, NULL},
        {"args", NULL, &limits->args},
        {"scan_keys", NULL, &limits->scan_keys},
        {"block_max_s", NULL, &limits->block_max_s},
    };
    lark_limits_default(limits);
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        const json_t *value = json_object_get(row, fields[i].name);
        if (value == NULL) continue;
        if (fields[i].wide) *fields[i].wide = (uint64_t)json_integer_value(value);
        if (fields[i].narrow) *fields[i].narrow = (uint32_t)json_integer_value(value);
    }
}

static void set_caller(struct test_call *call, const json_t *as)
{
    size_t i;
    const json_t *word, *words = json_object_get(as, "scopes");
    const char *prefix = json_string_value(json_object_get(as, "prefix"));
    json_array_foreach(words, i, word)
    {
        (void)!lark_scopes_add(call->config.catalogue, slice_of(json_string_value(word)), &call->scopes);
    }
    if (words == NULL) assert_int_equal(lark_scopes_add(call->config.catalogue, LIT("admin"), &call->scopes), LARK_OK);
    call->principal.scopes = &call->scopes;
    call->principal.prefix = slice_of(prefix);
    call->principal.unidentified = json_is_true(json_object_get(as, "unidentified"));
}

static enum lark_status encode(struct test_call *call)
{
    if (call->way.encode_way < 0) return lark_plan_encode(&call->plan, &call->wire);
    struct lark_encoder encoder;
    enum lark_status status = LARK_MORE;
    lark_encoder_init(&encoder, &call->plan, &call->mem.mem);
    while (status == LARK_MORE) {
        status = lark_encoder_next(&encoder, cut_of(&call->random, call->way.encode_way, SIZE_MAX), &call->wire);
    }
    lark_encoder_done(&encoder);
    if (status == LARK_OK) assert_int_equal(call->wire.len, lark_plan_wire_bytes(&call->plan));
    return status;
}

enum lark_status call_begin(struct test_call *call, const json_t *row, struct test_way way)
{
    const json_t *body = json_object_get(row, "body");
    const char *mount = json_string_value(json_object_get(row, "mount"));
    size_t target_len;
    memset(call, 0, sizeof *call);
    call->way = way;
    call->random.state = (uint64_t)way.body_way * 1000 + (uint64_t)way.encode_way;
    test_mem_init(&call->mem, way.fail_at);
    call->config.catalogue = lark_catalogue_default();
    call->config.dialect = lark_dialect_native();
    call->config.zone = lark_zone_utc();
    call->config.several = !json_is_false(json_object_get(row, "several"));
    call->config.mount = slice_of(mount ? mount : "/api/0");
    set_limits(&call->config.limits, json_object_get(row, "limits"));
    set_caller(call, json_object_get(row, "as"));
    call->target = bytes_of(json_object_get(row, "target"), &target_len);
    call->request.verb = lark_verb_parse(slice_of(json_string_value(json_object_get(row, "verb"))));
    call->request.target = (struct lark_slice){call->target, target_len};
    call->request.values = slice_of(json_string_value(json_object_get(row, "values")));
    call->request.range = slice_of(json_string_value(json_object_get(row, "range")));
    call->request.seed = (uint64_t)json_integer_value(json_object_get(row, "seed"));
    call->body_bytes = body ? bytes_of(body, &call->body_len) : NULL;
    call->body = (struct lark_body){.len = call->body_len, .p = call->body_bytes};
    if (way.body_way >= 0) {
        call->body = (struct lark_body){.len = call->body_len, .ctx = call, .read = read_piece};
    }
    lark_arena_init(&call->arena, &call->mem.mem, (size_t)1 << 30, NULL, 0);
    lark_buf_init(&call->wire, &call->mem.mem, (size_t)1 << 30, NULL, 0);
    enum lark_status status = lark_plan_route(&call->config, &call->request, &call->principal, &call->plan, &call->err);
    if (status == LARK_OK) status = lark_plan_make(&call->plan, &call->arena, &call->body, &call->err);
    if (status == LARK_OK && call->plan.n_commands > 0) status = encode(call);
    return status;
}

void call_done(struct test_call *call)
{
    lark_buf_done(&call->wire);
    lark_arena_done(&call->arena);
    assert_int_equal(call->mem.live_bytes, 0);
    free(call->target);
    free(call->body_bytes);
    free(call->piece);
    call->target = NULL;
    call->body_bytes = NULL;
    call->piece = NULL;
}
