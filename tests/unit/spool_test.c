/* A value in the spool: its form and its JSON are those of the same value in memory, wherever it is cut. */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>

static const char *const values[] = {
    "plain",
    "with \"quotes\", \\ and \x01\x02\x1f\x7f \b\f\n\r\t",
    "{}",
    "{",
    "{\"a\": 1}",
    "{\"a\": [1, 2.50, -3e5, {\"b\": null}], \"c\": \"\\u00e9\\ud83d\\ude00\"}",
    " {\"a\": 1}",
    "{\"a\": 1} ",
    "{\"a\": 1} x",
    "{\"a\": 1, \"a\": 2}",
    "{\"a\": \"\xff\"}",
    "{\"a\": \"\xc3\xa9\"}",
    "{\"$base64\": \"AAAA\"}",
    "{\"\\u0024base64\": 1}",
    "{\"$base64\": \"AAAA\", \"b\": 1}",
    "{\"b\": {\"$base64\": \"AAAA\"}}",
    "{\"$base64x\": 1}",
    "{\"a\": 12",
    "{\"a\": 1,}",
    "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80",
    "\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80 and ASCII behind it",
    "ends in the middle \xe2\x82",
    "ends in the middle \xf0\x9f\x98",
    "ends in the middle \xc3",
    "\xc0\x80",
    "\xe0\x80\x80",
    "\xed\xa0\x80",
    "\xf0\x80\x80\x80",
    "\xf4\x90\x80\x80",
    "\xf5\x80\x80\x80",
    "\xed\x9f\xbf\xee\x80\x80\xf4\x8f\xbf\xbf",
    "\x80",
    "a\xe2\x28\xa1",
    "a\xe2\x82\x28",
    "12345678\xff",
    ("1234567\xc3\xa9"
     "12345678"),
    "\xff",
    "\xff\xfe",
    "\xff\xfe\xfd",
    "\xff\xfe\xfd\xfc",
    "[1, 2]",
    "\"text\"",
};

struct spooled {
    struct lark_buf *out; /* what the core writes */
    struct lark_buf body;
    struct lark_buf value;
    size_t cut; /* of what the writer is given */
    int n;
};

static enum lark_status take(struct lark_buf *to, struct lark_buf *from)
{
    enum lark_status status = lark_buf_append(to, (struct lark_slice){from->p, from->len});
    from->len = 0;
    return status;
}

static enum lark_status begin(void *ctx)
{
    struct spooled *s = ctx;
    s->n++;
    return take(&s->body, s->out);
}

static enum lark_status append(void *ctx, struct lark_slice bytes)
{
    struct spooled *s = ctx;
    return lark_buf_append(&s->value, bytes);
}

static enum lark_status settle(void *ctx, enum lark_value_form form)
{
    struct spooled *s = ctx;
    struct lark_value_writer writer;
    size_t first = s->cut < s->value.len ? s->cut : s->value.len;
    lark_value_writer_init(&writer, form);
    enum lark_status status = LARK_OK;
    if (first > 0) status = lark_value_writer_put(&writer, (struct lark_slice){s->value.p, first}, &s->body);
    if (status == LARK_OK && first < s->value.len) {
        status =
            lark_value_writer_put(&writer, (struct lark_slice){s->value.p + first, s->value.len - first}, &s->body);
    }
    return status == LARK_OK ? lark_value_writer_end(&writer, &s->body) : status;
}

/* The answer to a row's request, from a RESP reply whose value is cut at `cut` when over_bytes lets it spool. */
static void answer(const json_t *row, struct lark_slice resp, size_t cut, uint64_t over_bytes, struct lark_buf *to,
                   int *out_n)
{
    struct test_call call;
    struct lark_reply reply;
    struct lark_buf out;
    struct spooled s = {.out = &out, .cut = cut};
    struct lark_spool spool = {&s, over_bytes, begin, append, settle};
    assert_int_equal(call_begin(&call, row, (struct test_way){-1, -1, NO_FAILURE}), LARK_OK);
    lark_buf_init(&out, &call.mem.mem, (size_t)1 << 30, NULL, 0);
    lark_buf_init(&s.body, lark_mem_default(), (size_t)1 << 30, NULL, 0);
    lark_buf_init(&s.value, lark_mem_default(), (size_t)1 << 30, NULL, 0);
    lark_reply_init(&reply, &call.plan, &call.mem.mem, &out);
    reply.spool = &spool;
    size_t used = 0;
    size_t first = cut < resp.len ? cut : resp.len;
    enum lark_status status = lark_reply_feed(&reply, (struct lark_slice){resp.p, first}, &used);
    if (status == LARK_MORE) {
        status = lark_reply_feed(&reply, (struct lark_slice){resp.p + first, resp.len - first}, &used);
    }
    assert_int_equal(status, LARK_OK);
    assert_int_equal(take(&s.body, &out), LARK_OK);
    to->len = 0;
    assert_int_equal(take(to, &s.body), LARK_OK);
    *out_n = s.n;
    lark_reply_done(&reply);
    lark_buf_done(&out);
    lark_buf_done(&s.body);
    lark_buf_done(&s.value);
    call_done(&call);
}

static json_t *row_of(const char *target, const char *values_wanted)
{
    return json_pack("{s:s, s:s, s:s}", "verb", "GET", "target", target, "values", values_wanted);
}

static void test_every_cut(void **state)
{
    static const char *const wanted[] = {"json", "text", "base64"};
    struct lark_buf plain, spooled;
    int n_spooled = 0, n;
    (void)state;
    lark_buf_init(&plain, lark_mem_default(), 1 << 20, NULL, 0);
    lark_buf_init(&spooled, lark_mem_default(), 1 << 20, NULL, 0);
    for (size_t w = 0; w < 3; w++) {
        json_t *row = row_of("/api/0/GET/a/", wanted[w]);
        for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
            char resp[256];
            int len = snprintf(resp, sizeof resp, "$%zu\r\n%s\r\n", strlen(values[i]), values[i]);
            struct lark_slice bytes = {(const uint8_t *)resp, (size_t)len};
            answer(row, bytes, SIZE_MAX, UINT64_MAX, &plain, &n);
            assert_int_equal(n, 0);
            for (size_t cut = 0; cut <= (size_t)len; cut++) {
                answer(row, bytes, cut, 0, &spooled, &n);
                assert_slice((struct lark_slice){spooled.p, spooled.len}, (struct lark_slice){plain.p, plain.len},
                             values[i]);
                n_spooled += n;
            }
        }
        json_decref(row);
    }
    assert_true(n_spooled > 1000);
    lark_buf_done(&plain);
    lark_buf_done(&spooled);
}

/* Only what is longer than over_bytes goes to the spool. */
static void test_threshold(void **state)
{
    struct lark_buf out;
    int n;
    (void)state;
    lark_buf_init(&out, lark_mem_default(), 1 << 20, NULL, 0);
    json_t *row = row_of("/api/0/GET/a/", "json");
    for (uint64_t over = 4; over <= 6; over++) {
        answer(row, LIT("$5\r\nvalue\r\n"), 6, over, &out, &n);
        assert_int_equal(n, over < 5);
    }
    json_decref(row);
    lark_buf_done(&out);
}

/* In which places a value is one: names, keys, scores and texts of Redis stay in memory. */
static void test_places(void **state)
{
    static const struct {
        const char *target;
        const char *resp;
        int n;
    } places[] = {
        {"/api/0/HGETALL/a/", "*4\r\n$4\r\nname\r\n$5\r\nvalue\r\n$4\r\nnext\r\n$2\r\n{}\r\n", 2},
        {"/api/0/HKEYS/a/", "*2\r\n$4\r\nname\r\n$4\r\nnext\r\n", 0},
        {"/api/0/KEYS/*/", "*1\r\n$3\r\nkey\r\n", 0},
        {"/api/0/LRANGE/a/0/1/", "*2\r\n$2\r\nab\r\n$2\r\ncd\r\n", 2},
        {"/api/0/ZRANGE/a/0/1/?withscores=1", "*2\r\n$6\r\nmember\r\n$1\r\n1\r\n", 1},
        {"/api/0/GETRANGE/a/0/1/", "$2\r\n{}\r\n", 1},
        {"/api/0/DUMP/a/", "$3\r\n\x01\x02\x03\r\n", 1},
        {"/api/0/SSCAN/a/", "*2\r\n$1\r\n0\r\n*1\r\n$6\r\nmember\r\n", 1},
        {"/api/0/INFO/", "$11\r\nname:value\n\r\n", 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        struct lark_slice resp = slice_of(places[i].resp);
        struct lark_buf plain, spooled;
        int n, most = 0, sum = 0;
        lark_buf_init(&plain, lark_mem_default(), 1 << 20, NULL, 0);
        lark_buf_init(&spooled, lark_mem_default(), 1 << 20, NULL, 0);
        json_t *row = row_of(places[i].target, "json");
        answer(row, resp, SIZE_MAX, UINT64_MAX, &plain, &n);
        for (size_t cut = 0; cut <= resp.len; cut++) {
            answer(row, resp, cut, 0, &spooled, &n);
            assert_slice((struct lark_slice){spooled.p, spooled.len}, (struct lark_slice){plain.p, plain.len},
                         places[i].target);
            most = n > most ? n : most;
            sum += n;
        }
        if ((places[i].n > 0) != (most > 0)) fail_msg("%s: %d values in the spool", places[i].target, sum);
        json_decref(row);
        lark_buf_done(&plain);
        lark_buf_done(&spooled);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_cut),
        cmocka_unit_test(test_threshold),
        cmocka_unit_test(test_places),
    };
    return cmocka_run_group_tests_name("spool", tests, NULL, NULL);
}
