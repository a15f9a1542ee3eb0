/* route.c - the request line: mount point, segments, word, path template, verb, scopes. */
#include <lark/plan.h>

#include "buf.h"
#include "catalogue.h"
#include "dialect.h"
#include "fail.h"
#include "raw.h"
#include "uri.h"

#define WORD_MAX 32

enum lark_verb lark_verb_parse(struct lark_slice word)
{
    static const struct {
        struct lark_slice word;
        enum lark_verb verb;
    } verbs[] = {
        {{(const uint8_t *)"GET", 3}, LARK_VERB_GET},       {{(const uint8_t *)"POST", 4}, LARK_VERB_POST},
        {{(const uint8_t *)"DELETE", 6}, LARK_VERB_DELETE}, {{(const uint8_t *)"HEAD", 4}, LARK_VERB_HEAD},
        {{(const uint8_t *)"PUT", 3}, LARK_VERB_PUT},       {{(const uint8_t *)"OPTIONS", 7}, LARK_VERB_OPTIONS},
    };
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        if (lark__same(word, verbs[i].word)) return verbs[i].verb;
    }
    return LARK_VERB_OTHER;
}

enum lark_status lark_verbs_list(unsigned verbs, struct lark_buf *out)
{
    static const char *const words[] = {"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"};
    bool first = true;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (!(verbs >> i & 1)) continue;
        enum lark_status status = first ? LARK_OK : LARK_APPEND(out, ", ");
        if (status == LARK_OK) status = lark_buf_append(out, lark__text(words[i]));
        if (status != LARK_OK) return status;
        first = false;
    }
    return LARK_OK;
}

/* --- the target ------------------------------------------------------------------------------------------------ */

static enum lark_status bad_path(struct lark_err *err, const char *text, struct lark_slice got, size_t offset)
{
    if (err) err->offset = offset;
    return lark__fail(err, LARK_E_BAD_PATH, text, LARK_NOTHING, got);
}

/* Is a raw segment "." or ".." once decoded? */
static bool is_dots(struct lark_slice raw)
{
    uint8_t decoded[6];
    if (raw.len == 0 || raw.len > sizeof decoded || (raw.p[0] != '.' && raw.p[0] != '%')) return false;
    size_t len = lark__percent_decode(raw, false, decoded);
    return decoded[0] == '.' && (len == 1 || (len == 2 && decoded[1] == '.'));
}

struct segments {
    struct lark_slice raw[LARK_PATH_MAX + 2];
    size_t n;
    bool too_many;
};

/* path: empty or begins with a slash; one final slash does not count */
static enum lark_status split(struct lark_slice path, size_t offset, struct segments *out, struct lark_err *err)
{
    *out = (struct segments){.n = 0};
    while (path.len > 0) {
        path = lark__from(path, 1);
        offset++;
        const uint8_t *slash = path.len > 0 ? memchr(path.p, '/', path.len) : NULL;
        struct lark_slice segment = lark__slice(path.p, slash ? (size_t)(slash - path.p) : path.len);
        path = lark__from(path, segment.len);
        if (!lark__percent_valid(segment)) return bad_path(err, "% is not followed by two digits", segment, offset);
        if (is_dots(segment)) return bad_path(err, "a segment may not be . or ..", segment, offset);
        offset += segment.len;
        if (path.len == 0 && segment.len == 0 && out->n > 0) break;
        if (out->n == sizeof out->raw / sizeof out->raw[0]) {
            out->too_many = true;
        } else {
            out->raw[out->n++] = segment;
        }
    }
    return LARK_OK;
}

static enum lark_status read_target(const struct lark_config *config, struct lark_slice target,
                                    struct segments *segments, struct lark_slice *query, struct lark_err *err)
{
    const uint8_t *hash = target.len > 0 ? memchr(target.p, '#', target.len) : NULL;
    if (hash) return bad_path(err, "a raw # may not stand in a request target", target, (size_t)(hash - target.p));
    const uint8_t *mark = target.len > 0 ? memchr(target.p, '?', target.len) : NULL;
    struct lark_slice path = lark__slice(target.p, mark ? (size_t)(mark - target.p) : target.len);
    *query = mark ? lark__from(target, path.len + 1) : LARK_NOTHING;
    size_t mount = config->mount.len;
    if (!lark__starts(path, config->mount) || (path.len > mount && path.p[mount] != '/')) {
        return bad_path(err, "the path must begin with the mount point, spelled literally", path, 0);
    }
    return split(lark__from(path, mount), mount, segments, err);
}

/* --- the method ------------------------------------------------------------------------------------------------ */

/* A segment as a method's word: decoded into a buffer of WORD_MAX bytes where it must be. */
static struct lark_slice word_text(struct lark_slice raw, uint8_t *buffer)
{
    if (raw.len > 3 * (size_t)WORD_MAX || !lark__percent_needed(raw, false)) return raw;
    uint8_t decoded[3 * WORD_MAX];
    size_t len = lark__percent_decode(raw, false, decoded);
    if (len > WORD_MAX) return raw;
    memcpy(buffer, decoded, len);
    return lark__slice(buffer, len);
}

static enum lark_status find_word(const struct lark_config *config, const struct segments *segments,
                                  const struct lark_word **out_word, size_t *out_taken, struct lark_err *err)
{
    uint8_t buffers[2][WORD_MAX];
    if (segments->n == 0 || segments->raw[0].len == 0) {
        return lark__fail(err, LARK_E_UNKNOWN_METHOD, NULL, LARK_NOTHING, LARK_NOTHING);
    }
    struct lark_slice first = word_text(segments->raw[0], buffers[0]);
    const struct lark_word *word = lark__find_word(config->catalogue, first, LARK_NOTHING);
    *out_taken = 1;
    if (word && word->container && segments->n > 1) {
        word = lark__find_word(config->catalogue, first, word_text(segments->raw[1], buffers[1]));
        *out_taken = 2;
    }
    if (word && !word->container) {
        *out_word = word;
        return LARK_OK;
    }
    struct lark_slice got = segments->raw[0];
    if (*out_taken == 2) got = lark__slice(got.p, (size_t)(segments->raw[1].p - got.p) + segments->raw[1].len);
    return lark__fail(err, LARK_E_UNKNOWN_METHOD, NULL, LARK_NOTHING, got);
}

static bool query_has(struct lark_slice query, struct lark_slice name)
{
    struct lark_slice key, value;
    while (lark__query_next(&query, &key, &value)) {
        if (lark__query_name_is(key, name)) return true;
    }
    return false;
}

/* May a path without segments serve this method: are all required path parameters in the query? */
static bool query_form(const struct lark_method *method, struct lark_slice query)
{
    bool any = false;
    for (size_t i = 0; i < method->n_params; i++) {
        const struct lark_param *param = &method->params[i];
        if (!(param->in & LARK__IN_PATH) || !param->required) continue;
        if (!query_has(query, param->name)) return false;
        any = true;
    }
    return any;
}

/* Finds the route of the word that has this many segments and the verb: sets row, route and verbs of the plan.
 * return: false when none has so many segments */
static bool match_route(const struct lark_catalogue *catalogue, const struct lark_word *word, unsigned verb,
                        struct lark_plan *plan)
{
    for (size_t i = 0; i < word->n_routes; i++) {
        const struct lark_route *route = &catalogue->routes[word->first_route + i];
        const struct lark_method *method = &catalogue->methods[route->method];
        bool exact = route->n_params == plan->n_path;
        if (!exact && !(plan->n_path == 0 && query_form(method, plan->query))) continue;
        plan->verbs |= method->verbs;
        if (plan->row != NULL && !(method->verbs & verb)) continue;
        plan->row = method;
        plan->route = exact ? route : NULL;
        plan->method = route->method;
        if (exact) break;
    }
    return plan->row != NULL;
}

static enum lark_status find_route(const struct lark_config *config, const struct lark_word *word,
                                   struct lark_plan *plan, enum lark_verb verb, struct lark_err *err)
{
    const struct lark_catalogue *catalogue = config->catalogue;
    bool fits = match_route(catalogue, word, verb == LARK_VERB_HEAD ? LARK_VERB_GET : (unsigned)verb, plan);
    if (err) err->method = fits ? plan->method : catalogue->routes[word->first_route].method;
    if (!fits) return lark__fail(err, LARK_E_UNKNOWN_PATH, NULL, word->text, LARK_NOTHING);
    plan->verbs |= LARK_VERB_OPTIONS | (plan->verbs & LARK_VERB_GET ? LARK_VERB_HEAD : 0);
    if (err) err->verbs = plan->verbs;
    if (!(plan->verbs & (unsigned)verb)) return lark__fail(err, LARK_E_WRONG_VERB, NULL, word->text, LARK_NOTHING);
    return LARK_OK;
}

static enum lark_status check_caller(const struct lark_method *row, size_t method,
                                     const struct lark_principal *principal, struct lark_err *err)
{
    if (!lark__allowed(principal->scopes, method)) {
        return lark__fail(err, principal->unidentified ? LARK_E_CREDENTIALS : LARK_E_SCOPE, row->scopes, row->display,
                          LARK_NOTHING);
    }
    if (principal->prefix.len > 0 && row->tenant == LARK__TENANT_REFUSE) {
        return lark__fail(err, LARK_E_PREFIX_REFUSED, NULL, row->display, LARK_NOTHING);
    }
    return LARK_OK;
}

static enum lark_status read_values(struct lark_slice header, enum lark_values *out, struct lark_err *err)
{
    static const char *const words[] = {"json", "text", "base64", "raw"};
    *out = LARK_VALUES_JSON;
    if (header.len == 0) return LARK_OK;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (!lark__same_fold(header, lark__text(words[i]))) continue;
        *out = (enum lark_values)i;
        return LARK_OK;
    }
    return lark__fail(err, LARK_E_BAD_HEADER, "json, text, base64 or raw", LARK_TEXT("Lark-Values"), header);
}

enum lark_status lark__native_route(const struct lark_config *config, const struct lark_request *request,
                                    const struct lark_principal *principal, struct lark_plan *plan,
                                    struct lark_err *err)
{
    struct segments segments;
    const struct lark_word *word;
    size_t taken;
    enum lark_status status = read_target(config, request->target, &segments, &plan->query, err);
    if (status == LARK_OK) status = find_word(config, &segments, &word, &taken, err);
    if (status != LARK_OK) return status;
    if (segments.too_many || segments.n - taken > LARK_PATH_MAX) {
        if (err) err->method = config->catalogue->routes[word->first_route].method;
        return lark__fail(err, LARK_E_UNKNOWN_PATH, NULL, word->text, LARK_NOTHING);
    }
    plan->n_path = segments.n - taken;
    for (size_t i = 0; i < plan->n_path; i++) plan->path[i] = segments.raw[taken + i];
    status = find_route(config, word, plan, request->verb, err);
    if (status != LARK_OK || request->verb == LARK_VERB_OPTIONS) return status;
    status = check_caller(plan->row, (size_t)plan->method, principal, err);
    if (status == LARK_OK) status = read_values(request->values, &plan->values, err);
    return status == LARK_OK && plan->values == LARK_VALUES_RAW ? lark__raw_route(plan, err) : status;
}

enum lark_status lark_plan_route(const struct lark_config *config, const struct lark_request *request,
                                 const struct lark_principal *principal, struct lark_plan *out_plan,
                                 struct lark_err *err)
{
    *out_plan = (struct lark_plan){.config = config, .request = request, .prefix = principal->prefix, .method = -1};
    if (err) *err = (struct lark_err){.method = -1};
    /* a host's mistake must not open other keys: a colon or a star in a prefix would */
    if (principal->prefix.len > 0 && lark_prefix_check(principal->prefix) != LARK_OK) {
        return lark__fail(err, LARK_E_BAD_PREFIX, NULL, LARK_NOTHING, LARK_NOTHING);
    }
    enum lark_status status = config->dialect->route(config, request, principal, out_plan, err);
    if (status != LARK_OK || out_plan->row == NULL) return status;
    const struct lark_method *row = out_plan->row;
    bool reads = request->verb == LARK_VERB_GET || request->verb == LARK_VERB_HEAD;
    out_plan->lane = (enum lark_lane)row->lane;
    out_plan->give_back = row->give_back;
    out_plan->access = reads ? LARK_ACCESS_READ : (enum lark_access)row->access;
    out_plan->reply = row->reply;
    out_plan->put = request->verb == LARK_VERB_PUT && row->put >= 0;
    out_plan->body_max = config->limits.body_bytes;
    if (out_plan->put && config->limits.value_bytes < out_plan->body_max) {
        out_plan->body_max = config->limits.value_bytes;
    }
    if (row->steps == LARK__STEPS_CLIENT_KILL || principal->prefix.len > 0) out_plan->loop = row->steps;
    return LARK_OK;
}
