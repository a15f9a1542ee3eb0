#include "settings.h"

#include <errno.h>
#include <pwd.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "files.h"
#include "oauth_settings.h"
#include "redis_settings.h"
#include "text.h"
#include "token_settings.h"
#include "web_settings.h"

#define HOST_MAX 253
#define MOUNT_MAX 200
#define WORKERS_MAX 512

static const struct lark_option_value *value_of(const struct lark_options *options, enum lark_option option)
{
    return &options->values[option];
}

static bool word_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
           c == '.';
}

static bool plain_path(const struct lark_option_value *value, const char *path)
{
    if (lark__cli_quotable(path)) return true;
    lark__cli_say("%s: a path with quotes, \\, $ or control characters cannot stand in nginx's configuration, got '%s'",
                  value->where, path);
    return false;
}

/* An optional path made absolute; NULL stays NULL. */
static bool read_path(struct lark_arena *arena, const struct lark_options *options, enum lark_option option,
                      const char **out_path)
{
    const struct lark_option_value *value = value_of(options, option);
    *out_path = value->text == NULL ? NULL : lark__file_absolute(arena, value->text);
    return *out_path == NULL || plain_path(value, *out_path);
}

static bool read_listen(struct lark_arena *arena, const struct lark_options *options, struct lark_settings *settings)
{
    const struct lark_option_value *value = value_of(options, LARK_OPTION_LISTEN);
    const char *wrong = lark__address_parse(arena, value->text, &settings->listen);
    if (wrong != NULL) lark__cli_say("%s: %s, got '%s'", value->where, wrong, value->text);
    return wrong == NULL;
}

static const char *mount_fault(const char *text)
{
    if (text[0] != '/') return "expected a path that begins with a slash";
    if (strlen(text) > MOUNT_MAX) return "expected a path of at most 200 characters";
    for (const char *p = text; *p != '\0'; p++) {
        if (!word_char(*p) && *p != '/' && *p != '~') return "expected letters, digits and - . _ ~ between slashes";
        if (*p != '/') continue;
        if (p[1] == '/') return "expected no empty part";
        const size_t dots = p[1] != '.' ? 0 : p[2] != '.' ? 1 : 2;
        if (dots > 0 && (p[1 + dots] == '/' || p[1 + dots] == '\0')) return "expected no part that is . or ..";
    }
    return NULL;
}

static bool read_mount(struct lark_arena *arena, const struct lark_options *options, struct lark_settings *settings)
{
    const struct lark_option_value *value = value_of(options, LARK_OPTION_MOUNT);
    const char *wrong = mount_fault(value->text);
    if (wrong != NULL) {
        lark__cli_say("%s: %s, got '%s'", value->where, wrong, value->text);
        return false;
    }
    size_t len = strlen(value->text);
    if (value->text[len - 1] == '/') len--;
    settings->mount = lark__cli_copy(arena, (struct lark_slice){(const uint8_t *)value->text, len});
    return true;
}

void lark__settings_say_scope(const char *where, struct lark_slice word)
{
    struct lark_slice near[3];
    char offer[256] = "";
    size_t used = 0;
    const size_t n = lark_scopes_near(lark_catalogue_default(), word, near, sizeof(near) / sizeof(*near));
    for (size_t i = 0; i < n && near[i].len + 3 < sizeof(offer) - used; i++) {
        memcpy(offer + used, i == 0 ? "" : ", ", i == 0 ? 0 : 2);
        used += i == 0 ? 0 : 2;
        memcpy(offer + used, near[i].p, near[i].len);
        used += near[i].len;
        offer[used] = '\0';
    }
    lark__cli_say("%s: unknown scope '%.*s'; %s%s", where, word.len > 100 ? 100 : (int)word.len, (const char *)word.p,
                  n > 0 ? "did you mean " : "lark methods lists them", offer);
}

static bool read_scopes(struct lark_arena *arena, const struct lark_options *options, struct lark_settings *settings)
{
    const struct lark_option_value *value = value_of(options, LARK_OPTION_DEFAULT_SCOPES);
    struct lark_slice word;
    size_t at = 0;
    (void)arena;
    while (lark__cli_word(value->text, &at, &word))
        if (lark_scopes_add(lark_catalogue_default(), word, &settings->allowed) != LARK_OK) {
            lark__settings_say_scope(value->where, word);
            return false;
        }
    settings->scopes = value->text;
    if (settings->scopes[0] == '\0' || settings->listen.loopback ||
        lark__options_flag(options, LARK_OPTION_ALLOW_ANONYMOUS))
        return true;
    lark__cli_say("%s: '%s' for everyone who reaches %s, which is not loopback, is refused; --allow-anonymous if that "
                  "is meant",
                  value->where, settings->scopes, settings->listen.text);
    return false;
}

static bool good_host(struct lark_arena *arena, struct lark_slice word)
{
    if (word.len > HOST_MAX) return false;
    if (word.p[0] == '[') return lark__address_is_ip6(lark__cli_copy(arena, word));
    for (size_t i = 0; i < word.len; i++)
        if (!word_char((char)word.p[i])) return false;
    return true;
}

static bool read_hosts(struct lark_arena *arena, const struct lark_options *options, struct lark_settings *settings)
{
    const struct lark_option_value *value = value_of(options, LARK_OPTION_ALLOWED_HOSTS);
    struct lark_slice word;
    size_t at = 0;
    while (lark__cli_word(value->text, &at, &word))
        if (!good_host(arena, word)) {
            lark__cli_say("%s: expected host names without ports (an IPv6 address in brackets), got '%.*s'",
                          value->where, (int)(word.len > HOST_MAX ? HOST_MAX : word.len), (const char *)word.p);
            return false;
        }
    const bool specific = !settings->listen.any && strcmp(settings->listen.host, "127.0.0.1") != 0 &&
                          strcmp(settings->listen.host, "[::1]") != 0;
    char *hosts =
        lark__cli_format(arena, "localhost 127.0.0.1 [::1]%s%s%s%s", specific ? " " : "",
                         specific ? settings->listen.host : "", value->text[0] == '\0' ? "" : " ", value->text);
    for (char *p = hosts; *p != '\0'; p++)
        if (*p >= 'A' && *p <= 'Z') *p = (char)(*p - 'A' + 'a');
    settings->hosts = hosts;
    return true;
}

static bool read_tls(struct lark_arena *arena, const struct lark_options *options, struct lark_settings *settings)
{
    if (!read_path(arena, options, LARK_OPTION_TLS_CERT, &settings->tls_cert) ||
        !read_path(arena, options, LARK_OPTION_TLS_KEY, &settings->tls_key))
        return false;
    if ((settings->tls_cert == NULL) == (settings->tls_key == NULL)) return true;
    const bool cert = settings->tls_cert != NULL;
    lark__cli_say("%s needs --%s too", value_of(options, cert ? LARK_OPTION_TLS_CERT : LARK_OPTION_TLS_KEY)->where,
                  lark__options_row(cert ? LARK_OPTION_TLS_KEY : LARK_OPTION_TLS_CERT)->option);
    return false;
}

/* A program or module: absolute when it names a place. */
static bool read_program(struct lark_arena *arena, const struct lark_options *options, enum lark_option option,
                         const char **out_path)
{
    const struct lark_option_value *value = value_of(options, option);
    if (value->text != NULL && strchr(value->text, '/') == NULL) {
        *out_path = value->text;
        return plain_path(value, value->text);
    }
    return read_path(arena, options, option, out_path);
}

static uint32_t count_cores(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof(set), &set) != 0) return 1;
    const int n = CPU_COUNT(&set);
    return n < 1 ? 1 : n > WORKERS_MAX ? WORKERS_MAX : (uint32_t)n;
}

/* XDG base directories: a relative XDG_STATE_HOME is to be ignored. */
const char *lark__settings_state_dir(struct lark_arena *arena)
{
    const char *state = getenv("XDG_STATE_HOME");
    if (state != NULL && state[0] == '/') return lark__cli_format(arena, "%s/lark", state);
    const char *home = getenv("HOME");
    if (home != NULL && home[0] == '/')
        return lark__cli_format(arena, "%s/.local/state/lark", strcmp(home, "/") == 0 ? "" : home);
    if (geteuid() == 0) return "/var/lib/lark";
    const struct passwd *user = getpwuid(geteuid());
    if (user != NULL && user->pw_dir != NULL && user->pw_dir[0] == '/')
        return lark__cli_format(arena, "%s/.local/state/lark", user->pw_dir);
    return NULL;
}

static bool read_state_dir(struct lark_arena *arena, const struct lark_options *options, struct lark_settings *settings)
{
    const struct lark_option_value *value = value_of(options, LARK_OPTION_STATE_DIR);
    if (value->text != NULL) return read_path(arena, options, LARK_OPTION_STATE_DIR, &settings->state_dir);
    settings->state_dir = lark__settings_state_dir(arena);
    if (settings->state_dir != NULL) return plain_path(value, settings->state_dir);
    lark__cli_say("there is no home folder to keep state in; name one with --state-dir");
    return false;
}

static bool read_redis_files(struct lark_arena *arena, const struct lark_options *options,
                             struct lark_settings *settings)
{
    struct lark_tls_options *tls = &settings->redis.tls;
    return read_path(arena, options, LARK_OPTION_REDIS_CA, &tls->ca) &&
           read_path(arena, options, LARK_OPTION_REDIS_CERT, &tls->cert) &&
           read_path(arena, options, LARK_OPTION_REDIS_KEY, &tls->key);
}

static bool read_paths(struct lark_arena *arena, const struct lark_options *options, struct lark_settings *settings)
{
    const struct lark_option_value *log = value_of(options, LARK_OPTION_ACCESS_LOG);
    settings->access_log_paths = lark__options_flag(options, LARK_OPTION_ACCESS_LOG_PATHS);
    if (strcmp(log->text, "off") != 0 && !read_path(arena, options, LARK_OPTION_ACCESS_LOG, &settings->access_log))
        return false;
    return read_program(arena, options, LARK_OPTION_NGINX, &settings->nginx) &&
           read_path(arena, options, LARK_OPTION_NGINX_MODULE, &settings->nginx_module) &&
           read_program(arena, options, LARK_OPTION_REDIS_SERVER, &settings->redis_server);
}

bool lark__settings_read(struct lark_arena *arena, const struct lark_options *options,
                         struct lark_settings *out_settings)
{
    struct lark_settings settings = {0};
    settings.workers = lark__options_count(options, LARK_OPTION_WORKERS);
    if (settings.workers == 0) settings.workers = count_cores();
    if (!read_listen(arena, options, &settings) || !read_mount(arena, options, &settings) ||
        !read_scopes(arena, options, &settings) || !read_hosts(arena, options, &settings) ||
        !read_tls(arena, options, &settings) || !lark__web_settings_read(options, &settings.web) ||
        !lark__settings_read_tokens(arena, options, &settings) ||
        !lark__settings_read_oauth(arena, options, &settings) || !read_state_dir(arena, options, &settings) ||
        !read_paths(arena, options, &settings) || !read_redis_files(arena, options, &settings) ||
        !lark__settings_read_redis(arena, options, &settings))
        return false;
    *out_settings = settings;
    return true;
}
