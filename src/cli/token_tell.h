/* token_tell.h - a running lark serve is told that its tokens file has changed. */
#ifndef LARK_CLI_TOKEN_TELL_H
#define LARK_CLI_TOKEN_TELL_H

#include <lark/types.h>

/* lark__token_tell - send SIGHUP to the server of the state folder and wait until the file, as it is now, is in force. When no
 * server runs there, or it uses another file, a line says so.
 * return: false: it may not be in force; said why */
LARK_MUST_USE bool lark__token_tell(struct lark_arena *arena, const char *state_dir, const char *tokens_path);

#endif
