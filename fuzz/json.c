/* json.c - the JSON reader, whole against cut and against jansson. Input: two bytes of cuts, one of memory, the text. */
#include "fuzz.h"

#include <errno.h>

#include <jansson.h>

/* What a reader said: `exact` with places, `values` to be compared with jansson's. */
struct reading {
    struct fuzz_log exact;
    struct fuzz_log values;
    struct fuzz_log text; /* of the name, string or number being read */
    enum lark_status status;
    const char *error;
    uint64_t offset;
    bool too_deep;
    bool out_of_range; /* a number no double can hold */
    bool nul_name;
};

static void reading_done(struct reading *r)
{
    fuzz_log_done(&r->exact);
    fuzz_log_done(&r->values);
    fuzz_log_done(&r->text);
}

static void add_text(struct fuzz_log *log, char type, const void *p, size_t n)
{
    fuzz_add(log, &type, 1);
    fuzz_add_u64(log, n);
    fuzz_add(log, p, n);
}

static void add_double(struct fuzz_log *log, double n)
{
    fuzz_add_text(log, "D");
    fuzz_add(log, &n, sizeof n);
}

static void end_text(struct reading *r, enum lark_json_type type)
{
    if (type == LARK_JSON_NUMBER) {
        fuzz_add(&r->text, "", 1);
        errno = 0;
        double n = strtod((const char *)r->text.p, NULL);
        r->out_of_range = r->out_of_range || (errno == ERANGE && (n > 1 || n < -1));
        add_double(&r->values, n);
        return;
    }
    if (type == LARK_JSON_NAME && r->text.len > 0 && memchr(r->text.p, 0, r->text.len)) r->nul_name = true;
    add_text(&r->values, type == LARK_JSON_NAME ? 'N' : 'S', r->text.p, r->text.len);
}

static void add_event(struct reading *r, const struct lark_json_event *event)
{
    uint8_t head[2] = {(uint8_t)event->type, (uint8_t)event->depth};
    if (event->first) {
        fuzz_add(&r->exact, head, sizeof head);
        fuzz_add_u64(&r->exact, event->offset);
        r->text.len = 0;
    }
    fuzz_add_slice(&r->text, event->text);
    if (event->last) {
        fuzz_add(&r->exact, r->text.p, r->text.len);
        fuzz_add_u64(&r->exact, event->end);
    }
}

static enum lark_status on_event(void *ctx, const struct lark_json_event *event)
{
    struct reading *r = ctx;
    FUZZ_CHECK(event->depth < LARK_JSON_DEPTH_MAX + 1 && event->offset < event->end);
    add_event(r, event);
    switch (event->type) {
    case LARK_JSON_OBJECT: fuzz_add_text(&r->values, "{"); break;
    case LARK_JSON_OBJECT_END: fuzz_add_text(&r->values, "}"); break;
    case LARK_JSON_ARRAY: fuzz_add_text(&r->values, "["); break;
    case LARK_JSON_ARRAY_END: fuzz_add_text(&r->values, "]"); break;
    case LARK_JSON_TRUE: fuzz_add_text(&r->values, "t"); break;
    case LARK_JSON_FALSE: fuzz_add_text(&r->values, "f"); break;
    case LARK_JSON_NULL: fuzz_add_text(&r->values, "n"); break;
    case LARK_JSON_NAME:
    case LARK_JSON_STRING:
    case LARK_JSON_NUMBER:
        if (event->last) end_text(r, event->type);
        break;
    }
    return LARK_OK;
}

static void read_json(struct reading *r, const struct lark_mem *mem, struct lark_slice text, struct fuzz_cuts *cuts)
{
    struct lark_json json;
    *r = (struct reading){.status = LARK_OK};
    lark_json_init(&json, mem, LARK_JSON_DEPTH_MAX, 1000, on_event, r);
    while (text.len > 0 && r->status == LARK_OK) {
        size_t n = cuts ? fuzz_cut(cuts, text.len) : text.len;
        uint8_t *copy = fuzz_copy((struct lark_slice){text.p, n});
        r->status = lark_json_feed(&json, (struct lark_slice){copy, n});
        free(copy);
        text = (struct lark_slice){text.p + n, text.len - n};
    }
    if (r->status == LARK_OK) r->status = lark_json_finish(&json);
    r->error = lark_json_error(&json);
    r->offset = lark_json_offset(&json);
    r->too_deep = r->error != NULL && strcmp(r->error, "nested too deep") == 0;
    lark_json_done(&json);
}

/* --- jansson --------------------------------------------------------------------------------------------------- */

static void add_value(struct fuzz_log *log, json_t *value) /* our reader has seen how deep it is */
{
    const char *name;
    json_t *item;
    size_t i;
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        fuzz_add_text(log, "{");
        json_object_foreach(value, name, item)
        {
            add_text(log, 'N', name, strlen(name));
            add_value(log, item);
        }
        fuzz_add_text(log, "}");
        break;
    case JSON_ARRAY:
        fuzz_add_text(log, "[");
        json_array_foreach(value, i, item) add_value(log, item);
        fuzz_add_text(log, "]");
        break;
    case JSON_STRING: add_text(log, 'S', json_string_value(value), json_string_length(value)); break;
    case JSON_INTEGER:
    case JSON_REAL: add_double(log, json_number_value(value)); break;
    case JSON_TRUE: fuzz_add_text(log, "t"); break;
    case JSON_FALSE: fuzz_add_text(log, "f"); break;
    case JSON_NULL: fuzz_add_text(log, "n"); break;
    }
}

/* Explained: our limits of depth and names; numbers that no double holds and NUL in names, which jansson refuses; a raw
 * NUL behind a number or a word, which jansson 2.14 loses. */
static void against_jansson(const struct reading *ours, struct lark_slice text)
{
    json_error_t error;
    size_t flags = JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL;
    if (ours->too_deep || ours->status == LARK_E_TOO_LARGE) return;
    json_t *value = json_loadb(text.len > 0 ? (const char *)text.p : "", text.len, flags, &error);
    if (ours->status != LARK_OK) {
        FUZZ_CHECK(value == NULL || memchr(text.p, 0, text.len) != NULL);
        json_decref(value);
        return;
    }
    if (value == NULL) {
        FUZZ_CHECK(ours->out_of_range || ours->nul_name);
        return;
    }
    struct fuzz_log values = {.len = 0};
    add_value(&values, value);
    FUZZ_CHECK(fuzz_log_same(&values, &ours->values));
    fuzz_log_done(&values);
    json_decref(value);
}

/* --- writing --------------------------------------------------------------------------------------------------- */

/* Any bytes as a JSON value: valid, and text comes back as it was. */
static void write_and_read(struct lark_slice bytes)
{
    struct lark_buf out;
    struct reading r;
    lark_buf_init(&out, lark_mem_default(), SIZE_MAX / 2, NULL, 0);
    enum lark_status status = lark_json_write_text(&out, bytes);
    FUZZ_CHECK(status == LARK_OK || (status == LARK_E_BAD_TEXT && out.len == 0));
    if (status == LARK_OK) {
        struct fuzz_log wanted = {.len = 0};
        add_text(&wanted, 'S', bytes.p, bytes.len);
        read_json(&r, lark_mem_default(), (struct lark_slice){out.p, out.len}, NULL);
        FUZZ_CHECK(r.status == LARK_OK && fuzz_log_same(&r.values, &wanted));
        fuzz_log_done(&wanted);
        reading_done(&r);
    }
    out.len = 0;
    FUZZ_CHECK(lark_json_write_bytes(&out, bytes) == LARK_OK);
    FUZZ_CHECK(fuzz_is_json((struct lark_slice){out.p, out.len}));
    lark_buf_done(&out);
}

struct input {
    struct lark_slice text;
    struct fuzz_cuts cuts;
    const struct reading *whole;
};

static void without_memory(void *ctx, struct fuzz_mem *mem)
{
    const struct input *input = ctx;
    struct fuzz_cuts cuts = input->cuts;
    struct reading r;
    read_json(&r, &mem->mem, input->text, &cuts);
    FUZZ_CHECK(r.status == (mem->failed ? LARK_E_NOMEM : input->whole->status));
    reading_done(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lark_slice in = {data, size};
    uint8_t cut_size = fuzz_byte(&in);
    struct fuzz_cuts cuts = fuzz_cuts(cut_size, fuzz_byte(&in));
    uint8_t choice = fuzz_byte(&in);
    struct fuzz_mem mem;
    struct reading whole, cut;
    struct input input = {in, cuts, &whole};

    fuzz_mem_init(&mem, SIZE_MAX);
    read_json(&whole, &mem.mem, in, NULL);
    size_t n_allocations = mem.count;
    read_json(&cut, &mem.mem, in, &cuts);
    fuzz_mem_done(&mem);
    FUZZ_CHECK(whole.status == cut.status && whole.error == cut.error && whole.offset == cut.offset);
    FUZZ_CHECK(fuzz_log_same(&whole.values, &cut.values));
    if (whole.status == LARK_OK) FUZZ_CHECK(fuzz_log_same(&whole.exact, &cut.exact));
    against_jansson(&whole, in);
    write_and_read(in);
    fuzz_fail_memory(without_memory, &input, n_allocations, choice);
    reading_done(&whole);
    reading_done(&cut);
    return 0;
}
