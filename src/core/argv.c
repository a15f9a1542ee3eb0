/* argv.c - the command's arguments: the row's steps, run over the values. */
#include "make.h"

/* Most commands fit here and are laid out once; longer ones are counted, and laid out when there is room. */
#define FEW_ARGS 12

struct layout {
    struct lark__make *make;
    struct lark_arg *args;
    size_t cap; /* arguments over it are only counted */
    size_t n;
};

static void put(struct layout *layout, const struct lark_arg *arg, bool is_key)
{
    if (layout->n < layout->cap) {
        layout->args[layout->n] = *arg;
        layout->args[layout->n].is_key = is_key;
    }
    layout->n++;
}

static void put_text(struct layout *layout, struct lark_slice text)
{
    struct lark_arg arg = {.text = text, .len = text.len};
    put(layout, &arg, false);
}

/* Is item `at` of a value a name of a key, or a pattern over them? docs/ARCHITECTURE.md, tenants */
static bool is_key(uint8_t type, const struct lark_value *value, size_t at)
{
    const struct lark_slice text = value->items[at].arg.text;
    switch ((enum lark__type)type) {
    case LARK__TYPE_KEY:
    case LARK__TYPE_KEYS:
    case LARK__TYPE_KEY_PATTERN: return true;
    case LARK__TYPE_SORT_BY: return text.len > 0 && memchr(text.p, '*', text.len) != NULL;
    case LARK__TYPE_SORT_GETS: return !lark__same(text, LARK_TEXT("#"));
    case LARK__TYPE_KEYS_WEIGHTS:
    case LARK__TYPE_KEY_VALUES:
    case LARK__TYPE_IDS: return !value->pairs || at % 2 == 0;
    case LARK__TYPE_SCORES:
    case LARK__TYPE_MAPPING:
    case LARK__TYPE_VALUE:
    case LARK__TYPE_VALUES:
    case LARK__TYPE_FIELD:
    case LARK__TYPE_FIELDS:
    case LARK__TYPE_STRING:
    case LARK__TYPE_INT:
    case LARK__TYPE_FLOAT:
    case LARK__TYPE_BOOL:
    case LARK__TYPE_DATETIME:
    case LARK__TYPE_BASE64:
    case LARK__TYPE_SCORE_BOUND: break;
    }
    return false;
}

/* Items from, from + step, ... of a value. */
static void put_items(struct layout *layout, const struct lark_param *param, const struct lark_value *value,
                      size_t from, size_t step, struct lark_slice before)
{
    if (value->n > FEW_ARGS / 2) {
        size_t n = from < value->n ? ((value->n - from - 1) / step + 1) * (before.len > 0 ? 2 : 1) : 0;
        if (n > layout->cap || layout->n > layout->cap - n) { /* not all fit: count */
            layout->n += n;
            return;
        }
    }
    for (size_t i = from; i < value->n; i += step) {
        if (before.len > 0) put_text(layout, before);
        put(layout, &value->items[i].arg, is_key(param->type, value, i));
    }
}

static void put_swapped(struct layout *layout, const struct lark_value *value)
{
    for (size_t i = 0; i + 1 < value->n; i += 2) {
        put(layout, &value->items[i + 1].arg, false);
        put(layout, &value->items[i].arg, false);
    }
}

static enum lark_status put_number(struct layout *layout, int64_t n)
{
    if (layout->n >= layout->cap) {
        layout->n++;
        return LARK_OK;
    }
    uint8_t *digits = lark_arena_alloc(layout->make->arena, 21);
    if (digits == NULL) return LARK_E_NOMEM;
    put_text(layout, lark__slice(digits, lark__format_i64(n, digits)));
    return LARK_OK;
}

static int64_t floor_seconds(int64_t ms)
{
    return ms / 1000 - (ms % 1000 < 0);
}

/* Does the branch of an IF run? */
static bool holds(const struct lark_op *op, const struct lark_param *param, const struct lark_value *value)
{
    if (op->code == LARK__OP_IF_SECOND) return value->present && value->pairs;
    return value->present && (param->type != LARK__TYPE_BOOL || value->flag);
}

static enum lark_status run(struct layout *layout)
{
    static const struct lark_param no_param;
    static const struct lark_value no_value;
    const struct lark_method *row = layout->make->row;
    enum lark_status status = LARK_OK;
    for (size_t i = 0; i < row->n_ops && status == LARK_OK; i++) {
        const struct lark_op *op = &row->ops[i];
        /* a row without parameters has NULL there, to which not even 0 may be added */
        const struct lark_param *param = row->n_params > 0 ? &row->params[op->param] : &no_param;
        const struct lark_value *value = row->n_params > 0 ? &layout->make->values[op->param] : &no_value;
        size_t width = value->pairs ? 2 : 1;
        switch ((enum lark__op_code)op->code) {
        case LARK__OP_TEXT: put_text(layout, op->text); break;
        case LARK__OP_PARAM: put_items(layout, param, value, 0, 1, LARK_NOTHING); break;
        case LARK__OP_FIRST: put_items(layout, param, value, 0, width, LARK_NOTHING); break;
        case LARK__OP_SECOND: put_items(layout, param, value, 1, 2, LARK_NOTHING); break;
        case LARK__OP_EACH: put_items(layout, param, value, 0, 1, op->text); break;
        case LARK__OP_SWAPPED: put_swapped(layout, value); break;
        case LARK__OP_COUNT: status = put_number(layout, (int64_t)(value->n / width)); break;
        case LARK__OP_TIME_S: status = put_number(layout, floor_seconds(value->time_ms)); break;
        case LARK__OP_TIME_MS: status = put_number(layout, value->time_ms); break;
        case LARK__OP_IF:
        case LARK__OP_IF_SECOND:
            if (!holds(op, param, value)) i += op->skip;
            /* an ELSE that ends the branch not taken is skipped with it, so its other branch runs */
            break;
        case LARK__OP_ELSE: i += op->skip; break;
        }
    }
    return status;
}

/* A bulk string of Redis has a ceiling of its own; over it Redis closes the connection. Only a large body makes large
 * arguments: JSON that is written anew (", " for ",", \u000a for \n) has less than four times its bytes. */
static enum lark_status check_sizes(struct lark__make *make, const struct lark_arg *args, size_t n)
{
    const uint64_t max = make->plan->config->limits.value_bytes;
    if (make->plan->body.len < max / 4) return LARK_OK;
    for (size_t i = 0; i < n; i++) {
        if (args[i].len <= max) continue;
        if (make->err) make->err->offset = max;
        return lark__fail(make->err, LARK_E_TOO_LARGE, "bytes of one value", LARK_NOTHING, LARK_NOTHING);
    }
    return LARK_OK;
}

enum lark_status lark__make_argv(struct lark__make *make)
{
    struct lark_arg few[FEW_ARGS];
    struct layout layout = {.make = make, .args = few, .cap = FEW_ARGS};
    enum lark_status status = run(&layout);
    if (status != LARK_OK) return status;
    /* the command's own words do not count as arguments */
    if (layout.n > (size_t)make->plan->config->limits.args + 1) {
        if (make->err) make->err->offset = make->plan->config->limits.args;
        return lark__fail(make->err, LARK_E_TOO_LARGE, "arguments of one command", LARK_NOTHING, LARK_NOTHING);
    }
    struct lark_command *command = lark_arena_alloc(make->arena, sizeof *command);
    struct lark_arg *args = lark_arena_alloc(make->arena, layout.n * sizeof *args);
    if (command == NULL || args == NULL) return LARK_E_NOMEM;
    if (layout.n <= FEW_ARGS) {
        memcpy(args, few, layout.n * sizeof *args);
    } else {
        layout = (struct layout){.make = make, .args = args, .cap = layout.n};
        status = run(&layout);
        if (status != LARK_OK) return status;
    }
    command->args = args;
    command->n_args = layout.n;
    make->plan->commands = command;
    make->plan->n_commands = 1;
    return check_sizes(make, args, layout.n);
}
