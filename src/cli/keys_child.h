/* keys_child.h - `lark jwks-refresh` as a child of `lark serve`. */
#ifndef LARK_CLI_KEYS_CHILD_H
#define LARK_CLI_KEYS_CHILD_H

#include <sys/types.h>

#include "settings.h"
#include "state.h"

#define LARK_KEYS_LOG "jwks.log"

/* pid:        0: it does not run
 * started_ms, backoff_ms: of the last start; what the next one waits for
 * again_ms:   when it is started again; 0: it runs, or is not wanted */
struct lark_keys_child {
    pid_t pid;
    int64_t started_ms;
    int64_t backoff_ms;
    int64_t again_ms;
};

/* lark__keys_prepare - keys in the folder that are another issuer's, or from elsewhere, are forgotten: they would vouch for
 * tokens of this one. return: false: said why */
LARK_MUST_USE bool lark__keys_prepare(const struct lark_settings *settings, const struct lark_state *state);

/* lark__keys_start - start it, when the settings want it; what fails is said, and tried again later.
 * lark__keys_ended - it is gone, with a status as from waitpid; it is started again later.
 * lark__keys_awaited - may the first keys still come in a moment? lark__keys_tick - what is due. lark__keys_stop - end it, at once: its file is whole at any time. */
void lark__keys_start(struct lark_keys_child *child, const struct lark_settings *settings,
                      const struct lark_state *state);
void lark__keys_ended(struct lark_keys_child *child, int status);
bool lark__keys_awaited(const struct lark_keys_child *child, const struct lark_state *state);
void lark__keys_tick(struct lark_keys_child *child, const struct lark_settings *settings,
                     const struct lark_state *state);
void lark__keys_stop(struct lark_keys_child *child);

#endif
