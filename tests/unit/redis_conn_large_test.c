/* What is large on a connection: the host is told in the middle of a reply, and as long as bytes move no call is late. */
#include "conn.h"
#include "support.h"

struct caller {
    struct test_call call;
    struct lark_reply reply;
    struct lark_buf out;
    struct lark_call queued;
    struct lark_conn *conn;
    uint64_t ticket;
    int n_more;
    int n_told;
    enum lark_status told;
    bool leaves; /* as soon as there is more */
};

static void on_reply(void *ctx, enum lark_status status)
{
    struct caller *caller = ctx;
    caller->told = status;
    caller->n_told++;
}

static void on_more(void *ctx)
{
    struct caller *caller = ctx;
    caller->n_more++;
    if (caller->leaves) lark_conn_cancel(caller->conn, caller->ticket);
}

static void ask(struct caller *caller, struct lark_conn *conn, const char *target)
{
    json_t *row = json_pack("{s:s, s:s}", "verb", "GET", "target", target);
    memset(caller, 0, sizeof *caller);
    assert_int_equal(call_begin(&caller->call, row, (struct test_way){-1, -1, NO_FAILURE}), LARK_OK);
    json_decref(row);
    caller->conn = conn;
    lark_buf_init(&caller->out, lark_mem_default(), 65536, NULL, 0);
    lark_reply_init(&caller->reply, &caller->call.plan, lark_mem_default(), &caller->out);
    caller->queued = (struct lark_call){&caller->reply, on_reply, caller, 1000, LARK_ACCESS_READ, on_more, 500};
    assert_int_equal(lark_conn_call(conn, &caller->queued, &caller->call.plan, &caller->ticket), LARK_OK);
}

static void done(struct caller *caller)
{
    lark_reply_done(&caller->reply);
    lark_buf_done(&caller->out);
    call_done(&caller->call);
}

static void open(struct lark_conn *conn)
{
    struct lark_conn_login nobody = {{NULL, 0}, {NULL, 0}, {NULL, 0}, 0, false};
    lark_conn_init(conn, lark_mem_default(), 8, 4096);
    assert_int_equal(lark_conn_open(conn, &nobody), LARK_OK);
}

static void close_all(struct lark_conn *conn, struct caller *callers, size_t n)
{
    lark_conn_lose(conn);
    lark_conn_done(conn);
    for (size_t i = 0; i < n; i++) done(&callers[i]);
}

static void write_all(struct lark_conn *conn, uint64_t now_ms)
{
    lark_conn_wrote(conn, lark_conn_output(conn).len);
    lark_conn_moved(conn, now_ms);
}

static void feed(struct lark_conn *conn, const char *bytes, uint64_t now_ms)
{
    assert_int_equal(lark_conn_feed(conn, slice_of(bytes)), LARK_OK);
    lark_conn_moved(conn, now_ms);
}

static void test_more(void **state)
{
    struct lark_conn conn;
    struct caller callers[2];
    (void)state;
    open(&conn);
    ask(&callers[0], &conn, "/api/0/LRANGE/a/0/-1/");
    ask(&callers[1], &conn, "/api/0/GET/a/");
    write_all(&conn, 10);
    feed(&conn, "*2\r\n$3\r\none\r\n", 20);
    assert_int_equal(callers[0].n_more, 1);
    assert_int_equal(lark_conn_reply_bytes(&conn), 13);
    assert_true(callers[0].out.len > 0);
    feed(&conn, "$3\r\nt", 30);
    assert_int_equal(callers[0].n_more, 2);
    assert_int_equal(lark_conn_reply_bytes(&conn), 18);
    feed(&conn, "wo\r\n$1\r\nx\r\n", 40);
    assert_int_equal(lark_conn_reply_bytes(&conn), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(callers[i].n_told, 1);
        assert_int_equal(callers[i].told, LARK_OK);
    }
    assert_int_equal(callers[0].n_more + callers[1].n_more, 2);
    close_all(&conn, callers, 2);
}

/* The caller who leaves in the middle is a tombstone: the next one gets its own reply. */
static void test_leaves(void **state)
{
    struct lark_conn conn;
    struct caller callers[2];
    (void)state;
    open(&conn);
    ask(&callers[0], &conn, "/api/0/LRANGE/a/0/-1/");
    ask(&callers[1], &conn, "/api/0/GET/a/");
    callers[0].leaves = true;
    write_all(&conn, 10);
    feed(&conn, "*2\r\n$3\r\none\r\n", 20);
    feed(&conn, "$3\r\ntwo\r\n$1\r\nx\r", 30);
    feed(&conn, "\n", 40);
    assert_int_equal(callers[0].n_more, 1);
    assert_int_equal(callers[0].n_told, 0);
    assert_int_equal(callers[1].told, LARK_OK);
    close_all(&conn, callers, 2);
}

static void test_moving_reply(void **state)
{
    struct lark_conn conn;
    struct caller caller;
    (void)state;
    open(&conn);
    ask(&caller, &conn, "/api/0/LRANGE/a/0/-1/");
    write_all(&conn, 10);
    feed(&conn, "*3\r\n", 900);
    assert_int_equal(lark_conn_expire(&conn, 1000), LARK_OK);
    assert_int_equal(lark_conn_next_deadline(&conn), 1400);
    feed(&conn, "$1\r\na", 1300);
    assert_int_equal(lark_conn_expire(&conn, 1400), LARK_OK);
    assert_int_equal(lark_conn_next_deadline(&conn), 1800);
    assert_int_equal(lark_conn_expire(&conn, 1799), LARK_OK);
    assert_int_equal(caller.n_told, 0);
    assert_int_equal(lark_conn_expire(&conn, 1800), LARK_E_DEADLINE);
    assert_int_equal(caller.told, LARK_E_DEADLINE);
    close_all(&conn, &caller, 1);
}

/* What moved for the call before it is nothing to a call of which nothing has come. */
static void test_moving_for_another(void **state)
{
    struct lark_conn conn;
    struct caller callers[2];
    (void)state;
    open(&conn);
    ask(&callers[0], &conn, "/api/0/LRANGE/a/0/-1/");
    ask(&callers[1], &conn, "/api/0/GET/a/");
    write_all(&conn, 10);
    feed(&conn, "*1\r\n", 900);
    feed(&conn, "$1\r\na\r\n", 950);
    assert_int_equal(callers[0].told, LARK_OK);
    assert_int_equal(lark_conn_expire(&conn, 1000), LARK_E_DEADLINE);
    assert_int_equal(callers[1].told, LARK_E_DEADLINE);
    close_all(&conn, callers, 2);
}

static void test_moving_command(void **state)
{
    struct lark_conn conn;
    struct caller caller;
    (void)state;
    open(&conn);
    ask(&caller, &conn, "/api/0/GET/abcdefghij/");
    lark_conn_wrote(&conn, 5);
    lark_conn_moved(&conn, 800);
    assert_int_equal(lark_conn_expire(&conn, 1000), LARK_OK);
    write_all(&conn, 1200);
    assert_int_equal(lark_conn_expire(&conn, 1300), LARK_OK);
    assert_int_equal(lark_conn_expire(&conn, 1699), LARK_OK);
    assert_int_equal(lark_conn_expire(&conn, 1700), LARK_E_DEADLINE);
    close_all(&conn, &caller, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_more),           cmocka_unit_test(test_leaves),
        cmocka_unit_test(test_moving_reply),   cmocka_unit_test(test_moving_for_another),
        cmocka_unit_test(test_moving_command),
    };
    return cmocka_run_group_tests_name("redis_conn_large", tests, NULL, NULL);
}
