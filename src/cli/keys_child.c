#include "keys_child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child.h"
#include "clock.h"
#include "files.h"
#include "nginx_oauth.h"
#include "text.h"

#define SOURCE "jwks.source"
#define SOURCE_MAX ((size_t)64 << 10)
#define BACKOFF_FIRST_MS 100
#define BACKOFF_MAX_MS 5000
#define STEADY_MS 10000
#define FIRST_MS 3000

static bool is_wanted(const struct lark_oauth_settings *oauth)
{
    return oauth->jwks_url != NULL || oauth->discover;
}

bool lark__keys_prepare(const struct lark_settings *settings, const struct lark_state *state)
{
    struct lark_arena arena;
    struct lark_slice was = {NULL, 0};
    const struct lark_oauth_settings *oauth = &settings->oauth;
    int error = 0;
    lark_arena_init(&arena, lark_mem_default(), LARK_CLI_TEXT_MAX, NULL, 0);
    const char *now = !is_wanted(oauth) ? ""
                                        : lark__cli_format(&arena, "%s\n%s\n", oauth->issuer,
                                                           oauth->jwks_url == NULL ? "" : oauth->jwks_url);
    const int read = lark__file_read(&arena, lark__state_file(&arena, state, SOURCE), SOURCE_MAX, &was);
    if (read != 0 || !lark__cli_is(was, now)) {
        if (unlinkat(state->dir_fd, LARK_NGINX_JWKS, 0) != 0 && errno != ENOENT) error = errno;
        if (error == 0) error = lark__file_write(state->dir_fd, SOURCE, 0600, lark__cli_slice(now));
    }
    if (error != 0) lark__cli_say("%s/" LARK_NGINX_JWKS " cannot be made anew: %s", state->path, strerror(error));
    lark_arena_done(&arena);
    return error == 0;
}

/* It is this very program, also when its file has been replaced or removed since. */
static int start(const struct lark_oauth_settings *oauth, const struct lark_state *state, pid_t *out_pid)
{
    struct lark_arena arena;
    int error = EIO;
    lark_arena_init(&arena, lark_mem_default(), LARK_CLI_TEXT_MAX, NULL, 0);
    const char *const argv[] = {"/proc/self/exe",
                                "jwks-refresh",
                                oauth->discover ? "--issuer" : "--url",
                                oauth->discover ? oauth->issuer : oauth->jwks_url,
                                "--out",
                                lark__state_file(&arena, state, LARK_NGINX_JWKS),
                                oauth->ca == NULL ? NULL : "--ca",
                                oauth->ca,
                                NULL};
    const int log_fd = lark__state_open_log(state, LARK_KEYS_LOG);
    const struct lark_child_plan plan = {argv, log_fd, state->children_fd, SIGKILL};
    if (log_fd >= 0) {
        error = lark__child_start(&plan, out_pid);
        if (error != 0) lark__cli_say("lark jwks-refresh cannot be run: %s", strerror(error));
        close(log_fd);
    }
    lark_arena_done(&arena);
    return error;
}

void lark__keys_start(struct lark_keys_child *child, const struct lark_settings *settings,
                      const struct lark_state *state)
{
    child->again_ms = 0;
    if (!is_wanted(&settings->oauth)) return;
    child->started_ms = lark__clock_ms();
    if (start(&settings->oauth, state, &child->pid) != 0) child->again_ms = child->started_ms + BACKOFF_MAX_MS;
}

void lark__keys_ended(struct lark_keys_child *child, int status)
{
    const int64_t now = lark__clock_ms();
    lark__child_clear(child->pid);
    child->pid = 0;
    if (child->backoff_ms == 0 || now - child->started_ms >= STEADY_MS)
        child->backoff_ms = BACKOFF_FIRST_MS;
    else
        child->backoff_ms = child->backoff_ms * 2 < BACKOFF_MAX_MS ? child->backoff_ms * 2 : BACKOFF_MAX_MS;
    child->again_ms = now + child->backoff_ms;
    lark__cli_say("lark jwks-refresh ended (%s), see " LARK_KEYS_LOG "; it is started again",
                  lark__child_ending(status).text);
}

bool lark__keys_awaited(const struct lark_keys_child *child, const struct lark_state *state)
{
    return child->pid != 0 && lark__clock_ms() - child->started_ms < FIRST_MS &&
           faccessat(state->dir_fd, LARK_NGINX_JWKS, F_OK, 0) != 0;
}

void lark__keys_tick(struct lark_keys_child *child, const struct lark_settings *settings,
                     const struct lark_state *state)
{
    if (child->again_ms != 0 && lark__clock_ms() >= child->again_ms) lark__keys_start(child, settings, state);
}

void lark__keys_stop(struct lark_keys_child *child)
{
    child->again_ms = 0;
    if (child->pid == 0) return;
    (void)kill(child->pid, SIGKILL);
    (void)waitpid(child->pid, NULL, 0);
    lark__child_clear(child->pid);
    child->pid = 0;
}
