/* conn.c - one connection under any sequence of calls, replies, time and loss. Input: a program of single bytes.
 *
 * A server that knows what it is asked stands behind the connection, so that each reply can be told from every other: a
 * GET of key N answers N. Rubbish may be put in between; from then on contents are not looked at. */
#include "fuzz.h"

#include "conn.h"

#define CALLERS 160 /* more than the ring's first size */
#define MEMORY_MAX ((size_t)1 << 20)

enum kind { KIND_GET, KIND_SET, KIND_KEYS, KIND_PING, KINDS };

/* n_told: how often its callback came; ended: it may never come again */
struct caller {
    struct world *world;
    struct lark_request request;
    struct lark_plan plan;
    struct lark_arena arena;
    struct lark_reply reply;
    struct lark_buf out;
    struct lark_call call;
    uint64_t ticket;
    uint64_t turn; /* the order in which calls were queued */
    enum kind kind;
    bool made, waiting, cancelled, executed;
    int n_told;
    int number;
    char target[32];
};

struct world {
    struct lark_conn conn;
    struct lark_config config;
    struct lark_scopes scopes;
    struct lark_principal principal;
    struct fuzz_mem mem;
    struct caller callers[CALLERS];
    int n_callers;
    uint64_t now, turns;
    uint32_t patience_ms;
    struct fuzz_log requests; /* written by the connection, not yet understood by the server */
    struct fuzz_log replies;  /* not yet delivered */
    size_t requests_at, replies_at;
    unsigned scans;
    bool tainted;    /* the server lied */
    bool dead;       /* the connection wants lark_conn_lose */
    uint8_t on_told; /* what the next callback does */
};

/* --- callers --------------------------------------------------------------------------------------------------- */

static void ask(struct world *w, enum kind kind, uint64_t deadline_ms);

/* An answer, good or Redis' own error: the calls before it have theirs, or were told something worse. */
static void check_order(const struct caller *caller)
{
    const struct world *w = caller->world;
    for (int i = 0; i < w->n_callers; i++) {
        const struct caller *other = &w->callers[i];
        if (other != caller && other->waiting) FUZZ_CHECK(other->turn > caller->turn);
    }
}

static void check_answer(const struct caller *caller)
{
    char wanted[128];
    struct lark_slice answer = {caller->out.p, caller->out.len};
    if (caller->world->tainted) return;
    int len = caller->kind == KIND_KEYS  ? snprintf(wanted, sizeof wanted, "\"data\": [\"a\"")
              : caller->kind == KIND_SET ? snprintf(wanted, sizeof wanted, "\"data\": true}")
                                         : snprintf(wanted, sizeof wanted, "\"data\": \"%d\"}", caller->number);
    bool found = false;
    for (size_t i = 0; i + (size_t)len <= answer.len; i++)
        found = found || memcmp(answer.p + i, wanted, (size_t)len) == 0;
    FUZZ_CHECK(found && fuzz_is_json(answer));
}

static void check_told(const struct caller *caller, enum lark_status status)
{
    bool tainted = caller->world->tainted;
    switch ((int)status) {
    case LARK_OK:
        check_order(caller);
        if (caller->kind != KIND_PING) check_answer(caller);
        break;
    case LARK_NEXT:
        FUZZ_CHECK(caller->kind == KIND_KEYS);
        check_order(caller);
        break;
    case LARK_E_AWAY: FUZZ_CHECK(!caller->executed); break; /* it may be sent again: so it was not done */
    case LARK_E_LOST: FUZZ_CHECK(caller->call.access == LARK_ACCESS_READ || caller->kind == KIND_PING); break;
    case LARK_E_DEADLINE:
        FUZZ_CHECK(caller->call.deadline_ms <= caller->world->now);
        FUZZ_CHECK(!caller->executed || caller->call.access == LARK_ACCESS_READ || caller->kind == KIND_PING);
        break;
    case LARK_E_LOST_UNKNOWN:
    case LARK_E_DEADLINE_UNKNOWN: FUZZ_CHECK(caller->call.access == LARK_ACCESS_WRITE); break;
    case LARK_E_NOMEM: FUZZ_CHECK(caller->world->mem.failed); break;
    default: FUZZ_CHECK(tainted && status < 0); break;
    }
}

static void on_told(void *ctx, enum lark_status status)
{
    struct caller *caller = ctx;
    struct world *w = caller->world;
    FUZZ_CHECK(caller->waiting && !caller->cancelled && caller->n_told == 0);
    check_told(caller, status);
    caller->waiting = false;
    if (status == LARK_NEXT) {
        caller->executed = false;
        if (lark_conn_call_next(&w->conn, &caller->call, &caller->ticket) == LARK_OK) {
            caller->waiting = true;
            caller->turn = w->turns++;
            return;
        }
    }
    caller->n_told++;
    uint8_t act = w->on_told;
    w->on_told = 0;
    if (act & 1) ask(w, (enum kind)(act >> 1) % KINDS, w->now + act);
    if (act & 8) {
        struct caller *other = &w->callers[act % CALLERS];
        if (other->waiting) lark_conn_cancel(&w->conn, other->ticket);
        other->cancelled = other->cancelled || other->waiting;
        other->waiting = false;
    }
}

/* In the middle of a reply: the caller is still there, and may leave now. */
static void on_more(void *ctx)
{
    struct caller *caller = ctx;
    struct world *w = caller->world;
    FUZZ_CHECK(caller->waiting && !caller->cancelled && caller->n_told == 0);
    if (!(w->on_told & 0x40)) return;
    w->on_told = 0;
    lark_conn_cancel(&w->conn, caller->ticket);
    caller->waiting = false;
    caller->cancelled = true;
}

static void make_caller(struct world *w, struct caller *caller, enum kind kind)
{
    static const enum lark_verb verbs[] = {LARK_VERB_GET, LARK_VERB_POST, LARK_VERB_GET, LARK_VERB_GET};
    caller->made = true;
    caller->kind = kind;
    int len = kind == KIND_SET    ? snprintf(caller->target, sizeof caller->target, "/SET/%d/", caller->number)
              : kind == KIND_KEYS ? snprintf(caller->target, sizeof caller->target, "/KEYS/")
                                  : snprintf(caller->target, sizeof caller->target, "/GET/%d/", caller->number);
    caller->request.verb = verbs[kind];
    caller->request.target = (struct lark_slice){(const uint8_t *)caller->target, (size_t)len};
    lark_arena_init(&caller->arena, lark_mem_default(), MEMORY_MAX, NULL, 0);
    lark_buf_init(&caller->out, lark_mem_default(), MEMORY_MAX, NULL, 0);
    static const uint8_t set_body[] = "{\"value\": \"v\"}";
    struct lark_body body = {.p = set_body, .len = kind == KIND_SET ? sizeof set_body - 1 : 0};
    FUZZ_CHECK(lark_plan_route(&w->config, &caller->request, &w->principal, &caller->plan, NULL) == LARK_OK);
    FUZZ_CHECK(lark_plan_make(&caller->plan, &caller->arena, &body, NULL) == LARK_OK);
    lark_reply_init(&caller->reply, &caller->plan, lark_mem_default(), &caller->out);
}

static void ask(struct world *w, enum kind kind, uint64_t deadline_ms)
{
    if (w->n_callers == CALLERS) return;
    struct caller *caller = &w->callers[w->n_callers];
    caller->world = w;
    caller->number = w->n_callers++;
    make_caller(w, caller, kind);
    caller->call =
        (struct lark_call){&caller->reply, on_told, caller, deadline_ms, caller->plan.access, on_more, w->patience_ms};
    enum lark_status status = kind == KIND_PING
                                  ? lark_conn_ping(&w->conn, &caller->call, &caller->ticket)
                                  : lark_conn_call(&w->conn, &caller->call, &caller->plan, &caller->ticket);
    bool open = w->conn.state == LARK_CONN_READY || w->conn.state == LARK_CONN_GREETING;
    FUZZ_CHECK(status == LARK_OK || status == LARK_E_AWAY || status == LARK_E_OVERLOAD ||
               (status == LARK_E_NOMEM && w->mem.failed));
    FUZZ_CHECK((status == LARK_E_AWAY) == !open);
    caller->waiting = status == LARK_OK;
    caller->turn = w->turns++;
}

/* --- the server ------------------------------------------------------------------------------------------------ */

static bool whole_command(struct lark_slice in)
{
    size_t lines = 0;
    for (size_t i = 0; i < in.len; i++) lines += in.p[i] == '\n';
    if (lines == 0) return false;
    size_t n = 0;
    for (size_t i = 1; i < in.len && in.p[i] != '\r'; i++) n = n * 10 + (size_t)(in.p[i] - '0');
    return lines >= 1 + 2 * n; /* no argument of ours holds LF */
}

static int number_of(struct lark_slice text)
{
    int n = 0;
    for (size_t i = 0; i < text.len; i++) n = n * 10 + (text.p[i] - '0');
    return n;
}

static void execute(struct world *w, const struct lark_slice *args, size_t n_args)
{
    char text[128];
    int key = -1;
    int len = 0;
    if (fuzz_same(args[0], fuzz_text("PING"))) {
        len = snprintf(text, sizeof text, "+PONG\r\n");
    } else if (fuzz_same(args[0], fuzz_text("SCAN"))) {
        FUZZ_CHECK(n_args == 6);
        int cursor = w->scans++ % 3 == 0 ? 7 : 0;
        len = snprintf(text, sizeof text, "*2\r\n$1\r\n%d\r\n*2\r\n$4\r\nu1:a\r\n$1\r\nb\r\n", cursor);
    } else if (fuzz_same(args[0], fuzz_text("GET")) || fuzz_same(args[0], fuzz_text("SET"))) {
        FUZZ_CHECK(fuzz_starts(args[1], fuzz_text("u1:")));
        key = number_of((struct lark_slice){args[1].p + 3, args[1].len - 3});
        FUZZ_CHECK(key >= 0 && key < w->n_callers && !w->callers[key].executed);
        w->callers[key].executed = true;
        int digits = key < 10 ? 1 : key < 100 ? 2 : 3;
        len = args[0].p[0] == 'S' ? snprintf(text, sizeof text, "+OK\r\n")
                                  : snprintf(text, sizeof text, "$%d\r\n%d\r\n", digits, key);
    } else {
        FUZZ_CHECK(fuzz_same(args[0], fuzz_text("AUTH")) || fuzz_same(args[0], fuzz_text("SELECT")) ||
                   fuzz_same(args[0], fuzz_text("CLIENT")));
        len = snprintf(text, sizeof text, "+OK\r\n");
    }
    fuzz_add(&w->replies, text, (size_t)len);
}

static void serve(struct world *w)
{
    struct lark_slice args[8];
    size_t n_args = 0;
    if (w->requests.len == 0) return;
    struct lark_slice in = {w->requests.p + w->requests_at, w->requests.len - w->requests_at};
    if (!whole_command(in)) return;
    FUZZ_CHECK(fuzz_command(&in, args, &n_args) && n_args <= 8);
    w->requests_at = w->requests.len - in.len;
    execute(w, args, n_args);
}

/* --- the world ------------------------------------------------------------------------------------------------- */

static void write_out(struct world *w, size_t max)
{
    struct lark_slice out = lark_conn_output(&w->conn);
    size_t n = out.len < max ? out.len : max;
    if (n == 0) return;
    fuzz_add(&w->requests, out.p, n);
    lark_conn_wrote(&w->conn, n);
    lark_conn_moved(&w->conn, w->now);
}

static void deliver(struct world *w, size_t max)
{
    size_t left = w->replies.len - w->replies_at;
    size_t n = left < max ? left : max;
    if (n == 0 || w->dead || w->conn.state == LARK_CONN_CLOSED) return;
    uint8_t *copy = fuzz_copy((struct lark_slice){w->replies.p + w->replies_at, n});
    w->replies_at += n;
    enum lark_status status = lark_conn_feed(&w->conn, (struct lark_slice){copy, n});
    free(copy);
    lark_conn_moved(&w->conn, w->now);
    if (status == LARK_OK) return;
    FUZZ_CHECK(w->tainted || (status == LARK_E_NOMEM && w->mem.failed));
    w->dead = true;
}

static void lose(struct world *w)
{
    lark_conn_lose(&w->conn);
    FUZZ_CHECK(w->conn.state == LARK_CONN_CLOSED && lark_conn_awaited(&w->conn) == 0);
    for (int i = 0; i < w->n_callers; i++) FUZZ_CHECK(!w->callers[i].waiting);
    w->requests.len = w->replies.len = w->requests_at = w->replies_at = 0;
    w->tainted = w->dead = false;
}

static void open_conn(struct world *w, uint8_t how)
{
    struct lark_conn_login login = {.db = how & 1 ? 3 : 0};
    if (w->conn.state != LARK_CONN_CLOSED) return;
    if (how & 2) login.password = fuzz_text("secret");
    if (how & 4) login.user = fuzz_text("user");
    if (how & 8) login.name = fuzz_text("lark");
    enum lark_status status = lark_conn_open(&w->conn, &login);
    FUZZ_CHECK(status == LARK_OK || (status == LARK_E_NOMEM && w->mem.failed));
}

static void cancel(struct world *w, uint8_t which)
{
    struct caller *caller = &w->callers[which % CALLERS];
    if (!caller->waiting) return;
    lark_conn_cancel(&w->conn, caller->ticket);
    caller->waiting = false;
    caller->cancelled = true;
}

static void expire(struct world *w, uint8_t by)
{
    if (w->dead || w->conn.state == LARK_CONN_CLOSED) return;
    w->now += (uint64_t)by * by;
    enum lark_status status = lark_conn_expire(&w->conn, w->now);
    FUZZ_CHECK(status == LARK_OK || status == LARK_E_DEADLINE);
    if (status == LARK_E_DEADLINE) w->dead = true;
    if (status == LARK_OK) FUZZ_CHECK(lark_conn_next_deadline(&w->conn) > w->now);
}

static void rubbish(struct world *w, struct lark_slice *in, uint8_t n)
{
    w->tainted = true;
    for (uint8_t i = 0; i <= n; i++) {
        uint8_t byte = fuzz_byte(in);
        fuzz_add(&w->replies, &byte, 1);
    }
}

/* One byte: what in the upper half, how in the lower. */
static void step(struct world *w, struct lark_slice *in)
{
    uint8_t byte = fuzz_byte(in);
    uint8_t how = byte & 15;
    switch (byte >> 4) {
    case 0: open_conn(w, how); break;
    case 1: ask(w, (enum kind)(how % KINDS), w->now + 1 + how * 50); break;
    case 2: write_out(w, (size_t)how * how + 1); break;
    case 3: write_out(w, SIZE_MAX); break;
    case 4: serve(w); break;
    case 5: deliver(w, (size_t)how * how + 1); break;
    case 6: deliver(w, SIZE_MAX); break;
    case 7: cancel(w, how < 8 ? how : fuzz_byte(in)); break;
    case 8: expire(w, how); break;
    case 9:
        if (how < 4) lose(w);
        break;
    case 10:
        if (how < 3) rubbish(w, in, how * 4);
        break;
    case 11: w->on_told = fuzz_byte(in); break;
    case 12: w->mem.fail_at = w->mem.count + how; break;
    case 13:
        for (int i = 0; i < 2 * how; i++) ask(w, KIND_GET, w->now + 100);
        break;
    default: /* a good round */
        write_out(w, SIZE_MAX);
        serve(w);
        deliver(w, SIZE_MAX);
        break;
    }
}

static void world_done(struct world *w)
{
    lose(w);
    lark_conn_done(&w->conn);
    for (int i = 0; i < w->n_callers; i++) {
        struct caller *caller = &w->callers[i];
        FUZZ_CHECK(caller->n_told <= 1 && !(caller->cancelled && caller->n_told > 0));
        lark_reply_done(&caller->reply);
        lark_arena_done(&caller->arena);
        lark_buf_done(&caller->out);
    }
    fuzz_mem_done(&w->mem);
    fuzz_log_done(&w->requests);
    fuzz_log_done(&w->replies);
}

/* fail_at: an allocation that fails. return: allocations asked for */
static size_t run(struct lark_slice in, size_t fail_at)
{
    static struct world world;
    struct world *w = &world;
    memset(w, 0, sizeof *w);
    fuzz_config(&w->config);
    fuzz_mem_init(&w->mem, fail_at);
    FUZZ_CHECK(lark_scopes_add(w->config.catalogue, fuzz_text("admin"), &w->scopes) == LARK_OK);
    w->principal = (struct lark_principal){.scopes = &w->scopes, .prefix = fuzz_text("u1")};
    uint8_t limits = fuzz_byte(&in);
    lark_conn_init(&w->conn, &w->mem.mem, limits & 1 ? 3 : 100, limits & 2 ? 40 : 65536);
    w->patience_ms = limits & 4 ? 100 : 0;
    while (in.len > 0) step(w, &in);
    world_done(w);
    return w->mem.count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lark_slice in = {data, size};
    size_t n_allocations = run(in, SIZE_MAX);
    for (size_t i = 0; fuzz_every_allocation && i < n_allocations; i++) (void)run(in, i);
    return 0;
}
