#include "issuer.h"

#include <stdio.h>
#include <string.h>

#include <lark/json.h>

#include "text.h"

#define DOCUMENT_MAX ((size_t)64 << 10)
#define URL_MAX 2048
#define MEMBERS_MAX 1000

enum member { ISSUER, KEYS, N_MEMBERS };

/* member: whose value is being read; N_MEMBERS: of no interest. texts: len 0: not there */
struct document {
    enum member member;
    struct lark_buf name;
    struct lark_buf texts[N_MEMBERS];
};

static enum member member_of(const struct lark_buf *name)
{
    const struct lark_slice text = {name->p, name->len};
    return lark__cli_is(text, "issuer") ? ISSUER : lark__cli_is(text, "jwks_uri") ? KEYS : N_MEMBERS;
}

static enum lark_status take_name(struct document *document, const struct lark_json_event *event)
{
    if (event->first) document->name.len = 0;
    const enum lark_status status = lark_buf_append(&document->name, event->text);
    if (status == LARK_OK && event->last) document->member = member_of(&document->name);
    return status;
}

static enum lark_status take(void *ctx, const struct lark_json_event *event)
{
    struct document *document = ctx;
    if (event->depth == 0) return event->type <= LARK_JSON_OBJECT_END ? LARK_OK : LARK_E_BAD_BODY;
    if (event->depth > 1) return LARK_OK;
    if (event->type == LARK_JSON_NAME) return take_name(document, event);
    if (event->type != LARK_JSON_STRING || document->member == N_MEMBERS) return LARK_OK;
    return lark_buf_append(&document->texts[document->member], event->text);
}

static enum lark_status parse(struct document *document, struct lark_slice bytes)
{
    struct lark_json json;
    lark_json_init(&json, lark_mem_default(), LARK_JSON_DEPTH_MAX, MEMBERS_MAX, take, document);
    enum lark_status status = lark_json_feed(&json, bytes);
    if (status == LARK_OK) status = lark_json_finish(&json);
    lark_json_done(&json);
    return status;
}

/* return: NULL: out_why says what is wrong with it */
static const char *keys_url(struct lark_arena *arena, const struct document *document, const char *issuer,
                            char *out_why)
{
    const struct lark_slice said = {document->texts[ISSUER].p, document->texts[ISSUER].len};
    const struct lark_slice url = {document->texts[KEYS].p, document->texts[KEYS].len};
    const char *text = lark__cli_copy(arena, url);
    if (!lark__cli_is(said, issuer)) {
        (void)snprintf(out_why, LARK_FETCH_WHY_MAX, "its \"issuer\" is '%.*s', expected '%s', to the byte",
                       said.len > 100 ? 100 : (int)said.len, said.len == 0 ? "" : (const char *)said.p, issuer);
        return NULL;
    }
    const char *fault = strlen(text) != url.len || url.len == 0 ? "expected a URL" : lark__fetch_fault(text);
    if (fault == NULL) return text;
    (void)snprintf(out_why, LARK_FETCH_WHY_MAX, "its \"jwks_uri\": %s, got '%.100s'", fault, text);
    return NULL;
}

static const char *read_document(struct lark_arena *arena, struct lark_slice bytes, const char *issuer, char *out_why)
{
    struct document document = {.member = N_MEMBERS};
    const char *url = NULL;
    lark_buf_init(&document.name, lark_mem_default(), URL_MAX, NULL, 0);
    for (int i = 0; i < N_MEMBERS; i++) lark_buf_init(&document.texts[i], lark_mem_default(), URL_MAX, NULL, 0);
    const enum lark_status status = parse(&document, bytes);
    if (status == LARK_OK)
        url = keys_url(arena, &document, issuer, out_why);
    else
        (void)snprintf(out_why, LARK_FETCH_WHY_MAX, "it is no JSON object of an issuer's metadata");
    for (int i = 0; i < N_MEMBERS; i++) lark_buf_done(&document.texts[i]);
    lark_buf_done(&document.name);
    return url;
}

/* OpenID Connect puts its word behind the issuer's path, RFC 8414 between host and path. */
static const char *place(struct lark_arena *arena, const char *issuer, bool is_openid)
{
    size_t len = strlen(issuer);
    if (len > 0 && issuer[len - 1] == '/') len--;
    if (is_openid) return lark__cli_format(arena, "%.*s/.well-known/openid-configuration", (int)len, issuer);
    const char *host = strstr(issuer, "://");
    const size_t host_len = host == NULL ? len : (size_t)(host - issuer) + 3 + strcspn(host + 3, "/");
    const size_t end = host_len < len ? host_len : len;
    return lark__cli_format(arena, "%.*s/.well-known/oauth-authorization-server%.*s", (int)end, issuer,
                            (int)(len - end), issuer + end);
}

const char *lark__issuer_keys_url(struct lark_arena *arena, const struct lark_fetch *fetch,
                                  char out_why[LARK_FETCH_WHY_MAX])
{
    char why[LARK_FETCH_WHY_MAX];
    const char *url = NULL;
    struct lark_buf body;
    lark_buf_init(&body, lark_mem_default(), DOCUMENT_MAX, NULL, 0);
    for (int is_openid = 1; is_openid >= 0; is_openid--) {
        long code = 0;
        const struct lark_fetch at = {place(arena, fetch->url, is_openid != 0), fetch->ca, fetch->timeout_s};
        const bool got = lark__fetch_get(&at, &body, &code, why);
        if (got) url = read_document(arena, (struct lark_slice){body.p, body.len}, fetch->url, why);
        if (url == NULL) (void)snprintf(out_why, LARK_FETCH_WHY_MAX, "%.200s: %.190s", at.url, why);
        if (got || (code != 404 && code != 400 && code != 405)) break;
    }
    lark_buf_done(&body);
    return url;
}
