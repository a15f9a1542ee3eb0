/* serve.h - the command `lark serve`. */
#ifndef LARK_CLI_SERVE_H
#define LARK_CLI_SERVE_H

/* lark__serve_run - argv[0] is "serve". return: the exit code */
int lark__serve_run(int argc, char **argv);

#endif
