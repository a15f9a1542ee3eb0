#include "probe.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include <lark/resp.h>

#include "clock.h"
#include "stream.h"
#include "text.h"

#define REPLY_MAX 4096
#define TLS_ALERT 0x15          /* the first byte of one (RFC 8446 section 5.1); no reply of Redis begins so */
#define COMMAND_MAX (16U << 10) /* a user and a password, percent-decoded from one URL */

/* One reply: a status or an error line. */
struct reply {
    enum lark_resp_type type;
    char text[200];
};

static enum lark_status take_reply(void *ctx, const struct lark_resp_event *event)
{
    struct reply *reply = ctx;
    size_t n = event->text.len < sizeof(reply->text) - 1 ? event->text.len : sizeof(reply->text) - 1;
    reply->type = event->type;
    for (size_t i = 0; i < n; i++) {
        const char c = (char)event->text.p[i];
        reply->text[i] = '?';
        if (c >= 0x20 && c < 0x7f) reply->text[i] = c;
    }
    reply->text[n] = '\0';
    return LARK_OK;
}

/* return: 0 | an errno; EPROTO: what answers is no Redis, EPROTOTYPE: it wants TLS */
static int read_reply(struct lark_stream *stream, int64_t deadline_ms, struct reply *reply)
{
    uint8_t bytes[512];
    struct lark_resp resp;
    lark_resp_init(&resp, lark_mem_default(), REPLY_MAX, 1, take_reply, reply);
    enum lark_status status = LARK_MORE;
    int error = 0;
    while (error == 0 && status == LARK_MORE) {
        size_t n = 0;
        size_t used = 0;
        error = lark__stream_read(stream, bytes, sizeof(bytes), deadline_ms, &n);
        if (error == 0) status = lark_resp_feed(&resp, (struct lark_slice){bytes, n}, &used);
        if (error == 0 && status != LARK_OK && status != LARK_MORE)
            error = bytes[0] == TLS_ALERT && stream->tls == NULL ? EPROTOTYPE : EPROTO;
    }
    lark_resp_done(&resp);
    return error;
}

/* One command, one reply. return: as read_reply */
static int call(struct lark_stream *stream, int64_t deadline_ms, const struct lark_slice *args, size_t n_args,
                struct reply *reply)
{
    struct lark_buf out;
    lark_buf_init(&out, lark_mem_default(), COMMAND_MAX, NULL, 0);
    enum lark_status status = lark_resp_write_array(&out, n_args);
    for (size_t i = 0; i < n_args && status == LARK_OK; i++) status = lark_resp_write_bulk(&out, args[i]);
    int error = status == LARK_OK ? 0 : ENOMEM;
    if (error == 0) error = lark__stream_write(stream, (struct lark_slice){out.p, out.len}, deadline_ms);
    lark_buf_done(&out);
    /* who closes may have said why */
    const bool ask = error == 0 || error == EPIPE || error == ECONNRESET;
    const int said = ask ? read_reply(stream, deadline_ms, reply) : error;
    return error == 0 ? said : error;
}

static bool begins(const char *text, const char *word)
{
    return strncmp(text, word, strlen(word)) == 0;
}

static const char *explain(struct lark_arena *arena, int error)
{
    if (error == EPROTO) return "what answers there is not Redis";
    if (error == EPROTOTYPE) return "what answers there speaks TLS: write rediss://";
    if (error == ETIMEDOUT) return "it does not answer in time";
    if (error == ECONNRESET) return "the connection was closed";
    return lark__cli_format(arena, "%s", strerror(error));
}

/* Why the first commands had no answer. */
static const char *explain_greeting(struct lark_arena *arena, struct lark_stream *stream, int error)
{
    const char *why = lark__stream_why(stream);
    if (why != NULL) return lark__cli_format(arena, "%s", why); /* it may live in the stream */
    if (stream->tls == NULL && !stream->is_local && (error == ECONNRESET || error == EPIPE))
        return "the connection was closed without an answer; does it want TLS (rediss://)?";
    if (stream->tls != NULL && (error == ECONNRESET || error == EPIPE))
        return "the connection was closed behind the TLS handshake; perhaps for the client certificate";
    return explain(arena, error);
}

/* AUTH and SELECT as far as they are needed. return: as read_reply; out_why: set when Redis refuses */
static int log_in(struct lark_arena *arena, struct lark_stream *stream, int64_t deadline_ms,
                  const struct lark_redis_place *place, const char **out_why)
{
    struct reply reply = {0};
    const struct lark_redis_url *redis = &place->url;
    int error = 0;
    if (place->password.len > 0) {
        const struct lark_slice auth[] = {lark__cli_slice("AUTH"), redis->user, place->password};
        const struct lark_slice plain[] = {lark__cli_slice("AUTH"), place->password};
        const bool named = redis->user.len > 0;
        error = call(stream, deadline_ms, named ? auth : plain, named ? 3 : 2, &reply);
        if (error == 0 && reply.type == LARK_RESP_ERROR)
            *out_why = lark__cli_format(arena, "it refuses the password: %s", reply.text);
    }
    if (error == 0 && *out_why == NULL && redis->db > 0) {
        const char *db = lark__cli_format(arena, "%u", (unsigned)redis->db);
        const struct lark_slice select[] = {lark__cli_slice("SELECT"), lark__cli_slice(db)};
        error = call(stream, deadline_ms, select, 2, &reply);
        if (error == 0 && reply.type == LARK_RESP_ERROR && !begins(reply.text, "NOAUTH"))
            *out_why = lark__cli_format(arena, "it refuses database %s: %s", db, reply.text);
    }
    return error;
}

/* Log in and PING. A user who may not PING has been let in all the same. */
static enum lark_probe greet(struct lark_arena *arena, struct lark_stream *stream, int64_t deadline_ms,
                             const struct lark_redis_place *place, const char **out_why)
{
    struct reply reply = {0};
    const char *why = NULL;
    const struct lark_slice ping[] = {lark__cli_slice("PING")};
    int error = log_in(arena, stream, deadline_ms, place, &why);
    if (error == 0 && why == NULL) error = call(stream, deadline_ms, ping, 1, &reply);
    if (error != 0)
        why = explain_greeting(arena, stream, error);
    else if (why == NULL && reply.type == LARK_RESP_ERROR && !begins(reply.text, "NOPERM"))
        why = begins(reply.text, "NOAUTH") ? "it wants a password; give it with --redis-password-file"
                                           : lark__cli_format(arena, "it answers %s", reply.text);
    else if (why == NULL && reply.type != LARK_RESP_SIMPLE && reply.type != LARK_RESP_ERROR)
        why = explain(arena, EPROTO);
    if (why == NULL) return LARK_PROBE_OK;
    *out_why = why;
    return begins(reply.text, "LOADING") ? LARK_PROBE_LOADING : LARK_PROBE_FAILED;
}

static int connect_unix(const struct lark_redis_url *redis, int64_t deadline_ms, struct lark_stream *out_stream)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (redis->path.len >= sizeof(address.sun_path)) return ENAMETOOLONG;
    memcpy(address.sun_path, redis->path.p, redis->path.len);
    return lark__stream_connect((const struct sockaddr *)&address, sizeof(address), deadline_ms, out_stream);
}

/* Every address of the name in turn. out_why: set when the name is not known */
static int connect_tcp(struct lark_arena *arena, const struct lark_redis_url *redis, int64_t deadline_ms,
                       struct lark_stream *out_stream, const char **out_why)
{
    char port[8];
    struct addrinfo *found = NULL;
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    const char *host = lark__cli_copy(arena, redis->host);
    (void)snprintf(port, sizeof(port), "%u", (unsigned)redis->port);
    const int answer = getaddrinfo(host, port, &hints, &found);
    if (answer != 0) {
        *out_why = lark__cli_format(arena, "%s", gai_strerror(answer));
        return EHOSTUNREACH;
    }
    int error = EHOSTUNREACH;
    for (const struct addrinfo *at = found; at != NULL && error != 0; at = at->ai_next)
        error = lark__stream_connect(at->ai_addr, at->ai_addrlen, deadline_ms, out_stream);
    freeaddrinfo(found);
    return error;
}

static int secure(struct lark_arena *arena, const struct lark_redis_place *place, int64_t deadline_ms,
                  struct lark_stream *stream, const char **out_why)
{
    char text[LARK_TLS_SETUP_TEXT_MAX];
    const char *why = NULL;
    const int error = lark__stream_secure(stream, &place->tls, deadline_ms, text, &why);
    if (error == ETIMEDOUT) why = LARK_TLS_LATE;
    if (why != NULL) *out_why = lark__cli_format(arena, "%s", why);
    return error;
}

enum lark_probe lark__probe_open(struct lark_arena *arena, const struct lark_redis_place *place, int timeout_ms,
                                 struct lark_stream *out_stream, const char **out_why)
{
    const int64_t deadline_ms = lark__clock_ms() + timeout_ms;
    const struct lark_redis_url *redis = &place->url;
    struct lark_stream stream = {.fd = -1};
    const char *why = NULL;
    enum lark_probe outcome = LARK_PROBE_FAILED;
    int error = redis->is_unix ? connect_unix(redis, deadline_ms, &stream)
                               : connect_tcp(arena, redis, deadline_ms, &stream, &why);
    if (error == 0 && redis->is_tls) error = secure(arena, place, deadline_ms, &stream, &why);
    if (error == 0)
        outcome = greet(arena, &stream, deadline_ms, place, out_why);
    else
        *out_why = why != NULL ? why : explain(arena, error);
    if (outcome == LARK_PROBE_OK)
        *out_stream = stream;
    else
        lark__stream_close(&stream);
    return outcome;
}

enum lark_probe lark__probe_redis(struct lark_arena *arena, const struct lark_redis_place *place, int timeout_ms,
                                  const char **out_why)
{
    struct lark_stream stream = {.fd = -1};
    const enum lark_probe outcome = lark__probe_open(arena, place, timeout_ms, &stream, out_why);
    if (outcome == LARK_PROBE_OK) lark__stream_close(&stream);
    return outcome;
}

/* An address of this machine that reaches what listens on `address`. */
static socklen_t nearest(const struct lark_address *address, struct sockaddr_storage *out)
{
    *out = address->socket;
    if (!address->any) return address->socket_len;
    if (address->socket.ss_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, out, sizeof(in));
        in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        memcpy(out, &in, sizeof(in));
    } else {
        struct sockaddr_in6 in;
        memcpy(&in, out, sizeof(in));
        in.sin6_addr = in6addr_loopback;
        memcpy(out, &in, sizeof(in));
    }
    return address->socket_len;
}

int lark__probe_http(const struct lark_address *address, int timeout_ms)
{
    static const char request[] = "GET /healthz HTTP/1.0\r\nHost: localhost\r\n\r\n";
    const int64_t deadline_ms = lark__clock_ms() + timeout_ms;
    struct sockaddr_storage to;
    uint8_t line[13]; /* "HTTP/1.1 200 " */
    size_t len = 0;
    struct lark_stream stream;
    const socklen_t to_len = nearest(address, &to);
    if (lark__stream_connect((const struct sockaddr *)&to, to_len, deadline_ms, &stream) != 0) return 0;
    int error = lark__stream_write(&stream, lark__cli_slice(request), deadline_ms);
    while (error == 0 && len < sizeof(line)) {
        size_t n = 0;
        error = lark__stream_read(&stream, line + len, sizeof(line) - len, deadline_ms, &n);
        len += error == 0 ? n : 0;
    }
    lark__stream_close(&stream);
    if (error != 0 || memcmp(line, "HTTP/1.", 7) != 0 || line[9] < '1' || line[9] > '9') return 0;
    return (line[9] - '0') * 100 + (line[10] - '0') * 10 + (line[11] - '0');
}
