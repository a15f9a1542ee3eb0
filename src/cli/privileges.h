/* privileges.h - root becomes somebody else for good. */
#ifndef LARK_CLI_PRIVILEGES_H
#define LARK_CLI_PRIVILEGES_H

#include <sys/types.h>

#include <lark/types.h>

/* lark__privileges_become - take the user's ids and groups; of root's powers only CAP_NET_BIND_SERVICE is kept, for us
 * and our children.
 * out:    out_name: the user's name, in the arena
 * return: false: said why */
LARK_MUST_USE bool lark__privileges_become(struct lark_arena *arena, uid_t user, const char **out_name);

#endif
