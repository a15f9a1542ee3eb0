/* The JSON reader: what it takes and refuses, with positions, whatever the pieces; jansson as second opinion. */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* All events of a text as one line: pieces are put together. */
struct trace {
    char text[65536];
    size_t len;
    bool open; /* a name, string or number goes on */
    bool wrong;
};

static void note(struct trace *t, const void *p, size_t n)
{
    assert_true(t->len + n < sizeof t->text);
    memcpy(t->text + t->len, p, n);
    t->len += n;
}

static enum lark_status on_event(void *ctx, const struct lark_json_event *event)
{
    static const char marks[] = "{}[]:s#tfn";
    struct trace *t = ctx;
    bool pieces = event->type == LARK_JSON_NAME || event->type == LARK_JSON_STRING || event->type == LARK_JSON_NUMBER;
    if (event->first == t->open || (!pieces && !(event->first && event->last))) t->wrong = true;
    t->open = !event->last;
    if (event->first) {
        char head[64];
        note(t, head,
             (size_t)snprintf(head, sizeof head, " %c%u@%llu ", marks[event->type], event->depth,
                              (unsigned long long)event->offset));
    }
    if (event->text.len > 0) note(t, event->text.p, event->text.len);
    if (event->last) {
        char tail[32];
        note(t, tail, (size_t)snprintf(tail, sizeof tail, "|%llu", (unsigned long long)event->end));
    }
    return LARK_OK;
}

struct outcome {
    enum lark_status status;
    const char *error;
    uint64_t offset;
    struct trace trace;
};

static void read_text(struct lark_slice text, int way, uint64_t seed, struct outcome *out)
{
    struct test_mem mem;
    struct lark_json json;
    struct test_random random = {seed};
    memset(out, 0, sizeof *out);
    test_mem_init(&mem, NO_FAILURE);
    lark_json_init(&json, &mem.mem, LARK_JSON_DEPTH_MAX, LARK_JSON_NAMES_MAX, on_event, &out->trace);
    while (text.len > 0 && out->status == LARK_OK) {
        size_t n = cut_of(&random, way, text.len);
        uint8_t *piece = copy_of((struct lark_slice){text.p, n});
        out->status = lark_json_feed(&json, (struct lark_slice){piece, n});
        free(piece);
        text.p += n;
        text.len -= n;
    }
    if (out->status == LARK_OK) out->status = lark_json_finish(&json);
    out->error = lark_json_error(&json);
    out->offset = lark_json_offset(&json);
    lark_json_done(&json);
    assert_int_equal(mem.live_bytes, 0);
    assert_false(out->trace.wrong);
    assert_true(out->status != LARK_OK || !out->trace.open);
}

/* Reads in every way; all must agree. The outcome is the whole way's. */
static void read_all_ways(struct lark_slice text, struct outcome *whole)
{
    static struct outcome other;
    read_text(text, 0, 0, whole);
    for (int way = 1; way < WAYS + 3; way++) {
        read_text(text, way, (uint64_t)way, &other);
        bool same = other.status == whole->status && other.error == whole->error && other.offset == whole->offset;
        /* before an error pieces may have been given that the whole text kept back */
        if (whole->status == LARK_OK && (other.trace.len != whole->trace.len ||
                                         memcmp(other.trace.text, whole->trace.text, whole->trace.len) != 0)) {
            same = false;
        }
        if (!same) {
            fail_msg("way %d differs on %.*s: %d at %d, %d at %d", way, (int)(text.len < 300 ? text.len : 300),
                     (const char *)text.p, whole->status, (int)whole->offset, other.status, (int)other.offset);
        }
    }
}

static struct outcome out;

static void test_events(void **state)
{
    static const struct {
        const char *text, *events;
    } rows[] = {
        {"{}", " {0@0 |1 }0@1 |2"},
        {" [ ] ", " [0@1 |2 ]0@3 |4"},
        {"\"\"", " s0@0 |2"},
        {"0", " #0@0 0|1"},
        {"-0.5e+10 ", " #0@0 -0.5e+10|8"},
        {"123456789012345678901234567890", " #0@0 123456789012345678901234567890|30"},
        {"[1,-2]", " [0@0 |1 #1@1 1|2 #1@3 -2|5 ]0@5 |6"},
        {"true", " t0@0 |4"},
        {"[false,null]", " [0@0 |1 f1@1 |6 n1@7 |11 ]0@11 |12"},
        {"{\"a\":[{}],\"\":1}", " {0@0 |1 :1@1 a|4 [1@5 |6 {2@6 |7 }2@7 |8 ]1@8 |9 :1@10 |12 #1@13 1|14 }0@14 |15"},
        {"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", " s0@0 \"\\/\b\f\n\r\t|18"},
        {"\"a\\u0041\\u00e9\\u20AC\\ud83d\\uDE00z\"", " s0@0 aA\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80z|34"},
        {"\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\xf4\x8f\xbf\xbf\xed\x9f\xbf\xee\x80\x80\x7f\"",
         " s0@0 \xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\xf4\x8f\xbf\xbf\xed\x9f\xbf\xee\x80\x80\x7f|22"},
        {"{\"a\":1,\"b\":{\"a\":1},\"c\":[{\"a\":1},{\"a\":1}]}", NULL},
        {"\t\r\n 1\t\r\n ", " #0@4 1|5"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        read_all_ways(slice_of(rows[i].text), &out);
        if (out.status != LARK_OK) fail_msg("%s: %s at %d", rows[i].text, out.error, (int)out.offset);
        if (rows[i].events == NULL) continue;
        assert_slice((struct lark_slice){(const uint8_t *)out.trace.text, out.trace.len}, slice_of(rows[i].events),
                     rows[i].text);
    }
}

static const struct {
    struct lark_slice text;
    uint64_t offset;
    const char *words;
} wrong_texts[] = {
    {{(const uint8_t *)"", 0}, 0, "the text ends"},
    {{(const uint8_t *)" ", 1}, 1, "the text ends"},
    {{(const uint8_t *)"{", 1}, 1, "the text ends"},
    {{(const uint8_t *)"[1,", 3}, 3, "the text ends"},
    {{(const uint8_t *)"\"a", 2}, 2, "the text ends"},
    {{(const uint8_t *)"\"\\", 2}, 2, "the text ends"},
    {{(const uint8_t *)"\"\\u00", 5}, 5, "the text ends"},
    {{(const uint8_t *)"tru", 3}, 3, "the text ends"},
    {{(const uint8_t *)"-", 1}, 1, "the text ends"},
    {{(const uint8_t *)"1.", 2}, 2, "the text ends"},
    {{(const uint8_t *)"1e", 2}, 2, "the text ends"},
    {{(const uint8_t *)"1e+", 3}, 3, "the text ends"},
    {{(const uint8_t *)"[1", 2}, 2, "the text ends"},
    {{(const uint8_t *)"\"\xc3", 2}, 2, "the text ends"},
    {{(const uint8_t *)"x", 1}, 0, "expected a value"},
    {{(const uint8_t *)"\xef\xbb\xbf{}", 5}, 0, "expected a value"},
    {{(const uint8_t *)"\0", 1}, 0, "expected a value"},
    {{(const uint8_t *)"[,1]", 4}, 1, "expected a value"},
    {{(const uint8_t *)"[1,]", 4}, 3, "expected a value"},
    {{(const uint8_t *)"trux", 4}, 3, "expected a value"},
    {{(const uint8_t *)"True", 4}, 0, "expected a value"},
    {{(const uint8_t *)"nul]", 4}, 3, "expected a value"},
    {{(const uint8_t *)"+1", 2}, 0, "expected a value"},
    {{(const uint8_t *)".5", 2}, 0, "expected a value"},
    {{(const uint8_t *)"'a'", 3}, 0, "expected a value"},
    {{(const uint8_t *)"[1 2]", 5}, 3, "comma or ]"},
    {{(const uint8_t *)"[1}", 3}, 2, "comma or ]"},
    {{(const uint8_t *)"{\"a\":1]", 7}, 6, "comma or }"},
    {{(const uint8_t *)"{\"a\" 1}", 7}, 5, "colon"},
    {{(const uint8_t *)"{a:1}", 5}, 1, "member name"},
    {{(const uint8_t *)"{\"a\":1,}", 8}, 7, "member name"},
    {{(const uint8_t *)"{,}", 3}, 1, "member name"},
    {{(const uint8_t *)"1 1", 3}, 2, "nothing after"},
    {{(const uint8_t *)"{}}", 3}, 2, "nothing after"},
    {{(const uint8_t *)"1/**/", 5}, 1, "nothing after"},
    {{(const uint8_t *)"01", 2}, 1, "digit"},
    {{(const uint8_t *)"-01", 3}, 2, "digit"},
    {{(const uint8_t *)"-a", 2}, 1, "digit"},
    {{(const uint8_t *)"1.e5", 4}, 2, "digit"},
    {{(const uint8_t *)"1e+-5", 5}, 3, "digit"},
    {{(const uint8_t *)"1ee5", 4}, 2, "digit"},
    {{(const uint8_t *)"--1", 3}, 1, "digit"},
    {{(const uint8_t *)"1.2.3", 5}, 3, "nothing after"},
    {{(const uint8_t *)"0x10", 4}, 1, "nothing after"},
    {{(const uint8_t *)"\"\x1f\"", 3}, 1, "control"},
    {{(const uint8_t *)"\"\0\"", 3}, 1, "control"},
    {{(const uint8_t *)"\"a\nb\"", 5}, 2, "control"},
    {{(const uint8_t *)"\"\\x\"", 4}, 2, "unknown escape"},
    {{(const uint8_t *)"\"\\u00g0\"", 8}, 5, "hexadecimal"},
    {{(const uint8_t *)"\"\\ud800\"", 8}, 7, "lone surrogate"},
    {{(const uint8_t *)"\"\\ud800\\n\"", 10}, 8, "lone surrogate"},
    {{(const uint8_t *)"\"\\ud800\\ud800\"", 14}, 12, "lone surrogate"},
    {{(const uint8_t *)"\"\\udc00\"", 8}, 6, "lone surrogate"},
    {{(const uint8_t *)"\"\x80\"", 3}, 1, "UTF-8"},
    {{(const uint8_t *)"\"\xc0\x80\"", 4}, 1, "UTF-8"},
    {{(const uint8_t *)"\"\xc1\xbf\"", 4}, 1, "UTF-8"},
    {{(const uint8_t *)"\"\xc3(\"", 4}, 2, "UTF-8"},
    {{(const uint8_t *)"\"\xe0\x9f\xbf\"", 5}, 2, "UTF-8"},
    {{(const uint8_t *)"\"\xed\xa0\x80\"", 5}, 2, "UTF-8"},
    {{(const uint8_t *)"\"\xe2\x82\"", 4}, 3, "UTF-8"},
    {{(const uint8_t *)"\"\xf0\x8f\xbf\xbf\"", 6}, 2, "UTF-8"},
    {{(const uint8_t *)"\"\xf4\x90\x80\x80\"", 6}, 2, "UTF-8"},
    {{(const uint8_t *)"\"\xf5\x80\x80\x80\"", 6}, 1, "UTF-8"},
    {{(const uint8_t *)"\"\xff\"", 3}, 1, "UTF-8"},
    {{(const uint8_t *)"{\"a\":1,\"a\":2}", 13}, 10, "already has"},
    {{(const uint8_t *)"{\"a\":1,\"\\u0061\":2}", 18}, 15, "already has"},
    {{(const uint8_t *)"{\"\":1,\"\":2}", 11}, 8, "already has"},
    {{(const uint8_t *)"{\"\\u00e9\":1,\"\xc3\xa9\":2}", 19}, 16, "already has"},
    {{(const uint8_t *)"[{\"b\":{\"a\":1},\"b\":1}]", 21}, 17, "already has"},
};

static void test_errors(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof wrong_texts / sizeof wrong_texts[0]; i++) {
        read_all_ways(wrong_texts[i].text, &out);
        if (out.status != LARK_E_BAD_JSON || out.offset != wrong_texts[i].offset ||
            strstr(out.error, wrong_texts[i].words) == NULL) {
            fail_msg("%.*s: %d %s at %d", (int)wrong_texts[i].text.len, (const char *)wrong_texts[i].text.p, out.status,
                     out.error ? out.error : "", (int)out.offset);
        }
    }
}

static void nested(unsigned depth, bool objects, char *text)
{
    char *at = text;
    for (unsigned i = 0; i < depth; i++) at = stpcpy(at, objects ? "{\"a\":" : "[");
    if (objects) *at++ = '1';
    for (unsigned i = 0; i < depth; i++) *at++ = objects ? '}' : ']';
    *at = '\0';
}

static void test_depth(void **state)
{
    char text[512];
    (void)state;
    for (int objects = 0; objects < 2; objects++) {
        nested(32, objects, text);
        read_all_ways(slice_of(text), &out);
        assert_int_equal(out.status, LARK_OK);
        nested(33, objects, text);
        read_all_ways(slice_of(text), &out);
        assert_int_equal(out.status, LARK_E_BAD_JSON);
        assert_int_equal(out.offset, objects ? 160 : 32);
        assert_string_equal(out.error, "nested too deep");
    }
}

static enum lark_status nothing(void *ctx, const struct lark_json_event *event)
{
    (void)ctx;
    (void)event;
    return LARK_OK;
}

static enum lark_status read_names(size_t n, size_t max, uint64_t fail_at, bool twice)
{
    struct test_mem mem;
    struct lark_json json;
    test_mem_init(&mem, fail_at);
    lark_json_init(&json, &mem.mem, 4, max, nothing, NULL);
    enum lark_status status = lark_json_feed(&json, LIT("{"));
    for (size_t i = 0; i < n && status == LARK_OK; i++) {
        char member[64];
        int len = snprintf(member, sizeof member, "%s\"n%zu\":0", i > 0 ? "," : "", twice && i + 1 == n ? i / 2 : i);
        status = lark_json_feed(&json, (struct lark_slice){(const uint8_t *)member, (size_t)len});
    }
    if (status == LARK_OK) status = lark_json_feed(&json, LIT("}"));
    if (status == LARK_OK) status = lark_json_finish(&json);
    lark_json_done(&json);
    assert_int_equal(mem.live_bytes, 0);
    return status;
}

static void test_many_names(void **state)
{
    (void)state;
    assert_int_equal(read_names(200000, 200000, NO_FAILURE, false), LARK_OK);
    assert_int_equal(read_names(200000, 200000, NO_FAILURE, true), LARK_E_BAD_JSON);
    assert_int_equal(read_names(100, 100, NO_FAILURE, false), LARK_OK);
    assert_int_equal(read_names(101, 100, NO_FAILURE, false), LARK_E_TOO_LARGE);
    assert_int_equal(read_names(12, 100, 0, false), LARK_OK);
    assert_int_equal(read_names(13, 100, 0, false), LARK_E_NOMEM);
    assert_int_equal(read_names(100, 100, 1, false), LARK_E_NOMEM);
    for (size_t n = 2; n < 100; n++) assert_int_equal(read_names(n, 100, NO_FAILURE, true), LARK_E_BAD_JSON);
}

/* The reader's hash of a name of the first object, as an attacker would compute it. */
static uint64_t hash_of(const char *name)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (; *name; name++) h = (h ^ (uint8_t)*name) * 0x100000001b3u;
    h ^= 0x9e3779b97f4a7c15u;
    h = (h ^ h >> 32) * 0xd6e8feb86659fd93u;
    h = (h ^ h >> 32) * 0xd6e8feb86659fd93u;
    return h ^ h >> 32;
}

/* Names that share a slot in every table up to 2^12: looking at all of them for each must end early. */
static void test_crowded(void **state)
{
    struct lark_json json;
    size_t found = 0;
    enum lark_status status = LARK_OK;
    (void)state;
    lark_json_init(&json, lark_mem_default(), 4, LARK_JSON_NAMES_MAX, nothing, NULL);
    assert_int_equal(lark_json_feed(&json, LIT("{\"x\":0")), LARK_OK);
    for (uint64_t i = 0; status == LARK_OK && found < 3000; i++) {
        char name[32], member[64];
        snprintf(name, sizeof name, "%llx", (unsigned long long)i);
        if (hash_of(name) & 0xfff) continue;
        int len = snprintf(member, sizeof member, ",\"%s\":0", name);
        status = lark_json_feed(&json, (struct lark_slice){(const uint8_t *)member, (size_t)len});
        found++;
    }
    lark_json_done(&json);
    assert_int_equal(status, LARK_E_TOO_LARGE);
    assert_in_range(found, 1024, 2000);
}

static enum lark_status refuse_number(void *ctx, const struct lark_json_event *event)
{
    (void)ctx;
    return event->type == LARK_JSON_NUMBER ? LARK_E_LOST : LARK_OK;
}

static void test_callback_stops(void **state)
{
    struct lark_json json;
    (void)state;
    lark_json_init(&json, lark_mem_default(), 4, 10, refuse_number, NULL);
    assert_int_equal(lark_json_feed(&json, LIT("[true, 5, 6]")), LARK_E_LOST);
    assert_int_equal(lark_json_feed(&json, LIT("1")), LARK_E_BAD_JSON);
    assert_int_equal(lark_json_finish(&json), LARK_E_BAD_JSON);
    lark_json_done(&json);
    lark_json_init(&json, lark_mem_default(), 99, 10, refuse_number, NULL);
    assert_int_equal(json.max_depth, LARK_JSON_DEPTH_MAX);
    assert_int_equal(lark_json_feed(&json, LIT("7")), LARK_E_LOST); /* its end is not known, its digits are */
    lark_json_done(&json);
}

/* --- jansson --------------------------------------------------------------------------------------------------- */

/* What jansson takes and we do not, and the other way round, each by a rule that can be told:
 * it refuses NUL in names and reals over the range of double; it has no limit at depth 32 (but 2048). */
static bool explained(struct lark_slice text, const struct outcome *ours, const json_error_t *theirs)
{
    if (ours->status == LARK_OK) {
        enum json_error_code code = json_error_code(theirs);
        return code == json_error_numeric_overflow || code == json_error_null_byte_in_key ||
               code == json_error_null_character;
    }
    (void)text;
    return ours->error && strcmp(ours->error, "nested too deep") == 0;
}

static void compare(struct lark_slice text)
{
    json_error_t error;
    uint8_t *copy = copy_of(text);
    json_t *theirs =
        json_loadb((const char *)copy, text.len,
                   JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL, &error);
    read_text(text, 0, 0, &out);
    if ((theirs != NULL) != (out.status == LARK_OK) && !explained(text, &out, &error)) {
        fail_msg("we say %d (%s at %d), jansson says %s: %.*s", out.status, out.error ? out.error : "", (int)out.offset,
                 theirs ? "good" : error.text, (int)text.len, (const char *)text.p);
    }
    json_decref(theirs);
    free(copy);
}

static size_t mutate(struct test_random *random, uint8_t *text, size_t len, size_t cap)
{
    static const char bytes[] =
        "{}[]:,\"\\/u0123456789abcdefABCDEF.eE+- \t\n\rtruefalsnl\x80\xc3\xa9\xed\xa0\xf4\x90\xff\x01";
    for (uint64_t n = random_next(random) % 3 + 1; n > 0; n--) {
        uint64_t r = random_next(random);
        size_t at = len > 0 ? (size_t)(r >> 16) % len : 0;
        uint8_t c = (uint8_t)bytes[(r >> 48) % (sizeof bytes - 1)];
        switch (r % 4) {
        case 0:
            if (len > 0) text[at] = c;
            break;
        case 1:
            if (len == cap) break;
            memmove(text + at + 1, text + at, len - at);
            text[at] = c;
            len++;
            break;
        case 2:
            if (len == 0) break;
            memmove(text + at, text + at + 1, len - at - 1);
            len--;
            break;
        default: len = at; break;
        }
    }
    return len;
}

static void test_jansson(void **state)
{
    json_t *rows = load_rows("core/requests.jsonl");
    struct test_random random = {20250101};
    size_t i;
    const json_t *row;
    (void)state;
    json_array_foreach(rows, i, row)
    {
        const json_t *body = json_object_get(row, "body");
        size_t len;
        if (body == NULL) continue;
        uint8_t *bytes = bytes_of(body, &len);
        bool small = len < 4000;
        if (small) compare((struct lark_slice){bytes, len});
        for (int k = 0; k < 60 && small; k++) {
            uint8_t changed[4096];
            memcpy(changed, bytes, len);
            size_t n = mutate(&random, changed, len, sizeof changed);
            compare((struct lark_slice){changed, n});
            if (k % 8 == 0) read_all_ways((struct lark_slice){changed, n}, &out);
        }
        free(bytes);
    }
    json_decref(rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_events),     cmocka_unit_test(test_errors),  cmocka_unit_test(test_depth),
        cmocka_unit_test(test_many_names), cmocka_unit_test(test_crowded), cmocka_unit_test(test_callback_stops),
        cmocka_unit_test(test_jansson),
    };
    return cmocka_run_group_tests_name("json_read", tests, NULL, NULL);
}
