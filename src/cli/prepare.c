#include "prepare.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "documents.h"
#include "files.h"
#include "keys_child.h"
#include "nginx_config.h"
#include "nginx_oauth.h"
#include "redis_settings.h"
#include "text.h"

#define CANDIDATE "nginx.conf.candidate"

bool lark__prepare_private_redis(struct lark_arena *arena, const char *state_dir, struct lark_settings *settings)
{
    if (!lark__state_socket_fits(state_dir, LARK_REDIS_SOCKET)) return false;
    settings->redis = (struct lark_redis_place){.url = {.is_unix = true}};
    settings->redis.url.path = lark__cli_slice(lark__cli_format(arena, "%s/" LARK_REDIS_SOCKET, state_dir));
    settings->redis_url = lark__settings_redis_text(arena, &settings->redis.url);
    return true;
}

bool lark__prepare_files(const struct lark_settings *settings)
{
    const struct {
        const char *what;
        const char *path;
    } files[] = {{"TLS certificate", settings->tls_cert},           {"TLS key", settings->tls_key},
                 {"file of --redis-ca,", settings->redis.tls.ca},   {"file of --redis-cert,", settings->redis.tls.cert},
                 {"file of --redis-key,", settings->redis.tls.key}, {"file of --oauth-jwks,", settings->oauth.jwks},
                 {"file of --oauth-ca,", settings->oauth.ca}};
    for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++)
        if (files[i].path != NULL && access(files[i].path, R_OK) != 0) {
            lark__cli_say("%s %s cannot be read: %s", files[i].what, files[i].path, strerror(errno));
            return false;
        }
    if (settings->access_log == NULL) return true;
    const int fd = open(settings->access_log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0640);
    if (fd < 0) {
        lark__cli_say("access log %s cannot be written: %s", settings->access_log, strerror(errno));
        return false;
    }
    close(fd);
    return true;
}

bool lark__prepare_address(const struct lark_settings *settings)
{
    const int error = lark__address_try(&settings->listen);
    const char *text = settings->listen.text;
    if (error == EADDRINUSE)
        lark__cli_say("%s is in use by another program; choose another address with --listen", text);
    else if (error == EACCES)
        lark__cli_say("%s needs root or CAP_NET_BIND_SERVICE: ports under 1024 are privileged", text);
    else if (error == EADDRNOTAVAIL)
        lark__cli_say("%s cannot be listened on: this machine has no such address", text);
    else if (error != 0)
        lark__cli_say("%s cannot be listened on: %s", text, strerror(error));
    return error == 0;
}

static bool write_file(const struct lark_state *state, const char *name, unsigned mode, struct lark_slice bytes)
{
    const int error = lark__file_write(state->dir_fd, name, mode, bytes);
    if (error != 0) lark__cli_say("%s/%s cannot be written: %s", state->path, name, strerror(error));
    return error == 0;
}

static bool make_folder(const struct lark_state *state, const char *name)
{
    if (mkdirat(state->dir_fd, name, 0700) == 0 || errno == EEXIST) return true;
    lark__cli_say("%s/%s cannot be made: %s", state->path, name, strerror(errno));
    return false;
}

static bool write_password(struct lark_arena *arena, struct lark_slice password, const struct lark_state *state,
                           const char *name)
{
    if (password.len == 0) {
        (void)unlinkat(state->dir_fd, name, 0);
        return true;
    }
    const char *line = lark__cli_format(arena, "%.*s\n", (int)password.len, (const char *)password.p);
    return write_file(state, name, 0600, lark__cli_slice(line));
}

/* nginx reads this copy: what was checked, whoever may read the file that was named, and whatever becomes of it. */
static bool write_tokens(const struct lark_settings *settings, const struct lark_state *state)
{
    if (settings->tokens != NULL) return write_file(state, LARK_NGINX_TOKENS, 0600, settings->tokens_text);
    (void)unlinkat(state->dir_fd, LARK_NGINX_TOKENS, 0);
    return true;
}

/* What is beside the configuration. */
static bool write_files(struct lark_arena *arena, const struct lark_settings *settings, const struct lark_state *state)
{
    return make_folder(state, LARK_NGINX_TEMP) &&
           write_password(arena, settings->redis.password, state, LARK_NGINX_PASSWORD) &&
           write_password(arena, settings->store.password, state, LARK_NGINX_STORE_PASSWORD) &&
           write_password(arena, settings->oauth.secret, state, LARK_NGINX_OAUTH_SECRET) &&
           write_tokens(settings, state);
}

bool lark__prepare_nginx(struct lark_arena *arena, const struct lark_settings *settings, const struct lark_state *state,
                         const struct lark_programs *programs, const char *name)
{
    const char *text = lark__nginx_config_make(arena, settings, state->path, programs->module, geteuid() == 0);
    if (!write_files(arena, settings, state) || !write_file(state, CANDIDATE, 0600, lark__cli_slice(text)))
        return false;
    bool good = lark__programs_check(arena, programs, state, CANDIDATE);
    /* only now: keys of the issuer that is still in force are not given up for a configuration that is refused */
    if (name != NULL) good = good && lark__keys_prepare(settings, state);
    if (good && name != NULL &&
        !write_file(state, LARK_NGINX_DOCUMENT, 0600, lark__document_openapi_at(arena, settings->mount)))
        return false;
    if (good && name != NULL && renameat(state->dir_fd, CANDIDATE, state->dir_fd, name) != 0) {
        lark__cli_say("%s/%s cannot be written: %s", state->path, name, strerror(errno));
        return false;
    }
    if (!good || name == NULL) (void)unlinkat(state->dir_fd, CANDIDATE, 0);
    return good;
}

bool lark__prepare_redis_config(struct lark_arena *arena, const struct lark_state *state, const char **out_path)
{
    /* no quotes, backslashes or control characters are in the path: lark__settings_read refused them */
    const char *text = lark__cli_format(arena,
                                        "# Made by lark serve at each start; do not edit.\n"
                                        "port 0\n"
                                        "unixsocket \"%s/" LARK_REDIS_SOCKET "\"\n"
                                        "unixsocketperm 700\n"
                                        "dir \"%s/redis\"\n"
                                        "logfile \"%s/redis.log\"\n"
                                        "daemonize no\n"
                                        "appendonly yes\n"
                                        "appendfsync everysec\n"
                                        "enable-debug-command local\n"
                                        "shutdown-on-sigterm now force\n",
                                        state->path, state->path, state->path);
    *out_path = lark__state_file(arena, state, "redis.conf");
    return make_folder(state, "redis") && write_file(state, "redis.conf", 0600, lark__cli_slice(text));
}
