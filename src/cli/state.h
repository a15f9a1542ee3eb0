/* state.h - the state folder: who owns it, who uses it, where things are. */
#ifndef LARK_CLI_STATE_H
#define LARK_CLI_STATE_H

#include <lark/types.h>

/* names in the folder: locked by the server, its process id inside; how its last reload went */
#define LARK_STATE_LOCK "lark.lock"
#define LARK_STATE_RELOAD "reload"

/* path:     canonical, absolute
 * dir_fd:   the folder
 * lock_fd:  held by us alone; -1 before lark__state_lock
 * children_fd: held by us and by nginx and Redis, which inherit it; -1 likewise
 * owner:    name of the user we became, NULL when we stayed who we were
 * lifetime: texts live in the arena */
struct lark_state {
    const char *path;
    int dir_fd;
    int lock_fd;
    int children_fd;
    const char *owner;
};

/* lark__state_open - make the folder if it is not there, become its owner when we are root and it is somebody else's
 * (ports under 1024 stay allowed), and see that it can be written.
 * note:   what the folder's owner puts into it is his to choose: root must neither follow nor trust it, so root does
 *         not stay root. What only root can read must have been read before
 * return: false: said why */
LARK_MUST_USE bool lark__state_open(struct lark_arena *arena, const char *path, struct lark_state *out_state);

/* lark__state_lock - take the folder for ourselves; waits up to 10 s for the children of a server that was killed.
 * return: false: said why */
LARK_MUST_USE bool lark__state_lock(struct lark_state *state);

/* lark__state_close - give it back. */
void lark__state_close(struct lark_state *state);

/* lark__state_file - the path of a file in the folder. */
char *lark__state_file(struct lark_arena *arena, const struct lark_state *state, const char *name);

/* lark__state_socket_fits - is the path of a socket in the folder short enough to be bound? return: false: said why */
LARK_MUST_USE bool lark__state_socket_fits(const char *state_dir, const char *name);

/* lark__state_open_log - the file that a child's own words go to. return: -1 when it said why */
LARK_MUST_USE int lark__state_open_log(const struct lark_state *state, const char *name);

#endif
