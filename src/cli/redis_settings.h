/* redis_settings.h - which Redis, and its password. */
#ifndef LARK_CLI_REDIS_SETTINGS_H
#define LARK_CLI_REDIS_SETTINGS_H

#include "settings.h"

#define LARK_PASSWORD_MAX 4096

/* lark__settings_read_place - a Redis from its URL and the file of its password (text NULL: none).
 * out: out_text: the URL without the password. return: false: said why, never with a password */
LARK_MUST_USE bool lark__settings_read_place(struct lark_arena *arena, const struct lark_option_value *url,
                                             const struct lark_option_value *password_file,
                                             struct lark_redis_place *out_place, const char **out_text);

/* lark__settings_read_redis - own_redis, redis (the files of its tls apart), redis_url. return: false: said why, never with a password */
LARK_MUST_USE bool lark__settings_read_redis(struct lark_arena *arena, const struct lark_options *options,
                                             struct lark_settings *settings);

/* lark__settings_read_secret - the first line of a file. return: false: said why */
LARK_MUST_USE bool lark__settings_read_secret(struct lark_arena *arena, const struct lark_option_value *value,
                                              struct lark_slice *out_secret);

#endif
