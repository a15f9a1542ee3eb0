/* token_settings.h - the options about credentials; see settings.h. */
#ifndef LARK_CLI_TOKEN_SETTINGS_H
#define LARK_CLI_TOKEN_SETTINGS_H

#include "settings.h"

/* lark__settings_read_tokens - the tokens file and what goes with it, after the address, the scopes and TLS are known.
 * return: false: said why */
LARK_MUST_USE bool lark__settings_read_tokens(struct lark_arena *arena, const struct lark_options *options,
                                              struct lark_settings *settings);

/* lark__settings_read_store - a token store from its URL, the file of its password and of its CA (text NULL: none).
 * return: false: said why */
LARK_MUST_USE bool lark__settings_read_store(struct lark_arena *arena, const struct lark_option_value *url,
                                             const struct lark_option_value *password_file,
                                             const struct lark_option_value *ca, struct lark_redis_place *out_place,
                                             const char **out_text);

/* lark__settings_tokens_safe - will tokens travel in a way that nobody can listen to? in: value: the option that wants tokens.
 * return: false: said why */
LARK_MUST_USE bool lark__settings_tokens_safe(const struct lark_option_value *value,
                                              const struct lark_settings *settings);

/* lark__tokens_read - the tokens of a file's bytes; warnings go to standard error. return: NULL: said why */
LARK_MUST_USE struct lark_tokens *lark__tokens_read(const char *path, struct lark_slice bytes);

#endif
