#include "help.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"

#include "help.inc"

#define N_TEXTS (sizeof(help_texts) / sizeof(*help_texts))

const char *lark__help_near(const char *word)
{
    const char *commands[N_TEXTS];
    for (size_t i = 0; i < N_TEXTS; i++) commands[i] = help_texts[i].command;
    return lark__cli_near(word, commands + 1, N_TEXTS - 1);
}

static int print(const struct lark_help *help)
{
    for (size_t i = 0; help->lines[i] != NULL; i++)
        if (fputs(help->lines[i], stdout) < 0) return EXIT_FAILURE;
    return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int lark__help_print(const char *command)
{
    for (size_t i = 0; i < N_TEXTS; i++)
        if (strcmp(help_texts[i].command, command) == 0) return print(&help_texts[i]);
    const char *near = lark__help_near(command);
    lark__cli_say("there is no command '%s'%s%s; see lark help", command, near == NULL ? "" : "; did you mean ",
                  near == NULL ? "" : near);
    return EXIT_FAILURE;
}
