/* plan_shape - what one request costs in the core alone: route, make, encode, and the shaping of its reply.
 * Usage: lark-bench-core CASE N. The cases are below; instructions are counted around it (bench/instructions). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lark/lark.h>

struct bench_case {
    const char *name;
    enum lark_verb verb;
    const char *target;
    const char *body;
    const char *reply; /* with %d: an array of that many of item */
    const char *item;
    int n;
};

static const struct bench_case cases[] = {
    {"get", LARK_VERB_GET, "/api/0/get/key:000000001/", NULL, "$16\r\n0123456789abcdef\r\n", NULL, 0},
    {"set", LARK_VERB_POST, "/api/0/set/key:000000001/", "{\"value\": \"0123456789abcdef\"}", "+OK\r\n", NULL, 0},
    {"get_object", LARK_VERB_GET, "/api/0/get/key:000000001/", NULL,
     "$43\r\n{\"name\": \"ann\", \"tags\": [1, 2], \"ok\": true}\r\n", NULL, 0},
    {"mget_100", LARK_VERB_GET, NULL, NULL, "*100\r\n", "$16\r\n0123456789abcdef\r\n", 100},
    {"lrange_1000", LARK_VERB_GET, "/api/0/lrange/list/0/-1/", NULL, "*1000\r\n", "$16\r\n0123456789abcdef\r\n", 1000},
    {"zrange_1000", LARK_VERB_GET, "/api/0/zrange/z/0/-1/?withscores=1", NULL, "*2000\r\n",
     "$6\r\nmember\r\n$19\r\n0.10000000000000001\r\n", 1000},
    {"error", LARK_VERB_GET, "/api/0/gte/a/", NULL, NULL, NULL, 0},
};

static char *mget_target(void)
{
    static char target[4096] = "/api/0/mget/?";
    size_t at = strlen(target);
    for (int i = 0; i < 100; i++)
        at += (size_t)snprintf(target + at, sizeof target - at, "%skey=key:%06d", i ? "&" : "", i);
    return target;
}

static struct lark_slice slice(const char *text)
{
    return (struct lark_slice){(const uint8_t *)text, text ? strlen(text) : 0};
}

static void run(const struct lark_config *config, const struct lark_principal *who, const struct lark_request *request,
                const struct bench_case *c, struct lark_slice reply_bytes)
{
    uint8_t block[1024], out_block[512], wire_block[4096];
    struct lark_arena arena;
    struct lark_buf out, wire;
    struct lark_plan plan;
    struct lark_reply reply;
    struct lark_err err;
    struct lark_body body = {.len = c->body ? strlen(c->body) : 0, .p = (const uint8_t *)c->body};
    size_t used;
    lark_arena_init(&arena, lark_mem_default(), 1 << 20, block, sizeof block);
    lark_buf_init(&out, lark_mem_default(), 1 << 24, out_block, sizeof out_block);
    lark_buf_init(&wire, lark_mem_default(), 1 << 24, wire_block, sizeof wire_block);
    if (lark_plan_route(config, request, who, &plan, &err) != LARK_OK) {
        if (lark_error_render(config, &err, &out) != LARK_OK) abort();
    } else {
        if (lark_plan_make(&plan, &arena, &body, &err) != LARK_OK) abort();
        if (lark_plan_encode(&plan, &wire) != LARK_OK) abort();
        lark_reply_init(&reply, &plan, lark_mem_default(), &out);
        if (lark_reply_feed(&reply, reply_bytes, &used) != LARK_OK) abort();
        lark_reply_done(&reply);
    }
    lark_buf_done(&wire);
    lark_buf_done(&out);
    lark_arena_done(&arena);
}

int main(int argc, char **argv)
{
    if (argc != 3) return 2;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct bench_case *c = &cases[i];
        if (strcmp(argv[1], c->name) != 0) continue;
        struct lark_scopes scopes = {.admin = false};
        struct lark_config config = {.catalogue = lark_catalogue_default(),
                                     .dialect = lark_dialect_native(),
                                     .zone = lark_zone_utc(),
                                     .mount = slice("/api/0")};
        lark_limits_default(&config.limits);
        if (lark_scopes_add(config.catalogue, slice("admin"), &scopes) != LARK_OK) return 1;
        struct lark_principal who = {.scopes = &scopes};
        struct lark_request request = {.verb = c->verb, .target = slice(c->target ? c->target : mget_target())};
        size_t head = c->reply ? strlen(c->reply) : 0;
        size_t item = c->item ? strlen(c->item) : 0;
        char *bytes = malloc(head + item * (size_t)c->n + 1);
        if (bytes == NULL) return 1;
        if (head > 0) memcpy(bytes, c->reply, head);
        for (int k = 0; k < c->n; k++) memcpy(bytes + head + (size_t)k * item, c->item, item);
        struct lark_slice reply = {(const uint8_t *)bytes, head + item * (size_t)c->n};
        for (long n = strtol(argv[2], NULL, 10); n > 0; n--) run(&config, &who, &request, c, reply);
        free(bytes);
        return 0;
    }
    fprintf(stderr, "no such case: %s\n", argv[1]);
    return 2;
}
