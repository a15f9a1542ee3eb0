/* web_settings.h - who may call from where and how often: pages of other origins, proxies, rates. */
#ifndef LARK_CLI_WEB_SETTINGS_H
#define LARK_CLI_WEB_SETTINGS_H

#include "settings.h"

/* lark__web_settings_read - check the options. return: false: said why on standard error */
LARK_MUST_USE bool lark__web_settings_read(const struct lark_options *options, struct lark_web_settings *out_web);

/* lark__web_settings_http - lines of nginx's http block
 * lark__web_settings_server - of the server block
 * lark__web_settings_api - of the location of the API
 * lark__web_settings_document - of the location of the OpenAPI document */
const char *lark__web_settings_http(const struct lark_web_settings *web);
const char *lark__web_settings_api(struct lark_arena *arena, const struct lark_web_settings *web);
const char *lark__web_settings_server(struct lark_arena *arena, const struct lark_web_settings *web);
const char *lark__web_settings_document(const struct lark_web_settings *web);

#endif
