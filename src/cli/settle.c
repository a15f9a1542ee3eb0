#include "settle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "files.h"
#include "text.h"

#define SETTLE_MS 10000
#define PROC_MAX 65536

/* A file of /proc: it has no size. return: bytes in out, NUL behind them */
static size_t read_proc(const char *path, char *out, size_t size)
{
    FILE *file = fopen(path, "re");
    if (file == NULL) return 0;
    const size_t n = fread(out, 1, size - 1, file);
    out[n] = '\0';
    fclose(file);
    return n;
}

/* A worker that was told to go says so in its title, in the turn of its loop in which it closes what waits for a request. */
static bool takes_requests(pid_t pid)
{
    char path[64];
    char title[256];
    (void)snprintf(path, sizeof(path), "/proc/%ld/cmdline", (long)pid);
    return read_proc(path, title, sizeof(title)) > 0 && strstr(title, "shutting down") == NULL;
}

void lark__settle_begin(struct lark_settle *settle, pid_t nginx)
{
    char path[64];
    static const char blank[] = " \n";
    settle->n = 0;
    settle->waits = true;
    settle->deadline_ms = lark__clock_ms() + SETTLE_MS;
    char *children = malloc(PROC_MAX);
    if (children == NULL) return;
    (void)snprintf(path, sizeof(path), "/proc/%ld/task/%ld/children", (long)nginx, (long)nginx);
    (void)read_proc(path, children, PROC_MAX);
    char *rest = NULL;
    for (char *word = strtok_r(children, blank, &rest); word != NULL && settle->n < LARK_SETTLE_MAX;
         word = strtok_r(NULL, blank, &rest)) {
        const long pid = strtol(word, NULL, 10);
        if (pid > 0 && takes_requests((pid_t)pid)) settle->workers[settle->n++] = (pid_t)pid;
    }
    free(children);
}

void lark__settle_look(struct lark_settle *settle, const struct lark_state *state, const struct lark_settings *settings)
{
    size_t n = 0;
    for (size_t i = 0; i < settle->n; i++)
        if (takes_requests(settle->workers[i])) settle->workers[n++] = settle->workers[i];
    settle->n = n;
    if (n == 0) {
        settle->waits = false;
        lark__settle_tell(state, settings, true);
    } else if (lark__clock_ms() >= settle->deadline_ms) {
        settle->waits = false;
        lark__cli_say("nginx did not take the new configuration within %d s: see its error log", SETTLE_MS / 1000);
        lark__settle_tell(state, settings, false);
    }
}

void lark__settle_tell(const struct lark_state *state, const struct lark_settings *settings, bool good)
{
    struct lark_arena arena;
    struct lark_hash hash;
    char digits[65] = "-";
    lark_arena_init(&arena, lark_mem_default(), LARK_CLI_TEXT_MAX, NULL, 0);
    struct lark_hasher *hasher = lark_hasher_new();
    if (settings->tokens != NULL && hasher != NULL && lark_hasher_hash(hasher, settings->tokens_text, &hash) == LARK_OK)
        lark_hash_write(&hash, digits);
    lark_hasher_free(hasher);
    const char *text = lark__cli_format(&arena, "%s\n%s\n%s\n", settings->tokens == NULL ? "-" : settings->tokens,
                                        digits, good ? "ok" : "failed");
    const int error = lark__file_write(state->dir_fd, LARK_STATE_RELOAD, 0600, lark__cli_slice(text));
    if (error != 0) lark__cli_say("%s/" LARK_STATE_RELOAD " cannot be written: %s", state->path, strerror(error));
    lark_arena_done(&arena);
}
