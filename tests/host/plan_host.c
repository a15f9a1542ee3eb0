/* plan_host.c - the core with a plain Redis behind it: lark-plan-host SOCKET-PATH [PIECE-BYTES]
 *
 * With PIECE-BYTES the body, the commands and the replies pass in pieces of that size.
 *
 * For tests only: here, and nowhere in the product, a request's own words say who calls. A line of JSON comes in on
 * stdin, one goes out on stdout:
 *     {"verb", "target", "values", "range", "body_base64": text or null, "scopes": [...], "prefix"} -> {"status", "body_base64"}
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <jansson.h>

#include <lark/lark.h>

#include "test_base64.h"

#define MEM_MAX_BYTES ((size_t)1 << 30)

struct host {
    const char *path; /* of Redis' socket */
    int fd;
    size_t piece; /* bytes that pass at once; SIZE_MAX: all */
};

static void die(const char *what)
{
    fprintf(stderr, "lark-plan-host: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void must(enum lark_status status, const char *what)
{
    if (status == LARK_OK) return;
    fprintf(stderr, "lark-plan-host: %s: %s\n", what, lark_error_row(status)->message);
    exit(1);
}

static struct lark_slice literal(const char *text)
{
    return (struct lark_slice){(const uint8_t *)text, strlen(text)};
}

static struct lark_slice text_of(const json_t *value)
{
    return (struct lark_slice){(const uint8_t *)json_string_value(value), json_string_length(value)};
}

static struct lark_slice member(const json_t *object, const char *name)
{
    return text_of(json_object_get(object, name));
}

static int redis_connect(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(address.sun_path)) die("socket path too long");
    memcpy(address.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof(address)) != 0) die(path);
    return fd;
}

static void send_all(int fd, struct lark_slice bytes)
{
    while (bytes.len > 0) {
        ssize_t n = write(fd, bytes.p, bytes.len);
        if (n <= 0) die("write to Redis");
        bytes.p += n;
        bytes.len -= (size_t)n;
    }
}

static size_t at_most(size_t n, size_t max)
{
    return n < max ? n : max;
}

static void send_buf(int fd, struct lark_buf *buf)
{
    send_all(fd, (struct lark_slice){buf->p, buf->len});
    buf->len = 0;
}

static enum lark_status send_plan(const struct host *host, const struct lark_plan *plan, struct lark_buf *resp)
{
    struct lark_encoder encoder;
    lark_encoder_init(&encoder, plan, lark_mem_default());
    size_t want = host->piece == SIZE_MAX ? 0 : host->piece;
    enum lark_status status = LARK_MORE;
    while (status == LARK_MORE) {
        status = lark_encoder_next(&encoder, want, resp);
        send_buf(host->fd, resp);
    }
    lark_encoder_done(&encoder);
    return status;
}

/* LARK_OK when the answer is complete. Fatal errors leave the connection in the middle of a reply. */
static enum lark_status read_reply(const struct host *host, struct lark_reply *reply, struct lark_buf *resp)
{
    uint8_t block[16384];
    for (;;) {
        ssize_t n = read(host->fd, block, at_most(sizeof(block), host->piece));
        if (n <= 0) die("read from Redis");
        struct lark_slice data = {block, (size_t)n};
        while (data.len > 0) {
            size_t used = 0;
            enum lark_status status = lark_reply_feed(reply, data, &used);
            if (status != LARK_MORE && status != LARK_NEXT) return status;
            data.p += used;
            data.len -= used;
            if (status == LARK_NEXT) {
                must(lark_reply_next(reply, resp), "next step");
                send_buf(host->fd, resp);
            }
        }
    }
}

/* A request that was routed. A call whose reply cannot be taken gets a new connection for the next one. */
static enum lark_status ask_redis(struct host *host, const struct lark_plan *plan, struct lark_buf *out,
                                  struct lark_err *err, int *out_http)
{
    struct lark_reply reply;
    struct lark_buf resp;
    lark_buf_init(&resp, lark_mem_default(), MEM_MAX_BYTES, NULL, 0);
    lark_reply_init(&reply, plan, lark_mem_default(), out);
    enum lark_status status = send_plan(host, plan, &resp);
    if (status == LARK_OK) status = read_reply(host, &reply, &resp);
    if (status == LARK_OK) {
        *out_http = reply.http_status;
    } else {
        out->len = 0;
        lark_reply_fail(&reply, status, err);
    }
    lark_reply_done(&reply);
    lark_buf_done(&resp);
    if (status != LARK_OK || plan->lane == LARK_LANE_PRIVATE) {
        close(host->fd);
        host->fd = redis_connect(host->path);
    }
    return status;
}

static enum lark_status answer(struct host *host, struct lark_plan *plan, struct lark_arena *arena,
                               const struct lark_body *body, struct lark_buf *out, struct lark_err *err, int *out_http)
{
    enum lark_status status = lark_plan_make(plan, arena, body, err);
    if (status != LARK_OK) return status;
    if (plan->n_commands == 0) {
        *out_http = 200;
        return lark_options_render(plan, out);
    }
    return ask_redis(host, plan, out, err, out_http);
}

struct pieces {
    struct lark_slice bytes;
    size_t piece;
};

static enum lark_status read_piece(void *ctx, uint64_t offset, size_t max, struct lark_slice *out_piece)
{
    const struct pieces *pieces = ctx;
    if (offset >= pieces->bytes.len) return LARK_E_INTERNAL;
    size_t left = pieces->bytes.len - (size_t)offset;
    *out_piece = (struct lark_slice){pieces->bytes.p + offset, at_most(at_most(left, max), pieces->piece)};
    return LARK_OK;
}

static struct lark_principal principal_of(const json_t *question, struct lark_scopes *scopes)
{
    size_t i = 0;
    json_t *word = NULL;
    json_array_foreach(json_object_get(question, "scopes"), i, word)
    {
        /* As a host does with a credential's words: what is not known gives nothing. */
        enum lark_status status = lark_scopes_add(lark_catalogue_default(), text_of(word), scopes);
        if (status != LARK_OK && status != LARK_E_UNKNOWN_SCOPE) must(status, "scopes");
    }
    return (struct lark_principal){.scopes = scopes, .prefix = member(question, "prefix")};
}

static void tell(int http, const struct lark_buf *out)
{
    char *text = base64_encode(out->p, out->len);
    if (text == NULL) die("memory");
    printf("{\"status\": %d, \"body_base64\": \"%s\"}\n", http, text);
    fflush(stdout);
    free(text);
}

static void serve(struct host *host, const json_t *question)
{
    struct lark_config config = {
        .catalogue = lark_catalogue_default(),
        .dialect = lark_dialect_native(),
        .zone = lark_zone_libc(),
        .mount = literal("/api/0"),
        .several = true,
    };
    lark_limits_default(&config.limits);
    struct lark_scopes scopes = {.admin = false};
    struct lark_principal principal = principal_of(question, &scopes);
    struct lark_request request = {
        .verb = lark_verb_parse(member(question, "verb")),
        .target = member(question, "target"),
        .values = member(question, "values"),
        .range = member(question, "range"),
        .seed = 1,
    };
    size_t body_len = 0;
    struct lark_slice body_text = member(question, "body_base64");
    uint8_t *bytes = base64_decode((const char *)body_text.p, body_text.len, &body_len);
    struct pieces pieces = {{bytes, body_len}, host->piece};
    struct lark_body body = {.len = body_len, .p = bytes};
    if (host->piece != SIZE_MAX) body = (struct lark_body){.len = body_len, .ctx = &pieces, .read = read_piece};

    struct lark_arena arena;
    struct lark_buf out;
    struct lark_plan plan;
    struct lark_err err = {.status = LARK_OK};
    int http = 0;
    lark_arena_init(&arena, lark_mem_default(), MEM_MAX_BYTES, NULL, 0);
    lark_buf_init(&out, lark_mem_default(), MEM_MAX_BYTES, NULL, 0);
    enum lark_status status = lark_plan_route(&config, &request, &principal, &plan, &err);
    if (status == LARK_OK) status = answer(host, &plan, &arena, &body, &out, &err, &http);
    if (status != LARK_OK) {
        out.len = 0;
        http = lark_error_row(status)->http_status;
        must(lark_error_render(&config, &err, &out), "render");
    }
    tell(http, &out);
    lark_buf_done(&out);
    lark_arena_done(&arena);
    free(bytes);
}

int main(int argc, char **argv)
{
    if (argc != 2 && argc != 3) {
        fputs("usage: lark-plan-host SOCKET-PATH [PIECE-BYTES]\n", stderr);
        return 2;
    }
    struct host host = {.path = argv[1], .fd = redis_connect(argv[1]), .piece = SIZE_MAX};
    if (argc == 3) host.piece = strtoul(argv[2], NULL, 10);
    char *line = NULL;
    size_t cap = 0;
    ssize_t len = 0;
    while ((len = getline(&line, &cap, stdin)) > 0) {
        json_error_t error;
        json_t *question = json_loadb(line, (size_t)len, 0, &error);
        if (question == NULL) {
            fprintf(stderr, "lark-plan-host: %s\n", error.text);
            return 1;
        }
        serve(&host, question);
        json_decref(question);
    }
    free(line);
    close(host.fd);
    return 0;
}
