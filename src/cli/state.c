#include "state.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "privileges.h"
#include "text.h"
#include "url.h"

#define CHILDREN_WAIT_MS 10000
#define CHILDREN_NAME "children.lock"

/* mkdir -p; what is made is ours alone. return: 0 | an errno */
static int make_folders(struct lark_arena *arena, const char *path)
{
    char *copy = lark__cli_format(arena, "%s", path);
    for (char *p = copy + 1;; p++) {
        if (*p != '/' && *p != '\0') continue;
        const char kept = *p;
        *p = '\0';
        struct stat st;
        if (stat(copy, &st) != 0 && mkdir(copy, 0700) != 0 && errno != EEXIST) return errno;
        if (kept == '\0') return 0;
        *p = kept;
    }
}

/* Who may rename a folder on the way can put another one in its place, with a configuration that root would load. */
static void warn_of_ancestors(struct lark_arena *arena, const char *path)
{
    char *copy = lark__cli_format(arena, "%s", path);
    for (char *slash = strrchr(copy, '/'); slash != NULL && copy[0] != '\0'; slash = strrchr(copy, '/')) {
        struct stat st;
        *slash = '\0';
        if (stat(copy[0] == '\0' ? "/" : copy, &st) != 0) return;
        const bool others = (st.st_mode & (S_IWGRP | S_IWOTH)) != 0 && (st.st_mode & S_ISVTX) == 0;
        if (st.st_uid == 0 && !others) continue;
        lark__cli_say(
            "warning: root works in state folder %s, and %s is not root's alone: who owns it can put another folder "
            "there. Choose one elsewhere, or give it its user (chown): lark then becomes that user",
            path, copy[0] == '\0' ? "/" : copy);
        return;
    }
}

static bool become_owner(struct lark_arena *arena, const struct stat *st, struct lark_state *state)
{
    if ((st->st_mode & S_IWOTH) != 0 && geteuid() == 0 && st->st_uid == 0) {
        lark__cli_say("state folder %s can be written by everyone on this machine: root does not work in it",
                      state->path);
        return false;
    }
    if ((st->st_mode & S_IWGRP) != 0 && geteuid() == 0 && st->st_uid == 0 && st->st_gid != 0) {
        lark__cli_say("state folder %s can be written by a group: root does not work in it", state->path);
        return false;
    }
    if (geteuid() == 0 && st->st_uid == 0) warn_of_ancestors(arena, state->path);
    if ((st->st_mode & S_IWOTH) != 0)
        lark__cli_say("warning: state folder %s can be written by everyone on this machine", state->path);
    if (geteuid() != 0 || st->st_uid == 0) return true;
    return lark__privileges_become(arena, st->st_uid, &state->owner);
}

/* judged: what was looked at by its path. */
static bool open_folder(struct lark_state *state, const struct stat *judged)
{
    struct stat st;
    state->dir_fd = open(state->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (state->dir_fd < 0 || fstat(state->dir_fd, &st) != 0 ||
        faccessat(state->dir_fd, ".", W_OK | X_OK, AT_EACCESS) != 0) {
        lark__cli_say("state folder %s cannot be written%s%s: %s", state->path, state->owner == NULL ? "" : " by ",
                      state->owner == NULL ? "" : state->owner, strerror(errno));
        return false;
    }
    const bool same = st.st_dev == judged->st_dev && st.st_ino == judged->st_ino && st.st_uid == judged->st_uid;
    if (!same) lark__cli_say("state folder %s was replaced while it was looked at", state->path);
    return same;
}

bool lark__state_open(struct lark_arena *arena, const char *path, struct lark_state *out_state)
{
    struct lark_state state = {.path = path, .dir_fd = -1, .lock_fd = -1, .children_fd = -1};
    struct stat st;
    char canonical[PATH_MAX];
    int error = make_folders(arena, path);
    if (error == 0 && (realpath(path, canonical) == NULL || stat(canonical, &st) != 0)) error = errno;
    if (error == 0 && !S_ISDIR(st.st_mode)) error = ENOTDIR;
    if (error != 0) {
        lark__cli_say("state folder %s cannot be used: %s", path, strerror(error));
        return false;
    }
    state.path = lark__cli_format(arena, "%s", canonical);
    if (!lark__cli_quotable(state.path)) {
        lark__cli_say("state folder %s: a path with quotes, \\, $ or control characters cannot stand in nginx's "
                      "configuration",
                      state.path);
        return false;
    }
    if (!become_owner(arena, &st, &state)) return false;
    if (!open_folder(&state, &st)) {
        if (state.dir_fd >= 0) close(state.dir_fd);
        return false;
    }
    *out_state = state;
    return true;
}

/* return: 0 | an errno; EWOULDBLOCK: another holds it */
static int take_lock(const struct lark_state *state, const char *name, int *out_fd)
{
    const int fd = openat(state->dir_fd, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) return errno;
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        const int error = errno;
        close(fd);
        return error;
    }
    *out_fd = fd;
    return 0;
}

/* For lark token, which tells us of changes. return: 0 | an errno */
static int write_pid(int fd)
{
    char text[16];
    const int n = snprintf(text, sizeof(text), "%ld\n", (long)getpid());
    if (ftruncate(fd, 0) != 0 || pwrite(fd, text, (size_t)n, 0) != n) return errno == 0 ? EIO : errno;
    return 0;
}

bool lark__state_lock(struct lark_state *state)
{
    int error = take_lock(state, LARK_STATE_LOCK, &state->lock_fd);
    if (error == EWOULDBLOCK) {
        lark__cli_say("state folder %s is in use by another lark serve", state->path);
        return false;
    }
    const int64_t deadline_ms = lark__clock_ms() + CHILDREN_WAIT_MS;
    while (error == 0 && (error = take_lock(state, CHILDREN_NAME, &state->children_fd)) == EWOULDBLOCK) {
        if (lark__clock_ms() > deadline_ms) {
            lark__cli_say("state folder %s is in use by the nginx or Redis of a lark serve that was killed",
                          state->path);
            return false;
        }
        (void)poll(NULL, 0, 20);
        error = 0;
    }
    if (error == 0) error = write_pid(state->lock_fd);
    if (error != 0) lark__cli_say("state folder %s cannot be locked: %s", state->path, strerror(error));
    return error == 0;
}

void lark__state_close(struct lark_state *state)
{
    int *const fds[] = {&state->children_fd, &state->lock_fd, &state->dir_fd};
    for (size_t i = 0; i < sizeof(fds) / sizeof(*fds); i++)
        if (*fds[i] >= 0) {
            close(*fds[i]);
            *fds[i] = -1;
        }
}

char *lark__state_file(struct lark_arena *arena, const struct lark_state *state, const char *name)
{
    return lark__cli_format(arena, "%s/%s", state->path, name);
}

bool lark__state_socket_fits(const char *state_dir, const char *name)
{
    const size_t len = strlen(state_dir) + 1 + strlen(name);
    if (len <= LARK_REDIS_PATH_MAX) return true;
    lark__cli_say("state folder %s: the path of the socket %s in it would have %zu bytes, and %d is the most a Unix "
                  "socket can have; choose a shorter one with --state-dir",
                  state_dir, name, len, LARK_REDIS_PATH_MAX);
    return false;
}

int lark__state_open_log(const struct lark_state *state, const char *name)
{
    const int fd = openat(state->dir_fd, name, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) lark__cli_say("%s/%s cannot be written: %s", state->path, name, strerror(errno));
    return fd;
}
