#include "server.h"

#include <signal.h>
#include <string.h>

#include "nginx_config.h"
#include "prepare.h"
#include "probe.h"
#include "text.h"
#include "token_store.h"

#define REDIS_MS 3000

static bool same_text(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

/* What cannot change while we run. */
static bool same_ground(const struct lark_settings *old, const struct lark_settings *fresh)
{
    const struct {
        const char *what;
        bool same;
    } ground[] = {{"state_dir", same_text(old->state_dir, fresh->state_dir)},
                  {"redis (private or not)", old->own_redis == fresh->own_redis},
                  {"nginx", same_text(old->nginx, fresh->nginx)},
                  {"nginx_module", same_text(old->nginx_module, fresh->nginx_module)},
                  {"redis_server", same_text(old->redis_server, fresh->redis_server)}};
    for (size_t i = 0; i < sizeof(ground) / sizeof(*ground); i++)
        if (!ground[i].same) {
            lark__cli_say("%s cannot change by a reload; start lark serve anew", ground[i].what);
            return false;
        }
    return true;
}

static bool same_bytes(struct lark_slice a, struct lark_slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0);
}

/* The same place, as the same user, and trusted by the same files? */
static bool same_redis(const struct lark_redis_place *a, const struct lark_redis_place *b)
{
    return same_bytes(a->url.host, b->url.host) && same_bytes(a->url.path, b->url.path) && a->url.port == b->url.port &&
           a->url.db == b->url.db && a->url.is_tls == b->url.is_tls && a->url.is_unix == b->url.is_unix &&
           same_bytes(a->url.user, b->url.user) && same_bytes(a->password, b->password) &&
           same_text(a->tls.ca, b->tls.ca) && same_text(a->tls.cert, b->tls.cert) &&
           same_text(a->tls.key, b->tls.key) && same_text(a->tls.name, b->tls.name);
}

static bool redis_lets_in(struct lark_arena *arena, const struct lark_settings *settings)
{
    const char *why = "";
    if (lark__probe_redis(arena, &settings->redis, REDIS_MS, &why) != LARK_PROBE_FAILED) return true;
    lark__cli_say("Redis at %s cannot be used: %s", settings->redis_url, why);
    return false;
}

static bool read_fresh(struct lark_arena *arena, const struct lark_server *server, struct lark_settings *fresh)
{
    struct lark_options options;
    if (!lark__options_read(arena, server->argc, server->argv, &options) ||
        !lark__settings_read(arena, &options, fresh) || !same_ground(&server->settings, fresh))
        return false;
    if (fresh->own_redis && !lark__prepare_private_redis(arena, server->state.path, fresh)) return false;
    /* What is as it was is not asked: a Redis that is away for a moment must not keep a revocation from holding. */
    const bool redis_is_new = !fresh->own_redis && !same_redis(&server->settings.redis, &fresh->redis);
    const bool store_is_new = fresh->has_store && (redis_is_new || !server->settings.has_store ||
                                                   !same_redis(&server->settings.store, &fresh->store));
    return lark__prepare_files(fresh) && (!redis_is_new || redis_lets_in(arena, fresh)) &&
           (!store_is_new || lark__token_store_apart(arena, fresh));
}

void lark__server_reload(struct lark_server *server)
{
    struct lark_arena arena;
    struct lark_settings fresh = {0};
    lark_arena_init(&arena, lark_mem_default(), LARK_CLI_TEXT_MAX, NULL, 0);
    bool good = read_fresh(&arena, server, &fresh);
    if (good && strcmp(fresh.listen.text, server->settings.listen.text) != 0) good = lark__prepare_address(&fresh);
    /* before the keys are looked at: what it is fetching may be another issuer's than theirs */
    lark__keys_stop(&server->keys);
    if (!good || !lark__prepare_nginx(&arena, &fresh, &server->state, &server->programs, LARK_NGINX_CONFIG)) {
        lark_arena_done(&arena);
        lark__keys_start(&server->keys, &server->settings, &server->state);
        lark__cli_say("not reloaded: the old settings stay in force");
        lark__settle_tell(&server->state, &server->settings, false);
        return;
    }
    lark_arena_done(&server->arena);
    server->arena = arena;
    server->settings = fresh;
    lark__keys_start(&server->keys, &server->settings, &server->state);
    lark__settle_begin(&server->settle, server->nginx);
    (void)kill(server->nginx, SIGHUP);
    lark__cli_say("reloaded");
}
