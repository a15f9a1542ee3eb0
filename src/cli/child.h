/* child.h - processes of ours: each leads a group of its own and does not outlive us. */
#ifndef LARK_CLI_CHILD_H
#define LARK_CLI_CHILD_H

#include <sys/types.h>

#include <lark/types.h>

/* argv:     NULL-terminated; argv[0] is a path
 * output_fd: standard output and error go there; input comes from /dev/null
 * keep_fd:  stays open in the child, -1: none
 * signal:   sent by the kernel when we die, however we die (prctl(2), PR_SET_PDEATHSIG) */
struct lark_child_plan {
    const char *const *argv;
    int output_fd;
    int keep_fd;
    int signal;
};

/* lark__child_start - fork and execute. Its environment is ours without LARK_* (secrets) and NGINX (nginx takes it for
 * inherited sockets).
 * out:    out_pid: also the id of its process group, which is there when this returns
 * return: 0 | the errno of fork or exec */
LARK_MUST_USE int lark__child_start(const struct lark_child_plan *plan, pid_t *out_pid);

/* lark__child_run - execute to the end, for at most timeout_ms.
 * out:    out_text: what it wrote, the first 4000 bytes, NUL-terminated in the arena;
 *         out_status: as from waitpid
 * return: 0 | an errno; ETIMEDOUT: it was killed */
LARK_MUST_USE int lark__child_run(struct lark_arena *arena, const char *const *argv, int timeout_ms, char **out_text,
                                  int *out_status);

/* lark__child_find - a program in PATH, and in the sbin beside each bin of PATH (Debian's users have no sbin there).
 * return: in the arena, or NULL */
char *lark__child_find(struct lark_arena *arena, const char *name);

/* How a process ended, as words. */
struct lark_ending {
    char text[32];
};

/* lark__child_ending - "exit code 1", "signal 9". in: status: as from waitpid */
struct lark_ending lark__child_ending(int status);

/* lark__child_clear - kill what is left of a group whose leader has ended, and wait until it is gone. */
void lark__child_clear(pid_t group);

#endif
