/* nginx_oauth.h - what access tokens of an issuer need in nginx's configuration; see nginx_config.h. */
#ifndef LARK_CLI_NGINX_OAUTH_H
#define LARK_CLI_NGINX_OAUTH_H

#include "settings.h"

/* names in the state folder */
#define LARK_NGINX_JWKS "jwks.json"
#define LARK_NGINX_OAUTH_SECRET "oauth.secret"

/* lark__nginx_oauth_directives - for the API's location. lark__nginx_oauth_locations - beside it.
 * return: in the arena; "" when tokens of no issuer are taken. No secret is in it */
const char *lark__nginx_oauth_directives(struct lark_arena *arena, const struct lark_oauth_settings *oauth,
                                         const char *state_dir);
const char *lark__nginx_oauth_locations(struct lark_arena *arena, const struct lark_settings *settings);

#endif
