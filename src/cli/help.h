/* help.h - what data/options.json says about the commands. */
#ifndef LARK_CLI_HELP_H
#define LARK_CLI_HELP_H

/* command: "" for the overview; lines: each with its end, NULL behind the last */
struct lark_help {
    const char *command;
    const char *const *lines;
};

/* lark__help_print - the help of a command on standard output. return: the exit code */
int lark__help_print(const char *command);

/* lark__help_near - the command that is spelled nearly as word, or NULL. */
const char *lark__help_near(const char *word);

#endif
