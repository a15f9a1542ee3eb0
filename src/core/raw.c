/* raw.c - Lark-Values: raw: the bytes of one value are the answer, as they are stored.
 *
 * A Range (RFC 9110 section 14) and a HEAD take several commands, which must tell of one and the same value: they go as a
 * transaction, MULTI EXISTS STRLEN GETRANGE EXEC, whose bytes stand together on whatever connection carries them. */
#include "raw.h"

#include "fail.h"
#include "shape.h"

#define ARGS_MAX 10

/* --- the Range -------------------------------------------------------------------------------------------------- */

/* Takes digits off the text; what is over int64, which is all that Redis counts to, is its largest. false: no digit */
static bool take_number(struct lark_slice *text, uint64_t *out)
{
    size_t n = 0;
    *out = 0;
    for (; n < text->len && lark__digit(text->p[n]); n++) {
        unsigned digit = text->p[n] - '0';
        *out = *out > ((uint64_t)INT64_MAX - digit) / 10 ? INT64_MAX : *out * 10 + digit;
    }
    *text = lark__from(*text, n);
    return n > 0;
}

static struct lark_slice trimmed(struct lark_slice text)
{
    while (text.len > 0 && (text.p[0] == ' ' || text.p[0] == '\t')) text = lark__from(text, 1);
    while (text.len > 0 && (text.p[text.len - 1] == ' ' || text.p[text.len - 1] == '\t')) text.len--;
    return text;
}

/* Of several ranges, of another unit, and of what is no range at all, none is answered: the whole value is. */
static void read_range(struct lark_plan *plan, struct lark_slice header)
{
    static const char unit[] = "bytes=";
    const size_t n = sizeof unit - 1;
    uint64_t first = 0, last = INT64_MAX;
    if (header.len < n || !lark__same_fold(lark__slice(header.p, n), lark__text(unit))) return;
    struct lark_slice text = trimmed(lark__from(header, n));
    bool suffix = !take_number(&text, &first);
    if (text.len == 0 || text.p[0] != '-') return;
    text = lark__from(text, 1);
    bool bounded = take_number(&text, &last);
    if (!bounded) last = INT64_MAX;
    if (text.len > 0 || (suffix && !bounded) || (!suffix && last < first)) return;
    plan->raw.first = first;
    plan->raw.last = last;
    plan->raw.suffix = suffix;
    plan->raw.part = true;
}

enum lark_status lark__raw_route(struct lark_plan *plan, struct lark_err *err)
{
    const struct lark_request *request = plan->request;
    if (!plan->row->raw) {
        return lark__fail(err, LARK_E_BAD_HEADER, "json, text or base64 here: raw is for methods that reply one value",
                          LARK_TEXT("Lark-Values"), request->values);
    }
    if (plan->row->ranged.length.len == 0 || !plan->config->several) return LARK_OK;
    plan->raw.length = request->verb == LARK_VERB_HEAD;
    if (request->verb == LARK_VERB_GET) read_range(plan, request->range);
    return LARK_OK;
}

/* --- the commands ----------------------------------------------------------------------------------------------- */

struct layout {
    struct lark_command *commands;
    struct lark_arg *args;
    size_t n_commands, n_args;
};

static void put(struct layout *layout, const struct lark_arg *args, size_t n)
{
    layout->commands[layout->n_commands++] = (struct lark_command){layout->args + layout->n_args, n};
    memcpy(layout->args + layout->n_args, args, n * sizeof *args);
    layout->n_args += n;
}

static struct lark_arg word(struct lark_slice text)
{
    return (struct lark_arg){.text = text, .len = text.len};
}

static enum lark_status number(struct lark__make *make, int64_t n, struct lark_arg *out)
{
    uint8_t *digits = lark_arena_alloc(make->arena, 21);
    if (digits == NULL) return LARK_E_NOMEM;
    *out = word(lark__slice(digits, lark__format_i64(n, digits)));
    return LARK_OK;
}

static enum lark_status put_range(struct lark__make *make, struct layout *layout, const struct lark_arg *key)
{
    const struct lark_plan *plan = make->plan;
    int64_t from = plan->raw.suffix ? -(int64_t)plan->raw.last : (int64_t)plan->raw.first;
    int64_t to = plan->raw.suffix ? -1 : (int64_t)plan->raw.last;
    struct lark_arg args[4] = {word(make->row->ranged.range), *key};
    enum lark_status status = number(make, from, &args[2]);
    if (status == LARK_OK) status = number(make, to, &args[3]);
    if (status == LARK_OK) put(layout, args, 4);
    return status;
}

enum lark_status lark__raw_commands(struct lark__make *make)
{
    struct lark_plan *plan = make->plan;
    if (!plan->raw.part && !plan->raw.length) return LARK_OK;
    const struct lark_arg key = plan->commands[0].args[1];
    const bool some = plan->raw.part && !(plan->raw.suffix && plan->raw.last == 0);
    const struct lark_arg multi = word(LARK_TEXT("MULTI")), exec = word(LARK_TEXT("EXEC"));
    const struct lark_arg exists[2] = {word(make->row->ranged.exists), key};
    const struct lark_arg length[2] = {word(make->row->ranged.length), key};
    struct layout layout = {.n_args = 0};
    layout.commands = lark_arena_alloc(make->arena, 5 * sizeof *layout.commands);
    layout.args = lark_arena_alloc(make->arena, ARGS_MAX * sizeof *layout.args);
    if (layout.commands == NULL || layout.args == NULL) return LARK_E_NOMEM;
    put(&layout, &multi, 1);
    put(&layout, exists, 2);
    put(&layout, length, 2);
    enum lark_status status = some ? put_range(make, &layout, &key) : LARK_OK;
    if (status != LARK_OK) return status;
    put(&layout, &exec, 1);
    plan->commands = layout.commands;
    plan->n_commands = layout.n_commands;
    return LARK_OK;
}
