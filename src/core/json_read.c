/* json_read.c - the streaming JSON reader: one function a state, each takes at least one byte or fails. */
#include <lark/json.h>

#include "json_escape.h"
#include "text_run.h"
#include "utf8.h"

_Static_assert(sizeof(((struct lark_json *)0)->escape) == LARK__ESCAPE_MAX, "a cut escape is kept whole");

enum state {
    AT_VALUE,      /* a value must come */
    AT_FIRST_ITEM, /* a value or ] */
    AT_FIRST_NAME, /* a name or } */
    AT_NAME,       /* a name must come */
    AT_COLON,
    AT_AFTER_VALUE, /* , or the closing bracket */
    AT_END,         /* only white space */
    IN_STRING,
    IN_UTF8, /* continuation bytes of a character */
    IN_ESCAPE,
    IN_TRUE,
    IN_FALSE,
    IN_NULL,
    IN_MINUS,
    IN_ZERO,
    IN_WHOLE,
    IN_DOT,
    IN_FRACTION,
    IN_E,
    IN_E_SIGN,
    IN_EXPONENT
};

#define FNV_START 0xcbf29ce484222325u
#define FNV_PRIME 0x100000001b3u

void lark_json_init(struct lark_json *json, const struct lark_mem *mem, unsigned max_depth, size_t max_names,
                    lark_json_fn fn, void *ctx)
{
    *json = (struct lark_json){.mem = mem, .fn = fn, .ctx = ctx};
    json->names = json->names_inline;
    json->names_cap = sizeof json->names_inline / sizeof json->names_inline[0];
    json->names_max = max_names;
    json->max_depth = max_depth < LARK_JSON_DEPTH_MAX ? max_depth : LARK_JSON_DEPTH_MAX;
    json->state = AT_VALUE;
}

void lark_json_done(struct lark_json *json)
{
    if (json->names && json->names != json->names_inline) {
        json->mem->free(json->mem->ctx, json->names, json->names_cap * sizeof *json->names);
    }
    json->names = NULL;
    json->names_cap = 0;
}

const char *lark_json_error(const struct lark_json *json)
{
    return json->error;
}

uint64_t lark_json_offset(const struct lark_json *json)
{
    return json->offset;
}

/* at: bytes of the current feed that are good */
static enum lark_status fail(struct lark_json *json, size_t at, const char *error)
{
    json->offset += at;
    json->error = error;
    json->failed = true;
    return LARK_E_BAD_JSON;
}

static enum lark_status emit(struct lark_json *json, enum lark_json_type type, size_t at)
{
    struct lark_json_event event = {.type = type, .first = true, .last = true, .depth = json->depth};
    event.offset = json->token;
    event.end = json->offset + at;
    return json->fn(json->ctx, &event);
}

/* A piece of a name, string or number. */
static enum lark_status emit_piece(struct lark_json *json, enum lark_json_type type, struct lark_slice text, bool last,
                                   size_t at)
{
    struct lark_json_event event = {.type = type, .text = text, .last = last, .depth = json->depth};
    event.first = !json->started;
    event.offset = json->token;
    event.end = json->offset + at;
    json->started = !last;
    if (json->in_name) {
        for (size_t i = 0; i < text.len; i++) json->hash = (json->hash ^ text.p[i]) * FNV_PRIME;
    }
    return json->fn(json->ctx, &event);
}

static enum lark_json_type text_type(const struct lark_json *json)
{
    return json->in_name ? LARK_JSON_NAME : LARK_JSON_STRING;
}

/* --- duplicate names ------------------------------------------------------------------------------------------- */

/* Slots looked at for one name. Names that nobody chose so need less than a tenth of it in any table that fits in memory;
 * who chooses names that share slots gets an error instead of all the time in the world. */
#define PROBES_MAX 1024

enum put { PUT_NEW, PUT_OLD, PUT_CROWDED };

/* Puts a hash into a table with a free slot. */
static enum put put(uint64_t *table, size_t cap, uint64_t hash)
{
    size_t at = (size_t)hash & (cap - 1);
    for (unsigned probes = 0; table[at] != 0; probes++) {
        if (table[at] == hash) return PUT_OLD;
        if (probes >= PROBES_MAX) return PUT_CROWDED;
        at = (at + 1) & (cap - 1);
    }
    table[at] = hash;
    return PUT_NEW;
}

static enum lark_status too_many_names(struct lark_json *json)
{
    json->failed = true;
    return LARK_E_TOO_LARGE;
}

static enum lark_status grow_names(struct lark_json *json)
{
    enum put crowded = PUT_NEW;
    size_t cap = json->names_cap * 2;
    uint64_t *table = json->mem->alloc(json->mem->ctx, cap * sizeof *table);
    if (table == NULL) return LARK_E_NOMEM;
    memset(table, 0, cap * sizeof *table);
    for (size_t i = 0; i < json->names_cap && crowded != PUT_CROWDED; i++) {
        if (json->names[i] != 0) crowded = put(table, cap, json->names[i]);
    }
    lark_json_done(json);
    json->names = table;
    json->names_cap = cap;
    return crowded == PUT_CROWDED ? too_many_names(json) : LARK_OK;
}

/* A name ended. Names are known by a 64-bit hash of object and name: two that differ are taken for one once in 2^64;
 * then the text is refused, never misread. */
static enum lark_status end_name(struct lark_json *json, size_t at)
{
    uint64_t hash = json->hash ^ ((uint64_t)json->stack[json->depth - 1] * 0x9e3779b97f4a7c15u);
    hash = (hash ^ (hash >> 32)) * 0xd6e8feb86659fd93u;
    hash = (hash ^ (hash >> 32)) * 0xd6e8feb86659fd93u;
    hash ^= hash >> 32;
    if (hash == 0) hash = 1;
    if (json->names_len >= json->names_max) return too_many_names(json);
    if (json->names_len + 1 > json->names_cap / 4 * 3) {
        enum lark_status status = grow_names(json);
        if (status != LARK_OK) {
            json->failed = true;
            return status;
        }
    }
    enum put done = put(json->names, json->names_cap, hash);
    if (done == PUT_CROWDED) return too_many_names(json);
    if (done == PUT_OLD) return fail(json, at, "a member name that this object already has");
    json->names_len++;
    return LARK_OK;
}

/* --- structure ------------------------------------------------------------------------------------------------- */

static void after_value(struct lark_json *json)
{
    json->state = json->depth > 0 ? AT_AFTER_VALUE : AT_END;
}

static enum lark_status open(struct lark_json *json, bool object, size_t at)
{
    if (json->depth >= json->max_depth) return fail(json, at, "nested too deep");
    enum lark_status status = emit(json, object ? LARK_JSON_OBJECT : LARK_JSON_ARRAY, at + 1);
    if (status != LARK_OK) return status;
    json->stack[json->depth++] = object ? ++json->object_serial : 0;
    json->state = object ? AT_FIRST_NAME : AT_FIRST_ITEM;
    return LARK_OK;
}

static enum lark_status close(struct lark_json *json, bool object, size_t at)
{
    json->depth--;
    json->token = json->offset + at;
    after_value(json);
    return emit(json, object ? LARK_JSON_OBJECT_END : LARK_JSON_ARRAY_END, at + 1);
}

static void begin_text(struct lark_json *json, bool name)
{
    json->in_name = name;
    json->hash = FNV_START;
    json->state = IN_STRING;
}

static enum lark_status begin_value(struct lark_json *json, uint8_t c, size_t at)
{
    json->token = json->offset + at;
    json->started = false;
    json->in_name = false;
    json->literal_at = 1;
    switch (c) {
    case '{': return open(json, true, at);
    case '[': return open(json, false, at);
    case '"': begin_text(json, false); return LARK_OK;
    case 't': json->state = IN_TRUE; return LARK_OK;
    case 'f': json->state = IN_FALSE; return LARK_OK;
    case 'n': json->state = IN_NULL; return LARK_OK;
    case '-': json->state = IN_MINUS; return LARK_OK;
    case '0': json->state = IN_ZERO; return LARK_OK;
    default: break;
    }
    if (!lark__digit(c)) return fail(json, at, "expected a value");
    json->state = IN_WHOLE;
    return LARK_OK;
}

static enum lark_status begin_name(struct lark_json *json, uint8_t c, size_t at)
{
    json->token = json->offset + at;
    json->started = false;
    if (c != '"') return fail(json, at, "expected a member name in double quotes");
    begin_text(json, true);
    return LARK_OK;
}

/* One byte between values. */
static enum lark_status structure(struct lark_json *json, uint8_t c, size_t at)
{
    if (c == ' ' || c == '\n' || c == '\r' || c == '\t') return LARK_OK;
    bool object = json->depth > 0 && json->stack[json->depth - 1] != 0;
    switch (json->state) {
    case AT_FIRST_ITEM:
        if (c == ']') return close(json, false, at);
        return begin_value(json, c, at);
    case AT_FIRST_NAME:
        if (c == '}') return close(json, true, at);
        return begin_name(json, c, at);
    case AT_NAME: return begin_name(json, c, at);
    case AT_COLON:
        if (c != ':') return fail(json, at, "expected a colon after the member name");
        json->state = AT_VALUE;
        return LARK_OK;
    case AT_AFTER_VALUE:
        if (c == ',') {
            json->state = object ? AT_NAME : AT_VALUE;
            return LARK_OK;
        }
        if (c == (object ? '}' : ']')) return close(json, object, at);
        return fail(json, at, object ? "expected a comma or }" : "expected a comma or ]");
    case AT_END: return fail(json, at, "expected nothing after the value");
    default: return begin_value(json, c, at);
    }
}

/* --- strings --------------------------------------------------------------------------------------------------- */

static enum lark_status end_text(struct lark_json *json, struct lark_slice piece, size_t at)
{
    enum lark_status status = emit_piece(json, text_type(json), piece, true, at);
    if (status != LARK_OK) return status;
    if (!json->in_name) {
        after_value(json);
        return LARK_OK;
    }
    json->in_name = false;
    json->state = AT_COLON;
    return end_name(json, at);
}

/* The first byte of a character over U+007F: what must follow. source: RFC 3629 section 4 */
static bool begin_character(struct lark_json *json, uint8_t c)
{
    json->utf8_low = 0x80;
    json->utf8_high = 0xbf;
    if (c >= 0xc2 && c <= 0xdf) {
        json->utf8_need = 1;
    } else if (c >= 0xe0 && c <= 0xef) {
        json->utf8_need = 2;
        if (c == 0xe0) json->utf8_low = 0xa0;
        if (c == 0xed) json->utf8_high = 0x9f;
    } else if (c >= 0xf0 && c <= 0xf4) {
        json->utf8_need = 3;
        if (c == 0xf0) json->utf8_low = 0x90;
        if (c == 0xf4) json->utf8_high = 0x8f;
    } else {
        return false;
    }
    json->state = IN_UTF8;
    return true;
}

/* Continuation bytes from *at on, as far as the feed goes. */
static bool rest_of_character(struct lark_json *json, struct lark_slice data, size_t *at)
{
    while (json->utf8_need > 0 && *at < data.len) {
        uint8_t c = data.p[*at];
        if (c < json->utf8_low || c > json->utf8_high) return false;
        json->utf8_low = 0x80;
        json->utf8_high = 0xbf;
        json->utf8_need--;
        (*at)++;
    }
    if (json->utf8_need == 0) json->state = IN_STRING;
    return true;
}

/* Escapes that stand whole in the feed and the short runs between them, joined to one piece: an event for each would cost
 * more than its bytes do. */
#define JOINED_BYTES 512
#define JOINED_RUN 64
struct joined {
    size_t len;
    uint8_t bytes[JOINED_BYTES];
};

static enum lark_status emit_joined(struct lark_json *json, struct joined *joined, size_t at)
{
    struct lark_slice piece = lark__slice(joined->bytes, joined->len);
    joined->len = 0;
    return piece.len > 0 ? emit_piece(json, text_type(json), piece, false, at) : LARK_OK;
}

/* run, and behind it a backslash. return: LARK_OK: both are joined, *at and *from are behind them; LARK_MORE: not to be */
static enum lark_status join(struct lark_json *json, struct joined *joined, struct lark_slice data, size_t *from,
                             size_t *at)
{
    struct lark__escape escape;
    size_t run = *at - *from;
    if (run > JOINED_RUN || lark__escape_read(lark__from(data, *at), &escape) != LARK_OK) return LARK_MORE;
    if (joined->len > JOINED_BYTES - JOINED_RUN - sizeof escape.bytes) {
        enum lark_status status = emit_joined(json, joined, *from);
        if (status != LARK_OK) return status;
    }
    uint8_t *to = joined->bytes + joined->len;
    if (run <= 8 && data.len - *from >= 8) {
        memcpy(to, data.p + *from, 8); /* one instruction; what is too much is written over */
    } else {
        memcpy(to, data.p + *from, run);
    }
    memcpy(to + run, escape.bytes, sizeof escape.bytes);
    joined->len += run + escape.len;
    *at += escape.taken;
    *from = *at;
    return LARK_OK;
}

/* The run before *at and what ended it: the end of the feed, the quote, or an escape that is not whole. */
static enum lark_status end_run(struct lark_json *json, struct lark_slice data, size_t from, size_t *at)
{
    struct lark_slice run = lark__slice(data.p + from, *at - from);
    if (*at < data.len) {
        (*at)++;
        if (data.p[*at - 1] == '"') return end_text(json, run, *at);
        json->state = IN_ESCAPE;
        json->escape[0] = '\\';
        json->escape_len = 1;
    }
    return run.len > 0 ? emit_piece(json, text_type(json), run, false, *at) : LARK_OK;
}

/* Bytes of a string up to its quote, an escape that is not whole, or the end of the feed. */
static enum lark_status string_run(struct lark_json *json, struct lark_slice data, size_t *at)
{
    struct joined joined;
    size_t from = *at;
    joined.len = 0;
    for (;;) {
        if (json->state == IN_UTF8 && !rest_of_character(json, data, at)) return fail(json, *at, "not UTF-8");
        *at += lark__plain_run(data.p + *at, data.len - *at);
        uint8_t c = *at < data.len ? data.p[*at] : '"';
        enum lark_status status = c == '\\' ? join(json, &joined, data, &from, at) : LARK_MORE;
        if (status == LARK_OK) continue;
        if (status == LARK_MORE && (c == '"' || c == '\\')) {
            status = emit_joined(json, &joined, from);
            return status == LARK_OK ? end_run(json, data, from, at) : status;
        }
        if (status != LARK_MORE) return status;
        if (c < 0x20) return fail(json, *at, "a control character in a string: write it as an escape");
        if (!begin_character(json, c)) return fail(json, *at, "not UTF-8");
        (*at)++;
    }
}

/* One more byte of an escape that did not stand whole where the run before it ended. */
static enum lark_status escape(struct lark_json *json, uint8_t c, size_t at)
{
    struct lark__escape read;
    json->escape[json->escape_len++] = c;
    enum lark_status status = lark__escape_read(lark__slice(json->escape, json->escape_len), &read);
    if (status == LARK_MORE) return LARK_OK;
    if (status != LARK_OK) return fail(json, at, read.bad);
    json->state = IN_STRING;
    return emit_piece(json, text_type(json), lark__slice(read.bytes, read.len), false, at + 1);
}

/* --- literals and numbers -------------------------------------------------------------------------------------- */

static enum lark_status literal(struct lark_json *json, uint8_t c, size_t at)
{
    static const char *const words[] = {"true", "false", "null"};
    static const enum lark_json_type types[] = {LARK_JSON_TRUE, LARK_JSON_FALSE, LARK_JSON_NULL};
    const char *word = words[json->state - IN_TRUE];
    if (c != (uint8_t)word[json->literal_at]) return fail(json, at, "expected a value");
    json->literal_at++;
    if (word[json->literal_at] != '\0') return LARK_OK;
    enum lark_json_type type = types[json->state - IN_TRUE];
    after_value(json);
    return emit(json, type, at + 1);
}

/* The state behind a byte of a number, by the byte's class; AT_END: the number ended before it; AT_VALUE: it may not
 * stand here. source: RFC 8259 section 6 */
enum number_class { CLASS_ZERO, CLASS_DIGIT, CLASS_DOT, CLASS_E, CLASS_SIGN, CLASS_OTHER, N_CLASSES };

static enum state number_step(uint8_t state, uint8_t c)
{
    static const uint8_t next[][N_CLASSES] = {
        /* 0, 1-9, ".", "e", sign, other */
        {IN_ZERO, IN_WHOLE, AT_VALUE, AT_VALUE, AT_VALUE, AT_VALUE},         /* IN_MINUS */
        {AT_VALUE, AT_VALUE, IN_DOT, IN_E, AT_END, AT_END},                  /* IN_ZERO */
        {IN_WHOLE, IN_WHOLE, IN_DOT, IN_E, AT_END, AT_END},                  /* IN_WHOLE */
        {IN_FRACTION, IN_FRACTION, AT_VALUE, AT_VALUE, AT_VALUE, AT_VALUE},  /* IN_DOT */
        {IN_FRACTION, IN_FRACTION, AT_END, IN_E, AT_END, AT_END},            /* IN_FRACTION */
        {IN_EXPONENT, IN_EXPONENT, AT_VALUE, AT_VALUE, IN_E_SIGN, AT_VALUE}, /* IN_E */
        {IN_EXPONENT, IN_EXPONENT, AT_VALUE, AT_VALUE, AT_VALUE, AT_VALUE},  /* IN_E_SIGN */
        {IN_EXPONENT, IN_EXPONENT, AT_END, AT_END, AT_END, AT_END},          /* IN_EXPONENT */
    };
    enum number_class class = c == '0'               ? CLASS_ZERO
                              : lark__digit(c)       ? CLASS_DIGIT
                              : c == '.'             ? CLASS_DOT
                              : c == 'e' || c == 'E' ? CLASS_E
                              : c == '+' || c == '-' ? CLASS_SIGN
                                                     : CLASS_OTHER;
    return (enum state)next[state - IN_MINUS][class];
}

/* from: where the number's bytes begin in this feed */
static enum lark_status number_run(struct lark_json *json, struct lark_slice data, size_t from, size_t *at)
{
    while (*at < data.len) {
        enum state next = number_step(json->state, data.p[*at]);
        if (next == AT_VALUE) return fail(json, *at, "a digit is missing or too many in a number");
        if (next == AT_END) {
            after_value(json);
            return emit_piece(json, LARK_JSON_NUMBER, lark__slice(data.p + from, *at - from), true, *at);
        }
        json->state = (uint8_t)next;
        (*at)++;
    }
    if (*at == from) return LARK_OK;
    return emit_piece(json, LARK_JSON_NUMBER, lark__slice(data.p + from, *at - from), false, *at);
}

/* --- feeding --------------------------------------------------------------------------------------------------- */

static enum lark_status step(struct lark_json *json, struct lark_slice data, size_t *at)
{
    size_t here = *at;
    switch (json->state) {
    case IN_STRING:
    case IN_UTF8: return string_run(json, data, at);
    case IN_ESCAPE: (*at)++; return escape(json, data.p[here], here);
    case IN_TRUE:
    case IN_FALSE:
    case IN_NULL: (*at)++; return literal(json, data.p[here], here);
    case IN_MINUS:
    case IN_ZERO:
    case IN_WHOLE:
    case IN_DOT:
    case IN_FRACTION:
    case IN_E:
    case IN_E_SIGN:
    case IN_EXPONENT:
        /* the byte that began the number stands just before, when it came in this feed */
        return number_run(json, data, json->token >= json->offset ? (size_t)(json->token - json->offset) : 0, at);
    case AT_VALUE:
    case AT_FIRST_ITEM:
    case AT_FIRST_NAME:
    case AT_NAME:
    case AT_COLON:
    case AT_AFTER_VALUE:
    case AT_END: (*at)++; return structure(json, data.p[here], here);
    default: return LARK_E_BAD_JSON;
    }
}

enum lark_status lark_json_feed(struct lark_json *json, struct lark_slice data)
{
    if (json->failed) return LARK_E_BAD_JSON;
    size_t at = 0;
    while (at < data.len) {
        enum lark_status status = step(json, data, &at);
        if (status != LARK_OK) {
            if (!json->failed) json->offset += at;
            json->failed = true;
            return status;
        }
    }
    /* a number whose first byte was the last of this feed */
    if (json->state >= IN_MINUS && !json->started && data.len > 0 && json->token >= json->offset) {
        size_t from = (size_t)(json->token - json->offset);
        enum lark_status status =
            emit_piece(json, LARK_JSON_NUMBER, lark__slice(data.p + from, data.len - from), false, data.len);
        if (status != LARK_OK) {
            json->failed = true;
            return status;
        }
    }
    json->offset += data.len;
    return LARK_OK;
}

enum lark_status lark_json_finish(struct lark_json *json)
{
    if (json->failed) return LARK_E_BAD_JSON;
    if (json->state >= IN_MINUS && number_step(json->state, ' ') == AT_END && json->depth == 0) {
        json->state = AT_END;
        enum lark_status status = emit_piece(json, LARK_JSON_NUMBER, lark__slice(NULL, 0), true, 0);
        if (status != LARK_OK) return status;
    }
    if (json->state != AT_END) return fail(json, 0, "the text ends before the value does");
    return LARK_OK;
}
