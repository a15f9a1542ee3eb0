#include "processes.h"

#include <signal.h>
#include <string.h>

#include "child.h"
#include "clock.h"
#include "nginx_config.h"
#include "prepare.h"
#include "text.h"

bool lark__processes_start_redis(struct lark_server *server)
{
    struct lark_arena arena;
    const char *config = NULL;
    lark_arena_init(&arena, lark_mem_default(), LARK_CLI_TEXT_MAX, NULL, 0);
    bool good = lark__prepare_redis_config(&arena, &server->state, &config);
    if (good) {
        const char *const argv[] = {server->programs.redis_server, config, NULL};
        /* SIGTERM makes Redis save */
        const struct lark_child_plan plan = {argv, server->redis_log_fd, server->state.children_fd, SIGTERM};
        const int error = lark__child_start(&plan, &server->redis);
        if (error != 0) lark__cli_say("%s cannot be run: %s", argv[0], strerror(error));
        good = error == 0;
    }
    server->redis_started_ms = lark__clock_ms();
    lark_arena_done(&arena);
    return good;
}

bool lark__processes_start_nginx(struct lark_server *server)
{
    struct lark_arena arena;
    lark_arena_init(&arena, lark_mem_default(), LARK_CLI_TEXT_MAX, NULL, 0);
    const char *const argv[] = {
        server->programs.nginx, "-e", lark__state_file(&arena, &server->state, LARK_NGINX_ERROR_LOG), "-p",
        server->state.path,     "-c", lark__state_file(&arena, &server->state, LARK_NGINX_CONFIG),    NULL};
    /* SIGTERM to the master ends the workers too; SIGKILL would leave them behind */
    const struct lark_child_plan plan = {argv, server->log_fd, server->state.children_fd, SIGTERM};
    const int error = lark__child_start(&plan, &server->nginx);
    if (error != 0) lark__cli_say("%s cannot be run: %s", argv[0], strerror(error));
    lark_arena_done(&arena);
    return error == 0;
}
