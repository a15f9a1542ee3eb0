/* settle.h - when does a reload hold? When every worker of the former configuration is gone, or takes no more requests. */
#ifndef LARK_CLI_SETTLE_H
#define LARK_CLI_SETTLE_H

#include <sys/types.h>

#include "settings.h"
#include "state.h"

#define LARK_SETTLE_MAX 1024

/* workers: n process ids of the former configuration; waits: until none of them takes requests; deadline_ms: on lark__clock_ms */
struct lark_settle {
    pid_t workers[LARK_SETTLE_MAX];
    size_t n;
    bool waits;
    int64_t deadline_ms;
};

/* lark__settle_begin - before nginx is told to reload. */
void lark__settle_begin(struct lark_settle *settle, pid_t nginx);

/* lark__settle_look - who still takes requests? Tells (lark__settle_tell) when nobody does, or when it takes too long. */
void lark__settle_look(struct lark_settle *settle, const struct lark_state *state,
                       const struct lark_settings *settings);

/* lark__settle_tell - write into the state folder which tokens are in force: three lines, the file, the SHA-256 of what was
 * in it, and "ok" or "failed" (then the file says no more than what was in force before). */
void lark__settle_tell(const struct lark_state *state, const struct lark_settings *settings, bool good);

#endif
