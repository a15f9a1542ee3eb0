/* reply.c - Redis' reply becomes JSON. Input: a method's name up to LF; which optional parameters, their values, mode, two
 * bytes of cuts, one of memory; then what Redis sends. */
#include "fuzz.h"

#include <jansson.h>

#include "catalogue.h"
#include "make.h"
#include "test_base64.h"

#define MEMORY_MAX ((size_t)1 << 24)

struct input {
    struct lark_config config;
    struct lark_scopes scopes;
    struct lark_principal principal;
    struct lark_request request;
    struct lark_body body;
    struct lark_arena arena;
    struct lark_plan plan;
    struct fuzz_log target, json;
    struct fuzz_cuts cuts;
    struct lark_slice resp;
};

/* --- a good request for a row ---------------------------------------------------------------------------------- */

/* A value of each type in a path or query, and in JSON. */
static const struct {
    const char *word, *json;
} samples[] = {
    [LARK__TYPE_KEY] = {"k", "\"k\""},
    [LARK__TYPE_KEYS] = {"k", "[\"k\", \"l\"]"},
    [LARK__TYPE_KEY_PATTERN] = {"*", "\"*\""},
    [LARK__TYPE_SORT_BY] = {"nosort", "\"by_*\""},
    [LARK__TYPE_SORT_GETS] = {"%23", "[\"#\", \"x_*\", \"y_*\"]"},
    [LARK__TYPE_KEYS_WEIGHTS] = {"k", "{\"k\": 1, \"l\": 2}"},
    [LARK__TYPE_KEY_VALUES] = {"k", "[[\"k\", \"v\"]]"},
    [LARK__TYPE_SCORES] = {"k", "[[\"m\", 1.5]]"},
    [LARK__TYPE_MAPPING] = {"k", "{\"f\": \"v\"}"},
    [LARK__TYPE_VALUE] = {"v", "{\"a\": 1}"},
    [LARK__TYPE_VALUES] = {"v", "[\"v\", \"w\"]"},
    [LARK__TYPE_FIELD] = {"f", "\"f\""},
    [LARK__TYPE_FIELDS] = {"f", "[\"f\", \"g\"]"},
    [LARK__TYPE_STRING] = {"1.2.3.4:5", "\"1.2.3.4:5\""},
    [LARK__TYPE_INT] = {"1", "1"},
    [LARK__TYPE_FLOAT] = {"1.5", "1.5"},
    [LARK__TYPE_BOOL] = {"true", "true"},
    [LARK__TYPE_DATETIME] = {"2040-01-01T00:00:00Z", "\"2040-01-01T00:00:00Z\""},
    [LARK__TYPE_BASE64] = {"AAAA", "\"AAAA\""},
    [LARK__TYPE_SCORE_BOUND] = {"1", "1"},
    [LARK__TYPE_IDS] = {"k", "{\"k\": \"0\"}"},
};

static void add_value(struct fuzz_log *log, const struct lark_param *param, uint8_t choice, bool json)
{
    if (param->n_one_of == 0) {
        fuzz_add_text(log, json ? samples[param->type].json : samples[param->type].word);
        return;
    }
    if (json) fuzz_add_text(log, "\"");
    fuzz_add_slice(log, param->one_of[choice % param->n_one_of]);
    if (json) fuzz_add_text(log, "\"");
}

/* The word and the route of a method, the one that choice says; its path goes into the target. */
static bool add_path(struct input *input, size_t method, uint8_t choice, uint32_t *out_in_path)
{
    const struct lark_catalogue *c = input->config.catalogue;
    const struct lark_word *word = NULL;
    const struct lark_route *route = NULL;
    size_t seen = 0;
    for (size_t i = 0; i < c->n_words; i++) {
        for (size_t k = 0; k < c->words[i].n_routes; k++) {
            const struct lark_route *other = &c->routes[c->words[i].first_route + k];
            if (other->method != method || (route != NULL && choice % ++seen != 0)) continue;
            word = &c->words[i];
            route = other;
        }
    }
    if (route == NULL) return false;
    fuzz_add_text(&input->target, "/");
    fuzz_add_slice(&input->target, word->text);
    for (size_t i = 0; i < route->n_params; i++) {
        fuzz_add_text(&input->target, "/");
        add_value(&input->target, &c->methods[method].params[route->params[i]], choice, false);
        *out_in_path |= (uint32_t)1 << route->params[i];
    }
    fuzz_add_text(&input->target, "/?");
    return true;
}

static void add_params(struct input *input, const struct lark_method *row, uint32_t done, uint8_t mask, uint8_t choice)
{
    bool whole = false, first = true;
    for (size_t i = 0; i < row->n_params; i++) {
        const struct lark_param *param = &row->params[i];
        bool skip = (done >> i & 1) || (param->verbs && !(param->verbs & (unsigned)input->request.verb));
        if (skip || (!param->required && !(mask >> (i & 7) & 1))) continue;
        if (param->in & LARK__IN_BODY) {
            input->json.len = 0;
            add_value(&input->json, param, choice, true);
            whole = true;
        } else if ((param->in & LARK__IN_JSON) && !(param->in & LARK__IN_QUERY && choice & 1)) {
            fuzz_add_text(&input->json, first ? "{\"" : ", \"");
            fuzz_add_slice(&input->json, param->name);
            fuzz_add_text(&input->json, "\": ");
            add_value(&input->json, param, choice, true);
            first = false;
        } else {
            fuzz_add_slice(&input->target, param->name);
            fuzz_add_text(&input->target, "=");
            add_value(&input->target, param, choice, false);
            fuzz_add_text(&input->target, "&");
        }
    }
    if (!whole && !first) fuzz_add_text(&input->json, "}");
}

/* By its name, so that inputs stay what they are when methods are added; any other text is some method, too. */
static size_t method_of(const struct lark_catalogue *catalogue, struct lark_slice name)
{
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < catalogue->n_methods; i++) {
        if (fuzz_same(catalogue->methods[i].name, name)) return i;
    }
    for (size_t i = 0; i < name.len; i++) hash = (hash ^ name.p[i]) * 16777619u;
    return hash % catalogue->n_methods;
}

/* The bytes of the value, a part of them, or their number. */
static void ask_raw(struct input *input, uint8_t mask, uint8_t choice)
{
    static const char *const ranges[] = {"",         "bytes=0-0", "bytes=1-2", "bytes=-2",
                                         "bytes=2-", "bytes=-0",  "bytes=4-9", "bytes=0-1,2-3"};
    input->request.values = fuzz_text("raw");
    input->request.range = fuzz_text(ranges[mask & 7]);
    if (input->request.verb == LARK_VERB_GET && choice & 4) input->request.verb = LARK_VERB_HEAD;
}

static bool build(struct input *input, struct lark_slice *in, uint8_t *out_memory)
{
    static const char *const values[] = {"json", "text", "base64", ""};
    uint32_t in_path = 0;
    fuzz_config(&input->config);
    size_t method = method_of(input->config.catalogue, fuzz_until(in, '\n'));
    uint8_t mask = fuzz_byte(in);
    uint8_t choice = fuzz_byte(in);
    uint8_t mode = fuzz_byte(in);
    uint8_t cut_size = fuzz_byte(in);
    input->cuts = fuzz_cuts(cut_size, fuzz_byte(in));
    *out_memory = fuzz_byte(in);
    const struct lark_method *row = &input->config.catalogue->methods[method];
    unsigned verb = choice & 1 ? row->verbs & -row->verbs : row->verbs;
    while (verb & (verb - 1)) verb &= verb - 1; /* one of its verbs */
    input->request = (struct lark_request){.verb = (enum lark_verb)verb, .seed = 0x100000001u * mask};
    input->request.values = fuzz_text(values[mode & 3]);
    input->principal.prefix = fuzz_prefix(mode >> 2);
    input->principal.scopes = &input->scopes;
    FUZZ_CHECK(lark_scopes_add(input->config.catalogue, fuzz_text("admin"), &input->scopes) == LARK_OK);
    if (mode & 128 && row->raw) ask_raw(input, mask, choice);
    if (mode & 16) input->config.limits.reply_bytes = 300;
    if (mode & 32) input->config.limits.reply_elements = 20;
    if (mode & 64) input->config.limits.scan_keys = 3000;
    if (!add_path(input, method, choice, &in_path)) return false;
    add_params(input, row, in_path, mask, choice);
    input->request.target = (struct lark_slice){input->target.p, input->target.len};
    input->body = (struct lark_body){.len = input->json.len, .p = input->json.p};
    enum lark_status status = lark_plan_route(&input->config, &input->request, &input->principal, &input->plan, NULL);
    if (status == LARK_OK) status = lark_plan_make(&input->plan, &input->arena, &input->body, NULL);
    return status == LARK_OK && input->plan.n_commands > 0;
}

/* --- what must hold of an answer ------------------------------------------------------------------------------- */

/* A key's name of an answer stood in the reply below the caller's prefix. */
static void check_name(const struct input *input, struct lark_slice name)
{
    struct fuzz_log wanted = {.len = 0};
    fuzz_add_slice(&wanted, input->plan.prefix);
    fuzz_add_text(&wanted, ":");
    fuzz_add_slice(&wanted, name);
    FUZZ_CHECK(memmem(input->resp.p, input->resp.len, wanted.p, wanted.len) != NULL);
    fuzz_log_done(&wanted);
}

static void check_key(const struct input *input, json_t *key)
{
    json_t *base64 = json_object_get(key, "$base64");
    if (json_is_null(key)) return;
    if (base64 == NULL) {
        FUZZ_CHECK(json_is_string(key));
        check_name(input, (struct lark_slice){(const uint8_t *)json_string_value(key), json_string_length(key)});
        return;
    }
    size_t len = 0;
    uint8_t *bytes = base64_decode(json_string_value(base64), json_string_length(base64), &len);
    FUZZ_CHECK(bytes != NULL);
    check_name(input, (struct lark_slice){bytes, len});
    free(bytes);
}

static void check_key_list(const struct input *input, json_t *list)
{
    size_t i = 0;
    json_t *key = NULL;
    json_array_foreach(list, i, key) check_key(input, key);
}

static void check_keys(const struct input *input, struct lark_slice answer)
{
    json_error_t error;
    size_t flags = JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL;
    json_t *whole = json_loadb((const char *)answer.p, answer.len, flags, &error);
    json_t *data = json_object_get(whole, "data");
    if (data != NULL && input->plan.prefix.len > 0) {
        switch (input->plan.reply) {
        case LARK__REPLY_KEY_OR_NULL: check_key(input, data); break;
        case LARK__REPLY_KEY_LIST:
            check_key_list(input, data);
            if (!json_is_array(data)) check_key(input, data);
            break;
        case LARK__REPLY_SCAN_KEYS: check_key_list(input, json_array_get(data, 1)); break;
        case LARK__REPLY_POPPED:
            if (json_array_size(data) > 0) check_key(input, json_array_get(data, 0));
            break;
        default: break;
        }
    }
    json_decref(whole);
}

/* A further step of a call of several. */
static void check_next(const struct input *input, struct lark_slice next)
{
    static struct lark_slice args[FUZZ_ARGS_MAX];
    struct fuzz_log below = {.len = 0};
    size_t n_args = 0;
    FUZZ_CHECK(fuzz_command(&next, args, &n_args) && next.len == 0);
    fuzz_add_slice(&below, input->plan.prefix);
    fuzz_add_text(&below, ":");
    struct lark_slice prefix = {below.p, below.len};
    if (fuzz_same(args[0], fuzz_text("SCAN"))) {
        FUZZ_CHECK(n_args == 6 && fuzz_same(args[2], fuzz_text("MATCH")) && fuzz_starts(args[3], prefix));
    } else if (fuzz_same(args[0], fuzz_text("UNLINK"))) {
        FUZZ_CHECK(n_args > 1);
        for (size_t i = 1; i < n_args; i++) FUZZ_CHECK(fuzz_starts(args[i], prefix)); /* the empty key, too */
    } else {
        FUZZ_CHECK(input->plan.loop == LARK__STEPS_CLIENT_KILL && fuzz_same(args[0], fuzz_text("CLIENT")));
    }
    fuzz_log_done(&below);
}

/* --- shaping --------------------------------------------------------------------------------------------------- */

struct outcome {
    enum lark_status status;
    int http_status;
    size_t used, n_steps;
    struct fuzz_log answer, steps;
};

static void outcome_done(struct outcome *o)
{
    fuzz_log_done(&o->answer);
    fuzz_log_done(&o->steps);
}

struct shaping {
    const struct input *input;
    struct outcome *o;
    struct lark_reply reply;
    struct lark_buf out, next;
    bool drain;
};

static void take_out(struct shaping *s)
{
    if (s->out.len == 0) return;
    if (s->o->answer.len == 0) s->o->http_status = s->reply.http_status; /* settled before the first byte */
    FUZZ_CHECK(s->o->http_status == s->reply.http_status);
    fuzz_add(&s->o->answer, s->out.p, s->out.len);
    s->out.len = 0;
}

static void feed_piece(struct shaping *s, struct lark_slice piece)
{
    struct outcome *o = s->o;
    while (piece.len > 0 && o->status >= LARK_OK && o->status != LARK_OK) {
        size_t used = SIZE_MAX;
        o->status = lark_reply_feed(&s->reply, piece, &used);
        if (o->status < LARK_OK) return;
        FUZZ_CHECK(used <= piece.len);
        o->used += used;
        piece = (struct lark_slice){piece.p + used, piece.len - used};
        if (o->status == LARK_OK) return;
        if (o->status != LARK_NEXT) {
            FUZZ_CHECK(o->status == LARK_MORE && piece.len == 0);
            return;
        }
        enum lark_status status = lark_reply_next(&s->reply, &s->next);
        if (status != LARK_OK) {
            o->status = status;
            return;
        }
        check_next(s->input, (struct lark_slice){s->next.p, s->next.len});
        fuzz_add(&o->steps, s->next.p, s->next.len);
        s->next.len = 0;
        FUZZ_CHECK(++o->n_steps <= 2 * (s->input->config.limits.scan_keys / 1000 + 1) + 1);
    }
}

static void check_raw(const struct shaping *s)
{
    const struct lark_reply *reply = &s->reply;
    bool none = s->input->request.verb == LARK_VERB_HEAD && s->input->plan.n_commands > 1;
    struct lark_slice answer = {s->o->answer.p, s->o->answer.len};
    FUZZ_CHECK(reply->error == NULL && s->input->plan.values == LARK_VALUES_RAW);
    FUZZ_CHECK(answer.len == (none ? 0 : reply->content_len));
    FUZZ_CHECK(answer.len == 0 || memmem(s->input->resp.p, s->input->resp.len, answer.p, answer.len) != NULL);
    FUZZ_CHECK(reply->http_status == 200 || reply->http_status == 206);
    if (reply->http_status == 200) return;
    FUZZ_CHECK(reply->range_first <= reply->range_last && reply->range_last < reply->range_total);
    FUZZ_CHECK(reply->content_len == reply->range_last - reply->range_first + 1);
}

static void check_outcome(struct shaping *s, const struct lark_mem *mem)
{
    struct lark_err err;
    if (s->o->status == LARK_OK && s->reply.content == LARK_CONTENT_BYTES) {
        check_raw(s);
    } else if (s->o->status == LARK_OK) {
        struct lark_slice answer = {s->o->answer.p, s->o->answer.len};
        FUZZ_CHECK(s->reply.error == NULL ? s->reply.http_status == 200
                                          : s->reply.http_status == s->reply.error->http_status);
        FUZZ_CHECK(fuzz_is_json(answer));
        check_keys(s->input, answer);
    } else if (s->o->status < 0) {
        struct lark_buf text;
        lark_reply_fail(&s->reply, s->o->status, &err);
        lark_buf_init(&text, lark_mem_default(), MEMORY_MAX, NULL, 0);
        FUZZ_CHECK(lark_error_render(&s->input->config, &err, &text) == LARK_OK);
        FUZZ_CHECK(fuzz_is_json((struct lark_slice){text.p, text.len}));
        FUZZ_CHECK(fuzz_is_json_of_ours((struct lark_slice){text.p, text.len}));
        lark_buf_done(&text);
    }
    (void)mem;
}

static void shape(const struct input *input, const struct lark_mem *mem, bool cut, struct outcome *o)
{
    struct shaping s = {.input = input, .o = o, .drain = cut};
    struct fuzz_cuts cuts = input->cuts;
    struct lark_slice in = input->resp;
    *o = (struct outcome){.status = LARK_MORE};
    lark_buf_init(&s.out, mem, MEMORY_MAX, NULL, 0);
    lark_buf_init(&s.next, mem, MEMORY_MAX, NULL, 0);
    lark_reply_init(&s.reply, &input->plan, mem, &s.out);
    while (in.len > 0 && (o->status == LARK_MORE || o->status == LARK_NEXT)) {
        size_t n = cut ? fuzz_cut(&cuts, in.len) : in.len;
        uint8_t *copy = fuzz_copy((struct lark_slice){in.p, n});
        feed_piece(&s, (struct lark_slice){copy, n});
        free(copy);
        if (s.drain) take_out(&s);
        in = (struct lark_slice){in.p + n, in.len - n};
    }
    take_out(&s);
    check_outcome(&s, mem);
    lark_reply_done(&s.reply);
    lark_buf_done(&s.next);
    lark_buf_done(&s.out);
}

static void without_memory(void *ctx, struct fuzz_mem *mem)
{
    struct outcome good, o;
    shape(ctx, lark_mem_default(), true, &good);
    shape(ctx, &mem->mem, true, &o);
    FUZZ_CHECK(mem->failed ? o.status == LARK_E_NOMEM : o.status == good.status);
    outcome_done(&good);
    outcome_done(&o);
}

static void compare(struct input *input, uint8_t memory)
{
    struct outcome whole, cut;
    struct fuzz_mem mem;
    fuzz_mem_init(&mem, SIZE_MAX);
    shape(input, &mem.mem, false, &whole);
    mem.count = 0;
    shape(input, &mem.mem, true, &cut);
    size_t n_allocations = mem.count;
    fuzz_mem_done(&mem);
    FUZZ_CHECK(whole.status == cut.status && whole.n_steps == cut.n_steps);
    FUZZ_CHECK(fuzz_log_same(&whole.steps, &cut.steps));
    if (whole.status >= 0) FUZZ_CHECK(whole.used == cut.used && fuzz_log_same(&whole.answer, &cut.answer));
    fuzz_fail_memory(without_memory, input, n_allocations, memory);
    outcome_done(&whole);
    outcome_done(&cut);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lark_slice in = {data, size};
    struct input input = {.target = {.len = 0}};
    uint8_t memory = 0;
    lark_arena_init(&input.arena, lark_mem_default(), MEMORY_MAX, NULL, 0);
    bool good_request = build(&input, &in, &memory);
    input.resp = in;
    if (good_request) compare(&input, memory);
    lark_arena_done(&input.arena);
    fuzz_log_done(&input.target);
    fuzz_log_done(&input.json);
    return 0;
}
