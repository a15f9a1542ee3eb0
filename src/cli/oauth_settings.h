/* oauth_settings.h - the options about access tokens of an issuer; see settings.h. */
#ifndef LARK_CLI_OAUTH_SETTINGS_H
#define LARK_CLI_OAUTH_SETTINGS_H

#include "settings.h"

/* lark__settings_read_oauth - after the address and TLS are known. return: false: said why */
LARK_MUST_USE bool lark__settings_read_oauth(struct lark_arena *arena, const struct lark_options *options,
                                             struct lark_settings *settings);

#endif
