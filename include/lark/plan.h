/* plan.h - one request becomes one or more Redis commands, or an error.
 *
 *     lark_plan_route   the request line and the caller: which method, may they (needs no body, allocates nothing)
 *     lark_plan_make    the parameters: the commands' arguments; lark_plan_begin, _step, _end: the same in steps, for
 *                       bodies that are too large for one go
 *     lark_plan_encode  the commands as RESP
 *
 * A plan does no I/O. reply.h turns what Redis answers into the response body. */
#ifndef LARK_PLAN_H
#define LARK_PLAN_H

#include <lark/catalogue.h>
#include <lark/json.h>
#include <lark/types.h>

#ifdef __cplusplus
extern "C" {
#endif

enum lark_verb {
    LARK_VERB_GET = 1,
    LARK_VERB_HEAD = 2,
    LARK_VERB_POST = 4,
    LARK_VERB_PUT = 8,
    LARK_VERB_DELETE = 16,
    LARK_VERB_OPTIONS = 32,
    LARK_VERB_OTHER = 64 /* any word that is no verb of the API */
};

/* lark_verb_parse - the bit of an HTTP method word, matched to the byte. */
LARK_API enum lark_verb lark_verb_parse(struct lark_slice word);

/* lark_verbs_list - "GET, HEAD, OPTIONS" of a set of bits, for the Allow header. return: as lark_buf_append */
LARK_API LARK_MUST_USE enum lark_status lark_verbs_list(unsigned verbs, struct lark_buf *out);

/* Which connection a plan needs. */
enum lark_lane {
    LARK_LANE_SHARED,   /* the pipelined one */
    LARK_LANE_BLOCKING, /* one from a pool, given back after the reply: BLPOP and its like */
    LARK_LANE_PRIVATE   /* a fresh one, closed after the reply: it would keep state */
};

enum lark_access { LARK_ACCESS_READ, LARK_ACCESS_WRITE };

/* How stored values are written (header Lark-Values). */
enum lark_values {
    LARK_VALUES_JSON,
    LARK_VALUES_TEXT,
    LARK_VALUES_BASE64,
    LARK_VALUES_RAW /* the answer is the bytes of the one value */
};

/* Ceilings; lark_limits_default gives the documented ones. Each is tested at the limit and one over. */
struct lark_limits {
    uint64_t body_bytes;     /* of a request: LARK_E_TOO_LARGE */
    uint64_t value_bytes;    /* of one argument, Redis' proto-max-bulk-len: LARK_E_TOO_LARGE */
    uint64_t reply_bytes;    /* of one reply of Redis: LARK_E_REPLY_TOO_LARGE */
    uint64_t reply_elements; /* likewise */
    uint32_t args;           /* of one command: LARK_E_TOO_LARGE */
    uint32_t scan_keys;      /* looked at by one emulated call: LARK_E_TOO_EXPENSIVE */
    uint32_t block_max_s;    /* a blocking call's timeout is cut to it; 0 in a call means it */
};

/* lark_limits_default - the ceilings of docs/HTTP.md, but 64 MiB of a reply: a host may keep it in memory. */
LARK_API void lark_limits_default(struct lark_limits *limits);

/* A wall-clock date in the proleptic Gregorian calendar. month, day: from 1; second: 0..60 */
struct lark_civil {
    int64_t year;
    int month, day, hour, minute, second;
};

/* The host's local time zone. In a DST gap the later instant counts, in an overlap the earlier.
 * Both return LARK_OK, or LARK_E_BAD_PARAMETER for what the zone cannot tell. */
struct lark_zone {
    void *ctx;
    enum lark_status (*to_unix)(void *ctx, const struct lark_civil *local, int64_t *out_s);
    enum lark_status (*to_local)(void *ctx, int64_t unix_s, struct lark_civil *out_local);
};

/* lark_zone_utc - a zone that is UTC. lark_zone_libc - the C library's local zone (liblark only). */
LARK_API const struct lark_zone *lark_zone_utc(void);
LARK_API const struct lark_zone *lark_zone_libc(void);

/* What is the same for all requests of one mount point. Borrowed until the last reply is done. */
struct lark_config {
    const struct lark_catalogue *catalogue;
    const struct lark_dialect *dialect;
    const struct lark_zone *zone;
    struct lark_limits limits;
    struct lark_slice mount; /* "/api/0": begins with a slash, ends without; empty: the root */
    bool several;            /* the host sends plans of several commands, in one go: for Range and HEAD of raw values */
};

/* A dialect: how a request is written and how an answer looks. */

/* lark_dialect_native - Lark's own. lifetime: static */
LARK_API const struct lark_dialect *lark_dialect_native(void);

/* A request body. p: all len bytes, or NULL and read gives pieces.
 * read: 1..max bytes from offset on, valid until the next call; LARK_OK or an error of the host's */
struct lark_body {
    uint64_t len;
    const uint8_t *p;
    void *ctx;
    enum lark_status (*read)(void *ctx, uint64_t offset, size_t max, struct lark_slice *out_piece);
};

/* The request line and the headers that matter.
 * target: as it came on the wire (RFC 9112 section 3.2.1, origin form): path and query, nothing decoded
 * values: the header Lark-Values, empty when absent
 * range:  the header Range, empty when absent or when there is an If-Range: no answer has a validator to compare
 * seed:   a random number of the host's, for RANDOMKEY below a prefix
 * lifetime: all slices until the reply is done */
struct lark_request {
    enum lark_verb verb;
    struct lark_slice target;
    struct lark_slice values;
    struct lark_slice range;
    uint64_t seed;
};

/* How an argument's bytes are got from the body when it is encoded. */
enum lark_arg_form {
    LARK_ARG_BYTES,  /* text holds them */
    LARK_ARG_STRING, /* a JSON string of the body, to be decoded */
    LARK_ARG_JSON,   /* a JSON object or array of the body, to be written with ", " and ": " */
    LARK_ARG_BASE64, /* {"$base64": "..."} or a base64 string of the body, to be decoded */
    LARK_ARG_RAW     /* bytes of the body as they are */
};

/* One argument of a command.
 * form:   above; text: for LARK_ARG_BYTES
 * len:    bytes it will have, without the prefix
 * at, raw_len: its region of the body, for the other forms
 * is_key: written as prefix + ":" + bytes when the plan has a prefix */
struct lark_arg {
    struct lark_slice text;
    uint64_t len;
    uint64_t at;
    uint64_t raw_len;
    enum lark_arg_form form;
    bool is_key;
};

struct lark_command {
    const struct lark_arg *args;
    size_t n_args;
};

/* The outcome of lark_plan_route and lark_plan_make. Fields are to be read only.
 * method:   index in the catalogue, -1 when nothing matched
 * verbs:    verbs of the path (for OPTIONS and Allow)
 * commands: what goes to Redis; none for an OPTIONS request
 * block_ms: a blocking command's own time-out, 0 otherwise: add it to the deadline
 * body_max: bytes of the largest body this call may have, from lark_plan_route on: who announces more need not be read
 * give_back: the reply takes [key, element] out of a list for the caller; when he has left by then, this command (LPUSH,
 *           RPUSH) with both puts it back where it was. Empty: nothing to be put back
 * lifetime: config, request, principal and body must outlive it; arguments live in the arena */
struct lark_plan {
    const struct lark_config *config;
    const struct lark_request *request;
    struct lark_slice prefix;
    int method;
    unsigned verbs;
    enum lark_lane lane;
    enum lark_access access;
    enum lark_values values;
    const struct lark_command *commands;
    size_t n_commands;
    uint32_t block_ms;
    uint64_t body_max;
    struct lark_slice give_back;
    struct lark_body body;
    /* private to the core */
    const struct lark_method *row;
    const struct lark_route *route;
    const struct lark_value *values_of; /* parameter values by index */
    struct lark_slice path[8];          /* raw segments behind the method's words */
    size_t n_path;
    struct lark_slice query;
    uint8_t reply;
    uint8_t loop;
    uint8_t cast;
    bool scores;
    bool put; /* the body is the bytes of the row's put parameter */
    struct {
        uint64_t first, last; /* suffix: the last `last` bytes */
        bool part;            /* a Range is to be answered */
        bool length;          /* only the length is: a HEAD */
        bool suffix;
    } raw;
    uint32_t groups;
    const struct lark_command *final; /* the command that ends a call of several steps */
};

/* lark_plan_route - read the request line; check verb and scopes.
 * out:    out_plan: on LARK_OK ready for lark_plan_make; otherwise method and verbs are as far as known
 * err:    optional detail
 * return: LARK_OK | LARK_E_BAD_PATH | LARK_E_UNKNOWN_METHOD | LARK_E_UNKNOWN_PATH | LARK_E_WRONG_VERB |
 *         LARK_E_BAD_HEADER | LARK_E_SCOPE | LARK_E_CREDENTIALS | LARK_E_PREFIX_REFUSED | LARK_E_BAD_PREFIX
 * cost:   O(target), no allocation; methods are found by a perfect hash */
LARK_API LARK_MUST_USE enum lark_status lark_plan_route(const struct lark_config *config,
                                                        const struct lark_request *request,
                                                        const struct lark_principal *principal,
                                                        struct lark_plan *out_plan, struct lark_err *err);

/* lark_plan_path_param - a parameter that the path holds, after lark_plan_route; for hosts that tell others who calls what.
 * in:     index: from 0 on
 * out:    out_name; out_raw: percent-encoded, as it came; both borrowed as long as the request
 * return: false when there is none of this index, out is untouched */
LARK_API bool lark_plan_path_param(const struct lark_plan *plan, size_t index, struct lark_slice *out_name,
                                   struct lark_slice *out_raw);

/* lark_plan_make - read the parameters and lay out the commands.
 * in:     plan: from lark_plan_route; arena: holds the arguments; body: NULL or len 0 for none
 * return: LARK_OK | LARK_E_BAD_JSON | LARK_E_BAD_BODY | LARK_E_MISSING_PARAMETER | LARK_E_BAD_PARAMETER |
 *         LARK_E_BAD_PATH | LARK_E_TOO_LARGE | LARK_E_NOMEM | what body->read returned; the plan is then dead
 * cost:   O(target + body); long strings of the body are measured, not copied */
LARK_API LARK_MUST_USE enum lark_status lark_plan_make(struct lark_plan *plan, struct lark_arena *arena,
                                                       const struct lark_body *body, struct lark_err *err);

/* A plan being made in steps. */
struct lark_planning;

/* lark_plan_begin - the same as lark_plan_make, in steps: nothing is read yet.
 * out:    out_planning: in the arena; lark_plan_end before the arena is done
 * return: LARK_OK | LARK_E_NOMEM */
LARK_API LARK_MUST_USE enum lark_status lark_plan_begin(struct lark_plan *plan, struct lark_arena *arena,
                                                        const struct lark_body *body,
                                                        struct lark_planning **out_planning, struct lark_err *err);

/* lark_plan_step - read at most max_bytes more of the body.
 * return: LARK_MORE (call it again) | as lark_plan_make
 * cost:   O(max_bytes); the last step lays out the arguments, too */
LARK_API LARK_MUST_USE enum lark_status lark_plan_step(struct lark_planning *planning, uint64_t max_bytes,
                                                       struct lark_err *err);

/* lark_plan_end - give back what the steps hold, after the last one or instead of it; the plan stays. */
LARK_API void lark_plan_end(struct lark_planning *planning);

/* lark_plan_wire_bytes - the size of the plan's RESP. */
LARK_API uint64_t lark_plan_wire_bytes(const struct lark_plan *plan);

/* Where the writing of a plan's RESP stands; for commands that are larger than a buffer should be.
 * All fields are the encoder's own. */
struct lark_encoder {
    const struct lark_plan *plan;
    size_t command, arg;
    uint64_t at;      /* bytes of the current argument done */
    uint64_t read_at; /* bytes of its region of the body done */
    uint8_t part;
    struct lark_json json;
    uint32_t base64_bits;
    uint8_t base64_chars, base64_pads;
    uint32_t fresh;
    struct lark_buf *out;
};

/* lark_encoder_init - start at the beginning. in: mem: for JSON values with very many members */
LARK_API void lark_encoder_init(struct lark_encoder *encoder, const struct lark_plan *plan, const struct lark_mem *mem);

/* lark_encoder_done - free what it holds, at any moment. */
LARK_API void lark_encoder_done(struct lark_encoder *encoder);

/* lark_encoder_next - append about want_bytes more RESP bytes to out (0: all that is left).
 * return: LARK_OK (all is written) | LARK_MORE | LARK_E_TOO_LARGE | LARK_E_NOMEM | what body->read returned */
LARK_API LARK_MUST_USE enum lark_status lark_encoder_next(struct lark_encoder *encoder, size_t want_bytes,
                                                          struct lark_buf *out);

/* lark_plan_encode - all of it at once. return: as lark_encoder_next, but LARK_MORE */
LARK_API LARK_MUST_USE enum lark_status lark_plan_encode(const struct lark_plan *plan, struct lark_buf *out);

/* lark_error_render - the body of an error response; its HTTP status is lark_error_row(err->status)->http_status.
 * in: verb words, names and values inside err are shown escaped and cut. return: as lark_buf_append */
LARK_API LARK_MUST_USE enum lark_status lark_error_render(const struct lark_config *config, const struct lark_err *err,
                                                          struct lark_buf *out);

/* lark_options_render - the body of the answer to an OPTIONS request: the verbs of the path. */
LARK_API LARK_MUST_USE enum lark_status lark_options_render(const struct lark_plan *plan, struct lark_buf *out);

#ifdef __cplusplus
}
#endif
#endif
