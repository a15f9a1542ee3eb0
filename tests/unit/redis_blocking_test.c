/* Blocking calls on one connection: ids, probes, UNBLOCK, and elements that go back. Replies come whole and byte by byte. */
#include "conn.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define NONE 99
#define BLPOP "*3\r\n$5\r\nBLPOP\r\n$1\r\nq\r\n$1\r\n5\r\n"
#define LPUSH_X "*3\r\n$5\r\nLPUSH\r\n$1\r\nq\r\n$1\r\nx\r\n"

static struct lark_scopes scopes;
static struct lark_config config;
static struct lark_principal principal = {&scopes, {NULL, 0}, false};
static struct lark_request request;
static struct lark_plan plan;
static struct lark_arena arena;
static struct lark_reply reply;
static struct lark_buf json;
static struct lark_conn conn;
static struct lark_give_back give_back;
static uint64_t ticket;
static int told, n_told;

static struct lark_slice text(const char *s)
{
    return (struct lark_slice){(const uint8_t *)s, strlen(s)};
}

static void on_reply(void *ctx, enum lark_status status)
{
    (void)ctx;
    told = status;
    n_told++;
}

static struct lark_call call_of(struct lark_reply *its_reply, uint64_t deadline_ms)
{
    return (struct lark_call){
        .reply = its_reply, .fn = on_reply, .deadline_ms = deadline_ms, .access = LARK_ACCESS_WRITE};
}

/* The call is queued; what it pops is kept. */
static void ask(const char *target, const char *json_body)
{
    struct lark_body body = {strlen(json_body), (const uint8_t *)json_body, NULL, NULL};
    request.verb = LARK_VERB_POST;
    request.target = text(target);
    assert_int_equal(lark_plan_route(&config, &request, &principal, &plan, NULL), LARK_OK);
    assert_int_equal(lark_plan_make(&plan, &arena, &body, NULL), LARK_OK);
    lark_reply_init(&reply, &plan, lark_mem_default(), &json);
    struct lark_call call = call_of(&reply, 9000);
    assert_int_equal(lark_conn_call(&conn, &call, &plan, &ticket), LARK_OK);
    lark_give_back_init(&give_back, lark_mem_default(), plan.give_back);
    lark_conn_keep(&conn, ticket, &give_back);
}

static void blpop(void)
{
    ask("/BLPOP/", "{\"keys\": [\"q\"], \"timeout\": 5}");
}

static enum lark_status leave(void)
{
    struct lark_call call = call_of(NULL, 2000);
    return lark_conn_take_back(&conn, ticket, &call, &give_back);
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

static void feed(const char *bytes)
{
    assert_int_equal(lark_conn_feed(&conn, text(bytes)), LARK_OK);
}

static void feed_bytewise(const char *bytes)
{
    for (; *bytes != '\0'; bytes++) {
        assert_int_equal(lark_conn_feed(&conn, (struct lark_slice){(const uint8_t *)bytes, 1}), LARK_OK);
    }
}

static void open_with_id(void)
{
    struct lark_conn_login login = {text(""), text(""), text("lark"), 0, true};
    assert_int_equal(lark_conn_open(&conn, &login), LARK_OK);
    written("*3\r\n$6\r\nCLIENT\r\n$7\r\nSETNAME\r\n$4\r\nlark\r\n*2\r\n$6\r\nCLIENT\r\n$2\r\nID\r\n");
}

static void open_blocked(void)
{
    open_with_id();
    feed("+OK\r\n:57\r\n");
    blpop();
    written(BLPOP);
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
    lark_conn_init(&conn, lark_mem_default(), 4, 4096);
    lark_arena_init(&arena, lark_mem_default(), 65536, NULL, 0);
    lark_buf_init(&json, lark_mem_default(), (size_t)64 << 20, NULL, 0);
    memset(&reply, 0, sizeof reply);
    memset(&give_back, 0, sizeof give_back);
    told = NONE;
    n_told = 0;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    lark_conn_done(&conn);
    if (reply.plan != NULL) {
        lark_reply_done(&reply);
    }
    lark_give_back_done(&give_back);
    lark_arena_done(&arena);
    lark_buf_done(&json);
    return 0;
}

static void again(void)
{
    assert_int_equal(teardown(NULL), 0);
    assert_int_equal(setup(NULL), 0);
}

static void test_id(void **state)
{
    (void)state;
    open_with_id();
    assert_int_equal(lark_conn_id(&conn), 0);
    feed("+OK\r\n:57\r\n");
    assert_int_equal(lark_conn_id(&conn), 57);
    lark_conn_lose(&conn);
    open_with_id();
    feed("+OK\r\n-NOPERM no\r\n"); /* it goes without */
    assert_int_equal(conn.state, LARK_CONN_READY);
    assert_int_equal(lark_conn_id(&conn), 0);
}

static void test_unblock(void **state)
{
    (void)state;
    open_with_id();
    feed("+OK\r\n:57\r\n");
    struct lark_call call = call_of(NULL, 1000);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(lark_conn_unblock(&conn, &call, 18446744073709551615u, &ticket), LARK_OK);
        written("*3\r\n$6\r\nCLIENT\r\n$7\r\nUNBLOCK\r\n$20\r\n18446744073709551615\r\n");
        feed(i == 0 ? ":1\r\n" : ":0\r\n");
        assert_int_equal(told, LARK_OK);
        assert_int_equal(lark_conn_number(&conn), 1 - i);
    }
    assert_int_equal(lark_conn_unblock(&conn, &call, 1, &ticket), LARK_OK);
    lark_conn_wrote(&conn, lark_conn_output(&conn).len);
    feed("-NOPERM no\r\n");
    assert_int_equal(told, LARK_E_REDIS_ERROR);
}

static void test_nothing_came(void **state)
{
    (void)state;
    static const char *const replies[] = {"*-1\r\n", "$-1\r\n", "*0\r\n", "-WRONGTYPE no\r\n"};
    open_blocked();
    for (size_t i = 0; i < 4; i++) {
        n_told = 0;
        assert_int_equal(leave(), LARK_OK);
        feed(replies[i]);
        assert_int_equal(told, LARK_OK);
        assert_int_equal(n_told, 1);
        assert_false(give_back.begun);
        written("");
        lark_give_back_done(&give_back);
        lark_reply_done(&reply);
        blpop();
        written(BLPOP);
    }
}

/* The caller leaves after each byte of the reply. */
static void test_an_element_goes_back(void **state)
{
    (void)state;
    static const char whole[] = "*2\r\n$1\r\nq\r\n$1\r\nx\r\n";
    for (size_t cut = 0; cut < sizeof whole - 1; cut++) {
        open_blocked();
        assert_int_equal(lark_conn_feed(&conn, (struct lark_slice){(const uint8_t *)whole, cut}), LARK_OK);
        assert_int_equal(n_told, 0);
        assert_int_equal(leave(), LARK_OK);
        feed_bytewise(whole + cut);
        assert_true(give_back.pushed);
        assert_int_equal(n_told, 0); /* until the push is answered */
        written(LPUSH_X);
        feed(":1\r\n");
        assert_int_equal(told, LARK_OK);
        assert_int_equal(n_told, 1);
        assert_int_equal(lark_conn_awaited(&conn), 0);
        assert_int_equal(conn.state, LARK_CONN_READY);
        again();
    }
}

/* The push leaves while the element still comes. */
static void test_a_large_element(void **state)
{
    (void)state;
    const size_t len = 3 * LARK_GIVE_BACK_KEEP_BYTES;
    static uint8_t piece[65536];
    char head[64];
    open_blocked();
    assert_int_equal(leave(), LARK_OK);
    memset(piece, 'v', sizeof piece);
    (void)snprintf(head, sizeof head, "*2\r\n$1\r\nq\r\n$%zu\r\n", len);
    feed(head);
    for (size_t done = 0; done < len; done += sizeof piece) {
        assert_int_equal(lark_conn_feed(&conn, (struct lark_slice){piece, sizeof piece}), LARK_OK);
        assert_true(lark_conn_output(&conn).len < 2 * sizeof piece);
        lark_conn_wrote(&conn, lark_conn_output(&conn).len);
    }
    feed("\r\n");
    feed(":1\r\n");
    assert_int_equal(told, LARK_OK);
    assert_true(give_back.pushed);
}

/* At the limit what has come of it is kept for a caller who is there; one over it is not, and that is said. */
static void test_left_in_the_middle(void **state)
{
    (void)state;
    static uint8_t element[LARK_GIVE_BACK_KEEP_BYTES + 1];
    for (size_t over = 0; over < 2; over++) {
        char head[64];
        open_blocked();
        (void)snprintf(head, sizeof head, "*2\r\n$1\r\nq\r\n$%zu\r\n", (size_t)LARK_GIVE_BACK_KEEP_BYTES + over);
        feed(head);
        assert_int_equal(lark_conn_feed(&conn, (struct lark_slice){element, LARK_GIVE_BACK_KEEP_BYTES + over}),
                         LARK_OK);
        assert_int_equal(leave(), over ? LARK_E_TOO_LARGE : LARK_OK);
        assert_int_equal(give_back.pushed, !over);
        assert_int_equal(give_back.element_bytes, (size_t)LARK_GIVE_BACK_KEEP_BYTES + over);
        assert_int_equal(lark_conn_output(&conn).len > 0, !over);
        again();
    }
}

static void test_redis_refuses_the_push(void **state)
{
    (void)state;
    open_blocked();
    assert_int_equal(leave(), LARK_OK);
    feed("*2\r\n$1\r\nq\r\n$1\r\nx\r\n");
    written(LPUSH_X);
    feed("-NOPERM no\r\n");
    assert_int_equal(told, LARK_E_REDIS_ERROR);
    assert_int_equal(conn.state, LARK_CONN_READY);
}

/* It may have been pushed or not: told as any write. */
static void test_lost_during_the_push(void **state)
{
    (void)state;
    open_blocked();
    assert_int_equal(leave(), LARK_OK);
    feed("*2\r\n$1\r\nq\r\n$1\r\nx\r\n");
    written(LPUSH_X);
    lark_conn_lose(&conn);
    assert_int_equal(told, LARK_E_LOST_UNKNOWN);
    assert_int_equal(n_told, 1);
}

static void test_its_own_deadline(void **state)
{
    (void)state;
    open_blocked();
    assert_int_equal(lark_conn_next_deadline(&conn), 9000);
    assert_int_equal(leave(), LARK_OK);
    assert_int_equal(lark_conn_next_deadline(&conn), 2000);
    assert_int_equal(lark_conn_expire(&conn, 2000), LARK_E_DEADLINE);
    assert_int_equal(n_told, 1);
}

/* What has not left is not taken back: the connection's end is enough. */
static void test_not_sent(void **state)
{
    (void)state;
    open_with_id();
    blpop();
    assert_int_equal(leave(), LARK_E_AWAY);
    feed("+OK\r\n:57\r\n");
    assert_int_equal(leave(), LARK_E_AWAY);
    lark_conn_wrote(&conn, strlen(BLPOP) - 1);
    assert_int_equal(leave(), LARK_E_AWAY);
    lark_conn_wrote(&conn, 1);
    assert_int_equal(leave(), LARK_OK);
}

static void test_a_move_gives_nothing_back(void **state)
{
    (void)state;
    open_with_id();
    feed("+OK\r\n:57\r\n");
    ask("/BRPOPLPUSH/", "{\"src\": \"a\", \"dst\": \"b\", \"timeout\": 5}");
    lark_conn_wrote(&conn, lark_conn_output(&conn).len);
    assert_int_equal(leave(), LARK_OK);
    feed("$1\r\nx\r\n");
    written("");
    assert_int_equal(told, LARK_OK);
}

/* A call on a connection that proves dead was not made. */
static void test_probe(void **state)
{
    (void)state;
    open_with_id();
    feed("+OK\r\n:57\r\n");
    assert_int_equal(lark_conn_probe(&conn), LARK_OK);
    blpop();
    written("*1\r\n$4\r\nPING\r\n");
    written("");
    feed("-NOPERM not even this\r\n");
    assert_int_equal(conn.state, LARK_CONN_READY);
    assert_int_equal(lark_conn_id(&conn), 57);
    written(BLPOP);
    feed("*2\r\n$1\r\nq\r\n$1\r\nx\r\n");
    assert_int_equal(told, LARK_OK);
    lark_reply_done(&reply);
    lark_give_back_done(&give_back);
    assert_int_equal(lark_conn_probe(&conn), LARK_OK);
    blpop();
    written("*1\r\n$4\r\nPING\r\n");
    lark_conn_lose(&conn);
    assert_int_equal(told, LARK_E_AWAY);
}

/* Bytes that would be the reply to a call that has not left. */
static void test_answered_early(void **state)
{
    (void)state;
    open_with_id();
    feed("+OK\r\n:57\r\n");
    blpop();
    assert_int_equal(lark_conn_feed(&conn, text("*-1\r\n")), LARK_E_PROTOCOL);
    lark_conn_lose(&conn);
    assert_int_equal(told, LARK_E_AWAY);
}

/* Redis has no room: that is no answer to the call. */
static void test_connection_refused(void **state)
{
    (void)state;
    struct lark_conn_login login = {text(""), text(""), text(""), 0, false};
    assert_int_equal(lark_conn_open(&conn, &login), LARK_OK);
    blpop();
    assert_int_equal(lark_conn_feed(&conn, text("-ERR max number of clients reached\r\n")), LARK_E_AWAY);
    struct lark_slice reason = lark_conn_reason(&conn);
    assert_memory_equal(reason.p, "Redis refused the connection: ERR max number of clients reached", reason.len);
    lark_conn_lose(&conn);
    assert_int_equal(told, LARK_E_AWAY);
}

static void other(void *ctx, enum lark_status status)
{
    (void)ctx;
    (void)status;
}

/* Whose reply comes next, and after it: not that of a call that left, nor a callback of another kind. */
static void test_soon(void **state)
{
    struct lark_call ping = {.fn = other, .ctx = &told, .deadline_ms = 9000};
    uint64_t ping_ticket;
    (void)state;
    open_blocked();
    assert_int_equal(lark_conn_ping(&conn, &ping, &ping_ticket), LARK_OK);
    ping.fn = on_reply;
    ping.ctx = &n_told;
    assert_int_equal(lark_conn_ping(&conn, &ping, &ping_ticket), LARK_OK);
    assert_null(lark_conn_soon(&conn, 1, on_reply));
    assert_ptr_equal(lark_conn_soon(&conn, 1, other), &told);
    assert_ptr_equal(lark_conn_soon(&conn, 2, on_reply), &n_told);
    assert_null(lark_conn_soon(&conn, 3, on_reply));
    written("*1\r\n$4\r\nPING\r\n*1\r\n$4\r\nPING\r\n");
    feed("*-1\r\n+PONG\r\n");
    assert_ptr_equal(lark_conn_soon(&conn, 0, on_reply), &n_told);
    lark_conn_cancel(&conn, ping_ticket);
    assert_null(lark_conn_soon(&conn, 0, on_reply));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_id),
        TEST(test_unblock),
        TEST(test_nothing_came),
        TEST(test_an_element_goes_back),
        TEST(test_a_large_element),
        TEST(test_left_in_the_middle),
        TEST(test_redis_refuses_the_push),
        TEST(test_lost_during_the_push),
        TEST(test_its_own_deadline),
        TEST(test_not_sent),
        TEST(test_a_move_gives_nothing_back),
        TEST(test_probe),
        TEST(test_connection_refused),
        TEST(test_answered_early),
        TEST(test_soon),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
