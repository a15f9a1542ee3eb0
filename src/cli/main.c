/* The program `lark`: which command, and those that only print. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "documents.h"
#include "help.h"
#include "jwks.h"
#include "serve.h"
#include "text.h"
#include "token.h"

typedef int (*command_fn)(int argc, char **argv);

static int print(struct lark_slice text)
{
    if (fwrite(text.p, 1, text.len, stdout) == text.len && fflush(stdout) == 0) return EXIT_SUCCESS;
    lark__cli_say("standard output cannot be written");
    return EXIT_FAILURE;
}

/* "lark CMD --help" and words that a command does not know. return: -1: go on */
static int no_arguments(int argc, char **argv)
{
    if (argc < 2) return -1;
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) return lark__help_print(argv[0]);
    lark__cli_say("unexpected argument '%s'; see lark help %s", argv[1], argv[0]);
    return EXIT_FAILURE;
}

static int run_methods(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--json") == 0) return print(lark__document_methods_json);
    const int done = no_arguments(argc, argv);
    return done >= 0 ? done : print(lark__document_methods);
}

static int run_openapi(int argc, char **argv)
{
    const int done = no_arguments(argc, argv);
    return done >= 0 ? done : print(lark__document_openapi);
}

static int run_version(int argc, char **argv)
{
    const int done = no_arguments(argc, argv);
    return done >= 0 ? done : print(lark__cli_slice("lark " LARK_VERSION " (for nginx " LARK_NGINX_VERSION ")\n"));
}

static int run_help(int argc, char **argv)
{
    if (argc > 2) {
        lark__cli_say("unexpected argument '%s'; see lark help", argv[2]);
        return EXIT_FAILURE;
    }
    return lark__help_print(argc < 2 ? "" : argv[1]);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *word;
        command_fn run;
    } commands[] = {{"serve", lark__serve_run}, {"token", lark__token_run}, {"jwks-refresh", lark__jwks_run},
                    {"methods", run_methods},   {"openapi", run_openapi},   {"version", run_version},
                    {"help", run_help},         {"--help", run_help},       {"-h", run_help},
                    {"--version", run_version}};
    if (argc < 2) {
        lark__cli_say("a command is missing; see lark help");
        return EXIT_FAILURE;
    }
    for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++)
        if (strcmp(argv[1], commands[i].word) == 0) return commands[i].run(argc - 1, argv + 1);
    const char *near = lark__help_near(argv[1]);
    lark__cli_say("there is no command '%s'%s%s; see lark help", argv[1], near == NULL ? "" : "; did you mean ",
                  near == NULL ? "" : near);
    return EXIT_FAILURE;
}
