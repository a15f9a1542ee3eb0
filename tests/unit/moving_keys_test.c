/* Commands whose keys move: rows in the form of data/methods give the command that was written by hand, and below a prefix
 * exactly the positions that were written by hand have it. */
#include <stdlib.h>

#include "support.h"

#include "catalogue.h"

#include "moving_keys.inc"

static const struct lark_method *find(const char *name, int *out_index)
{
    for (size_t i = 0; i < lark__catalogue_moving_keys.n_methods; i++) {
        if (!same_slice(lark__catalogue_moving_keys.methods[i].name, slice_of(name))) continue;
        *out_index = (int)i;
        return &lark__catalogue_moving_keys.methods[i];
    }
    fail_msg("no row %s", name);
    return NULL;
}

static bool listed(const json_t *keys, size_t at)
{
    size_t i;
    const json_t *key;
    json_array_foreach(keys, i, key)
    {
        if ((size_t)json_integer_value(key) == at) return true;
    }
    return false;
}

static json_t *with_prefix(const json_t *row, const char *prefix)
{
    json_t *argv = json_array();
    size_t i;
    const json_t *item;
    json_array_foreach(json_object_get(row, "argv"), i, item)
    {
        bool key = prefix[0] != '\0' && listed(json_object_get(row, "keys"), i);
        json_array_append_new(argv, json_sprintf("%s%s%s", key ? prefix : "", key ? ":" : "", json_string_value(item)));
    }
    return argv;
}

static void check(const json_t *row, const char *prefix)
{
    const char *name = json_string_value(json_object_get(row, "name"));
    struct lark_config config = {
        .catalogue = &lark__catalogue_moving_keys, .dialect = lark_dialect_native(), .zone = lark_zone_utc()};
    struct lark_request request = {.verb = LARK_VERB_POST};
    struct lark_plan plan = {.config = &config, .request = &request, .prefix = slice_of(prefix), .body_max = 65536};
    struct lark_body body = {.p = NULL};
    struct lark_arena arena;
    struct lark_buf wire;
    struct lark_err err = {.status = LARK_OK};
    size_t len;
    uint8_t *bytes = bytes_of(json_object_get(row, "body"), &body.len);
    body.p = bytes;
    lark_limits_default(&config.limits);
    plan.row = find(json_string_value(json_object_get(row, "method")), &plan.method);
    lark_arena_init(&arena, lark_mem_default(), 1 << 20, NULL, 0);
    lark_buf_init(&wire, lark_mem_default(), 1 << 20, NULL, 0);
    if (lark_plan_make(&plan, &arena, &body, &err) != LARK_OK) {
        fail_msg("%s: %d %.*s", name, err.status, (int)err.name.len, (const char *)err.name.p);
    }
    assert_int_equal(lark_plan_encode(&plan, &wire), LARK_OK);
    json_t *argv = with_prefix(row, prefix);
    uint8_t *want = resp_of(argv, &len);
    assert_slice((struct lark_slice){wire.p, wire.len}, (struct lark_slice){want, len}, name);
    json_decref(argv);
    free(want);
    free(bytes);
    lark_buf_done(&wire);
    lark_arena_done(&arena);
}

static void check_all(const char *prefix)
{
    json_t *rows = load_rows("moving_keys/cases.jsonl");
    size_t i;
    const json_t *row;
    bool seen[LARK_METHODS_MAX] = {false};
    json_array_foreach(rows, i, row)
    {
        int index = 0;
        (void)find(json_string_value(json_object_get(row, "method")), &index);
        seen[index] = true;
        check(row, prefix);
    }
    for (i = 0; i < lark__catalogue_moving_keys.n_methods; i++) assert_true(seen[i]);
    json_decref(rows);
}

static void test_commands(void **state)
{
    (void)state;
    check_all("");
}

static void test_prefix(void **state)
{
    (void)state;
    check_all("u1");
}

/* Hidden rows have no path: no request reaches them. */
static void test_hidden(void **state)
{
    (void)state;
    assert_int_equal(lark__catalogue_moving_keys.n_methods, 8);
    assert_int_equal(lark__catalogue_moving_keys.n_words, 0);
    assert_null(lark__find_word(&lark__catalogue_moving_keys, LIT("SORT"), LIT("")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_commands),
        cmocka_unit_test(test_prefix),
        cmocka_unit_test(test_hidden),
    };
    return cmocka_run_group_tests_name("moving_keys", tests, NULL, NULL);
}
