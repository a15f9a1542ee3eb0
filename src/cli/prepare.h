/* prepare.h - what must be in place before the servers start: folder, files, programs. */
#ifndef LARK_CLI_PREPARE_H
#define LARK_CLI_PREPARE_H

#include "programs.h"
#include "settings.h"
#include "state.h"

/* Each says on standard error why it returns false. */

/* lark__prepare_private_redis - point the settings at the private Redis of a state folder. */
LARK_MUST_USE bool lark__prepare_private_redis(struct lark_arena *arena, const char *state_dir,
                                               struct lark_settings *settings);

/* lark__prepare_files - can we read the TLS files and write the access log? */
LARK_MUST_USE bool lark__prepare_files(const struct lark_settings *settings);

/* lark__prepare_address - is the address free? */
LARK_MUST_USE bool lark__prepare_address(const struct lark_settings *settings);

/* lark__prepare_nginx - write password file and configuration, and let nginx check them.
 * in: name: of the configuration; it takes its place only when nginx accepts it; checks only when name is NULL */
LARK_MUST_USE bool lark__prepare_nginx(struct lark_arena *arena, const struct lark_settings *settings,
                                       const struct lark_state *state, const struct lark_programs *programs,
                                       const char *name);

/* lark__prepare_redis_config - the configuration of the private Redis. out: out_path: of it */
LARK_MUST_USE bool lark__prepare_redis_config(struct lark_arena *arena, const struct lark_state *state,
                                              const char **out_path);

#endif
