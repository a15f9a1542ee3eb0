/* encode.c - a plan's commands as RESP, at once or in pieces. */
#include <lark/resp.h>

#include "buf.h"
#include "region.h"

enum part { AT_COMMAND, AT_LENGTH, AT_PREFIX, IN_BYTES, AT_END_OF_ARG };

static bool prefixed(const struct lark_plan *plan, const struct lark_arg *arg)
{
    return arg->is_key && plan->prefix.len > 0;
}

static uint64_t arg_bytes(const struct lark_plan *plan, const struct lark_arg *arg)
{
    return arg->len + (prefixed(plan, arg) ? plan->prefix.len + 1 : 0);
}

static uint64_t number_bytes(uint64_t n)
{
    return lark__digits_u64(n) + 3; /* type, CR, LF */
}

uint64_t lark_plan_wire_bytes(const struct lark_plan *plan)
{
    uint64_t total = 0;
    for (size_t c = 0; c < plan->n_commands; c++) {
        total += number_bytes(plan->commands[c].n_args);
        for (size_t i = 0; i < plan->commands[c].n_args; i++) {
            uint64_t n = arg_bytes(plan, &plan->commands[c].args[i]);
            total += number_bytes(n) + n + 2;
        }
    }
    return total;
}

static enum lark_status on_event(void *ctx, const struct lark_json_event *event)
{
    struct lark_encoder *encoder = ctx;
    const struct lark_arg *arg = &encoder->plan->commands[encoder->command].args[encoder->arg];
    struct lark__region region = {
        .form = arg->form, .out = encoder->out, .count = encoder->at, .fresh = encoder->fresh};
    region.base64 = (struct lark__base64){
        .bits = encoder->base64_bits, .n_chars = encoder->base64_chars, .n_pads = encoder->base64_pads};
    enum lark_status status = lark__region_event(&region, event);
    encoder->at = region.count;
    encoder->fresh = region.fresh;
    encoder->base64_bits = region.base64.bits;
    encoder->base64_chars = region.base64.n_chars;
    encoder->base64_pads = region.base64.n_pads;
    return status;
}

void lark_encoder_init(struct lark_encoder *encoder, const struct lark_plan *plan, const struct lark_mem *mem)
{
    *encoder = (struct lark_encoder){.plan = plan};
    encoder->json.mem = mem; /* the reader itself starts with each argument that needs it */
}

void lark_encoder_done(struct lark_encoder *encoder)
{
    lark_json_done(&encoder->json);
}

static enum lark_status write_line(struct lark_buf *out, uint8_t type, uint64_t n)
{
    size_t digits = lark__digits_u64(n);
    enum lark_status status = lark__reserve(out, digits + 3);
    if (status != LARK_OK) return status;
    uint8_t *line = out->p + out->len;
    line[0] = type;
    lark__put_digits(n, digits, line + 1);
    line[digits + 1] = '\r';
    line[digits + 2] = '\n';
    out->len += digits + 3;
    return LARK_OK;
}

/* Bytes that stand in memory, about `want` of them. return: LARK_OK when the argument is written, LARK_MORE */
static enum lark_status write_slice(struct lark_encoder *encoder, struct lark_slice text, size_t want)
{
    size_t n = text.len - (size_t)encoder->at;
    if (n == 0) return LARK_OK; /* text.p may be NULL */
    if (n > want) n = want;
    enum lark_status status = lark__append(encoder->out, text.p + encoder->at, n);
    encoder->at += n;
    if (status != LARK_OK) return status;
    return encoder->at < text.len ? LARK_MORE : LARK_OK;
}

/* A piece of the body as it is. return: as write_slice */
static enum lark_status write_raw(struct lark_encoder *encoder, const struct lark_arg *arg)
{
    struct lark_slice piece;
    enum lark_status status =
        lark__body_piece(&encoder->plan->body, arg->at + encoder->at, arg->raw_len - encoder->at, &piece);
    if (status == LARK_OK) status = lark__append(encoder->out, piece.p, piece.len);
    if (status != LARK_OK) return status;
    encoder->at += piece.len;
    return encoder->at < arg->len ? LARK_MORE : LARK_OK;
}

/* A piece of a region. return: as write_slice */
static enum lark_status write_region(struct lark_encoder *encoder, const struct lark_arg *arg)
{
    struct lark_slice piece;
    if (arg->form == LARK_ARG_RAW) return write_raw(encoder, arg);
    if (encoder->read_at == 0) {
        const struct lark_mem *mem = encoder->json.mem;
        lark_json_done(&encoder->json);
        lark_json_init(&encoder->json, mem, LARK_JSON_DEPTH_MAX, LARK_JSON_NAMES_MAX, on_event, encoder);
    }
    enum lark_status status =
        lark__body_piece(&encoder->plan->body, arg->at + encoder->read_at, arg->raw_len - encoder->read_at, &piece);
    if (status == LARK_OK) status = lark_json_feed(&encoder->json, piece);
    if (status != LARK_OK) return status;
    encoder->read_at += piece.len;
    if (encoder->read_at < arg->raw_len) return LARK_MORE;
    status = lark_json_finish(&encoder->json);
    /* the body must not have changed since it was measured */
    return status == LARK_OK && encoder->at != arg->len ? LARK_E_INTERNAL : status;
}

static enum lark_status write_bytes(struct lark_encoder *encoder, const struct lark_arg *arg, size_t want)
{
    return arg->form == LARK_ARG_BYTES ? write_slice(encoder, arg->text, want) : write_region(encoder, arg);
}

static enum lark_status write_prefix(struct lark_encoder *encoder, const struct lark_arg *arg)
{
    encoder->at = 0;
    encoder->read_at = 0;
    encoder->fresh = 0;
    encoder->base64_bits = 0;
    encoder->base64_chars = 0;
    encoder->base64_pads = 0;
    if (!prefixed(encoder->plan, arg)) return LARK_OK;
    enum lark_status status = lark_buf_append(encoder->out, encoder->plan->prefix);
    return status == LARK_OK ? LARK_APPEND(encoder->out, ":") : status;
}

/* One part of one argument. return: LARK_OK, LARK_MORE when the part goes on, or an error */
static enum lark_status write_part(struct lark_encoder *encoder, size_t want)
{
    const struct lark_command *command = &encoder->plan->commands[encoder->command];
    const struct lark_arg *arg = &command->args[encoder->arg];
    enum lark_status status;
    switch (encoder->part) {
    case AT_COMMAND: status = write_line(encoder->out, '*', command->n_args); break;
    case AT_LENGTH: status = write_line(encoder->out, '$', arg_bytes(encoder->plan, arg)); break;
    case AT_PREFIX: status = write_prefix(encoder, arg); break;
    case IN_BYTES: status = write_bytes(encoder, arg, want); break;
    default:
        status = LARK_APPEND(encoder->out, "\r\n");
        if (status != LARK_OK) return status;
        encoder->part = AT_LENGTH;
        if (++encoder->arg == command->n_args) {
            encoder->arg = 0;
            encoder->part = AT_COMMAND;
            encoder->command++;
        }
        return LARK_OK;
    }
    if (status == LARK_OK) encoder->part++;
    return status;
}

enum lark_status lark_encoder_next(struct lark_encoder *encoder, size_t want_bytes, struct lark_buf *out)
{
    size_t start = out->len;
    encoder->out = out;
    while (encoder->command < encoder->plan->n_commands) {
        size_t done = out->len - start;
        if (want_bytes > 0 && done >= want_bytes) return LARK_MORE;
        enum lark_status status = write_part(encoder, want_bytes > 0 ? want_bytes - done : SIZE_MAX);
        if (status != LARK_OK && status != LARK_MORE) return status;
    }
    return LARK_OK;
}

/* An argument that is still in the body. */
static enum lark_status encode_region(const struct lark_plan *plan, size_t command, size_t arg, struct lark_buf *out)
{
    struct lark_encoder encoder;
    enum lark_status status;
    lark_encoder_init(&encoder, plan, out->mem);
    encoder.out = out;
    encoder.command = command;
    encoder.arg = arg;
    do {
        status = write_region(&encoder, &plan->commands[command].args[arg]);
    } while (status == LARK_MORE);
    lark_encoder_done(&encoder);
    return status;
}

static enum lark_status encode_arg(const struct lark_plan *plan, size_t command, size_t at, struct lark_buf *out)
{
    const struct lark_arg *arg = &plan->commands[command].args[at];
    enum lark_status status = write_line(out, '$', arg_bytes(plan, arg));
    if (status == LARK_OK && prefixed(plan, arg)) {
        status = lark_buf_append(out, plan->prefix);
        if (status == LARK_OK) status = LARK_APPEND(out, ":");
    }
    if (status != LARK_OK) return status;
    status = arg->form == LARK_ARG_BYTES ? lark__append(out, arg->text.p, arg->text.len)
                                         : encode_region(plan, command, at, out);
    return status == LARK_OK ? LARK_APPEND(out, "\r\n") : status;
}

/* At once: without the encoder's state, which most arguments do not need. */
enum lark_status lark_plan_encode(const struct lark_plan *plan, struct lark_buf *out)
{
    size_t need;
    if (!lark__narrow(lark_plan_wire_bytes(plan), &need)) return LARK_E_TOO_LARGE;
    enum lark_status status = lark_buf_reserve(out, need);
    for (size_t c = 0; c < plan->n_commands && status == LARK_OK; c++) {
        size_t n_args = plan->commands[c].n_args;
        status = write_line(out, '*', n_args);
        for (size_t i = 0; i < n_args && status == LARK_OK; i++) status = encode_arg(plan, c, i, out);
    }
    return status;
}
