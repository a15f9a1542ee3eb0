/* tests/vectors/core/replies.jsonl: what Redis answers to a request gives the body that the row says, in RESP2 and RESP3,
 * whatever the pieces, with values in memory or in a spool; and it does so, or fails cleanly, whatever allocation fails.
 *
 * A row: a request as in requests.jsonl; resp: the reply, or a list of them for calls of several steps; resp3: others that
 * must give the same; sends: the commands after the first. Then data: the exact text of the data; or error and message:
 * an answer of Redis or ours that is one; or fails: the error that ends the reading of the reply; or raw: the exact bytes
 * of the answer, with length where a HEAD has none of them, and answer_range: first, last, total. */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>

#define BEFORE "{\"meta\": {\"status\": \"ok\", \"status_code\": 200}, \"data\": "

static json_t *rows;

static int load(void **state)
{
    (void)state;
    rows = load_rows("core/replies.jsonl");
    return 0;
}

static int unload(void **state)
{
    (void)state;
    json_decref(rows);
    return 0;
}

/* One reply being read. */
struct reading {
    struct test_call *call;
    struct lark_reply reply;
    struct lark_buf out;  /* what the core writes */
    struct lark_buf body; /* all of it */
    struct lark_buf hole; /* the value in the spool */
    struct lark_spool spool;
    uint64_t n_spooled;
    bool in_hole;
    int way;
};

static enum lark_status take_out(struct reading *r)
{
    if (r->in_hole) return LARK_OK; /* it stands behind the value */
    enum lark_status status = lark_buf_append(&r->body, (struct lark_slice){r->out.p, r->out.len});
    r->out.len = 0;
    return status;
}

static enum lark_status spool_begin(void *ctx)
{
    struct reading *r = ctx;
    assert_false(r->in_hole);
    enum lark_status status = take_out(r);
    r->in_hole = true;
    r->hole.len = 0;
    return status;
}

static enum lark_status spool_append(void *ctx, struct lark_slice bytes)
{
    struct reading *r = ctx;
    assert_true(r->in_hole && bytes.len > 0);
    return lark_buf_append(&r->hole, bytes);
}

static enum lark_status spool_settle(void *ctx, enum lark_value_form form)
{
    struct reading *r = ctx;
    struct lark_value_writer writer;
    assert_true(r->in_hole);
    r->in_hole = false;
    r->n_spooled++;
    lark_value_writer_init(&writer, form);
    for (size_t at = 0; at < r->hole.len;) {
        size_t n = cut_of(&r->call->random, r->way, r->hole.len - at);
        uint8_t *piece = copy_of((struct lark_slice){r->hole.p + at, n});
        size_t before = r->body.len;
        enum lark_status status = lark_value_writer_put(&writer, (struct lark_slice){piece, n}, &r->body);
        free(piece);
        if (status != LARK_OK) return status;
        assert_true(r->body.len - before <= n * LARK_VALUE_GROWTH + LARK_VALUE_EXTRA);
        at += n;
    }
    return lark_value_writer_end(&writer, &r->body);
}

static enum lark_status feed(struct reading *r, struct lark_slice bytes)
{
    enum lark_status status = LARK_MORE;
    while (bytes.len > 0 && status == LARK_MORE) {
        size_t n = cut_of(&r->call->random, r->way, bytes.len);
        size_t used = SIZE_MAX;
        uint8_t *piece = copy_of((struct lark_slice){bytes.p, n});
        status = lark_reply_feed(&r->reply, (struct lark_slice){piece, n}, &used);
        free(piece);
        if (status < 0) return status;
        assert_true(used <= n && (status != LARK_MORE || used == n));
        bytes.p += used;
        bytes.len -= used;
        if (take_out(r) != LARK_OK) return LARK_E_NOMEM;
    }
    assert_int_equal(bytes.len, 0); /* nothing behind the reply is touched: rows have nothing there */
    return status;
}

/* The step after LARK_NEXT must send what the row says. */
static enum lark_status check_next(struct reading *r, const json_t *row, size_t step)
{
    struct lark_buf wire;
    lark_buf_init(&wire, &r->call->mem.mem, 1 << 20, NULL, 0);
    enum lark_status status = lark_reply_next(&r->reply, &wire);
    if (status == LARK_OK) {
        size_t len;
        uint8_t *want = resp_of(json_array_get(json_object_get(row, "sends"), step), &len);
        assert_slice((struct lark_slice){wire.p, wire.len}, (struct lark_slice){want, len},
                     json_string_value(json_object_get(row, "name")));
        free(want);
    }
    lark_buf_done(&wire);
    return status;
}

static enum lark_status run_steps(struct reading *r, const json_t *row, const json_t *resp)
{
    enum lark_status status = LARK_MORE;
    size_t n = json_is_array(resp) ? json_array_size(resp) : 1;
    for (size_t i = 0; i < n; i++) {
        size_t len;
        if (i > 0) {
            assert_int_equal(status, LARK_NEXT);
            status = check_next(r, row, i - 1);
            if (status != LARK_OK) return status;
        }
        uint8_t *bytes = bytes_of(json_is_array(resp) ? json_array_get(resp, i) : resp, &len);
        status = feed(r, (struct lark_slice){bytes, len});
        free(bytes);
        if (status < 0) return status;
    }
    return status;
}

static bool check_data(const struct reading *r, const char *data, size_t data_len)
{
    size_t before = sizeof BEFORE - 1;
    bool good = r->reply.http_status == 200 && r->reply.error == NULL && r->body.len == before + data_len + 1 &&
                memcmp(r->body.p, BEFORE, before) == 0 && memcmp(r->body.p + before, data, data_len) == 0 &&
                r->body.p[r->body.len - 1] == '}';
    json_t *whole = json_loadb((const char *)r->body.p, r->body.len,
                               JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL, NULL);
    if (whole == NULL) good = false; /* whatever comes, it is JSON */
    json_decref(whole);
    return good;
}

static bool check_raw(const struct reading *r, const json_t *row)
{
    const json_t *length = json_object_get(row, "length"), *range = json_object_get(row, "answer_range");
    size_t len;
    uint8_t *want = bytes_of(json_object_get(row, "raw"), &len);
    bool good = r->reply.error == NULL && r->reply.content == LARK_CONTENT_BYTES && r->body.len == len &&
                (len == 0 || memcmp(r->body.p, want, len) == 0);
    free(want);
    if (r->reply.content_len != (length ? (uint64_t)json_integer_value(length) : len)) good = false;
    if (r->reply.http_status != (range ? 206 : 200)) good = false;
    if (range == NULL) return good;
    const uint64_t parts[] = {r->reply.range_first, r->reply.range_last, r->reply.range_total};
    for (size_t i = 0; i < 3; i++) {
        if (parts[i] != (uint64_t)json_integer_value(json_array_get(range, i))) good = false;
    }
    return good;
}

static bool check_message(const struct reading *r, const char *code, const char *words)
{
    if (r->reply.error == NULL || strcmp(r->reply.error->code, code) != 0) return false;
    if (r->reply.http_status != r->reply.error->http_status) return false;
    char *message = message_of(&r->body);
    bool good = words == NULL || strcmp(message, words) == 0;
    free(message);
    return good;
}

static bool check_failure(const struct reading *r, enum lark_status status, const char *code, const char *words)
{
    struct lark_err err;
    struct lark_buf out;
    if (status >= 0 || strcmp(lark_error_row(status)->code, code) != 0) return false;
    lark_reply_fail(&r->reply, status, &err);
    lark_buf_init(&out, lark_mem_default(), 65536, NULL, 0);
    assert_int_equal(lark_error_render(&r->call->config, &err, &out), LARK_OK);
    char *message = message_of(&out);
    bool good = words == NULL || strcmp(message, words) == 0;
    if (!good) print_error("fails with: %s\n", message);
    free(message);
    lark_buf_done(&out);
    return good;
}

static bool check_answer(const struct reading *r, const json_t *row, enum lark_status status)
{
    const json_t *data = json_object_get(row, "data");
    const char *error = json_string_value(json_object_get(row, "error"));
    const char *fails = json_string_value(json_object_get(row, "fails"));
    const char *words = json_string_value(json_object_get(row, "message"));
    bool good = false;
    if (fails) {
        good = check_failure(r, status, fails, words);
    } else if (status == LARK_OK && json_object_get(row, "raw")) {
        good = check_raw(r, row);
    } else if (status == LARK_OK) {
        good =
            error ? check_message(r, error, words) : check_data(r, json_string_value(data), json_string_length(data));
    }
    if (!good) {
        print_error("%s (way %d): status %d, %.*s\n", json_string_value(json_object_get(row, "name")), r->way, status,
                    (int)(r->body.len < 600 ? r->body.len : 600), r->body.p ? (const char *)r->body.p : "");
    }
    return good;
}

/* way: as cut_of; spool: values that come in pieces go there; n_spooled: how many did */
struct how {
    int way;
    bool spool;
    uint64_t *n_spooled;
};

/* fail_at, or ONLY_THIS: of the reply's own allocations. return: right, or failed as it should; *failed: an allocation failed */
static bool run(const json_t *row, const json_t *resp, struct how how, uint64_t fail_at, bool *failed)
{
    struct test_call call;
    struct reading r = {.call = &call, .way = how.way};
    enum lark_status status = call_begin(&call, row, (struct test_way){-1, -1, NO_FAILURE});
    assert_int_equal(status, LARK_OK);
    call.mem.n = 0;
    call.mem.fail_at = fail_at;
    lark_buf_init(&r.out, &call.mem.mem, (size_t)1 << 30, NULL, 0);
    lark_buf_init(&r.body, lark_mem_default(), (size_t)1 << 30, NULL, 0);
    lark_buf_init(&r.hole, lark_mem_default(), (size_t)1 << 30, NULL, 0);
    r.spool = (struct lark_spool){&r, 0, spool_begin, spool_append, spool_settle};
    lark_reply_init(&r.reply, &call.plan, &call.mem.mem, &r.out);
    if (how.spool) r.reply.spool = &r.spool;
    status = run_steps(&r, row, resp);
    *failed = call.mem.n > (fail_at & ~ONLY_THIS);
    bool good = *failed ? status == LARK_E_NOMEM : check_answer(&r, row, status);
    if (*failed && !good)
        print_error("%s: allocation %d failed: %d\n", json_string_value(json_object_get(row, "name")), (int)fail_at,
                    status);
    lark_reply_done(&r.reply);
    lark_buf_done(&r.out);
    lark_buf_done(&r.body);
    lark_buf_done(&r.hole);
    if (how.n_spooled) *how.n_spooled += r.n_spooled;
    call_done(&call);
    return good;
}

static size_t check_all(const char *which, struct how how)
{
    size_t i, wrong = 0;
    const json_t *row;
    bool failed;
    json_array_foreach(rows, i, row)
    {
        const json_t *resp = json_object_get(row, which);
        if (resp) wrong += !run(row, resp, how, NO_FAILURE, &failed);
    }
    return wrong;
}

static void test_resp2(void **state)
{
    (void)state;
    for (int way = 0; way < WAYS; way++) assert_int_equal(check_all("resp", (struct how){way, false, NULL}), 0);
}

static void test_resp3(void **state)
{
    (void)state;
    for (int way = 0; way < WAYS; way++) assert_int_equal(check_all("resp3", (struct how){way, false, NULL}), 0);
}

/* A value that goes by the spool has the same JSON, to the byte. */
static void test_spool(void **state)
{
    uint64_t n_spooled = 0;
    (void)state;
    for (int way = 1; way < WAYS; way++) {
        struct how how = {way, true, &n_spooled};
        assert_int_equal(check_all("resp", how), 0);
        assert_int_equal(check_all("resp3", how), 0);
    }
    assert_true(n_spooled >= 300);
}

static void test_allocations(void **state)
{
    size_t i, wrong = 0;
    const json_t *row;
    (void)state;
    json_array_foreach(rows, i, row)
    {
        for (int way = 0; way < 3; way++) {
            const json_t *resp = json_object_get(row, "resp");
            for (int i_how = 0; i_how < 4; i_how++) {
                uint64_t only = i_how / 2 ? ONLY_THIS : 0;
                bool failed = true;
                for (uint64_t at = 0; failed; at++)
                    wrong += !run(row, resp, (struct how){way, i_how % 2, NULL}, at | only, &failed);
            }
        }
    }
    assert_int_equal(wrong, 0);
}

/* A host whose client gives parsed replies learns what a text was. */
static void test_text_type(void **state)
{
    static const struct {
        const char *verb, *target;
        unsigned depth;
        enum lark_resp_type type;
        const char *values;
    } cases[] = {
        {"GET", "/api/0/PING/", 0, LARK_RESP_SIMPLE, "json"},
        {"GET", "/api/0/TYPE/a/", 0, LARK_RESP_SIMPLE, "json"},
        {"GET", "/api/0/GET/a/", 0, LARK_RESP_BULK, "json"},
        {"GET", "/api/0/LRANGE/a/0/1/", 1, LARK_RESP_BULK, "json"},
        {"GET", "/api/0/CLIENT/LIST/", 0, LARK_RESP_BULK, "json"},
        {"GET", "/api/0/DEBUG/OBJECT/a/", 0, LARK_RESP_SIMPLE, "json"},
        {"DELETE", "/api/0/FLUSHDB/", 0, LARK_RESP_SIMPLE, "json"},
        {"GET", "/api/0/GET/a/", 0, LARK_RESP_BULK, "raw"},
        {"HEAD", "/api/0/GET/a/", 0, LARK_RESP_SIMPLE, "raw"}, /* OK and QUEUED of a transaction */
        {"HEAD", "/api/0/GET/a/", 1, LARK_RESP_BULK, "raw"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct test_call call;
        struct lark_reply reply;
        struct lark_buf out;
        json_t *row =
            json_pack("{s:s, s:s, s:s}", "verb", cases[i].verb, "target", cases[i].target, "values", cases[i].values);
        assert_int_equal(call_begin(&call, row, (struct test_way){-1, -1, NO_FAILURE}), LARK_OK);
        lark_buf_init(&out, &call.mem.mem, 4096, NULL, 0);
        lark_reply_init(&reply, &call.plan, &call.mem.mem, &out);
        assert_int_equal(lark_reply_text_type(&reply, cases[i].depth), cases[i].type);
        lark_reply_done(&reply);
        lark_buf_done(&out);
        call_done(&call);
        json_decref(row);
    }
}

static void test_reach(void **state)
{
    bool seen[LARK_METHODS_MAX] = {false};
    size_t i;
    const json_t *row;
    (void)state;
    json_array_foreach(rows, i, row)
    {
        struct test_call call;
        if (call_begin(&call, row, (struct test_way){-1, -1, NO_FAILURE}) == LARK_OK) seen[call.plan.method] = true;
        call_done(&call);
    }
    for (size_t m = 0; m < lark_catalogue_count(lark_catalogue_default()); m++) {
        struct lark_slice name = lark_catalogue_name(lark_catalogue_default(), m);
        if (!seen[m]) fail_msg("no row reaches %.*s", (int)name.len, (const char *)name.p);
    }
    assert_true(json_array_size(rows) >= 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_resp2),       cmocka_unit_test(test_resp3),     cmocka_unit_test(test_spool),
        cmocka_unit_test(test_allocations), cmocka_unit_test(test_text_type), cmocka_unit_test(test_reach),
    };
    return cmocka_run_group_tests_name("replies", tests, load, unload);
}
