/* origin.c - an origin in a configuration, as a browser will send it: the two are compared byte by byte. */
#include <lark/auth.h>

#include "slices.h"

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static bool is_lower(uint8_t c)
{
    return c >= 'a' && c <= 'z';
}

static bool is_of(uint8_t c, const char *marks)
{
    return memchr(marks, c, strlen(marks)) != NULL;
}

/* How many bytes of text are of a scheme. */
static size_t scheme_len(struct lark_slice text)
{
    size_t at = 0;
    if (text.len == 0 || !is_lower(text.p[0])) return 0;
    while (at < text.len && (is_lower(text.p[at]) || is_digit(text.p[at]) || is_of(text.p[at], "+-."))) at++;
    return at;
}

/* "[2001:db8::1]" with its brackets; 0: it is none. */
static size_t ip6_len(struct lark_slice text)
{
    size_t at = 1;
    while (at < text.len && (is_digit(text.p[at]) || is_of(text.p[at], "abcdef:."))) at++;
    return at > 2 && at < text.len && text.p[at] == ']' ? at + 1 : 0;
}

/* 0: there is no host. */
static size_t host_len(struct lark_slice text)
{
    size_t at = 0;
    if (text.len == 0 || text.p[0] == '.') return 0;
    if (text.p[0] == '[') return ip6_len(text);
    while (at < text.len && (is_lower(text.p[at]) || is_digit(text.p[at]) || is_of(text.p[at], "-._"))) at++;
    return at;
}

/* port: behind the colon */
static const char *port_fault(struct lark_slice scheme, struct lark_slice port)
{
    uint32_t n = 0;
    if (port.len == 0 || port.len > 5 || port.p[0] == '0') return "expected a port from 1 to 65535 after the colon";
    for (size_t i = 0; i < port.len; i++) {
        if (port.p[i] == '/') return "expected no path and no final slash";
        if (!is_digit(port.p[i])) return "expected a port from 1 to 65535 after the colon";
        n = n * 10 + (uint32_t)(port.p[i] - '0');
    }
    if (n > 65535) return "expected a port from 1 to 65535 after the colon";
    if ((n == 80 && lark__auth_is(scheme, "http")) || (n == 443 && lark__auth_is(scheme, "https")))
        return "expected no port where it is the scheme's own: browsers leave it out";
    return NULL;
}

const char *lark_origin_fault(struct lark_slice text)
{
    static const char separator[] = "://";
    const size_t skip = sizeof separator - 1;
    if (lark__auth_is(text, "null")) return "expected an origin by its name: any page can have null";
    if (text.len > LARK_ORIGIN_MAX) return "expected 320 characters at most";
    for (size_t i = 0; i < text.len; i++) {
        if (text.p[i] == '*') return "expected each origin by its name, without a star";
        if (text.p[i] >= 'A' && text.p[i] <= 'Z') return "expected lower case, as browsers send it";
    }
    const size_t n = scheme_len(text);
    const struct lark_slice scheme = {text.p, n};
    struct lark_slice rest = lark__auth_from(text, n);
    if (n == 0 || rest.len < skip || memcmp(rest.p, separator, skip) != 0)
        return "expected a scheme, as in https://app.example";
    rest = lark__auth_from(rest, skip);
    const size_t host = host_len(rest);
    if (host == 0) return "expected a host after the scheme, as in https://app.example";
    rest = lark__auth_from(rest, host);
    if (rest.len == 0) return NULL;
    if (rest.p[0] == '/') return "expected no path and no final slash";
    return rest.p[0] == ':' ? port_fault(scheme, lark__auth_from(rest, 1))
                            : "expected nothing but scheme, host and port, as in https://app.example:8443";
}
