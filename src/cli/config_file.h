/* config_file.h - options from a JSON file. */
#ifndef LARK_CLI_CONFIG_FILE_H
#define LARK_CLI_CONFIG_FILE_H

#include "options.h"

#define LARK_CONFIG_FILE_MAX (1U << 20)

/* lark__config_file_read - set the options that a config file names.
 * return: false: said why on standard error: which file, which key, what was expected */
LARK_MUST_USE bool lark__config_file_read(struct lark_arena *arena, const char *path, struct lark_options *options);

#endif
