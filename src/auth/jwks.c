/* jwks.c - a JSON Web Key Set: read strictly, keys that cannot be used left out and told of. */
#include <stdarg.h>
#include <stdio.h>

#include <lark/json.h>

#include "jwk.h"
#include "members.h"
#include "slices.h"

#define DEPTH_MAX 8
#define NAMES_MAX 4000
#define KID_SHOWN 64

static const char *const member_names[LARK__N_JWK_MEMBERS] = {"kty", "use", "alg", "kid", "crv",    "n",
                                                              "e",   "x",   "y",   "d",   "key_ops"};

/* jwk:    what has been read of the key; texts: its values
 * n_read: keys of the set so far; n_encryption: those that are left out without a word
 * first:  why the first one was left out
 * in_list, listed: inside of "keys"; it was there; at_keys: its name has been read */
struct reader {
    struct lark_jwks *jwks;
    lark_tokens_warn_fn warn;
    void *warn_ctx;
    struct lark_jwks_error *error;
    struct lark_slice names[LARK__N_JWK_MEMBERS];
    struct lark__members members;
    struct lark_arena texts;
    struct lark__jwk jwk;
    size_t n_read;
    char first[300];
    bool at_keys;
    bool in_list;
    bool listed;
};

__attribute__((format(printf, 2, 3))) static enum lark_status refuse(struct reader *reader, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(reader->error->text, sizeof(reader->error->text), format, args);
    va_end(args);
    lark__auth_one_line(reader->error->text);
    return LARK_E_BAD_PARAMETER;
}

/* --- a key ----------------------------------------------------------------------------------------------------- */

static void leave_out(struct reader *reader, const char *why)
{
    char text[300];
    const struct lark_slice kid = reader->jwk.values[LARK__JWK_KID];
    const size_t shown = kid.len > KID_SHOWN ? KID_SHOWN : kid.len;
    const char *reason = why == NULL ? "it is for encryption" : why;
    (void)snprintf(text, sizeof(text), "key %zu%s%.*s%s is left out: %s", reader->n_read,
                   kid.p == NULL ? "" : " (kid \"", (int)shown, (const char *)kid.p, kid.p == NULL ? "" : "\")",
                   reason);
    lark__auth_one_line(text);
    if (reader->first[0] == '\0') memcpy(reader->first, text, sizeof(text));
    if (why != NULL && reader->warn != NULL) reader->warn(reader->warn_ctx, text);
}

/* Which of two keys is meant must not depend on their order. */
static bool is_twice(const struct lark_jwks *jwks, const struct lark__key *key)
{
    for (size_t i = 0; i < jwks->n; i++) {
        const struct lark__key *other = &jwks->keys[i];
        if ((other->algs & key->algs) != 0 && key->kid.p != NULL && other->kid.p != NULL &&
            other->kid.len == key->kid.len && memcmp(other->kid.p, key->kid.p, key->kid.len) == 0)
            return true;
    }
    return false;
}

static enum lark_status copy(struct lark_arena *arena, struct lark_slice text, struct lark_slice *out)
{
    uint8_t *p = lark_arena_alloc(arena, text.len + 1);
    if (p == NULL) return LARK_E_NOMEM;
    if (text.len > 0) memcpy(p, text.p, text.len);
    *out = lark__auth_slice(p, text.len);
    return LARK_OK;
}

static enum lark_status add(struct lark_jwks *jwks, const struct lark__key *key)
{
    const struct lark_mem *mem = jwks->mem;
    if (jwks->n == jwks->cap) {
        const size_t cap = jwks->cap == 0 ? 4 : jwks->cap * 2;
        struct lark__key *keys = mem->resize(mem->ctx, jwks->keys, jwks->cap * sizeof(*keys), cap * sizeof(*keys));
        if (keys == NULL) return LARK_E_NOMEM;
        jwks->keys = keys;
        jwks->cap = cap;
    }
    jwks->keys[jwks->n++] = *key;
    return LARK_OK;
}

static enum lark_status end_key(struct reader *reader)
{
    struct lark__key key;
    const char *why = NULL;
    enum lark_status status = lark__key_make(&reader->jwk, &key, &why);
    if (status == LARK_E_BAD_PARAMETER) {
        leave_out(reader, why);
        return LARK_OK;
    }
    if (status != LARK_OK) return status;
    if (reader->jwk.values[LARK__JWK_KID].p != NULL)
        status = copy(&reader->jwks->texts, reader->jwk.values[LARK__JWK_KID], &key.kid);
    const bool twice = status == LARK_OK && is_twice(reader->jwks, &key);
    if (status == LARK_OK && !twice) status = add(reader->jwks, &key);
    if (twice) leave_out(reader, "another key before it has its kid and could be meant, too");
    if (status != LARK_OK || twice) lark__key_done(&key);
    return status;
}

static enum lark_status take_member(void *ctx, const struct lark__member *member)
{
    struct reader *reader = ctx;
    struct lark__jwk *jwk = &reader->jwk;
    if (member->index == LARK__JWK_KEY_OPS) {
        jwk->has_key_ops = true;
        if (member->type == LARK_JSON_STRING && member->element && lark__auth_is(member->text, "verify"))
            jwk->verify = true;
        return LARK_OK;
    }
    if (member->element) return LARK_OK;
    if (member->type == LARK_JSON_STRING) return copy(&reader->texts, member->text, &jwk->values[member->index]);
    jwk->odd |= 1u << member->index;
    return LARK_OK;
}

/* --- the set --------------------------------------------------------------------------------------------------- */

static enum lark_status begin_key(struct reader *reader, const struct lark_json_event *event)
{
    if (event->type != LARK_JSON_OBJECT)
        return refuse(reader, "byte %llu: a key must be an object", (unsigned long long)event->offset);
    if (reader->n_read == LARK_JWKS_KEYS_MAX)
        return refuse(reader, "a key set may have %d keys at most", LARK_JWKS_KEYS_MAX);
    reader->n_read++;
    memset(&reader->jwk, 0, sizeof(reader->jwk));
    lark__members_init(&reader->members, reader->names, LARK__N_JWK_MEMBERS, 3, take_member, reader);
    return LARK_OK;
}

/* The list's own ends are at depth 1, a key's at depth 2. */
static enum lark_status take_in_list(struct reader *reader, const struct lark_json_event *event)
{
    if (event->depth == 1) {
        reader->in_list = false;
        return LARK_OK;
    }
    if (event->depth > 2) {
        const enum lark_status status = lark__members_take(&reader->members, event);
        return status == LARK_E_TOO_LARGE ? refuse(reader, "key %zu: a text in it is too long", reader->n_read)
                                          : status;
    }
    return event->type == LARK_JSON_OBJECT_END ? end_key(reader) : begin_key(reader, event);
}

/* Members beside "keys" mean nothing (RFC 7517 section 5). */
static enum lark_status take_event(void *ctx, const struct lark_json_event *event)
{
    struct reader *reader = ctx;
    if (reader->in_list) return take_in_list(reader, event);
    if (event->depth == 0 && event->type != LARK_JSON_OBJECT && event->type != LARK_JSON_OBJECT_END)
        return refuse(reader, "expected {\"keys\": [...]}");
    if (event->depth != 1) return LARK_OK;
    if (event->type == LARK_JSON_NAME) {
        if (event->first) reader->at_keys = event->last && lark__auth_is(event->text, "keys");
        return LARK_OK;
    }
    if (!reader->at_keys) return LARK_OK;
    if (event->type != LARK_JSON_ARRAY) return refuse(reader, "\"keys\" must be an array");
    reader->listed = reader->in_list = true;
    return LARK_OK;
}

static enum lark_status read_json(struct reader *reader, struct lark_slice file)
{
    struct lark_json json;
    lark_json_init(&json, reader->jwks->mem, DEPTH_MAX, NAMES_MAX, take_event, reader);
    enum lark_status status = lark_json_feed(&json, file);
    if (status == LARK_OK) status = lark_json_finish(&json);
    if (status == LARK_E_BAD_JSON) {
        const char *what = lark_json_error(&json);
        (void)refuse(reader, "byte %llu: not valid JSON: %s", (unsigned long long)lark_json_offset(&json),
                     what == NULL ? "unexpected text" : what);
    }
    lark_json_done(&json);
    if (status != LARK_OK) return status;
    if (!reader->listed) return refuse(reader, "\"keys\" is missing");
    if (reader->n_read == 0) return refuse(reader, "\"keys\" is empty");
    if (reader->jwks->n > 0) return LARK_OK;
    return refuse(reader, "none of its %zu keys can verify: %s", reader->n_read, reader->first);
}

static struct lark_jwks *jwks_new(const struct lark_mem *mem)
{
    struct lark_jwks *jwks = mem->alloc(mem->ctx, sizeof(*jwks));
    if (jwks == NULL) return NULL;
    *jwks = (struct lark_jwks){.mem = mem, .hasher = lark_hasher_new()};
    lark_arena_init(&jwks->texts, mem, 4 * LARK_JWKS_FILE_MAX, NULL, 0);
    if (jwks->hasher != NULL) return jwks;
    lark_jwks_free(jwks);
    return NULL;
}

void lark_jwks_free(struct lark_jwks *jwks)
{
    if (jwks == NULL) return;
    const struct lark_mem *mem = jwks->mem;
    for (size_t i = 0; i < jwks->n; i++) lark__key_done(&jwks->keys[i]);
    if (jwks->keys != NULL) mem->free(mem->ctx, jwks->keys, jwks->cap * sizeof(*jwks->keys));
    lark_arena_done(&jwks->texts);
    lark_hasher_free(jwks->hasher);
    mem->free(mem->ctx, jwks, sizeof(*jwks));
}

size_t lark_jwks_count(const struct lark_jwks *jwks)
{
    return jwks->n;
}

enum lark_status lark_jwks_parse(const struct lark_mem *mem, struct lark_slice file, lark_tokens_warn_fn warn,
                                 void *warn_ctx, struct lark_jwks **out_jwks, struct lark_jwks_error *out_error)
{
    enum lark_status status = LARK_E_NOMEM;
    out_error->text[0] = '\0';
    if (file.len > LARK_JWKS_FILE_MAX) {
        (void)snprintf(out_error->text, sizeof(out_error->text), "a key set may have %zu bytes at most",
                       LARK_JWKS_FILE_MAX);
        return LARK_E_TOO_LARGE;
    }
    struct reader *reader = mem->alloc(mem->ctx, sizeof(*reader));
    if (reader != NULL) {
        memset(reader, 0, sizeof(*reader));
        reader->warn = warn;
        reader->warn_ctx = warn_ctx;
        reader->error = out_error;
        for (size_t i = 0; i < LARK__N_JWK_MEMBERS; i++) reader->names[i] = lark__auth_text(member_names[i]);
        lark_arena_init(&reader->texts, mem, 4 * LARK_JWKS_FILE_MAX, NULL, 0);
        reader->jwks = jwks_new(mem);
        if (reader->jwks != NULL) status = read_json(reader, file);
        lark_arena_done(&reader->texts);
        if (status == LARK_OK)
            *out_jwks = reader->jwks;
        else
            lark_jwks_free(reader->jwks);
        mem->free(mem->ctx, reader, sizeof(*reader));
    }
    if (status != LARK_OK && out_error->text[0] == '\0')
        (void)snprintf(out_error->text, sizeof(out_error->text), "%s", lark_error_row(status)->message);
    return status;
}
