/* arguments.h - what the command line says, and what others on the machine may see of it. */
#ifndef LARK_CLI_ARGUMENTS_H
#define LARK_CLI_ARGUMENTS_H

#include <lark/types.h>

/* lark__arguments_take - `ps` shows everybody our arguments: copies of them, and stars over the passwords of URLs in the
 * originals. return: a list that ends with NULL, in the arena; NULL without memory */
char **lark__arguments_take(struct lark_arena *arena, int argc, char **argv);

#endif
