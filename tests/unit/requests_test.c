/* tests/vectors/core/requests.jsonl: each request gives the command that its row says, whatever the pieces; or the error,
 * with the same words. And it does so, or fails cleanly, whatever allocation fails. */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>

#include "plan_row.h"

static json_t *rows;

static int load(void **state)
{
    (void)state;
    rows = load_rows("core/requests.jsonl");
    return 0;
}

static int unload(void **state)
{
    (void)state;
    json_decref(rows);
    return 0;
}

static const char *name_of(const json_t *row)
{
    return json_string_value(json_object_get(row, "name"));
}

static void check_all(struct test_way way)
{
    size_t i, wrong = 0;
    const json_t *row;
    json_array_foreach(rows, i, row)
    {
        struct test_call call;
        enum lark_status status = call_begin(&call, row, way);
        wrong += !check_row(&call, row, status);
        call_done(&call);
    }
    if (wrong > 0) fail_msg("%d rows are wrong, body way %d, encoder way %d", (int)wrong, way.body_way, way.encode_way);
}

static void test_whole(void **state)
{
    (void)state;
    check_all((struct test_way){-1, -1, NO_FAILURE});
}

static void test_pieces(void **state)
{
    (void)state;
    for (int way = 0; way < WAYS; way++) check_all((struct test_way){way, way, NO_FAILURE});
}

static void test_encoder_steps(void **state)
{
    (void)state;
    for (int way = 0; way < WAYS; way++) check_all((struct test_way){-1, way, NO_FAILURE});
}

/* Allocation 0, 1, 2, ... fails, and all after it (only: or none), until the call gets through. */
static void fail_each(const json_t *row, int way, uint64_t only)
{
    for (uint64_t at = 0;; at++) {
        struct test_call call;
        enum lark_status status = call_begin(&call, row, (struct test_way){way, way, at | only});
        bool failed = call.mem.n > at;
        if (failed && status != LARK_E_NOMEM) fail_msg("%s: allocation %d failed: %d", name_of(row), (int)at, status);
        if (!failed) assert_true(check_row(&call, row, status));
        call_done(&call);
        if (!failed) return;
    }
}

static void test_allocations(void **state)
{
    size_t i;
    const json_t *row;
    (void)state;
    json_array_foreach(rows, i, row)
    {
        fail_each(row, -1, 0);
        fail_each(row, 2, 0);
        fail_each(row, 2, ONLY_THIS);
    }
}

/* What the path holds is told by name, and only that: not what stands in the query instead. */
static void test_path_params(void **state)
{
    struct test_call call;
    struct lark_slice name = {NULL, 0};
    struct lark_slice raw = {NULL, 0};
    (void)state;
    json_t *row = json_pack("{s:s, s:s}", "verb", "GET", "target", "/api/0/HGET/h%2F/f/");
    assert_int_equal(call_begin(&call, row, (struct test_way){-1, -1, NO_FAILURE}), LARK_OK);
    assert_true(lark_plan_path_param(&call.plan, 0, &name, &raw));
    assert_slice(name, LIT("name"), "name");
    assert_slice(raw, LIT("h%2F"), "raw");
    assert_true(lark_plan_path_param(&call.plan, 1, &name, &raw));
    assert_slice(name, LIT("key"), "name");
    assert_false(lark_plan_path_param(&call.plan, 2, &name, &raw));
    call_done(&call);
    json_decref(row);
    row = json_pack("{s:s, s:s}", "verb", "GET", "target", "/api/0/GET/?key=a");
    assert_int_equal(call_begin(&call, row, (struct test_way){-1, -1, NO_FAILURE}), LARK_OK);
    assert_false(lark_plan_path_param(&call.plan, 0, &name, &raw));
    call_done(&call);
    json_decref(row);
}

/* The rows are a proof only if they reach every method. */
static void test_reach(void **state)
{
    bool seen[LARK_METHODS_MAX] = {false};
    bool seen_prefix[LARK_METHODS_MAX] = {false};
    size_t i;
    const json_t *row;
    (void)state;
    json_array_foreach(rows, i, row)
    {
        struct test_call call;
        enum lark_status status = call_begin(&call, row, (struct test_way){-1, -1, NO_FAILURE});
        bool prefixed = call.principal.prefix.len > 0;
        if (call.plan.method >= 0 && (status == LARK_OK || status == LARK_E_PREFIX_REFUSED)) {
            (prefixed ? seen_prefix : seen)[call.plan.method] = true;
        }
        call_done(&call);
    }
    for (size_t m = 0; m < lark_catalogue_count(lark_catalogue_default()); m++) {
        struct lark_slice name = lark_catalogue_name(lark_catalogue_default(), m);
        if (!seen[m]) fail_msg("no row reaches %.*s", (int)name.len, (const char *)name.p);
        if (!seen_prefix[m]) fail_msg("no row with a prefix reaches %.*s", (int)name.len, (const char *)name.p);
    }
    assert_true(json_array_size(rows) >= 300);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_path_params),   cmocka_unit_test(test_whole),       cmocka_unit_test(test_pieces),
        cmocka_unit_test(test_encoder_steps), cmocka_unit_test(test_allocations), cmocka_unit_test(test_reach),
    };
    return cmocka_run_group_tests_name("requests", tests, load, unload);
}
