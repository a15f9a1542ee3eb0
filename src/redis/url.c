#include "url.h"

#include <string.h>

/* What is being read, and where decoded bytes go. */
struct parser {
    struct lark_slice rest;
    uint8_t *storage;
    struct lark_err *err;
};

static enum lark_status refuse(struct parser *parser, const char *text, struct lark_slice got)
{
    if (parser->err != NULL) {
        memset(parser->err, 0, sizeof *parser->err);
        parser->err->status = LARK_E_BAD_PARAMETER;
        parser->err->text = text;
        parser->err->got = got;
        parser->err->method = -1;
    }
    return LARK_E_BAD_PARAMETER;
}

/* For what may hold a password: told without what was seen. */
static enum lark_status refuse_quietly(struct parser *parser, const char *text)
{
    return refuse(parser, text, (struct lark_slice){NULL, 0});
}

static struct lark_slice cut(struct lark_slice s, size_t from, size_t to)
{
    return (struct lark_slice){s.p + from, to - from};
}

static size_t find(struct lark_slice s, uint8_t byte)
{
    const uint8_t *at = s.len == 0 ? NULL : memchr(s.p, byte, s.len);
    return at == NULL ? s.len : (size_t)(at - s.p);
}

static bool equals(struct lark_slice s, const char *text)
{
    return s.len == strlen(text) && (s.len == 0 || memcmp(s.p, text, s.len) == 0);
}

static bool take_word(struct lark_slice *s, const char *word)
{
    size_t len = strlen(word);
    if (s->len < len || memcmp(s->p, word, len) != 0) {
        return false;
    }
    *s = cut(*s, len, s->len);
    return true;
}

static int hex_digit(uint8_t byte)
{
    if (byte >= '0' && byte <= '9') {
        return byte - '0';
    }
    byte |= 0x20;
    return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

static bool decode(struct parser *parser, struct lark_slice raw, struct lark_slice *out)
{
    uint8_t *to = parser->storage;
    size_t len = 0;
    for (size_t i = 0; i < raw.len; i++) {
        uint8_t byte = raw.p[i];
        if (byte == '%') {
            int high = raw.len - i > 2 ? hex_digit(raw.p[i + 1]) : -1;
            int low = raw.len - i > 2 ? hex_digit(raw.p[i + 2]) : -1;
            if (high < 0 || low < 0) {
                return false;
            }
            byte = (uint8_t)(high * 16 + low);
            i += 2;
        }
        to[len++] = byte;
    }
    parser->storage += len;
    *out = (struct lark_slice){to, len};
    return true;
}

/* The whole slice is a number up to max, without a sign or leading zeros. */
static bool number(struct lark_slice s, uint32_t max, uint32_t *out)
{
    if (s.len == 0 || s.len > 10 || (s.len > 1 && s.p[0] == '0')) {
        return false;
    }
    uint64_t n = 0;
    for (size_t i = 0; i < s.len; i++) {
        if (s.p[i] < '0' || s.p[i] > '9') {
            return false;
        }
        n = n * 10 + (uint64_t)(s.p[i] - '0');
    }
    if (n > max) {
        return false;
    }
    *out = (uint32_t)n;
    return true;
}

static enum lark_status take_db(struct parser *parser, struct lark_slice s, uint32_t *out_db)
{
    return number(s, INT32_MAX, out_db) ? LARK_OK : refuse(parser, "the database is not a number", s);
}

static enum lark_status take_login(struct parser *parser, struct lark_redis_url *url)
{
    size_t end = find(parser->rest, '/');
    size_t at = end;
    for (size_t i = 0; i < end; i++) {
        if (parser->rest.p[i] == '@') {
            at = i; /* the last one: a password with a bare @ is common */
        }
    }
    if (at == end) {
        return LARK_OK;
    }
    struct lark_slice login = cut(parser->rest, 0, at);
    parser->rest = cut(parser->rest, at + 1, parser->rest.len);
    size_t colon = find(login, ':');
    if (!decode(parser, cut(login, 0, colon), &url->user)) {
        return refuse_quietly(parser, "the user has a % without two hexadecimal digits: write a % as %25");
    }
    if (colon < login.len && !decode(parser, cut(login, colon + 1, login.len), &url->password)) {
        return refuse_quietly(parser, "the password has a % without two hexadecimal digits: write a % as %25");
    }
    return LARK_OK;
}

/* What is left has an @: a / in the user or the password ended the login. It must not be shown. */
#define SLASH_IN_LOGIN "write a / in the user or the password as %2F"
static bool holds_login(struct lark_slice rest)
{
    return find(rest, '@') < rest.len;
}

static bool host_is_plain(struct lark_slice host, bool is_literal)
{
    for (size_t i = 0; i < host.len; i++) {
        uint8_t byte = host.p[i];
        uint8_t lower = byte | 0x20;
        bool plain = (lower >= 'a' && lower <= 'z') || (byte >= '0' && byte <= '9') || byte == '-' || byte == '.' ||
                     byte == '_' || (is_literal && (byte == ':' || byte == '%'));
        if (!plain) {
            return false;
        }
    }
    return host.len > 0 && host.len <= 255;
}

static enum lark_status take_host(struct parser *parser, struct lark_redis_url *url)
{
    struct lark_slice place = cut(parser->rest, 0, find(parser->rest, '/'));
    parser->rest = cut(parser->rest, place.len, parser->rest.len);
    bool is_literal = place.len > 0 && place.p[0] == '[';
    size_t end = find(place, is_literal ? ']' : ':');
    if (is_literal && end == place.len) {
        return refuse(parser, "the IPv6 address has no closing bracket", place);
    }
    url->host = is_literal ? cut(place, 1, end) : cut(place, 0, end);
    if (!host_is_plain(url->host, is_literal)) {
        return refuse(parser, "there is no host name or address", place);
    }
    if (is_literal) {
        end++;
    }
    url->port = LARK_REDIS_PORT;
    if (end == place.len) {
        return LARK_OK;
    }
    uint32_t port = 0;
    if (place.p[end] != ':' || !number(cut(place, end + 1, place.len), UINT16_MAX, &port) || port == 0) {
        return refuse(parser, "the port is not a number from 1 to 65535", cut(place, end, place.len));
    }
    url->port = (uint16_t)port;
    return LARK_OK;
}

static enum lark_status take_option(struct parser *parser, struct lark_slice option, struct lark_redis_url *url)
{
    size_t equal = find(option, '=');
    struct lark_slice name = cut(option, 0, equal);
    struct lark_slice value = equal < option.len ? cut(option, equal + 1, option.len) : cut(option, equal, equal);
    if (equals(name, "db")) {
        return take_db(parser, value, &url->db);
    }
    if (equals(name, "user") || equals(name, "username")) {
        return decode(parser, value, &url->user) ? LARK_OK : refuse_quietly(parser, "the user has a bad %");
    }
    if (equals(name, "password")) {
        return decode(parser, value, &url->password) ? LARK_OK : refuse_quietly(parser, "the password has a bad %");
    }
    /* An option that is misspelt must not be passed over: the database would be another one. */
    return refuse(parser, "the URL has an unknown option", name);
}

static enum lark_status take_options(struct parser *parser, struct lark_slice options, struct lark_redis_url *url)
{
    enum lark_status status = LARK_OK;
    while (options.len > 0 && status == LARK_OK) {
        size_t end = find(options, '&');
        status = take_option(parser, cut(options, 0, end), url);
        options = cut(options, end < options.len ? end + 1 : end, options.len);
    }
    return status;
}

static enum lark_status take_path(struct parser *parser, struct lark_redis_url *url)
{
    struct lark_slice raw = cut(parser->rest, 0, find(parser->rest, '?'));
    struct lark_slice options = cut(parser->rest, raw.len, parser->rest.len);
    if (raw.len < 2 || raw.p[0] != '/') {
        if (holds_login(parser->rest)) {
            return refuse_quietly(parser, SLASH_IN_LOGIN);
        }
        return refuse(parser, "a Unix socket is written unix:///path", raw);
    }
    if (!decode(parser, raw, &url->path) || find(url->path, 0) < url->path.len) {
        return refuse(parser, "the path of the Unix socket has a bad %", raw);
    }
    if (url->path.len > LARK_REDIS_PATH_MAX) {
        return refuse(parser, "the path of the Unix socket is longer than 107 bytes", url->path);
    }
    return options.len > 0 ? take_options(parser, cut(options, 1, options.len), url) : LARK_OK;
}

static enum lark_status take_tcp(struct parser *parser, struct lark_redis_url *url)
{
    if (holds_login(parser->rest)) {
        return refuse_quietly(parser, SLASH_IN_LOGIN);
    }
    if (find(parser->rest, '?') < parser->rest.len) { /* it may be ?password= */
        return refuse_quietly(parser,
                              "options behind a ? are for Unix sockets; the database is written redis://host/1");
    }
    enum lark_status status = take_host(parser, url);
    if (status != LARK_OK) {
        return status;
    }
    struct lark_slice db = parser->rest;
    if (db.len > 0 && db.p[0] == '/') {
        db = cut(db, 1, db.len);
    }
    return db.len > 0 ? take_db(parser, db, &url->db) : LARK_OK;
}

enum lark_status lark_redis_url_parse(struct lark_slice url, uint8_t *storage, struct lark_redis_url *out_url,
                                      struct lark_err *err)
{
    struct parser parser = {url, storage, err};
    struct lark_redis_url made;
    memset(&made, 0, sizeof made);
    if (url.len > LARK_REDIS_URL_MAX) {
        return refuse_quietly(&parser, "the URL is longer than 4096 bytes");
    }
    made.is_unix = take_word(&parser.rest, "unix://");
    made.is_tls = !made.is_unix && take_word(&parser.rest, "rediss://");
    if (!made.is_unix && !made.is_tls && !take_word(&parser.rest, "redis://")) {
        return refuse_quietly(&parser, "a Redis URL begins with redis://, rediss:// or unix://");
    }
    enum lark_status status = take_login(&parser, &made);
    if (status == LARK_OK) {
        status = made.is_unix ? take_path(&parser, &made) : take_tcp(&parser, &made);
    }
    if (status == LARK_OK) {
        *out_url = made;
    }
    return status;
}
