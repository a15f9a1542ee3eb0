#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "text.h"

#define OUTPUT_MAX 4000
#define CLEAR_MS 5000

extern char **environ;

/* Free with free(). NULL without memory. */
static char **child_environment(void)
{
    size_t n = 0;
    while (environ != NULL && environ[n] != NULL) n++;
    char **env = calloc(n + 1, sizeof(*env));
    size_t kept = 0;
    for (size_t i = 0; env != NULL && i < n; i++)
        if (strncmp(environ[i], "LARK_", 5) != 0 && strncmp(environ[i], "NGINX=", 6) != 0) env[kept++] = environ[i];
    return env;
}

/* Between fork and exec: only what is async-signal-safe. Does not return; tells the errno through report_fd. */
static void become(const struct lark_child_plan *plan, char **env, pid_t parent, int report_fd)
{
    static const int reset[] = {SIGPIPE, SIGINT, SIGTERM, SIGQUIT, SIGHUP, SIGCHLD, SIGUSR1, SIGUSR2};
    sigset_t none;
    sigemptyset(&none);
    (void)setsid(); /* a group of its own, and no terminal: OpenSSL would ask there for a key's passphrase */
    for (size_t i = 0; i < sizeof(reset) / sizeof(*reset); i++) (void)signal(reset[i], SIG_DFL);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)prctl(PR_SET_PDEATHSIG, (unsigned long)plan->signal);
    if (getppid() != parent) /* we died before the line above */
        _exit(EXIT_FAILURE);
    const int null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (null_fd >= 0 && dup2(null_fd, STDIN_FILENO) >= 0 && dup2(plan->output_fd, STDOUT_FILENO) >= 0 &&
        dup2(plan->output_fd, STDERR_FILENO) >= 0 && (plan->keep_fd < 0 || fcntl(plan->keep_fd, F_SETFD, 0) == 0)) {
        /* execve does not write to its arguments: POSIX, rationale of exec */
        char *const *argv = (char *const *)(uintptr_t)plan->argv;
        (void)execve(argv[0], argv, env);
    }
    const int error = errno;
    const ssize_t told = write(report_fd, &error, sizeof(error));
    (void)told;
    _exit(EXIT_FAILURE);
}

int lark__child_start(const struct lark_child_plan *plan, pid_t *out_pid)
{
    int report[2];
    int error = 0;
    char **env = child_environment();
    if (env == NULL) return ENOMEM;
    if (pipe2(report, O_CLOEXEC) != 0) {
        error = errno;
        free(env);
        return error;
    }
    const pid_t parent = getpid();
    const pid_t pid = fork();
    if (pid == 0) become(plan, env, parent, report[1]);
    error = pid < 0 ? errno : 0;
    free(env);
    close(report[1]);
    if (pid > 0) {
        int told = 0;
        if (read(report[0], &told, sizeof(told)) == (ssize_t)sizeof(told)) {
            error = told;
            (void)waitpid(pid, NULL, 0);
        }
    }
    close(report[0]);
    if (error == 0) *out_pid = pid;
    return error;
}

/* Read until the end or the deadline. return: 0 | ETIMEDOUT | an errno */
static int drain(int fd, int64_t deadline_ms, char *text, size_t *len)
{
    char rest[512];
    for (;;) {
        const int64_t left = deadline_ms - lark__clock_ms();
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        if (left <= 0 || poll(&wait, 1, (int)left) == 0) return ETIMEDOUT;
        const bool full = *len == OUTPUT_MAX;
        const ssize_t n = read(fd, full ? rest : text + *len, full ? sizeof(rest) : OUTPUT_MAX - *len);
        if (n < 0 && errno != EINTR) return errno;
        if (n == 0) return 0;
        if (n > 0 && !full) *len += (size_t)n;
    }
}

int lark__child_run(struct lark_arena *arena, const char *const *argv, int timeout_ms, char **out_text, int *out_status)
{
    char text[OUTPUT_MAX];
    size_t len = 0;
    int output[2];
    pid_t pid = 0;
    if (pipe2(output, O_CLOEXEC) != 0) return errno;
    const struct lark_child_plan plan = {.argv = argv, .output_fd = output[1], .keep_fd = -1, .signal = SIGKILL};
    int error = lark__child_start(&plan, &pid);
    close(output[1]);
    if (error == 0) {
        error = drain(output[0], lark__clock_ms() + timeout_ms, text, &len);
        if (error != 0) (void)kill(-pid, SIGKILL);
        if (waitpid(pid, out_status, 0) < 0 && error == 0) error = errno;
        *out_text = lark__cli_copy(arena, (struct lark_slice){(const uint8_t *)text, len});
    }
    close(output[0]);
    return error;
}

static bool is_program(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

char *lark__child_find(struct lark_arena *arena, const char *name)
{
    const char *path = getenv("PATH");
    if (path == NULL) path = "/usr/local/bin:/usr/bin:/bin";
    while (*path != '\0') {
        const size_t len = strcspn(path, ":");
        char *found = lark__cli_format(arena, "%.*s/%s", (int)len, path, name);
        if (path[0] == '/' && is_program(found)) return found;
        if (path[0] == '/' && len >= 4 && memcmp(path + len - 4, "/bin", 4) == 0) {
            found = lark__cli_format(arena, "%.*s/sbin/%s", (int)len - 4, path, name);
            if (is_program(found)) return found;
        }
        path += len + (path[len] == ':' ? 1 : 0);
    }
    return NULL;
}

struct lark_ending lark__child_ending(int status)
{
    struct lark_ending ending;
    if (WIFSIGNALED(status))
        (void)snprintf(ending.text, sizeof(ending.text), "signal %d", WTERMSIG(status));
    else
        (void)snprintf(ending.text, sizeof(ending.text), "exit code %d", WEXITSTATUS(status));
    return ending;
}

void lark__child_clear(pid_t group)
{
    const int64_t deadline_ms = lark__clock_ms() + CLEAR_MS;
    /* we are their reaper (PR_SET_CHILD_SUBREAPER) once the leader is gone */
    while (kill(-group, SIGKILL) == 0 && lark__clock_ms() < deadline_ms) {
        while (waitpid(-group, NULL, WNOHANG) > 0)
            ;
        (void)poll(NULL, 0, 5);
    }
}
