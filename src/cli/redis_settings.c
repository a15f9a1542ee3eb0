#include "redis_settings.h"

#include <string.h>

#include "files.h"
#include "text.h"

static bool unreserved(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
           c == '_' || c == '~';
}

/* Percent-encoded, slashes kept (RFC 3986 section 2). */
static const char *encode(struct lark_arena *arena, struct lark_slice bytes)
{
    static const char digits[] = "0123456789ABCDEF";
    char *text = lark__cli_format(arena, "%*s", (int)(bytes.len * 3), "");
    size_t n = 0;
    for (size_t i = 0; i < bytes.len; i++) {
        const uint8_t c = bytes.p[i];
        if (unreserved(c) || c == '/') {
            text[n++] = (char)c;
            continue;
        }
        text[n++] = '%';
        text[n++] = digits[c >> 4];
        text[n++] = digits[c & 15];
    }
    text[n] = '\0';
    return text;
}

const char *lark__settings_redis_text(struct lark_arena *arena, const struct lark_redis_url *redis)
{
    const char *user = encode(arena, redis->user);
    const char *at = redis->user.len > 0 ? "@" : "";
    const char *db = redis->db == 0 ? "" : lark__cli_format(arena, "%u", (unsigned)redis->db);
    if (redis->is_unix)
        return lark__cli_format(arena, "unix://%s%s%s%s%s", user, at, encode(arena, redis->path),
                                db[0] == '\0' ? "" : "?db=", db);
    const bool ip6 = redis->host.len > 0 && memchr(redis->host.p, ':', redis->host.len) != NULL;
    return lark__cli_format(arena, "%s://%s%s%s%.*s%s:%u%s%s", redis->is_tls ? "rediss" : "redis", user, at,
                            ip6 ? "[" : "", (int)redis->host.len, (const char *)redis->host.p, ip6 ? "]" : "",
                            (unsigned)redis->port, db[0] == '\0' ? "" : "/", db);
}

bool lark__settings_read_secret(struct lark_arena *arena, const struct lark_option_value *value,
                                struct lark_slice *out_secret)
{
    struct lark_slice bytes = {NULL, 0};
    const int error = lark__file_read(arena, value->text, LARK_PASSWORD_MAX, &bytes);
    if (error != 0) {
        lark__cli_say("%s: %s cannot be read: %s", value->where, value->text, strerror(error));
        return false;
    }
    size_t len = 0;
    while (len < bytes.len && bytes.p[len] != '\n' && bytes.p[len] != '\r') len++;
    if (len == 0) {
        lark__cli_say("%s: the first line of %s is empty", value->where, value->text);
        return false;
    }
    *out_secret = (struct lark_slice){bytes.p, len};
    return true;
}

static bool good_host(struct lark_slice host)
{
    for (size_t i = 0; i < host.len; i++)
        if (!unreserved(host.p[i]) && host.p[i] != ':') return false;
    return true;
}

static bool read_url(struct lark_arena *arena, const struct lark_option_value *value, struct lark_redis_place *place,
                     const char **out_text)
{
    struct lark_err err = {0};
    struct lark_redis_url *to = &place->url;
    const struct lark_slice url = lark__cli_slice(value->text);
    uint8_t *storage = (uint8_t *)lark__cli_copy(arena, url);
    if (lark_redis_url_parse(url, storage, to, &err) != LARK_OK) {
        lark__cli_say("%s: %s%s%.*s%s", value->where, err.text == NULL ? "not a URL of a Redis" : err.text,
                      err.got.len > 0 ? ", got '" : "", (int)(err.got.len > 100 ? 100 : err.got.len),
                      err.got.len > 0 ? (const char *)err.got.p : "", err.got.len > 0 ? "'" : "");
        return false;
    }
    if (!good_host(to->host)) {
        lark__cli_say("%s: expected a host name or an address, got '%.*s'", value->where, (int)to->host.len,
                      (const char *)to->host.p);
        return false;
    }
    for (size_t i = 0; i < to->password.len; i++)
        if (to->password.p[i] == '\n' || to->password.p[i] == '\r' || to->password.p[i] == '\0') {
            /* nginx gets it as the first line of a file */
            lark__cli_say("%s: a password with a line end or a NUL cannot be passed on", value->where);
            return false;
        }
    place->password = to->password;
    to->password = (struct lark_slice){NULL, 0};
    *out_text = lark__settings_redis_text(arena, to);
    return true;
}

bool lark__settings_read_place(struct lark_arena *arena, const struct lark_option_value *url,
                               const struct lark_option_value *password_file, struct lark_redis_place *out_place,
                               const char **out_text)
{
    if (!read_url(arena, url, out_place, out_text)) return false;
    if (password_file->text != NULL) {
        if (out_place->password.len > 0) {
            lark__cli_say("%s: the URL of %s has a password too; keep one of them", password_file->where, url->where);
            return false;
        }
        return lark__settings_read_secret(arena, password_file, &out_place->password);
    }
    if (out_place->url.user.len > 0 && out_place->password.len == 0) {
        lark__cli_say("%s: a user needs a password: in the URL or by %s-password-file", url->where, url->where);
        return false;
    }
    return true;
}

static bool read_tls(struct lark_arena *arena, const struct lark_options *options, struct lark_settings *settings)
{
    static const enum lark_option of_tls[] = {LARK_OPTION_REDIS_CA, LARK_OPTION_REDIS_CERT, LARK_OPTION_REDIS_KEY,
                                              LARK_OPTION_REDIS_SERVER_NAME};
    struct lark_tls_options *tls = &settings->redis.tls;
    const struct lark_option_value *name = &options->values[LARK_OPTION_REDIS_SERVER_NAME];
    for (size_t i = 0; i < sizeof(of_tls) / sizeof(*of_tls); i++)
        if (!settings->redis.url.is_tls && options->values[of_tls[i]].text != NULL) {
            lark__cli_say("%s needs --redis with rediss://", options->values[of_tls[i]].where);
            return false;
        }
    if (!settings->redis.url.is_tls) return true;
    if ((tls->cert == NULL) != (tls->key == NULL)) {
        const bool cert = tls->cert != NULL;
        lark__cli_say("%s needs --%s too", options->values[cert ? LARK_OPTION_REDIS_CERT : LARK_OPTION_REDIS_KEY].where,
                      lark__options_row(cert ? LARK_OPTION_REDIS_KEY : LARK_OPTION_REDIS_CERT)->option);
        return false;
    }
    tls->name = name->text != NULL ? name->text : lark__cli_copy(arena, settings->redis.url.host);
    if (tls->name[0] != '\0' && good_host(lark__cli_slice(tls->name))) return true;
    lark__cli_say("%s: expected a host name or an address, got '%s'", name->where, tls->name);
    return false;
}

bool lark__settings_read_redis(struct lark_arena *arena, const struct lark_options *options,
                               struct lark_settings *settings)
{
    const struct lark_option_value *url = &options->values[LARK_OPTION_REDIS];
    const struct lark_option_value *file = &options->values[LARK_OPTION_REDIS_PASSWORD_FILE];
    settings->own_redis = url->text == NULL;
    if (settings->own_redis && file->text != NULL) {
        lark__cli_say("%s needs --redis: the private Redis has no password", file->where);
        return false;
    }
    return (settings->own_redis ||
            lark__settings_read_place(arena, url, file, &settings->redis, &settings->redis_url)) &&
           read_tls(arena, options, settings);
}
