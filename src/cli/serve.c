#include "serve.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "arguments.h"
#include "help.h"
#include "nginx_config.h"
#include "prepare.h"
#include "server.h"
#include "text.h"

/* Will nginx be started as root? Not when the state folder is somebody else's. */
static bool stays_root(const char *state_dir)
{
    struct stat st;
    return geteuid() == 0 && (stat(state_dir, &st) != 0 || st.st_uid == 0);
}

static int print_config(struct lark_server *server)
{
    struct lark_settings *settings = &server->settings;
    if (settings->own_redis && !lark__prepare_private_redis(&server->arena, settings->state_dir, settings))
        return EXIT_FAILURE;
    const char *module = lark__programs_module(&server->arena, settings);
    if (!lark__cli_quotable(module)) {
        lark__cli_say("Lark's nginx module %s: such a path cannot stand in nginx's configuration", module);
        return EXIT_FAILURE;
    }
    fputs(
        lark__nginx_config_make(&server->arena, settings, settings->state_dir, module, stays_root(settings->state_dir)),
        stdout);
    return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* Programs, folder, files: all that does not depend on whether a server runs already. */
static bool prepare(struct lark_server *server)
{
    struct lark_settings *settings = &server->settings;
    if (settings->own_redis && !lark__state_socket_fits(settings->state_dir, LARK_REDIS_SOCKET))
        return false; /* before the folder is made */
    if (!lark__programs_find(&server->base, settings, &server->programs) ||
        !lark__state_open(&server->base, settings->state_dir, &server->state) ||
        !lark__programs_reach(&server->base, &server->state, &server->programs))
        return false;
    if (settings->own_redis && !lark__prepare_private_redis(&server->arena, server->state.path, settings)) return false;
    return lark__prepare_files(settings);
}

static int check_config(struct lark_server *server)
{
    if (!prepare(server) ||
        !lark__prepare_nginx(&server->base, &server->settings, &server->state, &server->programs, NULL))
        return EXIT_FAILURE;
    puts("lark: the configuration is good");
    return EXIT_SUCCESS;
}

static int serve(struct lark_server *server)
{
    if (!prepare(server) || !lark__state_lock(&server->state) || !lark__prepare_address(&server->settings))
        return EXIT_FAILURE;
    return lark__server_run(server);
}

static int run(struct lark_server *server, int argc, char **argv)
{
    struct lark_options options;
    server->argc = argc;
    server->argv = lark__arguments_take(&server->base, argc, argv);
    if (server->argv == NULL || !lark__options_read(&server->arena, argc, server->argv, &options)) return EXIT_FAILURE;
    if (lark__options_flag(&options, LARK_OPTION_HELP)) return lark__help_print("serve");
    if (!lark__settings_read(&server->arena, &options, &server->settings)) return EXIT_FAILURE;
    if (lark__options_flag(&options, LARK_OPTION_PRINT_NGINX_CONFIG)) return print_config(server);
    if (lark__options_flag(&options, LARK_OPTION_CHECK_CONFIG)) return check_config(server);
    return serve(server);
}

int lark__serve_run(int argc, char **argv)
{
    struct lark_server server = {.state = {.dir_fd = -1, .lock_fd = -1, .children_fd = -1},
                                 .programs = {.module_fd = -1},
                                 .log_fd = -1,
                                 .redis_log_fd = -1};
    lark_arena_init(&server.base, lark_mem_default(), LARK_CLI_TEXT_MAX, NULL, 0);
    lark_arena_init(&server.arena, lark_mem_default(), LARK_CLI_TEXT_MAX, NULL, 0);
    (void)umask(077);
    const int code = run(&server, argc, argv);
    lark__programs_done(&server.programs);
    lark__state_close(&server.state);
    lark_arena_done(&server.arena);
    lark_arena_done(&server.base);
    return code;
}
