/* One connection to Redis: whose reply is whose, whatever happens. */
#include "conn.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define NONE 99
#define SLOTS 8

/* A caller: its plan, and what it was told. */
struct caller {
    struct lark_request request;
    struct lark_plan plan;
    struct lark_arena arena;
    struct lark_reply reply;
    struct lark_buf out;
    struct lark_call call;
    uint64_t ticket;
    int told;
    int n_told;
};

static struct lark_scopes scopes;
static struct lark_config config;
static struct lark_principal principal = {&scopes, {NULL, 0}, false};
static struct lark_conn conn;
static struct caller callers[SLOTS];

static struct lark_slice text(const char *s)
{
    return (struct lark_slice){(const uint8_t *)s, strlen(s)};
}

static void on_reply(void *ctx, enum lark_status status)
{
    struct caller *caller = ctx;
    caller->told = status;
    caller->n_told++;
}

static void caller_make(struct caller *caller, enum lark_verb verb, const char *target)
{
    memset(caller, 0, sizeof *caller);
    caller->told = NONE;
    caller->request.verb = verb;
    caller->request.target = text(target);
    lark_arena_init(&caller->arena, lark_mem_default(), 65536, NULL, 0);
    lark_buf_init(&caller->out, lark_mem_default(), 65536, NULL, 0);
    assert_int_equal(lark_plan_route(&config, &caller->request, &principal, &caller->plan, NULL), LARK_OK);
    assert_int_equal(lark_plan_make(&caller->plan, &caller->arena, NULL, NULL), LARK_OK);
    lark_reply_init(&caller->reply, &caller->plan, lark_mem_default(), &caller->out);
    caller->call = (struct lark_call){&caller->reply, on_reply, caller, 1000, caller->plan.access, NULL, 0};
}

static void caller_done(struct caller *caller)
{
    lark_reply_done(&caller->reply);
    lark_arena_done(&caller->arena);
    lark_buf_done(&caller->out);
}

static void ask(struct caller *caller, enum lark_verb verb, const char *target)
{
    caller_make(caller, verb, target);
    assert_int_equal(lark_conn_call(&conn, &caller->call, &caller->plan, &caller->ticket), LARK_OK);
}

static void write_all(void)
{
    lark_conn_wrote(&conn, lark_conn_output(&conn).len);
}

static void get(struct caller *caller, const char *target)
{
    ask(caller, LARK_VERB_GET, target);
}

static void answered(const struct caller *caller, const char *data)
{
    char wanted[512];
    int len =
        snprintf(wanted, sizeof wanted, "{\"meta\": {\"status\": \"ok\", \"status_code\": 200}, \"data\": %s}", data);
    assert_int_equal(caller->told, LARK_OK);
    assert_int_equal(caller->n_told, 1);
    assert_int_equal(caller->out.len, len);
    assert_memory_equal(caller->out.p, wanted, (size_t)len);
}

static void written(const char *wanted)
{
    struct lark_slice out = lark_conn_output(&conn);
    assert_int_equal(out.len, strlen(wanted));
    if (out.len > 0) {
        assert_memory_equal(out.p, wanted, out.len);
    }
    lark_conn_wrote(&conn, out.len);
}

static enum lark_status feed(const char *bytes)
{
    return lark_conn_feed(&conn, text(bytes));
}

static void open_as(const char *user, const char *password, uint32_t db, const char *name)
{
    struct lark_conn_login login = {text(user), text(password), text(name), db, false};
    assert_int_equal(lark_conn_open(&conn, &login), LARK_OK);
}

static int setup(void **state)
{
    (void)state;
    memset(&config, 0, sizeof config);
    config.catalogue = lark_catalogue_default();
    config.dialect = lark_dialect_native();
    config.zone = lark_zone_utc();
    lark_limits_default(&config.limits);
    assert_int_equal(lark_scopes_add(config.catalogue, text("admin"), &scopes), LARK_OK);
    lark_conn_init(&conn, lark_mem_default(), SLOTS, 4096);
    memset(callers, 0, sizeof callers);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    lark_conn_done(&conn);
    for (size_t i = 0; i < SLOTS; i++) {
        if (callers[i].told != 0 || callers[i].n_told != 0) {
            caller_done(&callers[i]);
        }
    }
    return 0;
}

static void reason_is(const char *wanted)
{
    struct lark_slice reason = lark_conn_reason(&conn);
    assert_int_equal(reason.len, strlen(wanted));
    assert_memory_equal(reason.p, wanted, reason.len);
}

/* ---- the handshake ---- */

#define GREETING                                                                                                       \
    "*3\r\n$4\r\nAUTH\r\n$3\r\njoe\r\n$2\r\npw\r\n*2\r\n$6\r\nSELECT\r\n$2\r\n12\r\n"                                  \
    "*3\r\n$6\r\nCLIENT\r\n$7\r\nSETNAME\r\n$4\r\nlark\r\n"
#define GET_A "*2\r\n$3\r\nGET\r\n$1\r\na\r\n"
#define GET_B "*2\r\n$3\r\nGET\r\n$1\r\nb\r\n"

static void test_greeting(void **state)
{
    (void)state;
    open_as("joe", "pw", 12, "lark");
    get(&callers[0], "/GET/a/");
    written(GREETING); /* the call is held back: it must not run as somebody else, or in database 0 */
    written("");
    assert_int_equal(feed("+OK\r\n+OK\r\n"), LARK_OK);
    assert_int_equal(conn.state, LARK_CONN_GREETING);
    written("");
    assert_int_equal(feed("+OK\r\n"), LARK_OK);
    assert_int_equal(conn.state, LARK_CONN_READY);
    written(GET_A);
    assert_int_equal(feed("$1\r\nx\r\n"), LARK_OK);
    answered(&callers[0], "\"x\"");
    lark_conn_lose(&conn);
    open_as("", "", 0, "lark"); /* a name is a nicety */
    lark_conn_wrote(&conn, lark_conn_output(&conn).len);
    assert_int_equal(feed("-NOPERM this user has no permissions to run the 'client|setname' command\r\n"), LARK_OK);
    assert_int_equal(conn.state, LARK_CONN_READY);
}

static void test_no_greeting(void **state)
{
    (void)state;
    open_as("", "", 0, "");
    assert_int_equal(conn.state, LARK_CONN_READY);
    written("");
    lark_conn_lose(&conn);
    open_as("", "pw", 0, "");
    written("*2\r\n$4\r\nAUTH\r\n$2\r\npw\r\n");
}

static void test_greeting_refused(void **state)
{
    (void)state;
    static const char *const replies[] = {"-WRONGPASS invalid\r\n", "+OK\r\n-ERR DB index is out of range\r\n",
                                          "+OK\r\n-NOPERM no\r\n", "-NOAUTH no\r\n", "+OK\r\n+OK\r\n-NOAUTH no\r\n"};
    static const char *const reasons[] = {
        "Redis refused AUTH: WRONGPASS invalid", "Redis refused SELECT: ERR DB index is out of range",
        "Redis refused SELECT: NOPERM no", "Redis refused AUTH: NOAUTH no", "Redis refused CLIENT SETNAME: NOAUTH no"};
    for (size_t i = 0; i < sizeof replies / sizeof *replies; i++) {
        open_as("joe", "pw", 12, "lark");
        ask(&callers[i], LARK_VERB_DELETE, "/DEL/a/");
        lark_conn_wrote(&conn, lark_conn_output(&conn).len);
        assert_int_equal(feed(replies[i]), LARK_E_AWAY);
        assert_int_equal(conn.state, LARK_CONN_FAILED);
        reason_is(reasons[i]);
        assert_int_equal(lark_conn_output(&conn).len, 0);
        assert_int_equal(callers[i].n_told, 0);
        lark_conn_lose(&conn);
        assert_int_equal(callers[i].told, LARK_E_AWAY);
    }
}

/* ---- order ---- */

static const char three_replies[] = "$1\r\nx\r\n$-1\r\n*2\r\n$1\r\n1\r\n$2\r\n22\r\n";

static void three_calls(void)
{
    open_as("", "", 0, "");
    get(&callers[0], "/GET/a/");
    get(&callers[1], "/GET/b/");
    get(&callers[2], "/LRANGE/l/0/-1/");
    lark_conn_wrote(&conn, lark_conn_output(&conn).len);
}

static void three_answers(void)
{
    answered(&callers[0], "\"x\"");
    answered(&callers[1], "null");
    answered(&callers[2], "[\"1\", \"22\"]");
    assert_int_equal(lark_conn_awaited(&conn), 0);
    for (size_t i = 0; i < 3; i++) {
        caller_done(&callers[i]);
        memset(&callers[i], 0, sizeof callers[i]);
    }
    lark_conn_lose(&conn);
}

static void test_order(void **state)
{
    (void)state;
    three_calls();
    assert_int_equal(feed(three_replies), LARK_OK);
    three_answers();
    three_calls();
    for (size_t i = 0; three_replies[i] != '\0'; i++) {
        assert_int_equal(lark_conn_feed(&conn, (struct lark_slice){(const uint8_t *)three_replies + i, 1}), LARK_OK);
    }
    three_answers();
    for (size_t cut = 0; cut < sizeof three_replies; cut++) {
        three_calls();
        assert_int_equal(lark_conn_feed(&conn, (struct lark_slice){(const uint8_t *)three_replies, cut}), LARK_OK);
        assert_int_equal(feed(three_replies + cut), LARK_OK);
        three_answers();
    }
}

static void test_one_write(void **state)
{
    (void)state;
    open_as("", "", 0, "");
    get(&callers[0], "/GET/a/");
    get(&callers[1], "/GET/b/");
    written(GET_A GET_B);
    written("");
}

/* A caller leaves at each byte of its reply: the next one gets its own. */
static void test_cancel(void **state)
{
    (void)state;
    for (size_t who = 0; who < 3; who++) {
        for (size_t cut = 0; cut < sizeof three_replies; cut++) {
            three_calls();
            assert_int_equal(lark_conn_feed(&conn, (struct lark_slice){(const uint8_t *)three_replies, cut}), LARK_OK);
            int before = callers[who].n_told;
            lark_conn_cancel(&conn, callers[who].ticket);
            if (before == 0) {
                caller_done(&callers[who]); /* nothing of it may be touched again */
                memset(&callers[who], 0, sizeof callers[who]);
            }
            assert_int_equal(feed(three_replies + cut), LARK_OK);
            assert_int_equal(callers[who].n_told, before);
            for (size_t i = 0; i < 3; i++) {
                assert_true(i == who || callers[i].told == LARK_OK);
                if (callers[i].n_told > 0) {
                    caller_done(&callers[i]);
                    memset(&callers[i], 0, sizeof callers[i]);
                }
            }
            assert_int_equal(lark_conn_awaited(&conn), 0);
            lark_conn_lose(&conn);
        }
    }
}

/* A reply over its caller's limit is skipped; the connection lives on. */
static void test_too_large(void **state)
{
    (void)state;
    open_as("", "", 0, "");
    config.limits.reply_bytes = 4;
    get(&callers[0], "/GET/a/");
    get(&callers[1], "/GET/b/");
    lark_conn_wrote(&conn, lark_conn_output(&conn).len);
    assert_int_equal(feed("$6\r\nabc"), LARK_OK);
    assert_int_equal(feed("def\r\n$1\r\nx\r\n"), LARK_OK);
    assert_int_equal(callers[0].told, LARK_E_REPLY_TOO_LARGE);
    assert_int_equal(callers[0].n_told, 1);
    answered(&callers[1], "\"x\"");
}

/* ---- a stream that breaks ---- */

static void test_unasked(void **state)
{
    (void)state;
    open_as("", "", 0, "");
    assert_int_equal(feed("+OK\r\n"), LARK_E_PROTOCOL);
    reason_is("Redis sent bytes nobody asked for");
    lark_conn_lose(&conn);
    open_as("", "", 0, "");
    get(&callers[0], "/GET/a/");
    lark_conn_wrote(&conn, lark_conn_output(&conn).len);
    assert_int_equal(feed("$1\r\nx\r\n$"), LARK_E_PROTOCOL);
    answered(&callers[0], "\"x\"");
}

static void test_garbage(void **state)
{
    (void)state;
    open_as("", "", 0, "");
    get(&callers[0], "/GET/a/");
    lark_conn_wrote(&conn, lark_conn_output(&conn).len);
    assert_int_equal(feed("HTTP/1.1 400\r\n"), LARK_E_PROTOCOL);
    assert_int_equal(conn.state, LARK_CONN_FAILED);
    lark_conn_lose(&conn);
    assert_int_equal(callers[0].told, LARK_E_LOST);
}

/* What a call is told depends on whether Redis can have done it. */
static void test_lost(void **state)
{
    (void)state;
    open_as("", "", 0, "");
    get(&callers[0], "/GET/a/");
    ask(&callers[1], LARK_VERB_DELETE, "/DEL/a/");
    size_t len = lark_conn_output(&conn).len;
    ask(&callers[2], LARK_VERB_DELETE, "/DEL/b/");
    get(&callers[3], "/GET/b/");
    lark_conn_wrote(&conn, len + 5); /* the third has only begun: Redis cannot run a command that is not complete */
    lark_conn_lose(&conn);
    assert_int_equal(callers[0].told, LARK_E_LOST);
    assert_int_equal(callers[1].told, LARK_E_LOST_UNKNOWN);
    assert_int_equal(callers[2].told, LARK_E_AWAY);
    assert_int_equal(callers[3].told, LARK_E_AWAY);
    uint64_t ticket;
    assert_int_equal(lark_conn_call(&conn, &callers[0].call, &callers[0].plan, &ticket), LARK_E_AWAY);
    open_as("", "", 0, "");
    written(""); /* nothing of the lost stream is left */
}

/* ---- time ---- */

static void test_deadline(void **state)
{
    (void)state;
    open_as("", "", 0, "");
    assert_true(lark_conn_next_deadline(&conn) == LARK_CONN_NO_DEADLINE);
    get(&callers[0], "/GET/a/");
    ask(&callers[1], LARK_VERB_DELETE, "/DEL/a/");
    lark_conn_wrote(&conn, lark_conn_output(&conn).len);
    assert_int_equal(lark_conn_next_deadline(&conn), 1000);
    assert_int_equal(lark_conn_expire(&conn, 999), LARK_OK);
    assert_int_equal(callers[0].n_told, 0);
    assert_int_equal(lark_conn_expire(&conn, 1000), LARK_E_DEADLINE);
    assert_int_equal(callers[0].told, LARK_E_DEADLINE);
    assert_int_equal(callers[0].n_told, 1);
    lark_conn_lose(&conn);
    assert_int_equal(callers[0].n_told, 1);
    assert_int_equal(callers[1].told, LARK_E_LOST_UNKNOWN);
}

static void test_deadline_of_a_write(void **state)
{
    (void)state;
    open_as("", "", 0, "");
    ask(&callers[0], LARK_VERB_DELETE, "/DEL/a/");
    lark_conn_wrote(&conn, lark_conn_output(&conn).len);
    assert_int_equal(lark_conn_expire(&conn, 1000), LARK_E_DEADLINE);
    assert_int_equal(callers[0].told, LARK_E_DEADLINE_UNKNOWN);
    lark_conn_lose(&conn);
    open_as("", "", 0, "lark");
    ask(&callers[1], LARK_VERB_DELETE, "/DEL/a/");
    assert_int_equal(lark_conn_expire(&conn, 1000), LARK_E_DEADLINE);
    assert_int_equal(callers[1].told, LARK_E_DEADLINE); /* held back: it was never done */
}

/* A call with a shorter deadline behind one with a longer: it is told, the connection lives on. */
static void test_deadline_behind(void **state)
{
    (void)state;
    open_as("", "", 0, "");
    get(&callers[0], "/GET/a/");
    caller_make(&callers[1], LARK_VERB_GET, "/GET/b/");
    callers[1].call.deadline_ms = 100;
    assert_int_equal(lark_conn_call(&conn, &callers[1].call, &callers[1].plan, &callers[1].ticket), LARK_OK);
    get(&callers[2], "/GET/a/");
    lark_conn_wrote(&conn, lark_conn_output(&conn).len);
    assert_int_equal(lark_conn_expire(&conn, 100), LARK_OK);
    assert_int_equal(callers[1].told, LARK_E_DEADLINE);
    assert_int_equal(lark_conn_next_deadline(&conn), 1000);
    assert_int_equal(feed("$1\r\nx\r\n"), LARK_OK);
    assert_int_equal(lark_conn_expire(&conn, 101), LARK_OK);
    assert_int_equal(feed("$1\r\ny\r\n$1\r\nz\r\n"), LARK_OK);
    answered(&callers[0], "\"x\"");
    answered(&callers[2], "\"z\"");
    assert_int_equal(callers[1].n_told, 1);
}

/* ---- large commands ---- */

static uint8_t large_body[200000];

static enum lark_status read_body(void *ctx, uint64_t offset, size_t max, struct lark_slice *out_piece)
{
    (void)ctx;
    size_t left = sizeof large_body - (size_t)offset;
    size_t n = left < max ? left : max;
    *out_piece = (struct lark_slice){large_body + offset, n < 1000 ? n : 1000};
    return LARK_OK;
}

static void ask_large(struct caller *caller)
{
    static const char head[] = "{\"value\": \"";
    memset(large_body, 'v', sizeof large_body);
    memcpy(large_body, head, sizeof head - 1);
    memcpy(large_body + sizeof large_body - 2, "\"}", 2);
    caller_make(caller, LARK_VERB_GET, "/GET/a/");
    lark_reply_done(&caller->reply);
    caller->request.verb = LARK_VERB_POST;
    caller->request.target = text("/SET/a/");
    struct lark_body body = {sizeof large_body, NULL, NULL, read_body};
    assert_int_equal(lark_plan_route(&config, &caller->request, &principal, &caller->plan, NULL), LARK_OK);
    assert_int_equal(lark_plan_make(&caller->plan, &caller->arena, &body, NULL), LARK_OK);
    lark_reply_init(&caller->reply, &caller->plan, lark_mem_default(), &caller->out);
    caller->call.access = LARK_ACCESS_WRITE;
    assert_int_equal(lark_conn_call_large(&conn, &caller->call, &caller->plan, &caller->ticket), LARK_OK);
}

static size_t write_some(size_t want)
{
    assert_int_equal(lark_conn_fill(&conn), LARK_OK);
    size_t len = lark_conn_output(&conn).len;
    assert_true(len < (size_t)3 * LARK_CONN_PIECE_BYTES);
    lark_conn_wrote(&conn, len < want ? len : want);
    return len < want ? len : want;
}

static void test_large(void **state)
{
    (void)state;
    open_as("", "", 0, "");
    ask_large(&callers[0]);
    uint64_t ticket;
    caller_make(&callers[1], LARK_VERB_GET, "/GET/a/");
    assert_int_equal(lark_conn_call(&conn, &callers[1].call, &callers[1].plan, &ticket), LARK_E_OVERLOAD);
    size_t total = 0;
    for (size_t n = 1; n > 0; total += n) {
        n = write_some(10007);
    }
    assert_int_equal(total, lark_plan_wire_bytes(&callers[0].plan));
    assert_int_equal(lark_conn_call(&conn, &callers[1].call, &callers[1].plan, &ticket), LARK_OK);
    write_all();
    assert_int_equal(feed("+OK\r\n$1\r\nx\r\n"), LARK_OK);
    answered(&callers[0], "true");
    answered(&callers[1], "\"x\"");
}

/* Lost or given up before its last byte has left, it was not done. */
static void test_large_cut(void **state)
{
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        open_as("", "", 0, "");
        ask_large(&callers[i]);
        assert_int_equal(write_some(10007), 10007);
        if (i == 0) {
            lark_conn_lose(&conn);
            assert_int_equal(callers[i].told, LARK_E_AWAY);
            continue;
        }
        if (i == 1) {
            lark_conn_cancel(&conn, callers[i].ticket);
        } else if (i == 2) {
            assert_int_equal(lark_conn_expire(&conn, 1000), LARK_E_DEADLINE);
            assert_int_equal(callers[i].told, LARK_E_DEADLINE);
        } else {
            assert_int_equal(feed("-ERR too long\r\n"), LARK_E_PROTOCOL);
            assert_int_equal(callers[i].told, LARK_OK); /* with Redis' error as its answer */
            assert_int_equal(callers[i].reply.http_status, 400);
        }
        assert_int_equal(conn.state, LARK_CONN_FAILED);
        assert_int_equal(lark_conn_fill(&conn), LARK_OK);
        assert_int_equal(lark_conn_output(&conn).len, 0);
        lark_conn_lose(&conn);
    }
}

/* ---- limits, PING ---- */

static void test_queue_limit(void **state)
{
    (void)state;
    open_as("", "", 0, "");
    for (size_t i = 0; i < SLOTS; i++) {
        get(&callers[i], "/GET/a/");
    }
    uint64_t ticket;
    struct lark_slice before = lark_conn_output(&conn);
    assert_int_equal(lark_conn_call(&conn, &callers[0].call, &callers[0].plan, &ticket), LARK_E_OVERLOAD);
    assert_int_equal(lark_conn_output(&conn).len, before.len);
}

static void test_pending_limit(void **state)
{
    (void)state;
    lark_conn_done(&conn);
    lark_conn_init(&conn, lark_mem_default(), SLOTS, strlen(GET_A));
    open_as("", "", 0, "");
    get(&callers[0], "/GET/a/"); /* at the limit */
    get(&callers[1], "/GET/a/"); /* over it after this one */
    uint64_t ticket;
    assert_int_equal(lark_conn_call(&conn, &callers[0].call, &callers[0].plan, &ticket), LARK_E_OVERLOAD);
    lark_conn_wrote(&conn, 2 * strlen(GET_A));
    get(&callers[2], "/GET/a/");
}

static void test_ping(void **state)
{
    (void)state;
    open_as("", "", 0, "");
    caller_make(&callers[0], LARK_VERB_GET, "/GET/a/");
    assert_int_equal(lark_conn_ping(&conn, &callers[0].call, &callers[0].ticket), LARK_OK);
    written("*1\r\n$4\r\nPING\r\n");
    assert_int_equal(feed("+PONG\r\n"), LARK_OK);
    assert_int_equal(callers[0].told, LARK_OK);
    assert_int_equal(lark_conn_ping(&conn, &callers[0].call, &callers[0].ticket), LARK_OK);
    write_all();
    assert_int_equal(feed("-LOADING Redis is loading\r\n"), LARK_OK);
    assert_int_equal(callers[0].told, LARK_E_REDIS_ERROR);
    reason_is("LOADING Redis is loading");
}

/* An emulated call goes on in steps, with others between. */
static void test_next(void **state)
{
    (void)state;
    static const char prefix[] = "u1";
    struct lark_principal tenant = {&scopes, {(const uint8_t *)prefix, 2}, false};
    open_as("", "", 0, "");
    caller_make(&callers[0], LARK_VERB_GET, "/GET/a/");
    caller_done(&callers[0]);
    callers[0].request.target = text("/KEYS/*/");
    lark_arena_init(&callers[0].arena, lark_mem_default(), 65536, NULL, 0);
    lark_buf_init(&callers[0].out, lark_mem_default(), 65536, NULL, 0);
    assert_int_equal(lark_plan_route(&config, &callers[0].request, &tenant, &callers[0].plan, NULL), LARK_OK);
    assert_int_equal(lark_plan_make(&callers[0].plan, &callers[0].arena, NULL, NULL), LARK_OK);
    lark_reply_init(&callers[0].reply, &callers[0].plan, lark_mem_default(), &callers[0].out);
    assert_int_equal(lark_conn_call(&conn, &callers[0].call, &callers[0].plan, &callers[0].ticket), LARK_OK);
    get(&callers[1], "/GET/b/");
    write_all();
    assert_int_equal(feed("*2\r\n$1\r\n7\r\n*1\r\n$4\r\nu1:a\r\n"), LARK_OK);
    assert_int_equal(callers[0].told, LARK_NEXT);
    assert_int_equal(lark_conn_call_next(&conn, &callers[0].call, &callers[0].ticket), LARK_OK);
    write_all();
    assert_int_equal(feed("$1\r\nx\r\n*2\r\n$1\r\n0\r\n*0\r\n"), LARK_OK);
    answered(&callers[1], "\"x\"");
    callers[0].n_told = 1;
    answered(&callers[0], "[\"a\"]");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_greeting),    TEST(test_no_greeting),     TEST(test_greeting_refused),
        TEST(test_order),       TEST(test_one_write),       TEST(test_cancel),
        TEST(test_too_large),   TEST(test_unasked),         TEST(test_garbage),
        TEST(test_lost),        TEST(test_deadline),        TEST(test_deadline_of_a_write),
        TEST(test_queue_limit), TEST(test_deadline_behind), TEST(test_pending_limit),
        TEST(test_large),       TEST(test_large_cut),       TEST(test_ping),
        TEST(test_next),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
