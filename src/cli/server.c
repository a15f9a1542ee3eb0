#include "server.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child.h"
#include "clock.h"
#include "files.h"
#include "nginx_config.h"
#include "prepare.h"
#include "probe.h"
#include "processes.h"
#include "text.h"
#include "token_store.h"

#define REDIS_LOG "redis.log"
#define LOOK_MS 20     /* between two looks at what starts */
#define ANSWER_MS 1000 /* for one look */
#define REDIS_MS 3000  /* for a Redis that is not ours */
#define START_MS 15000 /* for a start; a Redis that reads its data may take longer */
#define LOADING_TELL_MS 2000
#define QUIT_MS 31000 /* just above nginx's worker_shutdown_timeout */
#define TERM_MS 5000
#define SAVE_MS 60000
#define BACKOFF_FIRST_MS 100
#define BACKOFF_MAX_MS 5000
#define STEADY_MS 10000 /* a Redis that lived so long did not fail at its start */

static void enter(struct lark_server *server, enum lark_phase phase, int64_t within_ms)
{
    server->phase = phase;
    server->deadline_ms = within_ms == 0 ? 0 : lark__clock_ms() + within_ms;
}

/* What follows when nginx is gone: the private Redis saves, or all is done. */
static void after_nginx(struct lark_server *server)
{
    server->redis_again_ms = 0;
    if (server->redis == 0) {
        enter(server, LARK_PHASE_DONE, 0);
        return;
    }
    (void)kill(server->redis, SIGTERM);
    enter(server, LARK_PHASE_REDIS_SAVES, SAVE_MS);
}

static void stop(struct lark_server *server, int exit_code)
{
    lark__keys_stop(&server->keys);
    if (exit_code != 0) server->exit_code = exit_code;
    if (server->nginx == 0) {
        after_nginx(server);
        return;
    }
    /* before nginx has its handlers, SIGQUIT would leave a core file */
    const bool up = server->phase == LARK_PHASE_UP;
    (void)kill(server->nginx, up ? SIGQUIT : SIGTERM);
    enter(server, up ? LARK_PHASE_NGINX_QUITS : LARK_PHASE_NGINX_ENDS, up ? QUIT_MS : TERM_MS);
}

/* The signal to stop, the first or a further one. */
static void asked_to_stop(struct lark_server *server)
{
    if (server->phase < LARK_PHASE_NGINX_QUITS) {
        lark__cli_say("stopping: requests under way are answered first");
        stop(server, 0);
    } else if (server->phase == LARK_PHASE_NGINX_QUITS) {
        (void)kill(server->nginx, SIGTERM);
        enter(server, LARK_PHASE_NGINX_ENDS, TERM_MS);
    }
}

/* One line: what ended, how, and the last that it wrote to its log, if it wrote anything. */
static void say_ended(const struct lark_server *server, const char *what, int status, const char *log, int64_t from)
{
    struct lark_arena arena;
    lark_arena_init(&arena, lark_mem_default(), LARK_CLI_TEXT_MAX, NULL, 0);
    const char *said = lark__file_tail(&arena, lark__state_file(&arena, &server->state, log), from);
    lark__cli_say("%s (%s)%s%s", what, lark__child_ending(status).text, said[0] != '\0' ? ": " : "", said);
    lark_arena_done(&arena);
}

static void nginx_ended(struct lark_server *server, int status)
{
    const enum lark_phase was = server->phase;
    lark__child_clear(server->nginx);
    server->nginx = 0;
    if (was < LARK_PHASE_NGINX_QUITS) {
        say_ended(server, was == LARK_PHASE_UP ? "nginx ended unexpectedly" : "nginx does not start", status,
                  LARK_NGINX_ERROR_LOG, server->log_from);
        server->exit_code = 1;
    }
    after_nginx(server);
}

static void redis_ended(struct lark_server *server, int status)
{
    const int64_t now = lark__clock_ms();
    lark__child_clear(server->redis);
    server->redis = 0;
    if (server->phase == LARK_PHASE_REDIS_SAVES) {
        /* our SIGTERM ends it so before it has its handlers, and any data */
        const bool early = WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM;
        if (!early && (!WIFEXITED(status) || WEXITSTATUS(status) != 0)) {
            say_ended(server, "the private Redis did not end well", status, REDIS_LOG, server->redis_log_from);
            server->exit_code = 1;
        }
        enter(server, LARK_PHASE_DONE, 0);
        return;
    }
    if (server->phase == LARK_PHASE_REDIS_STARTS) {
        say_ended(server, "the private Redis does not start", status, REDIS_LOG, server->redis_log_from);
        stop(server, 1);
        return;
    }
    if (server->phase > LARK_PHASE_UP) return;
    if (server->backoff_ms == 0 || now - server->redis_started_ms >= STEADY_MS)
        server->backoff_ms = BACKOFF_FIRST_MS;
    else
        server->backoff_ms = server->backoff_ms * 2 < BACKOFF_MAX_MS ? server->backoff_ms * 2 : BACKOFF_MAX_MS;
    server->redis_again_ms = now + server->backoff_ms;
    lark__cli_say("the private Redis ended (%s); it is started again", lark__child_ending(status).text);
}

static void reap(struct lark_server *server)
{
    int status = 0;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        if (pid == server->nginx)
            nginx_ended(server, status);
        else if (pid == server->redis)
            redis_ended(server, status);
        else if (pid == server->keys.pid)
            lark__keys_ended(&server->keys, status);
    }
}

static bool prepare_nginx(struct lark_server *server)
{
    return lark__prepare_nginx(&server->base, &server->settings, &server->state, &server->programs, LARK_NGINX_CONFIG);
}

static bool tokens_apart(const struct lark_settings *settings)
{
    struct lark_arena arena;
    lark_arena_init(&arena, lark_mem_default(), LARK_CLI_TEXT_MAX, NULL, 0);
    const bool apart = lark__token_store_apart(&arena, settings);
    lark_arena_done(&arena);
    return apart;
}

/* A Redis that is not ours was asked first: of a wrong host name it has more to say than nginx. */
static void start_nginx(struct lark_server *server)
{
    if (!tokens_apart(&server->settings) || (!server->settings.own_redis && !prepare_nginx(server)) ||
        !lark__processes_start_nginx(server)) {
        stop(server, 1);
        return;
    }
    enter(server, LARK_PHASE_NGINX_STARTS, START_MS);
}

static void look_at_redis(struct lark_server *server)
{
    const int64_t now = lark__clock_ms();
    struct lark_arena arena;
    const char *why = "";
    lark_arena_init(&arena, lark_mem_default(), LARK_CLI_TEXT_MAX, NULL, 0);
    const enum lark_probe outcome =
        lark__probe_redis(&arena, &server->settings.redis, server->settings.own_redis ? ANSWER_MS : REDIS_MS, &why);
    if (outcome == LARK_PROBE_OK && lark__keys_awaited(&server->keys, &server->state)) {
        server->deadline_ms = now + START_MS; /* tokens could not be checked yet */
    } else if (outcome == LARK_PROBE_OK) {
        start_nginx(server);
    } else if (outcome == LARK_PROBE_LOADING) {
        server->deadline_ms = now + START_MS;
        if (!server->told_loading && now - server->redis_started_ms > LOADING_TELL_MS) {
            lark__cli_say("waiting: Redis is reading its data");
            server->told_loading = true;
        }
    } else if (!server->settings.own_redis || now >= server->deadline_ms) {
        lark__cli_say("Redis at %s cannot be used: %s", server->settings.redis_url, why);
        stop(server, 1);
    }
    lark_arena_done(&arena);
}

static void look_at_nginx(struct lark_server *server)
{
    const int answer = lark__probe_http(&server->settings.listen, ANSWER_MS);
    if (answer == 200 || (answer == 400 && server->settings.tls_cert != NULL)) {
        enter(server, LARK_PHASE_UP, 0);
        lark__server_banner(&server->settings);
        lark__settle_tell(&server->state, &server->settings, true);
        if (server->reload_again) lark__server_reload(server);
    } else if (lark__clock_ms() >= server->deadline_ms) {
        lark__cli_say("nginx does not serve: GET /healthz %s%.*d", answer == 0 ? "has no answer" : "is answered ",
                      answer == 0 ? 0 : 3, answer);
        stop(server, 1);
    }
}

/* What is due by the clock. */
static void tick(struct lark_server *server)
{
    const int64_t now = lark__clock_ms();
    if (server->phase == LARK_PHASE_UP && server->settle.waits)
        lark__settle_look(&server->settle, &server->state, &server->settings);
    lark__keys_tick(&server->keys, &server->settings, &server->state);
    if (server->redis_again_ms != 0 && now >= server->redis_again_ms) {
        server->redis_again_ms = 0;
        if (!lark__processes_start_redis(server)) server->redis_again_ms = now + BACKOFF_MAX_MS;
    }
    switch (server->phase) {
    case LARK_PHASE_REDIS_STARTS: look_at_redis(server); break;
    case LARK_PHASE_NGINX_STARTS: look_at_nginx(server); break;
    case LARK_PHASE_NGINX_QUITS:
        if (now >= server->deadline_ms) asked_to_stop(server);
        break;
    case LARK_PHASE_NGINX_ENDS:
        if (now >= server->deadline_ms) (void)kill(-server->nginx, SIGKILL);
        break;
    case LARK_PHASE_REDIS_SAVES:
        if (now >= server->deadline_ms) (void)kill(-server->redis, SIGKILL);
        break;
    case LARK_PHASE_UP:
    case LARK_PHASE_DONE: break;
    }
}

static void sooner(int64_t *next_ms, int64_t ms)
{
    if (ms != 0 && (*next_ms == 0 || ms < *next_ms)) *next_ms = ms;
}

static int until_next(const struct lark_server *server)
{
    if (server->phase == LARK_PHASE_REDIS_STARTS || server->phase == LARK_PHASE_NGINX_STARTS) return LOOK_MS;
    if (server->phase == LARK_PHASE_UP && server->settle.waits) return LOOK_MS;
    int64_t next = server->deadline_ms;
    sooner(&next, server->redis_again_ms);
    sooner(&next, server->keys.again_ms);
    if (next == 0) return -1;
    const int64_t left = next - lark__clock_ms();
    return left < 0 ? LOOK_MS : (int)left + 1;
}

/* A terminal that was closed sends SIGHUP too. */
static bool has_tty(void)
{
    const int fd = open("/dev/tty", O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd >= 0) close(fd);
    return fd >= 0;
}

static void take_signal(struct lark_server *server, uint32_t number)
{
    switch (number) {
    case SIGCHLD: reap(server); break;
    case SIGHUP:
        if (server->had_tty && !has_tty())
            asked_to_stop(server);
        else if (server->phase == LARK_PHASE_UP)
            lark__server_reload(server);
        else
            server->reload_again = true;
        break;
    case SIGUSR1:
        if (server->nginx != 0 && server->phase == LARK_PHASE_UP) (void)kill(server->nginx, SIGUSR1);
        break;
    default: asked_to_stop(server); break;
    }
}

static int open_signals(void)
{
    static const int ours[] = {SIGINT, SIGTERM, SIGQUIT, SIGHUP, SIGUSR1, SIGCHLD};
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < sizeof(ours) / sizeof(*ours); i++) sigaddset(&set, ours[i]);
    if (sigprocmask(SIG_BLOCK, &set, NULL) != 0) return -1;
    (void)signal(SIGPIPE, SIG_IGN);
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void loop(struct lark_server *server, int signal_fd)
{
    while (server->phase != LARK_PHASE_DONE) {
        struct signalfd_siginfo info;
        struct pollfd wait = {.fd = signal_fd, .events = POLLIN};
        const int n = poll(&wait, 1, until_next(server));
        while (n > 0 && read(signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
            take_signal(server, info.ssi_signo);
        tick(server);
    }
}

/* As with nohup: the end of the terminal is not ours. */
static bool ignores_hangup(void)
{
    struct sigaction action;
    return sigaction(SIGHUP, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}

int lark__server_run(struct lark_server *server)
{
    const int signal_fd = open_signals();
    if (signal_fd < 0 || prctl(PR_SET_CHILD_SUBREAPER, 1UL) != 0) {
        lark__cli_say("signals cannot be set up: %s", strerror(errno));
        return 1;
    }
    server->log_fd = lark__state_open_log(&server->state, LARK_NGINX_ERROR_LOG);
    server->redis_log_fd = lark__state_open_log(&server->state, REDIS_LOG);
    server->log_from = lseek(server->log_fd, 0, SEEK_END);
    server->redis_log_from = lseek(server->redis_log_fd, 0, SEEK_END);
    server->had_tty = has_tty() && !ignores_hangup();
    enter(server, LARK_PHASE_REDIS_STARTS, START_MS);
    if (server->log_fd < 0 || server->redis_log_fd < 0 ||
        (server->settings.own_redis && (!prepare_nginx(server) || !lark__processes_start_redis(server))))
        stop(server, 1);
    else
        lark__keys_start(&server->keys, &server->settings, &server->state);
    loop(server, signal_fd);
    lark__keys_stop(&server->keys);
    const int fds[] = {signal_fd, server->log_fd, server->redis_log_fd};
    for (size_t i = 0; i < sizeof(fds) / sizeof(*fds); i++)
        if (fds[i] >= 0) close(fds[i]);
    return server->exit_code;
}
