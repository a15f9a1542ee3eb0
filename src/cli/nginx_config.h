/* nginx_config.h - nginx's configuration as `lark serve` writes it. */
#ifndef LARK_CLI_NGINX_CONFIG_H
#define LARK_CLI_NGINX_CONFIG_H

#include "settings.h"

/* names in the state folder */
#define LARK_NGINX_CONFIG "nginx.conf"
#define LARK_NGINX_PASSWORD "redis.password"
#define LARK_NGINX_TOKENS "tokens.json"
#define LARK_NGINX_STORE_PASSWORD "tokens.password"
#define LARK_NGINX_ERROR_LOG "error.log"
#define LARK_NGINX_TEMP "tmp"
#define LARK_NGINX_DOCUMENT "openapi.json"
#define LARK_REDIS_SOCKET "redis.sock"

/* lark__nginx_config_make - the text of the configuration. No secret is in it.
 * in:     state_dir: absolute; module: path of the nginx module; as_root: nginx will be started as root
 * return: in the arena. Every value in it was checked by lark__settings_read */
char *lark__nginx_config_make(struct lark_arena *arena, const struct lark_settings *settings, const char *state_dir,
                              const char *module, bool as_root);

#endif
