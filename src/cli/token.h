/* token.h - `lark token`: make, list and revoke what callers show. */
#ifndef LARK_CLI_TOKEN_H
#define LARK_CLI_TOKEN_H

#include <lark/auth.h>

/* lark__token_run - the command. return: the exit code */
int lark__token_run(int argc, char **argv);

/* A token that is to be kept.
 * scopes: words joined by blanks, each known; expires: NULL: never
 * lifetime: texts live in an arena */
struct lark_new_token {
    struct lark_credential credential;
    struct lark_hash hash;
    const char *scopes;
};

#endif
