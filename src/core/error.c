/* error.c - what went wrong, in words. The sentence says where (method, parameter, byte), what was expected, what came. */
#include "buf.h"
#include "errors.h"

#include "catalogue.h"
#include "dialect.h"
#include "json_write.h"
#include "utf8.h"

#include "errors.inc"

#define SHOWN_BYTES 64
#define REDIS_TEXT_BYTES 4096

const struct lark_error_row *lark_error_row(enum lark_status status)
{
    const size_t n = sizeof lark__error_rows / sizeof lark__error_rows[0];
    if (status < 0 && (size_t)-status <= n) return &lark__error_rows[-status - 1];
    return &lark__error_rows[-LARK_E_INTERNAL - 1];
}

enum lark_status lark__redis_status(struct lark_slice text)
{
    for (size_t i = 0; i < sizeof lark__redis_words / sizeof lark__redis_words[0]; i++) {
        struct lark_slice word = lark__redis_words[i].word;
        if (lark__starts(text, word) && (text.len == word.len || text.p[word.len] == ' ')) {
            return lark__redis_words[i].status;
        }
    }
    return LARK_E_REDIS_ERROR;
}

/* A message being written into a JSON string; the first failure stays. */
struct message {
    struct lark_buf *out;
    enum lark_status status;
};

static void put(struct message *m, struct lark_slice text)
{
    if (m->status == LARK_OK) m->status = lark__json_write_inner(m->out, text);
}

static void say(struct message *m, const char *text)
{
    put(m, lark__text(text));
}

static void say_number(struct message *m, uint64_t n)
{
    if (m->status == LARK_OK) m->status = lark__append_u64(m->out, n);
}

/* Outside text, at most max bytes of it; what is no UTF-8 as \xNN */
static void show(struct message *m, struct lark_slice text, size_t max)
{
    static const char hex[] = "0123456789abcdef";
    struct lark_slice part = lark__slice(text.p, text.len > max ? lark__utf8_cut(text, max) : text.len);
    for (size_t at = 0; at < part.len;) {
        size_t step = lark__utf8_step(part.p + at, part.len - at);
        if (step == 0) {
            char escaped[4] = {'\\', 'x', hex[part.p[at] >> 4], hex[part.p[at] & 15]};
            put(m, lark__slice(escaped, sizeof escaped));
            at++;
            continue;
        }
        put(m, lark__slice(part.p + at, step));
        at += step;
    }
    if (part.len < text.len) say(m, "...");
}

static void show_got(struct message *m, const struct lark_err *err)
{
    if (err->got.p == NULL) return;
    say(m, ", got \"");
    show(m, err->got, SHOWN_BYTES);
    say(m, "\"");
}

static const struct lark_method *method_of(const struct lark_config *config, const struct lark_err *err)
{
    bool known = err->method >= 0 && (size_t)err->method < config->catalogue->n_methods;
    return known ? &config->catalogue->methods[err->method] : NULL;
}

/* "LRANGE: " */
static void say_method(struct message *m, const struct lark_config *config, const struct lark_err *err)
{
    const struct lark_method *method = method_of(config, err);
    if (method == NULL) return;
    put(m, method->display);
    say(m, ": ");
}

/* --- one function an error that has more to say than its row --------------------------------------------------- */

static void say_unknown_method(struct message *m, const struct lark_config *config, const struct lark_err *err)
{
    struct lark_slice near[3];
    if (err->got.len == 0) {
        say(m, "there is no method in the path: it is ");
        put(m, config->mount);
        say(m, "/METHOD/...");
        return;
    }
    say(m, "there is no method \"");
    show(m, err->got, SHOWN_BYTES);
    size_t n = lark__near_words(config->catalogue, err->got, near, 3);
    say(m, n > 0 ? "\"; did you mean " : "\"");
    for (size_t i = 0; i < n; i++) {
        if (i > 0) say(m, i + 1 == n ? " or " : ", ");
        put(m, near[i]);
    }
    if (n > 0) say(m, "?");
}

static void say_unknown_path(struct message *m, const struct lark_config *config, const struct lark_err *err)
{
    const struct lark_method *method = method_of(config, err);
    if (err->name.len == 0) {
        say(m, "there is no such path"); /* beside the API: no method is known */
        return;
    }
    put(m, err->name);
    say(m, " has no such path");
    if (method) say(m, ": it is ");
    if (method) say(m, method->usage);
}

static void say_wrong_verb(struct message *m, const struct lark_config *config, const struct lark_err *err)
{
    (void)config;
    if (err->name.len > 0) {
        put(m, err->name);
    } else {
        say(m, "this path");
    }
    say(m, " takes ");
    if (m->status == LARK_OK) m->status = lark_verbs_list(err->verbs, m->out);
}

static void say_missing(struct message *m, const struct lark_config *config, const struct lark_err *err)
{
    say_method(m, config, err);
    say(m, "parameter \"");
    put(m, err->name);
    say(m, "\" is missing: ");
    say(m, err->text ? err->text : "it is required");
}

static void say_bad_parameter(struct message *m, const struct lark_config *config, const struct lark_err *err)
{
    if (err->name.len == 0) {
        say(m, err->text ? err->text : "a parameter has the wrong value");
        return;
    }
    say_method(m, config, err);
    say(m, "parameter \"");
    put(m, err->name);
    say(m, "\" must be ");
    say(m, err->text ? err->text : "something else");
    show_got(m, err);
}

static void say_bad_body(struct message *m, const struct lark_config *config, const struct lark_err *err)
{
    say_method(m, config, err);
    say(m, "the body must be ");
    say(m, err->text ? err->text : "an object");
    show_got(m, err);
}

static void say_position(struct message *m, const struct lark_config *config, const struct lark_err *err)
{
    (void)config;
    say(m, lark_error_row(err->status)->message);
    say(m, " at byte ");
    say_number(m, err->offset);
    if (err->text) say(m, ": ");
    if (err->text) say(m, err->text);
}

static void say_bad_header(struct message *m, const struct lark_config *config, const struct lark_err *err)
{
    (void)config;
    say(m, "header ");
    put(m, err->name);
    say(m, " must be ");
    say(m, err->text ? err->text : "something else");
    show_got(m, err);
}

static void say_scope(struct message *m, const struct lark_config *config, const struct lark_err *err)
{
    (void)config;
    if (err->name.len == 0) {
        say(m, lark_error_row(err->status)->message);
        return;
    }
    put(m, err->name);
    say(m, " needs one of the scopes ");
    say(m, err->text ? err->text : "of its row");
    if (err->status == LARK_E_CREDENTIALS) say(m, "; no credentials were given");
}

static void say_refused(struct message *m, const struct lark_config *config, const struct lark_err *err)
{
    say_method(m, config, err);
    say(m, lark_error_row(err->status)->message);
}

/* An emulated FLUSHDB (lark_reply_fail and errors of Redis set a text) tells how far it came, also when that is nowhere. */
static bool say_deleted(struct message *m, const struct lark_config *config, const struct lark_err *err)
{
    const struct lark_method *method = method_of(config, err);
    bool deletes = method && method->steps == LARK__STEPS_FLUSHDB;
    if (!deletes || err->text == NULL || err->status == LARK_E_TOO_LARGE) return false;
    say(m, "; ");
    say(m, err->text);
    say(m, ": ");
    say_number(m, err->offset);
    return true;
}

static void say_too_large(struct message *m, const struct lark_config *config, const struct lark_err *err)
{
    say_method(m, config, err);
    say(m, lark_error_row(err->status)->message);
    if (say_deleted(m, config, err)) return;
    if (err->name.len > 0) {
        say(m, ": parameter \"");
        put(m, err->name);
        say(m, "\"");
    }
    if (err->text) say(m, ": ");
    if (err->text) say(m, err->text);
    if (err->offset > 0) {
        say(m, err->text ? ", " : ": ");
        say_number(m, err->offset);
        say(m, " at most");
    }
}

static void say_redis(struct message *m, const struct lark_config *config, const struct lark_err *err)
{
    const struct lark_method *method = method_of(config, err);
    if (err->got.len > 0 && method) {
        show(m, err->got, REDIS_TEXT_BYTES);
    } else {
        say(m, lark_error_row(err->status)->message);
    }
    if (say_deleted(m, config, err) || (err->got.len > 0 && method)) return;
    if (err->text) say(m, ": ");
    if (err->text) say(m, err->text);
    if (err->got.len > 0) say(m, ": ");
    show(m, err->got, REDIS_TEXT_BYTES);
}

typedef void (*say_fn)(struct message *m, const struct lark_config *config, const struct lark_err *err);

static say_fn sayer(enum lark_status status)
{
    static const struct {
        enum lark_status status;
        say_fn fn;
    } sayers[] = {
        {LARK_E_UNKNOWN_METHOD, say_unknown_method},
        {LARK_E_UNKNOWN_PATH, say_unknown_path},
        {LARK_E_WRONG_VERB, say_wrong_verb},
        {LARK_E_MISSING_PARAMETER, say_missing},
        {LARK_E_BAD_PARAMETER, say_bad_parameter},
        {LARK_E_BAD_BODY, say_bad_body},
        {LARK_E_BAD_JSON, say_position},
        {LARK_E_BAD_PATH, say_position},
        {LARK_E_BAD_HEADER, say_bad_header},
        {LARK_E_SCOPE, say_scope},
        {LARK_E_CREDENTIALS, say_scope},
        {LARK_E_PREFIX_REFUSED, say_refused},
        {LARK_E_TOO_LARGE, say_too_large},
        {LARK_E_REPLY_TOO_LARGE, say_too_large},
        {LARK_E_TOO_EXPENSIVE, say_too_large},
        {LARK_E_TOO_MANY, say_too_large},
        {LARK_E_RATE, say_too_large},
    };
    for (size_t i = 0; i < sizeof sayers / sizeof sayers[0]; i++) {
        if (sayers[i].status == status) return sayers[i].fn;
    }
    return say_redis;
}

enum lark_status lark__native_error(const struct lark_config *config, const struct lark_err *err, struct lark_buf *out)
{
    const struct lark_error_row *row = lark_error_row(err->status);
    size_t start = out->len;
    struct message m = {.out = out, .status = LARK_APPEND(out, "{\"meta\": {\"status\": \"error\", \"status_code\": ")};
    say_number(&m, (uint64_t)row->http_status);
    if (m.status == LARK_OK) m.status = LARK_APPEND(out, ", \"error_message\": \"");
    sayer(row->status)(&m, config, err);
    if (m.status == LARK_OK) m.status = LARK_APPEND(out, "\", \"error_code\": \"");
    say(&m, row->code);
    if (m.status == LARK_OK) m.status = LARK_APPEND(out, "\"}}");
    if (m.status != LARK_OK) out->len = start;
    return m.status;
}

enum lark_status lark_error_render(const struct lark_config *config, const struct lark_err *err, struct lark_buf *out)
{
    return config->dialect->error(config, err, out);
}

enum lark_status lark_options_render(const struct lark_plan *plan, struct lark_buf *out)
{
    const struct lark_dialect *dialect = plan->config->dialect;
    bool first = true;
    enum lark_status status = lark_buf_append(out, dialect->before_data);
    if (status == LARK_OK) status = LARK_APPEND(out, "[");
    for (unsigned bit = 1; bit < LARK_VERB_OTHER && status == LARK_OK; bit <<= 1) {
        if (!(plan->verbs & bit)) continue;
        status = first ? LARK_APPEND(out, "\"") : LARK_APPEND(out, ", \"");
        first = false;
        if (status == LARK_OK) status = lark_verbs_list(bit, out);
        if (status == LARK_OK) status = LARK_APPEND(out, "\"");
    }
    if (status == LARK_OK) status = LARK_APPEND(out, "]");
    return status == LARK_OK ? lark_buf_append(out, dialect->after_data) : status;
}
