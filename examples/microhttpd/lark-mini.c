/* lark-mini.c - a whole HTTP door to Redis: lark-mini PORT REDIS-SOCKET SCOPE...
 * libmicrohttpd gives each HTTP connection a thread, and each call has a connection to Redis of its own: what blocks or
 * keeps state disturbs nobody, so plan.lane needs no look. docs/C-LIBRARY.md explains the calls to liblark. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <hiredis/hiredis.h>
#include <lark/lark.h>
#include <microhttpd.h>

#define DEADLINE_S 5
#define MAX_BYTES ((size_t)1 << 30) /* of memory, for each part of a call */

/* Set before the first request. Everybody may do the same here; a real host looks at the request's credentials. */
static struct lark_config config;
static struct lark_scopes scopes;
static const struct lark_principal everybody = {.scopes = &scopes};
static const char *redis_path;
static char own_host[32];

struct call {
    struct lark_request request;
    struct lark_plan plan;
    struct lark_arena arena;
    struct lark_buf body, resp, out;
    struct lark_err err;
    enum lark_status status;
    int http_status;
    char target[];
};

static struct lark_slice text(const char *p)
{
    return (struct lark_slice){(const uint8_t *)p, p == NULL ? 0 : strlen(p)};
}

/* Send RESP and shape what comes back; LARK_NEXT: a further command is wanted. A write without a reply may be done. */
static enum lark_status exchange(struct call *call, redisContext *redis, struct lark_reply *reply)
{
    const bool reads = call->plan.access == LARK_ACCESS_READ;
    uint8_t block[16384];
    enum lark_status status = LARK_MORE;
    redisAppendFormattedCommand(redis, (const char *)call->resp.p, call->resp.len);
    for (int sent = 0; !sent && redisBufferWrite(redis, &sent) == REDIS_OK;) continue;
    for (call->resp.len = 0; status == LARK_MORE;) {
        const ssize_t n = read(redis->fd, block, sizeof(block));
        if (n < 0 && errno == EAGAIN) return reads ? LARK_E_DEADLINE : LARK_E_DEADLINE_UNKNOWN;
        if (n <= 0) return reads ? LARK_E_LOST : LARK_E_LOST_UNKNOWN;
        for (size_t at = 0, used = 0; status == LARK_MORE && at < (size_t)n; at += used)
            status = lark_reply_feed(reply, (struct lark_slice){block + at, (size_t)n - at}, &used);
    }
    return status;
}

static enum lark_status ask_redis(struct call *call)
{
    const struct timeval deadline = {DEADLINE_S + call->plan.block_ms / 1000, 0};
    redisContext *redis = redisConnectUnix(redis_path);
    const bool up = redis != NULL && redis->err == 0 && redisSetTimeout(redis, deadline) == REDIS_OK;
    enum lark_status status = up ? lark_plan_encode(&call->plan, &call->resp) : LARK_E_AWAY;
    struct lark_reply reply;
    lark_reply_init(&reply, &call->plan, lark_mem_default(), &call->out);
    while (status == LARK_OK && (status = exchange(call, redis, &reply)) == LARK_NEXT)
        status = lark_reply_next(&reply, &call->resp);
    call->http_status = reply.http_status;
    if (status != LARK_OK) lark_reply_fail(&reply, status, &call->err);
    lark_reply_done(&reply);
    if (redis != NULL) redisFree(redis);
    return status;
}

static enum MHD_Result answer(struct call *call, struct MHD_Connection *http)
{
    const struct lark_body body = {.len = call->body.len, .p = call->body.p};
    char allow[64] = "";
    if (call->status == LARK_OK) call->status = lark_plan_make(&call->plan, &call->arena, &body, &call->err);
    if (call->status == LARK_OK)
        call->status = call->plan.n_commands > 0 ? ask_redis(call) : lark_options_render(&call->plan, &call->out);
    if (call->status != LARK_OK) {
        call->err.status = call->status;
        call->http_status = lark_error_row(call->status)->http_status;
        call->out.len = 0;
        if (lark_error_render(&config, &call->err, &call->out) != LARK_OK) return MHD_NO;
    }
    struct MHD_Response *response = MHD_create_response_from_buffer(call->out.len, call->out.p, MHD_RESPMEM_MUST_COPY);
    MHD_add_response_header(response, "Content-Type", "application/json");
    MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    /* What OPTIONS asked for, or which verb would do. */
    call->resp.len = 0;
    if (call->plan.n_commands == 0 && call->plan.verbs != 0 &&
        lark_verbs_list(call->plan.verbs, &call->resp) == LARK_OK && call->resp.len < sizeof(allow))
        MHD_add_response_header(response, "Allow", memcpy(allow, call->resp.p, call->resp.len));
    const enum MHD_Result result = MHD_queue_response(http, (unsigned)call->http_status, response);
    MHD_destroy_response(response);
    return result;
}

/* Called with the target as it came: libmicrohttpd takes it apart and decodes it after this. */
static void *on_target(void *unused, const char *target, struct MHD_Connection *http)
{
    struct call *call = calloc(1, sizeof(*call) + strlen(target) + 1);
    if (call == NULL) return NULL;
    call->request.target = text(strcpy(call->target, target));
    lark_arena_init(&call->arena, lark_mem_default(), MAX_BYTES, NULL, 0);
    lark_buf_init(&call->body, lark_mem_default(), config.limits.body_bytes, NULL, 0);
    lark_buf_init(&call->resp, lark_mem_default(), MAX_BYTES, NULL, 0);
    lark_buf_init(&call->out, lark_mem_default(), MAX_BYTES, NULL, 0);
    return call;
}

/* Called with the headers, then with each piece of the body, then once more. */
static enum MHD_Result on_request(void *unused, struct MHD_Connection *http, const char *url, const char *verb,
                                  const char *version, const char *data, size_t *len, void **call_p)
{
    struct call *call = *call_p;
    if (call == NULL) return MHD_NO;
    if (call->http_status != 0 && *len == 0) return answer(call, http);
    if (call->http_status == 0) {
        const char *host = MHD_lookup_connection_value(http, MHD_HEADER_KIND, "Host");
        call->http_status = MHD_HTTP_OK;
        call->request.verb = lark_verb_parse(text(verb));
        call->request.values = text(MHD_lookup_connection_value(http, MHD_HEADER_KIND, "Lark-Values"));
        call->status = lark_plan_route(&config, &call->request, &everybody, &call->plan, &call->err);
        /* No page of another site may call through a visitor's browser, under its own name or one that leads here. */
        if (host == NULL || strcmp(host, own_host) != 0) call->status = LARK_E_FOREIGN_HOST;
        if (MHD_lookup_connection_value(http, MHD_HEADER_KIND, "Origin")) call->status = LARK_E_FOREIGN_ORIGIN;
    } else if (call->status == LARK_OK) {
        call->status = lark_buf_append(&call->body, (struct lark_slice){(const uint8_t *)data, *len});
    }
    *len = 0;
    return MHD_YES;
}

static void on_end(void *unused, struct MHD_Connection *http, void **call_p, enum MHD_RequestTerminationCode why)
{
    struct call *call = *call_p;
    if (call == NULL) return;
    lark_arena_done(&call->arena);
    lark_buf_done(&call->body);
    lark_buf_done(&call->resp);
    lark_buf_done(&call->out);
    free(call);
}

int main(int argc, char **argv)
{
    const int port = argc > 2 ? atoi(argv[1]) : 0;
    struct sockaddr_in here = {AF_INET, htons((uint16_t)port), {htonl(INADDR_LOOPBACK)}, {0}};
    if (port == 0) return fputs("usage: lark-mini PORT REDIS-SOCKET SCOPE...\n", stderr), 2;
    snprintf(own_host, sizeof(own_host), "127.0.0.1:%d", port);
    redis_path = argv[2];
    config = (struct lark_config){lark_catalogue_default(), lark_dialect_native(), lark_zone_libc(),
                                  .mount = text("/api/0")};
    lark_limits_default(&config.limits);
    for (int i = 3; i < argc; i++)
        if (lark_scopes_add(config.catalogue, text(argv[i]), &scopes) != LARK_OK) return puts("unknown scope"), 2;
    signal(SIGPIPE, SIG_IGN);
    if (!MHD_start_daemon(MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD, 0, NULL, NULL, on_request,
                          NULL, MHD_OPTION_SOCK_ADDR, &here, MHD_OPTION_URI_LOG_CALLBACK, on_target, NULL,
                          MHD_OPTION_NOTIFY_COMPLETED, on_end, NULL, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
                          (size_t)1 << 17, MHD_OPTION_END))
        return perror("lark-mini"), 1;
    for (;;) pause();
}
