#include "token_store.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lark/resp.h>

#include "clock.h"
#include "probe.h"
#include "text.h"
#include "token_file.h"
#include "token_settings.h"

#define ASK_MS 10000
#define NAMES "lark:tokens"
#define KEY "lark:token:"
#define ITEMS_MAX (2U * LARK_TOKENS_MAX + 16)
/* Gateways keep what they found for 0.5 s from the moment of asking, and may wait 0.9 s for the answer. */
#define FORGOTTEN_MS 1000

/* A reply: its type, and its texts (of an array, all of them; what is nil has no p). */
struct reply {
    struct lark_arena *arena;
    enum lark_resp_type type;
    bool begun;
    int64_t n;
    struct lark_buf text;
    struct lark_slice *items;
    size_t n_items;
};

static enum lark_status take_item(struct reply *reply, struct lark_slice text)
{
    if (reply->n_items >= ITEMS_MAX) return LARK_E_REPLY_TOO_LARGE;
    if ((reply->n_items & (reply->n_items - 1)) == 0) { /* room for twice as many */
        const size_t cap = reply->n_items == 0 ? 1 : reply->n_items * 2;
        struct lark_slice *items = lark_arena_alloc(reply->arena, cap * sizeof(*items));
        if (items == NULL) return LARK_E_NOMEM;
        if (reply->n_items > 0) memcpy(items, reply->items, reply->n_items * sizeof(*items));
        reply->items = items;
    }
    if (text.p != NULL) text.p = (const uint8_t *)lark__cli_copy(reply->arena, text);
    reply->items[reply->n_items++] = text;
    return LARK_OK;
}

static enum lark_status take_event(void *ctx, const struct lark_resp_event *event)
{
    struct reply *reply = ctx;
    if (!reply->begun) {
        reply->begun = true;
        reply->type = event->type;
        reply->n = event->n;
    }
    switch (event->type) {
    case LARK_RESP_NULL: return take_item(reply, (struct lark_slice){NULL, 0});
    case LARK_RESP_SIMPLE:
    case LARK_RESP_ERROR: return take_item(reply, event->text);
    case LARK_RESP_BULK: {
        if (event->first) reply->text.len = 0;
        const enum lark_status status = lark_buf_append(&reply->text, event->text);
        if (status != LARK_OK || !event->last) return status;
        return take_item(
            reply, (struct lark_slice){reply->text.p == NULL ? (const uint8_t *)"" : reply->text.p, reply->text.len});
    }
    case LARK_RESP_BOOL:
    case LARK_RESP_INT:
    case LARK_RESP_DOUBLE:
    case LARK_RESP_BIGNUM:
    case LARK_RESP_ARRAY:
    case LARK_RESP_MAP:
    case LARK_RESP_SET:
    case LARK_RESP_PUSH:
    case LARK_RESP_END: break;
    }
    return LARK_OK;
}

static int read_reply(struct lark_token_store *store, int64_t deadline_ms, struct reply *reply)
{
    uint8_t bytes[16384];
    struct lark_resp resp;
    enum lark_status status = LARK_MORE;
    int error = 0;
    lark_resp_init(&resp, lark_mem_default(), 1U << 20, ITEMS_MAX, take_event, reply);
    while (error == 0 && status == LARK_MORE) {
        size_t n = 0;
        size_t used = 0;
        error = lark__stream_read(&store->stream, bytes, sizeof(bytes), deadline_ms, &n);
        if (error == 0) status = lark_resp_feed(&resp, (struct lark_slice){bytes, n}, &used);
        if (error == 0 && status != LARK_OK && status != LARK_MORE) error = EPROTO;
    }
    lark_resp_done(&resp);
    return error;
}

/* One command and its reply. return: false: said why */
static bool ask(struct lark_token_store *store, const char *const *words, size_t n_words, struct reply *out_reply)
{
    const int64_t deadline_ms = lark__clock_ms() + ASK_MS;
    struct lark_buf out;
    struct reply reply = {.arena = store->arena};
    lark_buf_init(&out, lark_mem_default(), 1U << 20, NULL, 0);
    lark_buf_init(&reply.text, lark_mem_default(), 1U << 20, NULL, 0);
    enum lark_status status = lark_resp_write_array(&out, n_words);
    for (size_t i = 0; i < n_words && status == LARK_OK; i++)
        status = lark_resp_write_bulk(&out, lark__cli_slice(words[i]));
    int error = status == LARK_OK ? 0 : ENOMEM;
    if (error == 0) error = lark__stream_write(&store->stream, (struct lark_slice){out.p, out.len}, deadline_ms);
    if (error == 0) error = read_reply(store, deadline_ms, &reply);
    lark_buf_done(&out);
    lark_buf_done(&reply.text);
    *out_reply = reply;
    if (error != 0)
        lark__cli_say("the token store at %s does not answer: %s", store->url, strerror(error));
    else if (reply.type == LARK_RESP_ERROR)
        lark__cli_say("the token store at %s refuses %s: %.*s", store->url, words[0], (int)reply.items[0].len,
                      (const char *)reply.items[0].p);
    return error == 0 && reply.type != LARK_RESP_ERROR;
}

#define ASK(store, reply, ...)                                                                                         \
    ask((store), (const char *const[]){__VA_ARGS__}, sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *),      \
        (reply))

bool lark__token_store_open(struct lark_arena *arena, const struct lark_redis_place *place, const char *url,
                            struct lark_token_store *out_store)
{
    const char *why = "";
    *out_store = (struct lark_token_store){.arena = arena, .url = url, .stream = {.fd = -1}};
    if (lark__probe_open(arena, place, ASK_MS, &out_store->stream, &why) == LARK_PROBE_OK) return true;
    lark__cli_say("the token store at %s cannot be used: %s", url, why);
    return false;
}

void lark__token_store_close(struct lark_token_store *store)
{
    lark__stream_close(&store->stream);
}

/* --- changes --------------------------------------------------------------------------------------------------- */

/* The name first: of two that are made at once with one name the second fails. A name without a token, when this ends in
 * between, can be revoked. */
bool lark__token_store_add(struct lark_token_store *store, const struct lark_new_token *token)
{
    char digits[65];
    struct reply reply;
    struct lark_buf entry;
    const char *name = lark__cli_format(store->arena, "%.*s", (int)token->credential.name_len, token->credential.name);
    lark_hash_write(&token->hash, digits);
    if (!ASK(store, &reply, "HSETNX", NAMES, name, digits)) return false;
    if (reply.type != LARK_RESP_INT || reply.n != 1) {
        lark__cli_say("the store has a token of the name '%s'; revoke it first, or choose another name", name);
        return false;
    }
    lark_buf_init(&entry, lark_mem_default(), 1U << 16, NULL, 0);
    lark__token_entry(&entry, token);
    const char *text = lark__cli_copy(store->arena, (struct lark_slice){entry.p, entry.len});
    lark_buf_done(&entry);
    return ASK(store, &reply, "SET", lark__cli_format(store->arena, KEY "%s", digits), text);
}

static const char *first_text(const struct reply *reply)
{
    return reply->type == LARK_RESP_BULK && reply->n_items == 1 ? (const char *)reply->items[0].p : NULL;
}

bool lark__token_store_remove(struct lark_token_store *store, const char *name)
{
    struct reply reply;
    if (!ASK(store, &reply, "HGET", NAMES, name)) return false;
    const char *digits = first_text(&reply);
    if (digits == NULL) {
        lark__cli_say("the store has no token of the name '%s'; lark token list shows what there is", name);
        return false;
    }
    if (!ASK(store, &reply, "DEL", lark__cli_format(store->arena, KEY "%s", digits)) ||
        !ASK(store, &reply, "HDEL", NAMES, name))
        return false;
    (void)poll(NULL, 0, FORGOTTEN_MS);
    return true;
}

/* --- list ------------------------------------------------------------------------------------------------------ */

static bool list_one(struct lark_token_store *store, struct lark_slice name, const char *digits, lark_token_store_fn fn)
{
    struct reply reply;
    if (!ASK(store, &reply, "GET", lark__cli_format(store->arena, KEY "%s", digits))) return false;
    const char *text = first_text(&reply);
    if (text == NULL) {
        lark__cli_say("'%.*s' has a name and no token; revoke it", (int)name.len, (const char *)name.p);
        return true;
    }
    const char *file = lark__cli_format(store->arena, "{\"tokens\": [%s]}", text);
    struct lark_tokens *tokens =
        lark__tokens_read(lark__cli_format(store->arena, KEY "%s", digits), lark__cli_slice(file));
    if (tokens != NULL && lark_tokens_count(tokens) == 1) fn(store->arena, lark_tokens_at(tokens, 0));
    lark_tokens_free(tokens);
    return true;
}

bool lark__token_store_list(struct lark_token_store *store, lark_token_store_fn fn)
{
    struct reply names;
    if (!ASK(store, &names, "HGETALL", NAMES)) return false;
    for (size_t i = 0; i + 1 < names.n_items; i += 2)
        if (!list_one(store, names.items[i], (const char *)names.items[i + 1].p, fn)) return false;
    return true;
}

/* --- apart from the data --------------------------------------------------------------------------------------- */

/* The run_id of INFO; "" when it is not told. */
static const char *run_id(struct lark_token_store *store)
{
    struct reply reply;
    const char *text = ASK(store, &reply, "INFO", "server") ? first_text(&reply) : NULL;
    const char *at = text == NULL ? NULL : strstr(text, "run_id:");
    if (at == NULL) return "";
    at += strlen("run_id:");
    return lark__cli_format(store->arena, "%.*s", (int)strcspn(at, "\r\n"), at);
}

bool lark__token_store_apart(struct lark_arena *arena, const struct lark_settings *settings)
{
    struct lark_token_store data;
    struct lark_token_store store;
    if (!settings->has_store) return true;
    if (!lark__token_store_open(arena, &settings->store, settings->store_url, &store)) return false;
    const char *ours = run_id(&store);
    lark__token_store_close(&store);
    if (settings->store.url.db != settings->redis.url.db || ours[0] == '\0') return true;
    if (!lark__token_store_open(arena, &settings->redis, settings->redis_url, &data)) return false;
    const bool same = strcmp(ours, run_id(&data)) == 0;
    lark__token_store_close(&data);
    if (same)
        lark__cli_say(
            "--token-store: %s is the database of the data: who may write keys there would make himself admin; "
            "give the tokens a Redis or a database of their own",
            settings->store_url);
    return !same;
}
