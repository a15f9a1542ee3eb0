#include "programs.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child.h"
#include "files.h"
#include "nginx_config.h"
#include "text.h"

#define VERSION_MS 5000
#define CHECK_MS 30000
#define MODULE_MAX (64U << 20)

static bool is_file(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

const char *lark__programs_module(struct lark_arena *arena, const struct lark_settings *settings)
{
    char self[PATH_MAX];
    if (settings->nginx_module != NULL) return settings->nginx_module;
    const ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);
    if (len > 0) {
        self[len] = '\0';
        char *slash = strrchr(self, '/');
        *(slash == NULL ? self : slash) = '\0';
        const char *beside = lark__cli_format(arena, "%s/" LARK_MODULE_NAME, self);
        if (is_file(beside)) return beside;
    }
    if (is_file(LARK_INSTALLED_MODULES "/" LARK_MODULE_NAME)) return LARK_INSTALLED_MODULES "/" LARK_MODULE_NAME;
    return LARK_MODULE_FOLDER "/" LARK_MODULE_NAME;
}

/* What `nginx -v` says behind "nginx/", or NULL. */
static const char *nginx_version(struct lark_arena *arena, const char *nginx)
{
    const char *const argv[] = {nginx, "-v", NULL};
    char *text = NULL;
    int status = 0;
    const int error = lark__child_run(arena, argv, VERSION_MS, &text, &status);
    if (error != 0) {
        lark__cli_say("%s cannot be run: %s", nginx, strerror(error));
        return NULL;
    }
    char *version = strstr(text, "nginx/");
    if (version == NULL || !WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        lark__cli_say("%s does not tell its version as nginx does", nginx);
        return NULL;
    }
    version += strlen("nginx/");
    version[strcspn(version, " \r\n")] = '\0';
    return version;
}

static bool fits_nginx(struct lark_arena *arena, const char *nginx)
{
    const char *version = nginx_version(arena, nginx);
    if (version == NULL) return false;
    if (strcmp(version, LARK_NGINX_VERSION) == 0) return true;
    lark__cli_say("%s is nginx %s, but Lark's module was built for nginx " LARK_NGINX_VERSION "; build Lark anew "
                  "with the nginx-dev of %s",
                  nginx, version, version);
    return false;
}

static const char *find(struct lark_arena *arena, const char *wanted, const char *name)
{
    const char *path = wanted != NULL ? wanted : name;
    if (strchr(path, '/') != NULL) return path;
    return lark__child_find(arena, path);
}

bool lark__programs_find(struct lark_arena *arena, const struct lark_settings *settings,
                         struct lark_programs *out_programs)
{
    struct lark_programs programs = {.module_fd = -1};
    programs.nginx = find(arena, settings->nginx, "nginx");
    if (programs.nginx == NULL || access(programs.nginx, X_OK) != 0) {
        lark__cli_say("there is no nginx%s%s; install it (Debian: apt install nginx-light) or name it with --nginx",
                      programs.nginx == NULL ? " in PATH" : " at ", programs.nginx == NULL ? "" : programs.nginx);
        return false;
    }
    programs.redis_server = settings->own_redis ? find(arena, settings->redis_server, "redis-server") : NULL;
    if (settings->own_redis && (programs.redis_server == NULL || access(programs.redis_server, X_OK) != 0)) {
        lark__cli_say("there is no redis-server%s%s; install it (Debian: apt install redis-server), name it with "
                      "--redis-server, or use a Redis that runs with --redis",
                      programs.redis_server == NULL ? " in PATH" : " at ",
                      programs.redis_server == NULL ? "" : programs.redis_server);
        return false;
    }
    if (!fits_nginx(arena, programs.nginx)) return false;
    programs.module = lark__programs_module(arena, settings);
    if (!lark__cli_quotable(programs.module)) {
        lark__cli_say("Lark's nginx module %s: a path with quotes, \\, $ or control characters cannot stand in nginx's "
                      "configuration",
                      programs.module);
        return false;
    }
    programs.module_fd = open(programs.module, O_RDONLY | O_CLOEXEC);
    if (programs.module_fd < 0) {
        lark__cli_say("Lark's nginx module cannot be read at %s: %s; name it with --nginx-module", programs.module,
                      strerror(errno));
        return false;
    }
    *out_programs = programs;
    return true;
}

void lark__programs_done(struct lark_programs *programs)
{
    if (programs->module_fd >= 0) close(programs->module_fd);
    programs->module_fd = -1;
}

bool lark__programs_reach(struct lark_arena *arena, const struct lark_state *state, struct lark_programs *programs)
{
    if (access(programs->module, R_OK) == 0) return true;
    struct lark_arena copy;
    struct lark_slice bytes = {NULL, 0};
    lark_arena_init(&copy, lark_mem_default(), MODULE_MAX + 4096, NULL, 0);
    int error = lark__file_read_fd(&copy, programs->module_fd, MODULE_MAX, &bytes);
    if (error == 0) error = lark__file_write(state->dir_fd, LARK_MODULE_NAME, 0500, bytes);
    lark_arena_done(&copy);
    if (error != 0)
        lark__cli_say("Lark's nginx module %s cannot be copied to the state folder: %s", programs->module,
                      strerror(error));
    programs->module = lark__state_file(arena, state, LARK_MODULE_NAME);
    return error == 0;
}

/* "nginx: [emerg] bind() ..." without what every line begins with. */
static const char *first_complaint(char *text)
{
    char *at = strstr(text, "[emerg] ");
    at = at == NULL ? text : at + strlen("[emerg] ");
    at[strcspn(at, "\r\n")] = '\0';
    return at;
}

bool lark__programs_check(struct lark_arena *arena, const struct lark_programs *programs,
                          const struct lark_state *state, const char *config)
{
    char *text = NULL;
    int status = 0;
    const char *const argv[] = {programs->nginx,
                                "-t",
                                "-q",
                                "-e",
                                lark__state_file(arena, state, LARK_NGINX_ERROR_LOG),
                                "-p",
                                state->path,
                                "-c",
                                lark__state_file(arena, state, config),
                                NULL};
    const int error = lark__child_run(arena, argv, CHECK_MS, &text, &status);
    if (error != 0) {
        lark__cli_say("%s cannot be run: %s", programs->nginx, strerror(error));
        return false;
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return true;
    lark__cli_say("nginx refuses its configuration: %s", first_complaint(text));
    return false;
}
