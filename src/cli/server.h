/* server.h - nginx and the private Redis from start to end: one state machine, driven by signals and time. */
#ifndef LARK_CLI_SERVER_H
#define LARK_CLI_SERVER_H

#include <sys/types.h>

#include "keys_child.h"
#include "programs.h"
#include "settings.h"
#include "settle.h"
#include "state.h"

/* In this order; a stop goes on from wherever it was asked for. */
enum lark_phase {
    LARK_PHASE_REDIS_STARTS, /* the private Redis reads its data */
    LARK_PHASE_NGINX_STARTS,
    LARK_PHASE_UP,
    LARK_PHASE_NGINX_QUITS, /* requests under way are answered */
    LARK_PHASE_NGINX_ENDS,  /* they are not */
    LARK_PHASE_REDIS_SAVES,
    LARK_PHASE_DONE
};

/* base:      state, programs and argv live in it
 * arena:     of the settings in force
 * argv:      copies: secrets are wiped from the ones that everybody on the machine can see
 * had_tty:   we were started from a terminal
 * nginx, redis: process ids, 0 when not running
 * keys:      the process that fetches an issuer's keys
 * deadline_ms: of the phase; 0: none
 * redis_again_ms: when the private Redis is started again, 0: it runs or there is none
 * backoff_ms: until then, the next time
 * log_from, redis_log_from: where the lines of this server begin in the logs of nginx and Redis
 * settle:    workers of a former configuration that may still take requests
 * reload_again: SIGHUP came before the server was up
 * exit_code: what we end with */
struct lark_server {
    struct lark_arena base;
    struct lark_arena arena;
    struct lark_settings settings;
    struct lark_state state;
    struct lark_programs programs;
    char **argv;
    int argc;
    enum lark_phase phase;
    pid_t nginx;
    pid_t redis;
    struct lark_keys_child keys;
    int64_t deadline_ms;
    int64_t redis_started_ms;
    int64_t redis_again_ms;
    int64_t backoff_ms;
    struct lark_settle settle;
    bool reload_again;
    bool told_loading;
    bool had_tty;
    int log_fd;
    int redis_log_fd;
    int64_t log_from;
    int64_t redis_log_from;
    int exit_code;
};

/* lark__server_run - start what the settings say, stay until asked to stop or nginx ends. return: the exit code */
int lark__server_run(struct lark_server *server);

/* lark__server_reload - read the options again and put them in force; what is wrong leaves all as it was. */
void lark__server_reload(struct lark_server *server);

/* lark__server_banner - tell where it is and how to try it. */
void lark__server_banner(const struct lark_settings *settings);

#endif
