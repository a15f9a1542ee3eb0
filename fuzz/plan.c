/* plan.c - a request becomes commands. Input: verb, caller, configuration, two bytes of cuts, one of memory; the target
 * up to LF; Lark-Values up to LF, a tab and Range in it; the body. */
#include "fuzz.h"

#include "catalogue.h"
#include "make.h"

#define MEMORY_MAX ((size_t)1 << 24)

struct input {
    struct lark_config config;
    struct lark_scopes scopes;
    struct lark_principal principal;
    struct lark_request request;
    struct lark_slice body;
    size_t arena_bytes; /* SIZE_MAX: as many as it likes */
    uint8_t cut_size, cut_seed;
};

/* The body as a host has it that gives pieces: each is gone at the next call. */
struct pieces {
    struct lark_slice body;
    struct fuzz_cuts cuts;
    uint8_t *piece;
};

static enum lark_status read_piece(void *ctx, uint64_t offset, size_t max, struct lark_slice *out_piece)
{
    struct pieces *pieces = ctx;
    FUZZ_CHECK(offset < pieces->body.len && max > 0);
    size_t left = pieces->body.len - (size_t)offset;
    size_t n = fuzz_cut(&pieces->cuts, left < max ? left : max);
    free(pieces->piece);
    *out_piece = (struct lark_slice){pieces->body.p + offset, n};
    pieces->piece = fuzz_copy(*out_piece);
    out_piece->p = pieces->piece;
    return LARK_OK;
}

struct result {
    enum lark_status status;
    int method;
    struct fuzz_log wire;
};

/* --- what must hold of a plan ---------------------------------------------------------------------------------- */

static bool is_word_of(const struct lark_method *row, struct lark_slice word)
{
    for (size_t i = 0; i < row->n_ops; i++) {
        if (row->ops[i].text.len > 0 && fuzz_same(row->ops[i].text, word)) return true;
    }
    return false;
}

static void check_arg(const struct lark_plan *plan, const struct lark_arg *arg, struct lark_slice bytes)
{
    if (arg->is_key && plan->prefix.len > 0) {
        FUZZ_CHECK(fuzz_starts(bytes, plan->prefix) && bytes.len > plan->prefix.len);
        FUZZ_CHECK(bytes.p[plan->prefix.len] == ':');
        bytes = (struct lark_slice){bytes.p + plan->prefix.len + 1, bytes.len - plan->prefix.len - 1};
    }
    FUZZ_CHECK(bytes.len == arg->len);
    if (arg->form == LARK_ARG_BYTES) FUZZ_CHECK(fuzz_same(bytes, arg->text));
    if (arg->form == LARK_ARG_JSON) FUZZ_CHECK(fuzz_is_json(bytes));
}

/* Keys that the values hold, counted without the steps that lay out argv. */
static size_t keys_among_values(const struct lark_plan *plan)
{
    size_t n = 0;
    for (size_t i = 0; i < plan->row->n_params; i++) {
        const struct lark_value *value = &plan->values_of[i];
        uint8_t type = plan->row->params[i].type;
        if (type == LARK__TYPE_KEY || type == LARK__TYPE_KEYS || type == LARK__TYPE_KEY_PATTERN) n += value->n;
        if (type == LARK__TYPE_KEYS_WEIGHTS || type == LARK__TYPE_KEY_VALUES || type == LARK__TYPE_IDS) {
            n += value->n / (value->pairs ? 2 : 1);
        }
    }
    return n;
}

/* MULTI, commands with the one key, EXEC: nothing else may come between them. */
static void check_transaction(const struct lark_plan *plan, const struct lark_command *command,
                              const struct lark_slice *args)
{
    bool first = command == plan->commands;
    bool last = command == plan->commands + plan->n_commands - 1;
    FUZZ_CHECK(plan->values == LARK_VALUES_RAW && plan->access == LARK_ACCESS_READ);
    FUZZ_CHECK(first == fuzz_same(args[0], fuzz_text("MULTI")) && last == fuzz_same(args[0], fuzz_text("EXEC")));
    FUZZ_CHECK(first || last ? command->n_args == 1 : command->n_args > 1 && command->args[1].is_key);
}

static void check_command(const struct lark_plan *plan, const struct lark_command *command, struct lark_slice *wire)
{
    static struct lark_slice args[FUZZ_ARGS_MAX];
    size_t n_args = 0, n_keys = 0;
    FUZZ_CHECK(fuzz_command(wire, args, &n_args) && n_args == command->n_args);
    for (size_t i = 0; i < n_args; i++) {
        check_arg(plan, &command->args[i], args[i]);
        n_keys += command->args[i].is_key;
    }
    FUZZ_CHECK(!command->args[0].is_key && command->args[0].form == LARK_ARG_BYTES);
    if (plan->n_commands > 1) {
        check_transaction(plan, command, args);
    } else if (plan->loop == LARK__STEPS_NONE) {
        FUZZ_CHECK(is_word_of(plan->row, args[0]));
        FUZZ_CHECK(n_keys >= keys_among_values(plan));
    } else if (plan->loop == LARK__STEPS_CLIENT_KILL) {
        FUZZ_CHECK(n_args == 2 && fuzz_same(args[0], fuzz_text("CLIENT")) && fuzz_same(args[1], fuzz_text("LIST")));
    } else {
        FUZZ_CHECK(n_args == 6 && fuzz_same(args[0], fuzz_text("SCAN")) && fuzz_same(args[2], fuzz_text("MATCH")));
        FUZZ_CHECK(command->args[3].is_key && plan->prefix.len > 0);
    }
}

static void check_plan(const struct lark_plan *plan, struct lark_slice wire)
{
    bool reads = plan->request->verb == LARK_VERB_GET || plan->request->verb == LARK_VERB_HEAD;
    FUZZ_CHECK(lark_plan_wire_bytes(plan) == wire.len);
    FUZZ_CHECK(plan->row != NULL && (!reads || plan->access == LARK_ACCESS_READ));
    FUZZ_CHECK(plan->prefix.len == 0 || plan->row->tenant != LARK__TENANT_REFUSE);
    FUZZ_CHECK(plan->block_ms <= plan->config->limits.block_max_s * 1000);
    for (size_t i = 0; i < plan->n_commands; i++) check_command(plan, &plan->commands[i], &wire);
    FUZZ_CHECK(wire.len == 0);
}

/* --- making one ------------------------------------------------------------------------------------------------ */

static enum lark_status encode(const struct lark_plan *plan, const struct lark_mem *mem, struct fuzz_cuts *cuts,
                               struct lark_buf *out)
{
    struct lark_encoder encoder;
    if (cuts == NULL) return lark_plan_encode(plan, out);
    lark_encoder_init(&encoder, plan, mem);
    enum lark_status status = LARK_MORE;
    while (status == LARK_MORE) status = lark_encoder_next(&encoder, fuzz_cut(cuts, SIZE_MAX), out);
    lark_encoder_done(&encoder);
    return status;
}

/* return: the error's own status, or LARK_E_NOMEM when there is none for the text */
static enum lark_status check_error(const struct lark_config *config, const struct lark_err *err,
                                    enum lark_status status, const struct lark_mem *mem)
{
    struct lark_buf out;
    FUZZ_CHECK(err->status == status);
    lark_buf_init(&out, mem, 1 << 20, NULL, 0);
    enum lark_status rendered = lark_error_render(config, err, &out);
    if (rendered == LARK_OK) {
        FUZZ_CHECK(out.len < 16384 && fuzz_is_json((struct lark_slice){out.p, out.len}));
        FUZZ_CHECK(fuzz_is_json_of_ours((struct lark_slice){out.p, out.len}));
    }
    FUZZ_CHECK(rendered == LARK_OK || rendered == LARK_E_NOMEM);
    lark_buf_done(&out);
    return rendered == LARK_OK ? status : rendered;
}

static enum lark_status run_options(const struct lark_plan *plan, const struct lark_mem *mem)
{
    struct lark_buf out;
    lark_buf_init(&out, mem, MEMORY_MAX, NULL, 0);
    enum lark_status status = lark_options_render(plan, &out);
    if (status == LARK_OK) FUZZ_CHECK(fuzz_is_json((struct lark_slice){out.p, out.len}));
    lark_buf_done(&out);
    return status;
}

static enum lark_status make(const struct input *input, struct lark_plan *plan, struct lark_arena *arena,
                             struct pieces *pieces, struct lark_err *err)
{
    enum lark_status status = lark_plan_route(&input->config, &input->request, &input->principal, plan, err);
    struct lark_body body = {.len = input->body.len, .p = input->body.p};
    if (pieces) body = (struct lark_body){.len = input->body.len, .ctx = pieces, .read = read_piece};
    if (status != LARK_OK || pieces == NULL)
        return status == LARK_OK ? lark_plan_make(plan, arena, &body, err) : status;
    struct lark_planning *planning = NULL;
    status = lark_plan_begin(plan, arena, &body, &planning, err);
    if (status != LARK_OK) return status;
    do {
        status = lark_plan_step(planning, fuzz_cut(&pieces->cuts, SIZE_MAX), err);
    } while (status == LARK_MORE);
    lark_plan_end(planning);
    return status;
}

/* cut: the body comes in pieces, the wire leaves in pieces */
static void run(const struct input *input, struct fuzz_mem *mem, bool cut, bool tell, struct result *result)
{
    struct fuzz_cuts cuts = fuzz_cuts(input->cut_size, input->cut_seed);
    struct pieces pieces = {.body = input->body, .cuts = cuts};
    struct lark_arena arena;
    struct lark_plan plan;
    struct lark_buf out;
    struct lark_err err;
    bool bounded = input->arena_bytes != SIZE_MAX;
    uint8_t *block = bounded ? malloc(input->arena_bytes) : NULL;
    lark_arena_init(&arena, &mem->mem, bounded ? 0 : MEMORY_MAX, block, bounded ? input->arena_bytes : 0);
    lark_buf_init(&out, &mem->mem, MEMORY_MAX, NULL, 0);
    *result = (struct result){.status = make(input, &plan, &arena, cut ? &pieces : NULL, tell ? &err : NULL)};
    result->method = plan.method;
    if (result->status == LARK_OK && input->request.verb == LARK_VERB_OPTIONS) {
        FUZZ_CHECK(plan.n_commands == 0);
        result->status = run_options(&plan, &mem->mem);
    } else if (result->status == LARK_OK) {
        result->status = encode(&plan, &mem->mem, cut ? &cuts : NULL, &out);
        if (result->status == LARK_OK) check_plan(&plan, (struct lark_slice){out.p, out.len});
        fuzz_add(&result->wire, out.p, out.len);
    } else if (tell) {
        result->status = check_error(&input->config, &err, result->status, &mem->mem);
    }
    lark_buf_done(&out);
    lark_arena_done(&arena);
    free(block);
    free(pieces.piece);
}

static void without_memory(void *ctx, struct fuzz_mem *mem)
{
    struct result good, result;
    struct fuzz_mem enough;
    fuzz_mem_init(&enough, SIZE_MAX);
    run(ctx, &enough, true, true, &good);
    run(ctx, mem, true, true, &result);
    FUZZ_CHECK(mem->failed ? result.status == LARK_E_NOMEM : result.status == good.status);
    fuzz_log_done(&good.wire);
    fuzz_log_done(&result.wire);
    fuzz_mem_done(&enough);
}

/* The arena ends within each of its allocations: what takes one must see that. */
static void without_arena(struct input *input, const struct result *good, uint8_t choice)
{
    const size_t step = 16, max = 4096;
    size_t from = fuzz_every_allocation ? 0 : choice * step;
    for (size_t bytes = from; bytes <= max; bytes += step) {
        struct result result;
        struct fuzz_mem mem;
        fuzz_mem_init(&mem, SIZE_MAX);
        input->arena_bytes = bytes;
        run(input, &mem, false, true, &result);
        fuzz_mem_done(&mem);
        bool same = result.status == good->status && fuzz_log_same(&result.wire, &good->wire);
        FUZZ_CHECK(same || result.status == LARK_E_NOMEM);
        fuzz_log_done(&result.wire);
        if (same || !fuzz_every_allocation) break;
    }
    input->arena_bytes = SIZE_MAX;
}

/* --- the input ------------------------------------------------------------------------------------------------- */

static void add_scopes(struct input *input, uint8_t choice)
{
    static const char *const words[] = {"admin", "key:*", "read:*", "write:set"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (!(choice >> i & 1)) continue;
        FUZZ_CHECK(lark_scopes_add(lark_catalogue_default(), fuzz_text(words[i]), &input->scopes) == LARK_OK);
    }
    input->principal.scopes = &input->scopes;
    input->principal.unidentified = choice >> 6 & 1;
}

static void read_input(struct input *input, struct lark_slice in, uint8_t *memory)
{
    static const enum lark_verb verbs[] = {LARK_VERB_GET,  LARK_VERB_POST,    LARK_VERB_PUT,   LARK_VERB_DELETE,
                                           LARK_VERB_HEAD, LARK_VERB_OPTIONS, LARK_VERB_OTHER, LARK_VERB_GET};
    memset(input, 0, sizeof *input);
    input->arena_bytes = SIZE_MAX;
    fuzz_config(&input->config);
    input->request.verb = verbs[fuzz_byte(&in) & 7];
    add_scopes(input, fuzz_byte(&in));
    uint8_t more = fuzz_byte(&in);
    input->principal.prefix = fuzz_prefix(more);
    input->config.mount = fuzz_text(more & 4 ? "/api/0" : "");
    if (more & 8) input->config.limits.args = 8;
    if (more & 16) input->config.limits.body_bytes = 64;
    if (more & 32) input->config.limits.value_bytes = 32;
    input->cut_size = fuzz_byte(&in);
    input->cut_seed = fuzz_byte(&in);
    *memory = fuzz_byte(&in);
    input->request.seed = 0x123456789abcdefu * input->cut_seed;
    input->request.target = fuzz_until(&in, '\n');
    input->request.range = fuzz_until(&in, '\n');
    input->request.values = fuzz_until(&input->request.range, '\t');
    input->body = in;
}

/* Words that are told as near are words; a prefix that is taken holds nothing of a pattern or a protocol. */
static void check_words(struct lark_slice text)
{
    struct lark_slice near[3];
    struct lark_scopes scopes = {.admin = false};
    size_t n = lark_scopes_near(lark_catalogue_default(), text, near, 3);
    FUZZ_CHECK(n <= 3);
    for (size_t i = 0; i < n; i++) FUZZ_CHECK(lark_scopes_add(lark_catalogue_default(), near[i], &scopes) == LARK_OK);
    if (lark_prefix_check(text) != LARK_OK) return;
    FUZZ_CHECK(text.len >= 1 && text.len <= 64);
    for (size_t i = 0; i < text.len; i++) FUZZ_CHECK(text.p[i] > ' ' && strchr("*?[]\\:{}/%", text.p[i]) == NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lark_slice in = {data, size};
    struct input input;
    struct result whole, cut, silent;
    struct fuzz_mem mem;
    uint8_t memory;
    read_input(&input, in, &memory);
    check_words(input.request.values);
    fuzz_mem_init(&mem, SIZE_MAX);
    run(&input, &mem, false, true, &whole);
    mem.count = 0;
    run(&input, &mem, true, true, &cut);
    size_t n_allocations = mem.count;
    run(&input, &mem, false, false, &silent);
    fuzz_mem_done(&mem);
    /* of two errors of a body the earlier one is told, and a piece of a string comes before what is wrong behind it */
    bool two_errors = whole.status == LARK_E_BAD_JSON && cut.status < 0 && cut.status != LARK_E_INTERNAL;
    FUZZ_CHECK(whole.status == cut.status || two_errors);
    FUZZ_CHECK(whole.status == silent.status && whole.method == cut.method);
    FUZZ_CHECK(fuzz_log_same(&whole.wire, &cut.wire) && fuzz_log_same(&whole.wire, &silent.wire));
    fuzz_fail_memory(without_memory, &input, n_allocations, memory);
    if (fuzz_every_allocation || memory >= 128) without_arena(&input, &whole, memory & 127);
    fuzz_log_done(&whole.wire);
    fuzz_log_done(&cut.wire);
    fuzz_log_done(&silent.wire);
    return 0;
}
