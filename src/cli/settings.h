/* settings.h - what the options mean: checked, with every default worked out. */
#ifndef LARK_CLI_SETTINGS_H
#define LARK_CLI_SETTINGS_H

#include <lark/auth.h>
#include <lark/catalogue.h>

#include "address.h"
#include "options.h"
#include "tls.h"
#include "url.h"

/* A Redis and who we are there.
 * url: without its password, which is in password
 * tls: of a url with is_tls; paths are absolute */
struct lark_redis_place {
    struct lark_redis_url url;
    struct lark_slice password;
    struct lark_tls_options tls;
};

/* cors_origins, trusted_proxies: words joined by spaces; "": none
 * max_calls: of one caller at a time, 0: no limit
 * rate_caller, rate_address: requests in a second; rate_failures: in a minute; 0: no limit */
struct lark_web_settings {
    const char *cors_origins;
    const char *trusted_proxies;
    uint32_t max_calls;
    uint32_t rate_caller;
    uint32_t rate_address;
    uint32_t rate_failures;
};

/* How access tokens of an issuer are taken. Texts are NULL when they are not given.
 * issuer:   NULL: they are not
 * jwks:     a file, absolute; jwks_url: where keys are fetched; discover: where, is what the issuer says
 * introspect: NULL: opaque tokens are nobody's; else client and secret are there
 * ca:       absolute; trusted: the same, or the file of the system's certificates; of an https introspection only */
struct lark_oauth_settings {
    const char *issuer;
    const char *audience;
    const char *jwks;
    const char *jwks_url;
    bool discover;
    const char *typ;
    const char *scope_claim;
    const char *prefix_claim;
    uint32_t leeway_s;
    const char *resource;
    const char *introspect;
    uint32_t cache_s;
    const char *client;
    struct lark_slice secret;
    const char *ca;
    const char *trusted;
};

/* mount:     begins with a slash, ends without; "": the root
 * scopes:    words joined by spaces; "": none. allowed: what they give
 * tokens:    the file, absolute, NULL: none; tokens_text: its bytes, which were read well
 * has_store: a token store; then store and store_url are as redis and redis_url
 * oauth:     access tokens of an issuer
 * require_prefix, insecure: as the options say
 * hosts:     words joined by spaces, in lower case
 * tls_cert, tls_key: both or neither, absolute
 * access_log: absolute; NULL: off. access_log_paths: with what was asked for
 * state_dir: absolute; the folder need not be there yet
 * nginx, nginx_module, redis_server: as the options say, absolute when they hold a slash; NULL: to be looked for
 * own_redis: a private Redis; then redis means nothing before the state folder is known
 * redis_url: redis.url as text without the password, percent-encoded
 * lifetime:  texts live in the arena of lark__settings_read */
struct lark_settings {
    struct lark_address listen;
    const char *mount;
    const char *scopes;
    struct lark_scopes allowed;
    const char *tokens;
    struct lark_slice tokens_text;
    bool has_store;
    struct lark_redis_place store;
    const char *store_url;
    struct lark_oauth_settings oauth;
    bool require_prefix;
    bool insecure;
    const char *hosts;
    struct lark_web_settings web;
    const char *tls_cert;
    const char *tls_key;
    uint32_t workers;
    const char *access_log;
    bool access_log_paths;
    const char *state_dir;
    const char *nginx;
    const char *nginx_module;
    const char *redis_server;
    bool own_redis;
    struct lark_redis_place redis;
    const char *redis_url;
};

/* lark__settings_read - check the options and work out what they mean; reads the files of passwords and tokens, touches nothing else.
 * return: false: said why on standard error */
LARK_MUST_USE bool lark__settings_read(struct lark_arena *arena, const struct lark_options *options,
                                       struct lark_settings *out_settings);

/* lark__settings_state_dir - where state is kept when nobody says. return: NULL: no home folder is known */
const char *lark__settings_state_dir(struct lark_arena *arena);

/* lark__settings_say_scope - tell that there is no such scope, and which are spelled nearly so. in: where: who asked */
void lark__settings_say_scope(const char *where, struct lark_slice word);

/* lark__settings_redis_text - a Redis as URL without its password. */
const char *lark__settings_redis_text(struct lark_arena *arena, const struct lark_redis_url *redis);

#endif
