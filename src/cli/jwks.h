/* jwks.h - the command `lark jwks-refresh`. */
#ifndef LARK_CLI_JWKS_H
#define LARK_CLI_JWKS_H

/* lark__jwks_run - return: exit code */
int lark__jwks_run(int argc, char **argv);

#endif
