/* programs.h - the programs that `lark serve` runs: where they are and whether they fit. */
#ifndef LARK_CLI_PROGRAMS_H
#define LARK_CLI_PROGRAMS_H

#include "settings.h"
#include "state.h"

#define LARK_MODULE_NAME "ngx_http_lark_module.so"
#define LARK_MODULE_FOLDER "/usr/lib/nginx/modules"

/* nginx, redis_server: paths; redis_server NULL when none is needed
 * module: path; module_fd: open for reading, closed by lark__programs_done */
struct lark_programs {
    const char *nginx;
    const char *module;
    int module_fd;
    const char *redis_server;
};

/* lark__programs_module - where the module is: as the settings say, beside this program, where `meson
 * install` puts it, or in nginx's folder.
 * return: in the arena; a path that need not exist when it was found nowhere */
const char *lark__programs_module(struct lark_arena *arena, const struct lark_settings *settings);

/* lark__programs_find - find them, and see that nginx is the version that the module was built for.
 * return: false: said why */
LARK_MUST_USE bool lark__programs_find(struct lark_arena *arena, const struct lark_settings *settings,
                                       struct lark_programs *out_programs);
void lark__programs_done(struct lark_programs *programs);

/* lark__programs_reach - when the user that we became cannot read the module where it is, keep a copy of it in the
 * state folder. return: false: said why */
LARK_MUST_USE bool lark__programs_reach(struct lark_arena *arena, const struct lark_state *state,
                                        struct lark_programs *programs);

/* lark__programs_check - `nginx -t` of a configuration. return: false: said what nginx says */
LARK_MUST_USE bool lark__programs_check(struct lark_arena *arena, const struct lark_programs *programs,
                                        const struct lark_state *state, const char *config);

#endif
