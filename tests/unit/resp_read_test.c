/* The RESP reader: every type of both versions in all pieces, limits at and one over, what is no RESP; hiredis as second
 * opinion on RESP2. */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>

#ifdef LARK_TEST_HIREDIS
#include <hiredis/hiredis.h>
#endif

struct trace {
    char text[65536 * 3];
    size_t len;
    bool open;
    bool wrong;
    int64_t bulk_left;
};

static void note(struct trace *t, const void *p, size_t n)
{
    assert_true(t->len + n < sizeof t->text);
    memcpy(t->text + t->len, p, n);
    t->len += n;
}

static int64_t number_of(const struct lark_resp_event *event)
{
    bool has = event->type == LARK_RESP_BULK || event->type == LARK_RESP_INT || event->type == LARK_RESP_BOOL ||
               (event->type >= LARK_RESP_ARRAY && event->type < LARK_RESP_END);
    return has ? event->n : 0;
}

static enum lark_status on_event(void *ctx, const struct lark_resp_event *event)
{
    static const char marks[] = "_#:,(+-$*%~>.";
    struct trace *t = ctx;
    bool bulk = event->type == LARK_RESP_BULK;
    if (event->first == t->open || (!bulk && !(event->first && event->last))) t->wrong = true;
    t->open = !event->last;
    if (event->first) {
        char head[64];
        note(t, head,
             (size_t)snprintf(head, sizeof head, " %c%u %lld ", marks[event->type], event->depth,
                              (long long)number_of(event)));
        t->bulk_left = event->n;
    }
    if (event->type != LARK_RESP_INT && event->text.len > 0) note(t, event->text.p, event->text.len);
    if (bulk) t->bulk_left -= (int64_t)event->text.len;
    if (bulk && event->last && t->bulk_left != 0) t->wrong = true;
    return LARK_OK;
}

struct outcome {
    enum lark_status status; /* of the last feed */
    unsigned replies;
    struct trace trace;
};

struct limits {
    uint64_t bulk, elements;
};

static void read_stream(struct lark_slice bytes, struct limits limits, int way, uint64_t seed, struct outcome *out)
{
    struct test_mem mem;
    struct lark_resp resp;
    struct test_random random = {seed};
    memset(out, 0, sizeof *out);
    test_mem_init(&mem, NO_FAILURE);
    lark_resp_init(&resp, &mem.mem, limits.bulk, limits.elements, on_event, &out->trace);
    out->status = LARK_MORE;
    while (bytes.len > 0 && out->status >= 0) {
        size_t n = cut_of(&random, way, bytes.len);
        uint8_t *piece = copy_of((struct lark_slice){bytes.p, n});
        struct lark_slice rest = {piece, n};
        while (rest.len > 0 && out->status >= 0) {
            size_t used = SIZE_MAX;
            out->status = lark_resp_feed(&resp, rest, &used);
            if (out->status < 0) break;
            assert_true(used <= rest.len && (out->status == LARK_OK || used == rest.len));
            rest.p += used;
            rest.len -= used;
            out->replies += out->status == LARK_OK;
        }
        free(piece);
        bytes.p += n;
        bytes.len -= n;
    }
    if (out->status < 0) assert_int_equal(lark_resp_feed(&resp, LIT("+OK\r\n"), &(size_t){0}), LARK_E_PROTOCOL);
    lark_resp_done(&resp);
    assert_int_equal(mem.live_bytes, 0);
    assert_false(out->trace.wrong);
}

static const struct limits wide = {1 << 20, 1 << 20};

static void read_all_ways(struct lark_slice bytes, struct limits limits, struct outcome *whole)
{
    static struct outcome other;
    read_stream(bytes, limits, 0, 0, whole);
    for (int way = 1; way < WAYS + 3; way++) {
        read_stream(bytes, limits, way, (uint64_t)way, &other);
        bool same = other.status == whole->status && other.replies == whole->replies;
        if (whole->status >= 0 && (other.trace.len != whole->trace.len ||
                                   memcmp(other.trace.text, whole->trace.text, whole->trace.len) != 0)) {
            same = false;
        }
        if (!same) {
            fail_msg("way %d differs on %.*s: %d, %d", way, (int)(bytes.len < 300 ? bytes.len : 300),
                     (const char *)bytes.p, whole->status, other.status);
        }
    }
}

static struct outcome out;

static void test_events(void **state)
{
    static const struct {
        struct lark_slice bytes;
        const char *events;
    } rows[] = {
#define ROW(bytes, events) {{(const uint8_t *)(bytes), sizeof(bytes) - 1}, events}
        ROW("+OK\r\n", " +0 0 OK"),
        ROW("+\r\n", " +0 0 "),
        ROW("+a\rb\r\n", " +0 0 a\rb"),
        ROW("-ERR x\r\n", " -0 0 ERR x"),
        ROW(":0\r\n", " :0 0 "),
        ROW(":-9223372036854775808\r\n", " :0 -9223372036854775808 "),
        ROW(":9223372036854775807\r\n", " :0 9223372036854775807 "),
        ROW("$-1\r\n", " _0 0 "),
        ROW("*-1\r\n", " _0 0 "),
        ROW("_\r\n", " _0 0 "),
        ROW("$0\r\n\r\n", " $0 0 "),
        ROW("$5\r\na\r\nbc\r\n", " $0 5 a\r\nbc"),
        ROW("*0\r\n", " *0 0  .0 0 "),
        ROW("*2\r\n$1\r\na\r\n*1\r\n:5\r\n", " *0 2  $1 1 a *1 1  :2 5  .1 0  .0 0 "),
        ROW("*2\r\n*0\r\n*-1\r\n", " *0 2  *1 0  .1 0  _1 0  .0 0 "),
        ROW("#t\r\n", " #0 1 t"),
        ROW("#f\r\n", " #0 0 f"),
        ROW(",1.5\r\n", " ,0 0 1.5"),
        ROW(",-inf\r\n", " ,0 0 -inf"),
        ROW(",nan\r\n", " ,0 0 nan"),
        ROW("(123456789012345678901234567890\r\n", " (0 0 123456789012345678901234567890"),
        ROW("%2\r\n+a\r\n:1\r\n+b\r\n:2\r\n", " %0 4  +1 0 a :1 1  +1 0 b :1 2  .0 0 "),
        ROW("~1\r\n+a\r\n", " ~0 1  +1 0 a .0 0 "),
        ROW(">1\r\n+a\r\n", " >0 1  +1 0 a .0 0 "),
        ROW("=7\r\ntxt:abc\r\n", " $0 3 abc"),
        ROW("=4\r\nmkd:\r\n", " $0 0 "),
        ROW("!5\r\nERR x\r\n", " -0 0 ERR x"),
        ROW("!0\r\n\r\n", " -0 0 "),
        ROW("|1\r\n+a\r\n*2\r\n:1\r\n:2\r\n:5\r\n", " :0 5 "),
        ROW("*2\r\n|1\r\n+a\r\n|1\r\n+b\r\n:0\r\n:9\r\n:1\r\n:2\r\n", " *0 2  :1 1  :1 2  .0 0 "),
        ROW("|0\r\n:5\r\n", " :0 5 "),
        ROW("*1\r\n|1\r\n$1\r\nx\r\n!1\r\ny\r\n$1\r\nz\r\n", " *0 1  $1 1 z .0 0 "),
        ROW("+a\r\n:1\r\n", " +0 0 a :0 1 "),
#undef ROW
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        read_all_ways(rows[i].bytes, wide, &out);
        assert_int_equal(out.status, LARK_OK);
        assert_slice((struct lark_slice){(const uint8_t *)out.trace.text, out.trace.len}, slice_of(rows[i].events),
                     (const char *)rows[i].bytes.p);
    }
    assert_int_equal(out.replies, 2);
}

static void test_errors(void **state)
{
    static const char *const rows[] = {
        "x\r\n",
        "\r\n",
        "\n",
        ":\r\n",
        ":x\r\n",
        ":1 \r\n",
        ": 1\r\n",
        ":+1\r\n",
        ":1\n",
        ":1\rx\n",
        ":--1\r\n",
        ":9223372036854775808\r\n",
        ":-9223372036854775809\r\n",
        "$\r\n",
        "$x\r\n",
        "$-2\r\n",
        "$1\r\nab\r\n",
        "$1\r\na\n\r",
        "$0\r\nx\r\n",
        "$18446744073709551616\r\n",
        "*-2\r\n",
        "*x\r\n",
        "%-1\r\n",
        "~-1\r\n",
        ">-1\r\n",
        "|-1\r\n",
        "=-1\r\n",
        "=3\r\nabc\r\n",
        "!-1\r\n",
        "#\r\n",
        "#x\r\n",
        "#tt\r\n",
        "_x\r\n",
        ",\r\n",
        ",x\r\n",
        ",1.2.3\r\n",
        "(\r\n",
        "(x\r\n",
        "(1.5\r\n",
        "(+1\r\n",
        "+a\n",
        "-a\n",
        "*1\r\nx\r\n",
        "$?\r\n",
        "*?\r\n",
        ":1111111111111111111111111111111111111111111111111111111111111111111111\r\n",
        ".\r\n",
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        read_all_ways(slice_of(rows[i]), wide, &out);
        if (out.status != LARK_E_PROTOCOL) fail_msg("%s: %d", rows[i], out.status);
    }
    read_all_ways((struct lark_slice){(const uint8_t *)"\0\r\n", 3}, wide, &out);
    assert_int_equal(out.status, LARK_E_PROTOCOL);
}

static void expect(const char *bytes, struct limits limits, enum lark_status status)
{
    read_all_ways(slice_of(bytes), limits, &out);
    if (out.status != status) fail_msg("%s: %d", bytes, out.status);
}

static void test_limits(void **state)
{
    char text[400] = "";
    (void)state;
    expect("$5\r\nabcde\r\n", (struct limits){5, 10}, LARK_OK);
    expect("$6\r\nabcdef\r\n", (struct limits){5, 10}, LARK_E_REPLY_TOO_LARGE);
    expect("=5\r\ntxt:a\r\n", (struct limits){5, 10}, LARK_OK);
    expect("=6\r\ntxt:ab\r\n", (struct limits){5, 10}, LARK_E_REPLY_TOO_LARGE);
    expect("*3\r\n:1\r\n:2\r\n:3\r\n", (struct limits){5, 3}, LARK_OK);
    expect("*4\r\n:1\r\n", (struct limits){5, 3}, LARK_E_REPLY_TOO_LARGE);
    expect("*2\r\n*1\r\n:1\r\n:2\r\n", (struct limits){5, 3}, LARK_OK);
    expect("*2\r\n*2\r\n:1\r\n", (struct limits){5, 3}, LARK_E_REPLY_TOO_LARGE);
    expect("*2\r\n:1\r\n:2\r\n*3\r\n:1\r\n:1\r\n:1\r\n", (struct limits){5, 3}, LARK_OK); /* of one reply */
    expect("%1\r\n:1\r\n:2\r\n", (struct limits){5, 2}, LARK_OK);
    expect("%2\r\n:1\r\n", (struct limits){5, 3}, LARK_E_REPLY_TOO_LARGE);
    expect("%9223372036854775807\r\n", (struct limits){5, UINT64_MAX}, LARK_E_REPLY_TOO_LARGE);
    expect("|2\r\n:1\r\n", (struct limits){5, 3}, LARK_E_REPLY_TOO_LARGE); /* attributes count */
    expect("*9223372036854775807\r\n", wide, LARK_E_REPLY_TOO_LARGE);
    expect("$9223372036854775807\r\n", wide, LARK_E_REPLY_TOO_LARGE);
    for (int depth = 16; depth <= 17; depth++) {
        char *at = text;
        for (int i = 0; i < depth; i++) at = stpcpy(at, "*1\r\n");
        stpcpy(at, ":1\r\n");
        expect(text, wide, depth == 16 ? LARK_OK : LARK_E_REPLY_TOO_LARGE);
    }
}

/* Status and error lines, CR included, and blob errors: 65536 bytes. */
static void test_long_lines(void **state)
{
    static char text[70000];
    (void)state;
    for (size_t n = 65535; n <= 65536; n++) {
        memset(text, 'x', sizeof text);
        text[0] = '-';
        memcpy(text + 1 + n, "\r\n", 3);
        expect(text, wide, n == 65535 ? LARK_OK : LARK_E_PROTOCOL);
    }
    for (size_t n = 65536; n <= 65537; n++) {
        size_t head = (size_t)snprintf(text, sizeof text, "!%zu\r\n", n);
        memset(text + head, 'x', n);
        memcpy(text + head + n, "\r\n", 3);
        expect(text, wide, n == 65536 ? LARK_OK : LARK_E_REPLY_TOO_LARGE);
    }
}

static void test_allocation(void **state)
{
    struct test_mem mem;
    struct lark_resp resp;
    size_t used;
    (void)state;
    test_mem_init(&mem, 0);
    lark_resp_init(&resp, &mem.mem, 100, 100, on_event, &out.trace);
    out.trace.len = 0;
    assert_int_equal(lark_resp_feed(&resp, LIT("+whole\r\n"), &used), LARK_OK); /* needs none */
    assert_int_equal(lark_resp_feed(&resp, LIT("+cu"), &used), LARK_E_NOMEM);
    lark_resp_done(&resp);
}

static void test_write(void **state)
{
    uint8_t block[64];
    struct lark_buf buf;
    (void)state;
    lark_buf_init(&buf, lark_mem_default(), 17, block, 17);
    assert_int_equal(lark_resp_write_array(&buf, 2), LARK_OK);
    assert_int_equal(lark_resp_write_bulk(&buf, LIT("a\0b")), LARK_OK);
    assert_slice((struct lark_slice){buf.p, buf.len}, LIT("*2\r\n$3\r\na\0b\r\n"), "array and bulk");
    assert_int_equal(lark_resp_write_bulk(&buf, LIT("")), LARK_E_TOO_LARGE);
    assert_int_equal(buf.len, 13); /* nothing is left of what did not fit */
    lark_buf_init(&buf, lark_mem_default(), sizeof block, block, sizeof block);
    assert_int_equal(lark_resp_write_bulk(&buf, LIT("")), LARK_OK);
    assert_int_equal(lark_resp_write_array(&buf, SIZE_MAX), LARK_OK);
    assert_slice((struct lark_slice){buf.p, buf.len}, LIT("$0\r\n\r\n*18446744073709551615\r\n"), "empty, most");
}

/* --- hiredis --------------------------------------------------------------------------------------------------- */

#ifdef LARK_TEST_HIREDIS
/* NOLINTNEXTLINE(misc-no-recursion): hiredis nests 9 deep at most */
static void describe(const redisReply *reply, unsigned depth, struct trace *t)
{
    char head[64];
    static const char marks[] = "?$*:_+-";
    long long n = reply->type == REDIS_REPLY_INTEGER  ? reply->integer
                  : reply->type == REDIS_REPLY_STRING ? (long long)reply->len
                  : reply->type == REDIS_REPLY_ARRAY  ? (long long)reply->elements
                                                      : 0;
    note(t, head, (size_t)snprintf(head, sizeof head, " %c%u %lld ", marks[reply->type], depth, n));
    if (reply->type == REDIS_REPLY_STRING || reply->type == REDIS_REPLY_STATUS || reply->type == REDIS_REPLY_ERROR) {
        note(t, reply->str, (size_t)reply->len);
    }
    if (reply->type != REDIS_REPLY_ARRAY) return;
    for (size_t i = 0; i < reply->elements; i++) describe(reply->element[i], depth + 1, t);
    note(t, head, (size_t)snprintf(head, sizeof head, " .%u 0 ", depth));
}

/* return: 1 a reply, 0 unfinished, -1 no RESP */
static int by_hiredis(struct lark_slice bytes, struct trace *t)
{
    redisReader *reader = redisReaderCreate();
    void *reply = NULL;
    int result = 0;
    t->len = 0;
    assert_int_equal(redisReaderFeed(reader, (const char *)bytes.p, bytes.len), REDIS_OK);
    if (redisReaderGetReply(reader, &reply) != REDIS_OK) {
        result = -1;
    } else if (reply != NULL) {
        describe(reply, 0, t);
        freeReplyObject(reply);
        result = 1;
    }
    redisReaderFree(reader);
    return result;
}

/* Where the two differ by rules of theirs: hiredis takes types of RESP3 for errors; stops at nesting 9; searches lines by
 * CR LF and so lets a lone LF into status lines; takes junk behind numbers of lengths, "+1" and lengths it has no memory
 * for; knows no limit at 64 bytes of a number. We never take what it
 * refuses but RESP3, nesting, and zeros before a number. */
static bool explained(struct lark_slice bytes, int theirs)
{
    bool new_types = false, zeros = false;
    unsigned stars = 0;
    for (size_t i = 0; i < bytes.len; i++) {
        if (memchr("_#,(%~>=!|", bytes.p[i], 10) != NULL) new_types = true;
        stars += bytes.p[i] == '*';
        bool sign = i > 0 && bytes.p[i - 1] == '-';
        if (bytes.p[i] == '0' && i > 0 && (sign || memchr("$*:", bytes.p[i - 1], 3) != NULL)) zeros = true;
    }
    if (theirs < 0) return new_types || zeros || stars > 8;
    return true; /* we are stricter */
}

static void test_hiredis(void **state)
{
    static struct trace theirs;
    static const char *const seeds[] = {
        "*3\r\n$3\r\nabc\r\n:15\r\n*2\r\n+OK\r\n-ERR x\r\n",
        "$10\r\n0123456789\r\n",
        "*2\r\n$-1\r\n*-1\r\n",
        "*1\r\n*1\r\n*1\r\n*0\r\n",
        ":-123456\r\n",
        "+status line\r\n",
        "-ERR a b c\r\n",
        "*2\r\n$0\r\n\r\n$2\r\n\r\n\r\n",
    };
    static const char bytes[] = "\r\n$*:+-0123456789a";
    struct test_random random = {99};
    unsigned both = 0;
    (void)state;
    for (int round = 0; round < 60000; round++) {
        uint8_t text[256];
        const char *seed = seeds[random_next(&random) % (sizeof seeds / sizeof seeds[0])];
        size_t len = strlen(seed);
        memcpy(text, seed, len);
        for (uint64_t n = random_next(&random) % 3; n > 0; n--) {
            text[random_next(&random) % len] = (uint8_t)bytes[random_next(&random) % (sizeof bytes - 1)];
        }
        if (random_next(&random) % 8 == 0) len = random_next(&random) % len;
        struct lark_slice slice = {text, len};
        int other = by_hiredis(slice, &theirs);
        struct lark_resp resp;
        size_t used;
        memset(&out, 0, sizeof out);
        lark_resp_init(&resp, lark_mem_default(), 1 << 20, 1 << 20, on_event, &out.trace);
        enum lark_status status = lark_resp_feed(&resp, slice, &used);
        lark_resp_done(&resp);
        int ours = status == LARK_OK ? 1 : status == LARK_MORE ? 0 : -1;
        if (ours == 1 && other == 1) {
            both++;
            assert_slice((struct lark_slice){(const uint8_t *)out.trace.text, out.trace.len},
                         (struct lark_slice){(const uint8_t *)theirs.text, theirs.len}, "hiredis");
        } else if (ours != other && !explained(slice, other)) {
            fail_msg("we say %d, hiredis %d: %.*s", ours, other, (int)len, (const char *)text);
        } else if (ours == 1 && other == 0) {
            fail_msg("we end a reply where hiredis waits: %.*s", (int)len, (const char *)text);
        }
    }
    assert_in_range(both, 10000, 60000);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_events),     cmocka_unit_test(test_errors),     cmocka_unit_test(test_limits),
        cmocka_unit_test(test_long_lines), cmocka_unit_test(test_allocation), cmocka_unit_test(test_write),
#ifdef LARK_TEST_HIREDIS
        cmocka_unit_test(test_hiredis),
#endif
    };
    return cmocka_run_group_tests_name("resp_read", tests, NULL, NULL);
}
