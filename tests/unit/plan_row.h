/* plan_row.h - what a row of requests.jsonl says, compared with a call. */
#ifndef LARK_TEST_PLAN_ROW_H
#define LARK_TEST_PLAN_ROW_H

#include <stdlib.h>

#include "support.h"

/* error: its code; message: all of its words; offset: err.offset */
static inline bool check_error(const struct test_call *call, const json_t *row, enum lark_status status)
{
    const char *name = json_string_value(json_object_get(row, "name"));
    const char *want = json_string_value(json_object_get(row, "error"));
    const char *words = json_string_value(json_object_get(row, "message"));
    const json_t *offset = json_object_get(row, "offset");
    struct lark_buf out;
    lark_buf_init(&out, lark_mem_default(), 65536, NULL, 0);
    assert_int_equal(lark_error_render(&call->config, &call->err, &out), LARK_OK);
    char *message = message_of(&out);
    lark_buf_done(&out);
    bool good = status < 0 && call->err.status == status && strcmp(lark_error_row(status)->code, want) == 0;
    if (offset && (uint64_t)json_integer_value(offset) != call->err.offset) good = false;
    /* a body that is in pieces cannot be shown */
    if (words && call->way.body_way < 0 && strcmp(message, words) != 0) good = false;
    if (!good) {
        print_error("%s: got status %d (err %d), offset %d: %s\n", name, status, call->err.status,
                    (int)call->err.offset, message);
    }
    free(message);
    return good;
}

static inline bool check_wire(const struct test_call *call, const json_t *row)
{
    const json_t *commands = json_object_get(row, "commands");
    const json_t *argv = json_object_get(row, "argv");
    size_t at = 0, n = commands ? json_array_size(commands) : 1;
    bool good = json_array_size(argv) == 0 || call->plan.n_commands == n;
    for (size_t i = 0; i < n; i++) {
        size_t len;
        const json_t *command = commands ? json_array_get(commands, i) : argv;
        uint8_t *want = resp_of(command, &len);
        if (json_array_size(command) == 0) len = 0;
        good = good && len <= call->wire.len - at && (len == 0 || memcmp(call->wire.p + at, want, len) == 0);
        at += good ? len : 0;
        free(want);
    }
    good = good && at == call->wire.len;
    if (!good) {
        print_error("%s: got %.*s\n", json_string_value(json_object_get(row, "name")),
                    (int)(call->wire.len < 500 ? call->wire.len : 500), (const char *)call->wire.p);
    }
    return good;
}

/* argv: the command, or commands: several, or error. lane, access, block_ms: of the plan. return: is it so? (else it is told) */
static inline bool check_row(const struct test_call *call, const json_t *row, enum lark_status status)
{
    static const char *const lanes[] = {"shared", "blocking", "private"};
    const char *name = json_string_value(json_object_get(row, "name"));
    const char *lane = json_string_value(json_object_get(row, "lane"));
    const char *access = json_string_value(json_object_get(row, "access"));
    const json_t *block = json_object_get(row, "block_ms");
    if (json_object_get(row, "error")) return check_error(call, row, status);
    if (status != LARK_OK) {
        print_error("%s: %d %s\n", name, status, lark_error_row(status)->code);
        return false;
    }
    bool good = !lane || strcmp(lanes[call->plan.lane], lane) == 0;
    if (access && strcmp(call->plan.access == LARK_ACCESS_READ ? "read" : "write", access) != 0) good = false;
    if (block && call->plan.block_ms != (uint32_t)json_integer_value(block)) good = false;
    if (!good) print_error("%s: lane, access or block_ms %d\n", name, (int)call->plan.block_ms);
    return check_wire(call, row) && good;
}

#endif
