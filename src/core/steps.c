#include "steps.h"

#include "buf.h"
#include "envelope.h"
#include "json_write.h"
#include "prefix.h"
#include "region.h"
#include "shape.h"

#include <lark/resp.h>

#define SCAN_COUNT 1000
#define GATEWAY_NAME "lark" /* the name that Lark gives its connections (src/redis) */

enum step {
    STEP_SCAN,
    STEP_UNLINK,
    STEP_LOOK, /* CLIENT LIST */
    STEP_FINAL /* the reply now coming makes the answer */
};

/* --- the first step -------------------------------------------------------------------------------------------- */

static struct lark_arg *new_args(struct lark__make *make, size_t n)
{
    struct lark_command *command = lark_arena_alloc(make->arena, sizeof *command);
    struct lark_arg *args = lark_arena_alloc(make->arena, n * sizeof *args);
    if (command == NULL || args == NULL) return NULL;
    memset(args, 0, n * sizeof *args);
    *command = (struct lark_command){.args = args, .n_args = n};
    make->plan->final = make->plan->commands;
    make->plan->commands = command;
    return args;
}

static void set_text(struct lark_arg *arg, struct lark_slice text)
{
    arg->text = text;
    arg->len = text.len;
}

/* SCAN cursor MATCH prefix:pattern COUNT 1000 */
static enum lark_status first_scan(struct lark__make *make)
{
    struct lark_plan *plan = make->plan;
    uint8_t *digits = lark_arena_alloc(make->arena, 20);
    struct lark_arg *args = new_args(make, 6);
    if (digits == NULL || args == NULL) return LARK_E_NOMEM;
    /* RANDOMKEY begins its walk anywhere: any number is a cursor to Redis */
    uint64_t cursor = plan->loop == LARK__STEPS_RANDOMKEY ? plan->request->seed & 0xffffffff : 0;
    set_text(&args[0], LARK_TEXT("SCAN"));
    set_text(&args[1], lark__slice(digits, lark__format_u64(cursor, digits)));
    set_text(&args[2], LARK_TEXT("MATCH"));
    if (plan->loop == LARK__STEPS_KEYS) {
        args[3] = plan->final->args[1];
    } else {
        set_text(&args[3], LARK_TEXT("*"));
        args[3].is_key = true;
    }
    set_text(&args[4], LARK_TEXT("COUNT"));
    set_text(&args[5], LARK_TEXT("1000"));
    return LARK_OK;
}

static enum lark_status first_look(struct lark__make *make)
{
    struct lark_item *address = &make->values[0].items[0];
    enum lark_status status = lark__item_text(make, &make->row->params[0], address);
    if (status != LARK_OK) return status;
    if (address->arg.text.len > 0 && address->arg.text.p[0] == '/') {
        return lark__bad(make, &make->row->params[0],
                         "ip:port: on a Unix socket all clients share one address, so none can be told apart",
                         address->arg.text);
    }
    status = lark__make_argv(make); /* again, now that the address stands in memory */
    if (status != LARK_OK) return status;
    struct lark_arg *args = new_args(make, 2);
    if (args == NULL) return LARK_E_NOMEM;
    set_text(&args[0], LARK_TEXT("CLIENT"));
    set_text(&args[1], LARK_TEXT("LIST"));
    return LARK_OK;
}

enum lark_status lark__steps_first(struct lark__make *make)
{
    return make->plan->loop == LARK__STEPS_CLIENT_KILL ? first_look(make) : first_scan(make);
}

bool lark__steps_running(const struct lark_reply *reply)
{
    return reply->step != STEP_FINAL;
}

/* --- what a walk finds ----------------------------------------------------------------------------------------- */

/* seed: of the host, so that nobody can choose names that share a slot */
static uint64_t hash_name(uint64_t seed, struct lark_slice name)
{
    uint64_t h = 0xcbf29ce484222325u ^ seed;
    for (size_t i = 0; i < name.len; i++) h = (h ^ name.p[i]) * 0x100000001b3u;
    h = (h ^ (h >> 32)) * 0xd6e8feb86659fd93u;
    h = (h ^ (h >> 32)) * 0xd6e8feb86659fd93u;
    return h == 0 ? 1 : h;
}

/* names: runs of {8 bytes of length, name}; at moves on to the next */
static bool next_name(const struct lark_reply *reply, size_t *at, struct lark_slice *name)
{
    uint64_t len;
    if (*at >= reply->names.len) return false;
    memcpy(&len, reply->names.p + *at, sizeof len);
    *name = lark__slice(reply->names.p + *at + sizeof len, (size_t)len);
    *at += sizeof len + name->len;
    return true;
}

/* Slot for a name in the table: one that holds its hash and (when it can be compared) the name, or a free one.
 * A slot is the hash, and the name's place in reply->names + 1. */
static size_t find_slot(const struct lark_reply *reply, uint64_t hash, struct lark_slice name, bool *found)
{
    size_t at = (size_t)hash & (reply->seen_cap - 1);
    *found = false;
    while (reply->seen[2 * at + 1] != 0) {
        size_t place = (size_t)reply->seen[2 * at + 1] - 1;
        struct lark_slice other;
        if (reply->seen[2 * at] == hash && next_name(reply, &place, &other) && lark__same(other, name)) {
            *found = true;
            return at;
        }
        at = (at + 1) & (reply->seen_cap - 1);
    }
    return at;
}

static enum lark_status grow_seen(struct lark_reply *reply)
{
    size_t old_cap = reply->seen_cap;
    uint64_t *old = reply->seen;
    size_t cap = old_cap == 0 ? 64 : old_cap * 2;
    uint64_t *table = reply->mem->alloc(reply->mem->ctx, 2 * cap * sizeof *table);
    if (table == NULL) return LARK_E_NOMEM;
    memset(table, 0, 2 * cap * sizeof *table);
    for (size_t i = 0; i < old_cap; i++) {
        if (old[2 * i + 1] == 0) continue;
        size_t at = (size_t)old[2 * i] & (cap - 1);
        while (table[2 * at + 1] != 0) at = (at + 1) & (cap - 1);
        table[2 * at] = old[2 * i];
        table[2 * at + 1] = old[2 * i + 1];
    }
    if (old) reply->mem->free(reply->mem->ctx, old, 2 * old_cap * sizeof *old);
    reply->seen = table;
    reply->seen_cap = cap;
    return LARK_OK;
}

/* SCAN may give a name twice. Keeps those that are new and below the prefix, with their prefix. */
static enum lark_status keep_name(struct lark_reply *reply, struct lark_slice name)
{
    struct lark_slice stripped = name;
    bool found;
    if (!lark__strip_prefix(reply->plan, &stripped)) return LARK_OK;
    if (4 * (reply->seen_len + 1) > 3 * reply->seen_cap) {
        enum lark_status status = grow_seen(reply);
        if (status != LARK_OK) return status;
    }
    uint64_t hash = hash_name(reply->plan->request->seed, name);
    size_t slot = find_slot(reply, hash, name, &found);
    if (found) return LARK_OK;
    uint64_t len = name.len;
    size_t place = reply->names.len;
    enum lark_status status = lark__append(&reply->names, &len, sizeof len);
    if (status == LARK_OK) status = lark_buf_append(&reply->names, name);
    if (status != LARK_OK) return status == LARK_E_TOO_LARGE ? LARK_E_REPLY_TOO_LARGE : status;
    reply->seen[2 * slot] = hash;
    reply->seen[2 * slot + 1] = place + 1;
    reply->seen_len++;
    return LARK_OK;
}

static void forget_names(struct lark_reply *reply)
{
    reply->names.len = 0;
    reply->seen_len = 0;
    reply->total = 0;
    if (reply->seen) memset(reply->seen, 0, 2 * reply->seen_cap * sizeof *reply->seen);
}

/* --- the end of a walk ----------------------------------------------------------------------------------------- */

static enum lark_status write_names(struct lark_reply *reply)
{
    struct lark_slice name;
    size_t at = 0;
    bool first = true;
    enum lark_status status = LARK_APPEND(reply->out, "[");
    while (status == LARK_OK && next_name(reply, &at, &name)) {
        if (!lark__strip_prefix(reply->plan, &name)) continue;
        if (!first) status = LARK_APPEND(reply->out, ", ");
        first = false;
        if (status == LARK_OK) status = lark_json_write_bytes(reply->out, name);
    }
    return status == LARK_OK ? LARK_APPEND(reply->out, "]") : status;
}

static enum lark_status write_random(struct lark_reply *reply)
{
    struct lark_slice name = {NULL, 0};
    size_t at = 0;
    if (reply->seen_len == 0) return LARK_APPEND(reply->out, "null");
    uint64_t pick = (reply->plan->request->seed >> 32) % reply->seen_len;
    for (uint64_t i = 0; i <= pick; i++) (void)next_name(reply, &at, &name);
    if (!lark__strip_prefix(reply->plan, &name)) return LARK_E_INTERNAL;
    return lark_json_write_bytes(reply->out, name);
}

static enum lark_status finish(struct lark_reply *reply)
{
    enum lark_status status = lark__begin_data(reply);
    if (status != LARK_OK) return status;
    switch (reply->plan->loop) {
    case LARK__STEPS_KEYS: status = write_names(reply); break;
    case LARK__STEPS_DBSIZE: status = lark__append_u64(reply->out, reply->seen_len); break;
    case LARK__STEPS_RANDOMKEY: status = write_random(reply); break;
    default: status = LARK_APPEND(reply->out, "true"); break;
    }
    return status == LARK_OK ? lark__end_data(reply) : status;
}

static bool at_end(const struct lark_reply *reply)
{
    return reply->cursor_len == 1 && reply->cursor[0] == '0';
}

/* The next SCAN, or the end of the walk. */
static enum lark_status walk_on(struct lark_reply *reply)
{
    bool random = reply->plan->loop == LARK__STEPS_RANDOMKEY;
    if (random && reply->seen_len > 0) return finish(reply);
    if (at_end(reply)) {
        /* RANDOMKEY began in the middle: what lies before is still to be seen */
        if (!random || reply->wrapped) return finish(reply);
        reply->wrapped = true;
    }
    if (reply->looked_at >= reply->plan->config->limits.scan_keys) return LARK_E_TOO_EXPENSIVE;
    reply->step = STEP_SCAN;
    return LARK_NEXT;
}

/* reply->expected: elements of the outer array still to come */
enum lark_status lark__steps_open(struct lark_reply *reply, const struct lark_resp_event *event)
{
    if (reply->step != STEP_SCAN || reply->plan->loop == LARK__STEPS_CLIENT_KILL) return LARK_E_PROTOCOL;
    if (event->type != LARK_RESP_ARRAY) return LARK_E_PROTOCOL;
    if (event->depth == 0 && event->n == 2) {
        reply->expected = 2;
        return LARK_MORE;
    }
    return event->depth == 1 && --reply->expected == 0 ? LARK_MORE : LARK_E_PROTOCOL;
}

enum lark_status lark__steps_end(struct lark_reply *reply)
{
    if (reply->step != STEP_SCAN || reply->expected != 0) return LARK_E_PROTOCOL;
    reply->looked_at += SCAN_COUNT;
    if (reply->plan->loop == LARK__STEPS_FLUSHDB && reply->names.len > 0) {
        reply->step = STEP_UNLINK;
        return LARK_NEXT;
    }
    return walk_on(reply);
}

/* --- CLIENT KILL ----------------------------------------------------------------------------------------------- */

static bool has_word(struct lark_slice line, struct lark_slice begin, struct lark_slice rest)
{
    struct lark_slice word;
    while (lark__next_word(&line, &word)) {
        if (lark__starts(word, begin) && lark__same(lark__from(word, begin.len), rest)) return true;
    }
    return false;
}

static enum lark_status look(struct lark_reply *reply, struct lark_slice text)
{
    struct lark_slice address = reply->plan->final->args[2].text;
    struct lark_slice line;
    while (lark__next_line(&text, &line)) {
        if (!has_word(line, LARK_TEXT("addr="), address)) continue;
        if (!has_word(line, LARK_TEXT("name="), LARK_TEXT(GATEWAY_NAME))) continue;
        struct lark_err err = {.status = LARK_E_BAD_PARAMETER,
                               .text = "the address of somebody else: this one is a connection of the gateway",
                               .name = LARK_TEXT("address"),
                               .got = address,
                               .method = reply->plan->method};
        return lark__reply_error(reply, &err);
    }
    reply->step = STEP_FINAL;
    return LARK_NEXT;
}

/* --- leaves and commands --------------------------------------------------------------------------------------- */

static enum lark_status keep_cursor(struct lark_reply *reply, struct lark_slice text)
{
    uint64_t cursor;
    if (--reply->expected != 1 || text.len > 20 || !lark__parse_u64(text, &cursor)) return LARK_E_PROTOCOL;
    memcpy(reply->cursor, text.p, text.len);
    reply->cursor_len = (uint8_t)text.len;
    return LARK_MORE;
}

enum lark_status lark__steps_leaf(struct lark_reply *reply, const struct lark_resp_event *leaf)
{
    if (reply->step == STEP_UNLINK) {
        if (leaf->type != LARK_RESP_INT || leaf->n < 0 || leaf->depth != 0) return LARK_E_PROTOCOL;
        reply->found += (uint64_t)leaf->n;
        forget_names(reply);
        return walk_on(reply);
    }
    if (leaf->type != LARK_RESP_BULK) return LARK_E_PROTOCOL;
    if (reply->plan->loop == LARK__STEPS_CLIENT_KILL) {
        return leaf->depth == 0 ? look(reply, leaf->text) : LARK_E_PROTOCOL;
    }
    if (leaf->depth == 1) return keep_cursor(reply, leaf->text);
    enum lark_status status = leaf->depth == 2 ? keep_name(reply, leaf->text) : LARK_E_PROTOCOL;
    return status == LARK_OK ? LARK_MORE : status;
}

static enum lark_status write_arg(const struct lark_plan *plan, const struct lark_arg *arg, struct lark_buf *out)
{
    bool prefixed = arg->is_key && plan->prefix.len > 0;
    enum lark_status status = LARK_APPEND(out, "$");
    if (status == LARK_OK) status = lark__append_u64(out, arg->len + (prefixed ? plan->prefix.len + 1 : 0));
    if (status == LARK_OK) status = LARK_APPEND(out, "\r\n");
    if (status == LARK_OK && prefixed) status = lark_buf_append(out, plan->prefix);
    if (status == LARK_OK && prefixed) status = LARK_APPEND(out, ":");
    if (status != LARK_OK) return status;
    status = arg->form == LARK_ARG_BYTES ? lark_buf_append(out, arg->text)
                                         : lark__region_append(&plan->body, out->mem, arg, out);
    return status == LARK_OK ? LARK_APPEND(out, "\r\n") : status;
}

/* A command of the plan; its second argument may be another one now. */
static enum lark_status write_command(struct lark_reply *reply, const struct lark_command *command,
                                      struct lark_slice second, struct lark_buf *out)
{
    enum lark_status status = lark_resp_write_array(out, command->n_args);
    for (size_t i = 0; i < command->n_args && status == LARK_OK; i++) {
        status = i == 1 && second.len > 0 ? lark_resp_write_bulk(out, second)
                                          : write_arg(reply->plan, &command->args[i], out);
    }
    return status;
}

static enum lark_status write_unlink(struct lark_reply *reply, struct lark_buf *out)
{
    struct lark_slice name;
    size_t at = 0;
    enum lark_status status = lark_resp_write_array(out, 1 + reply->seen_len);
    if (status == LARK_OK) status = lark_resp_write_bulk(out, LARK_TEXT("UNLINK"));
    while (status == LARK_OK && next_name(reply, &at, &name)) status = lark_resp_write_bulk(out, name);
    return status;
}

enum lark_status lark__steps_next(struct lark_reply *reply, struct lark_buf *out)
{
    if (reply->step == STEP_FINAL) return write_command(reply, reply->plan->final, LARK_NOTHING, out);
    if (reply->step == STEP_UNLINK) return write_unlink(reply, out);
    struct lark_slice cursor = lark__slice(reply->cursor, reply->cursor_len);
    return write_command(reply, reply->plan->commands, cursor, out);
}
