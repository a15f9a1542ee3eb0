/* options.h - the options of `lark serve` from the command line, the environment and the config file, as one table. */
#ifndef LARK_CLI_OPTIONS_H
#define LARK_CLI_OPTIONS_H

#include <lark/types.h>

#include "options_enum.h"

enum lark_option_type {
    LARK_OPTION_IS_TEXT,
    LARK_OPTION_IS_PATH,
    LARK_OPTION_IS_LIST, /* words joined by commas or spaces */
    LARK_OPTION_IS_FLAG,
    LARK_OPTION_IS_COUNT,
    LARK_OPTION_IS_ACTION /* a flag of the command line only */
};

/* One row of data/options.json. */
struct lark_option_row {
    const char *key;
    const char *option;
    const char *env;      /* NULL: not read from the environment */
    const char *fallback; /* the default; NULL: none */
    enum lark_option_type type;
    uint32_t min, max; /* of a count */
    bool in_file;
};

/* What an option is set to.
 * text:  NULL: not set and no default. Flags are "1" or "0"; the words of a list are joined by one space
 * where: who set it, for messages: "--listen", "LARK_LISTEN", "FILE: listen", "listen" */
struct lark_option_value {
    const char *text;
    const char *where;
};

/* lifetime: text and where live in the arena or in argv and the environment */
struct lark_options {
    struct lark_option_value values[LARK_N_OPTIONS];
};

/* lark__options_row - the table by index. */
const struct lark_option_row *lark__options_row(enum lark_option option);

/* lark__options_read - command line over environment over file over default.
 * in:     argv: argv[0] is the command's name; borrowed, reordered by getopt
 * return: false: said why on standard error. On failure out_options is untouched */
LARK_MUST_USE bool lark__options_read(struct lark_arena *arena, int argc, char **argv,
                                      struct lark_options *out_options);

/* lark__options_set - one value after a check of its type; a list's separators are made one space.
 * return: false: said why */
LARK_MUST_USE bool lark__options_set(struct lark_arena *arena, struct lark_options *options, enum lark_option option,
                                     const char *where, const char *text);

/* lark__options_flag - is a flag or an action set? lark__options_count - a count, or 0 when not set. */
bool lark__options_flag(const struct lark_options *options, enum lark_option option);
uint32_t lark__options_count(const struct lark_options *options, enum lark_option option);

/* lark__options_near - the key that is spelled nearly as word, or NULL. */
const char *lark__options_near(const char *word);

#endif
