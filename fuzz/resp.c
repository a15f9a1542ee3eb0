/* resp.c - the RESP reader: whole against cut, and (what is RESP2) against hiredis. Input: two bytes of cuts, one of
 * memory and limits, then replies. */
#include "fuzz.h"

#include <hiredis/read.h>

#define REPLIES_MAX 64

/* events: everything, to compare two readings of ours; replies: as hiredis tells them, ends[i] behind reply i */
struct reading {
    struct fuzz_log events;
    struct fuzz_log replies;
    struct fuzz_log text;
    size_t ends[REPLIES_MAX];
    size_t n_replies;
    size_t used;
    enum lark_status status;
    unsigned depth;
    bool resp3;
};

static void reading_done(struct reading *r)
{
    fuzz_log_done(&r->events);
    fuzz_log_done(&r->replies);
    fuzz_log_done(&r->text);
}

static void add_text(struct fuzz_log *log, char type, const void *p, size_t n)
{
    fuzz_add(log, &type, 1);
    fuzz_add_u64(log, n);
    fuzz_add(log, p, n);
}

static void add_number(struct fuzz_log *log, char type, int64_t n)
{
    fuzz_add(log, &type, 1);
    fuzz_add(log, &n, sizeof n);
}

static void add_as_hiredis(struct reading *r, const struct lark_resp_event *event)
{
    switch (event->type) {
    case LARK_RESP_NULL: fuzz_add_text(&r->replies, "_"); break;
    case LARK_RESP_INT: add_number(&r->replies, ':', event->n); break;
    case LARK_RESP_ARRAY: add_number(&r->replies, '*', event->n); break;
    case LARK_RESP_SIMPLE: add_text(&r->replies, '+', r->text.p, r->text.len); break;
    case LARK_RESP_ERROR: add_text(&r->replies, '-', r->text.p, r->text.len); break;
    case LARK_RESP_BULK: add_text(&r->replies, '$', r->text.p, r->text.len); break;
    case LARK_RESP_END: break;
    case LARK_RESP_BOOL:
    case LARK_RESP_DOUBLE:
    case LARK_RESP_BIGNUM:
    case LARK_RESP_MAP:
    case LARK_RESP_SET:
    case LARK_RESP_PUSH: r->resp3 = true; break;
    }
}

static void check_depth(struct reading *r, const struct lark_resp_event *event)
{
    bool opens = event->type == LARK_RESP_ARRAY || event->type == LARK_RESP_MAP || event->type == LARK_RESP_SET ||
                 event->type == LARK_RESP_PUSH;
    if (event->type == LARK_RESP_END) r->depth--;
    FUZZ_CHECK(event->depth == r->depth && r->depth <= LARK_RESP_DEPTH_MAX);
    if (opens) r->depth++;
}

static enum lark_status on_event(void *ctx, const struct lark_resp_event *event)
{
    struct reading *r = ctx;
    uint8_t head[2] = {(uint8_t)event->type, (uint8_t)event->depth};
    check_depth(r, event);
    if (event->first) {
        fuzz_add(&r->events, head, sizeof head);
        fuzz_add_u64(&r->events, (uint64_t)event->n);
        r->text.len = 0;
    }
    fuzz_add_slice(&r->text, event->text);
    fuzz_add_slice(&r->events, event->text);
    if (event->type == LARK_RESP_BULK) {
        FUZZ_CHECK(event->n >= 0 && r->text.len <= (size_t)event->n);
        FUZZ_CHECK(event->last == (r->text.len == (size_t)event->n));
    } else {
        FUZZ_CHECK(event->first && event->last);
    }
    if (event->last) add_as_hiredis(r, event);
    return LARK_OK;
}

static void feed(struct reading *r, struct lark_resp *resp, struct lark_slice piece)
{
    while (piece.len > 0 && r->n_replies < REPLIES_MAX) {
        size_t used = SIZE_MAX;
        r->status = lark_resp_feed(resp, piece, &used);
        if (r->status != LARK_OK && r->status != LARK_MORE) return;
        FUZZ_CHECK(used <= piece.len && (r->status == LARK_OK ? used > 0 : used == piece.len));
        r->used += used;
        piece = (struct lark_slice){piece.p + used, piece.len - used};
        if (r->status == LARK_OK) {
            FUZZ_CHECK(r->depth == 0);
            fuzz_add_text(&r->events, "|");
            r->ends[r->n_replies++] = r->replies.len;
        }
    }
}

static void read_resp(struct reading *r, const struct lark_mem *mem, struct lark_slice in, struct fuzz_cuts *cuts,
                      bool tight)
{
    struct lark_resp resp;
    *r = (struct reading){.status = LARK_MORE};
    lark_resp_init(&resp, mem, tight ? 100 : 1 << 20, tight ? 10 : 1 << 20, on_event, r);
    while (in.len > 0 && r->status >= 0 && r->n_replies < REPLIES_MAX) {
        size_t n = cuts ? fuzz_cut(cuts, in.len) : in.len;
        uint8_t *copy = fuzz_copy((struct lark_slice){in.p, n});
        feed(r, &resp, (struct lark_slice){copy, n});
        free(copy);
        in = (struct lark_slice){in.p + n, in.len - n};
    }
    lark_resp_done(&resp);
}

/* --- hiredis --------------------------------------------------------------------------------------------------- */

/* loose: hiredis takes a line with LF inside, and does not look at what stands behind a bulk; we refuse both */
struct oracle {
    struct fuzz_log replies;
    size_t ends[REPLIES_MAX];
    size_t n_replies;
    bool loose;
};

static void *make_string(const redisReadTask *task, char *p, size_t n)
{
    struct oracle *o = task->privdata;
    bool bulk = task->type == REDIS_REPLY_STRING;
    if (bulk ? p[n] != '\r' || p[n + 1] != '\n' : n > 0 && memchr(p, '\n', n) != NULL) o->loose = true;
    add_text(&o->replies, bulk ? '$' : task->type == REDIS_REPLY_ERROR ? '-' : '+', p, n);
    return o;
}

static void *make_array(const redisReadTask *task, int n)
{
    struct oracle *o = task->privdata;
    add_number(&o->replies, '*', n);
    return o;
}

static void *make_integer(const redisReadTask *task, long long n)
{
    struct oracle *o = task->privdata;
    add_number(&o->replies, ':', n);
    return o;
}

static void *make_nil(const redisReadTask *task)
{
    struct oracle *o = task->privdata;
    fuzz_add_text(&o->replies, "_");
    return o;
}

static void forget(void *object)
{
    (void)object;
}

static redisReplyObjectFunctions functions = {make_string, make_array, make_integer, make_nil, forget};

static bool begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

/* Does a number in it have a leading zero, or is it -0? hiredis refuses these. */
static bool loose_number(struct lark_slice in)
{
    for (size_t i = 0; i + 2 < in.len; i++) {
        if (memchr(":$*", in.p[i], 3) == NULL) continue;
        size_t at = in.p[i + 1] == '-' ? i + 2 : i + 1;
        if (at + 1 >= in.len || in.p[at] != '0') continue;
        if (at == i + 2 || (in.p[at + 1] >= '0' && in.p[at + 1] <= '9')) return true;
    }
    return false;
}

/* May we take what hiredis 0.14 refuses with these words? RESP3, its depth of 7, its integers without leading zeros. */
static bool explained(const char *error, struct lark_slice in)
{
    static const char got[] = "Protocol error, got \"";
    if (begins(error, got)) return strchr("#_,=!%~>|(", error[sizeof got - 1]) != NULL;
    if (begins(error, "No support for nested")) return true;
    return loose_number(in) && (begins(error, "Bad integer value") || begins(error, "Bad bulk string length") ||
                                begins(error, "Bad multi-bulk length"));
}

static void read_hiredis(struct oracle *o, redisReader *reader, struct lark_slice in)
{
    FUZZ_CHECK(redisReaderFeed(reader, (const char *)in.p, in.len) == REDIS_OK);
    while (o->n_replies < REPLIES_MAX) {
        void *reply = NULL;
        if (redisReaderGetReply(reader, &reply) != REDIS_OK || reply == NULL || o->loose) return;
        o->ends[o->n_replies++] = o->replies.len;
    }
}

static void against_hiredis(const struct reading *ours, struct lark_slice in)
{
    struct oracle o = {.n_replies = 0};
    redisReader *reader = redisReaderCreateWithFunctions(&functions);
    if (reader == NULL) abort();
    reader->privdata = &o;
    if (in.len > 0) read_hiredis(&o, reader, in);
    size_t both = o.n_replies < ours->n_replies ? o.n_replies : ours->n_replies;
    for (size_t i = 0; i < both && !ours->resp3; i++) {
        FUZZ_CHECK(o.ends[i] == ours->ends[i] && memcmp(o.replies.p, ours->replies.p, o.ends[i]) == 0);
    }
    if (o.n_replies > ours->n_replies) FUZZ_CHECK(ours->status == LARK_E_REPLY_TOO_LARGE || ours->resp3);
    if (o.n_replies < ours->n_replies) FUZZ_CHECK(reader->err != 0 && !o.loose && explained(reader->errstr, in));
    /* a refusal of ours: hiredis refuses too, or waits for the rest of what we know to be wrong */
    if (o.loose) FUZZ_CHECK(ours->status < 0);
    if (reader->err != 0 && ours->status >= 0) FUZZ_CHECK(explained(reader->errstr, in));
    redisReaderFree(reader);
    fuzz_log_done(&o.replies);
}

struct input {
    struct lark_slice resp;
    struct fuzz_cuts cuts;
    const struct reading *whole;
    bool tight;
};

static void without_memory(void *ctx, struct fuzz_mem *mem)
{
    const struct input *input = ctx;
    struct fuzz_cuts cuts = input->cuts;
    struct reading r;
    read_resp(&r, &mem->mem, input->resp, &cuts, input->tight);
    FUZZ_CHECK(r.status == (mem->failed ? LARK_E_NOMEM : input->whole->status));
    reading_done(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lark_slice in = {data, size};
    uint8_t cut_size = fuzz_byte(&in);
    struct fuzz_cuts cuts = fuzz_cuts(cut_size, fuzz_byte(&in));
    struct fuzz_cuts again = cuts;
    uint8_t choice = fuzz_byte(&in);
    bool tight = cut_size >> 7;
    struct fuzz_mem mem;
    struct reading whole, cut;
    struct input input = {in, cuts, &whole, tight};

    fuzz_mem_init(&mem, SIZE_MAX);
    read_resp(&whole, &mem.mem, in, NULL, tight);
    mem.count = 0;
    read_resp(&cut, &mem.mem, in, &again, tight);
    size_t n_allocations = mem.count;
    fuzz_mem_done(&mem);
    FUZZ_CHECK(whole.status == cut.status &&
               whole.used - (whole.status < 0 ? whole.used : 0) == cut.used - (cut.status < 0 ? cut.used : 0));
    FUZZ_CHECK(whole.n_replies == cut.n_replies && fuzz_log_same(&whole.events, &cut.events));
    if (!tight) against_hiredis(&whole, in);
    fuzz_fail_memory(without_memory, &input, n_allocations, choice);
    reading_done(&whole);
    reading_done(&cut);
    return 0;
}
