/* processes.h - start and end nginx and the private Redis of a server. */
#ifndef LARK_CLI_PROCESSES_H
#define LARK_CLI_PROCESSES_H

#include "server.h"

/* Each start returns false when it said why. */
LARK_MUST_USE bool lark__processes_start_redis(struct lark_server *server);
LARK_MUST_USE bool lark__processes_start_nginx(struct lark_server *server);

/* lark__processes_open_log - the file that a child's own words go to. return: -1 when it said why */
LARK_MUST_USE int lark__processes_open_log(const struct lark_state *state, const char *name);

/* How a process ended, as words. */
struct lark_ending {
    char text[32];
};

/* lark__processes_ending - "exit code 1", "signal 9". in: status: as from waitpid */
struct lark_ending lark__processes_ending(int status);

/* lark__processes_clear - kill what is left of a group whose leader has ended, and wait until it is gone. */
void lark__processes_clear(pid_t group);

#endif
