#include "token_tell.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <lark/auth.h>

#include "clock.h"
#include "files.h"
#include "state.h"
#include "text.h"

#define TELL_MS 20000
#define LOOK_MS 20

#define UNTOLD ((pid_t)-1)

/* A process of that user? The pid is what somebody wrote into a file of his. */
static bool is_of(struct lark_arena *arena, long pid, uid_t owner)
{
    char text[2048]; /* the line stands near the beginning */
    const int fd = open(lark__cli_format(arena, "/proc/%ld/status", pid), O_RDONLY | O_CLOEXEC);
    const ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
    if (fd >= 0) close(fd);
    text[n < 0 ? 0 : n] = '\0';
    const char *line = strstr(text, "\nUid:\t");
    return line != NULL && strtoul(line + 6, NULL, 10) == owner;
}

/* The process that holds the lock of the folder. return: 0: nobody does; UNTOLD: said why */
static pid_t server_of(struct lark_arena *arena, const char *state_dir)
{
    struct lark_slice text = {NULL, 0};
    struct stat st;
    const char *path = lark__cli_format(arena, "%s/" LARK_STATE_LOCK, state_dir);
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR)) return 0;
    if (fd < 0 || fstat(fd, &st) != 0) {
        lark__cli_say("%s cannot be read: %s", path, strerror(errno));
        if (fd >= 0) close(fd);
        return UNTOLD;
    }
    const bool held = flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    long pid = 0;
    if (held && lark__file_read_fd(arena, fd, 64, &text) == 0) pid = strtol((const char *)text.p, NULL, 10);
    close(fd);
    if (!held) return 0;
    if (pid > 1 && pid <= INT_MAX && is_of(arena, pid, st.st_uid)) return (pid_t)pid;
    lark__cli_say("%s is held, but not by a process of this machine that it names", path);
    return UNTOLD;
}

/* The three lines of lark__settle_tell; empty when there are none. */
struct outcome {
    const char *file;
    const char *digits;
    const char *word;
};

static struct outcome read_outcome(struct lark_arena *arena, const char *state_dir)
{
    struct outcome outcome = {"", "", ""};
    const char **const lines[] = {&outcome.file, &outcome.digits, &outcome.word};
    struct lark_slice text = {NULL, 0};
    const char *path = lark__cli_format(arena, "%s/" LARK_STATE_RELOAD, state_dir);
    if (lark__file_read(arena, path, PATH_MAX + 256, &text) != 0) return outcome;
    size_t at = 0;
    for (size_t i = 0; i < 3 && at < text.len; i++) {
        const char *start = (const char *)text.p + at;
        const size_t len = strcspn(start, "\n");
        *lines[i] = lark__cli_copy(arena, (struct lark_slice){text.p + at, len});
        at += len + 1;
    }
    return outcome;
}

static const char *digits_of(struct lark_arena *arena, const char *path)
{
    struct lark_slice bytes = {NULL, 0};
    struct lark_hash hash;
    char digits[65] = "";
    struct lark_hasher *hasher = lark_hasher_new();
    if (hasher != NULL && lark__file_read(arena, path, LARK_TOKENS_FILE_MAX, &bytes) == 0 &&
        lark_hasher_hash(hasher, bytes, &hash) == LARK_OK)
        lark_hash_write(&hash, digits);
    lark_hasher_free(hasher);
    return lark__cli_format(arena, "%s", digits);
}

/* The outcome is written anew each time: another file, another number. */
static ino_t outcome_number(struct lark_arena *arena, const char *state_dir)
{
    struct stat st;
    const char *path = lark__cli_format(arena, "%s/" LARK_STATE_RELOAD, state_dir);
    return stat(path, &st) == 0 ? st.st_ino : 0;
}

/* Others may change the file meanwhile: what it says now is what must be in force. */
static bool in_force(const char *state_dir, const char *tokens_path, bool *out_failed)
{
    struct lark_arena arena;
    lark_arena_init(&arena, lark_mem_default(), LARK_CLI_TEXT_MAX, NULL, 0);
    const struct outcome outcome = read_outcome(&arena, state_dir);
    const bool same = strcmp(outcome.digits, digits_of(&arena, tokens_path)) == 0;
    *out_failed = strcmp(outcome.word, "failed") == 0;
    const bool good = same && strcmp(outcome.word, "ok") == 0;
    lark_arena_done(&arena);
    return good;
}

static bool uses_file(struct lark_arena *arena, const char *state_dir, const char *tokens_path)
{
    char canonical[PATH_MAX];
    const struct outcome outcome = read_outcome(arena, state_dir);
    if (outcome.file[0] != '/') return false;
    return strcmp(outcome.file, tokens_path) == 0 ||
           (realpath(outcome.file, canonical) != NULL && strcmp(canonical, tokens_path) == 0);
}

bool lark__token_tell(struct lark_arena *arena, const char *state_dir, const char *tokens_path)
{
    const pid_t server = server_of(arena, state_dir);
    if (server == UNTOLD) {
        lark__cli_say(
            "whether a lark serve with the state folder %s uses %s cannot be told: the change holds after its "
            "next SIGHUP",
            state_dir, tokens_path);
        return false;
    }
    if (server == 0 || !uses_file(arena, state_dir, tokens_path)) {
        lark__cli_say("no lark serve with the state folder %s uses %s (another folder: --state-dir): the next one that "
                      "starts or gets SIGHUP will; your own nginx does when it reloads",
                      state_dir, tokens_path);
        return true;
    }
    bool failed = false;
    if (in_force(state_dir, tokens_path, &failed)) return true;
    const ino_t before = outcome_number(arena, state_dir);
    if (kill(server, SIGHUP) != 0) {
        lark__cli_say("lark serve (process %ld) cannot be told: %s; the change holds after its next SIGHUP",
                      (long)server, strerror(errno));
        return false;
    }
    const int64_t deadline_ms = lark__clock_ms() + TELL_MS;
    while (!in_force(state_dir, tokens_path, &failed)) {
        /* what an earlier reload came to is not taken for the answer to this one */
        const bool answered = failed && outcome_number(arena, state_dir) != before;
        if (answered || lark__clock_ms() > deadline_ms) {
            lark__cli_say("lark serve (process %ld) %s: the change does not hold yet", (long)server,
                          answered ? "kept its old settings, its output says why" : "did not answer");
            return false;
        }
        (void)poll(NULL, 0, LOOK_MS);
    }
    return true;
}
