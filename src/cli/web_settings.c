#include "web_settings.h"

#include <arpa/inet.h>
#include <string.h>

#include "text.h"

static bool read_origins(const struct lark_option_value *value)
{
    struct lark_slice word;
    size_t at = 0;
    while (lark__cli_word(value->text, &at, &word)) {
        const char *wrong = lark_origin_fault(word);
        if (wrong == NULL) continue;
        lark__cli_say("%s: %s, got '%.*s'", value->where, wrong, word.len > 100 ? 100 : (int)word.len,
                      (const char *)word.p);
        return false;
    }
    return true;
}

/* ADDRESS or ADDRESS/BITS, and no bit behind these */
static bool good_network(struct lark_slice word)
{
    char text[INET6_ADDRSTRLEN + 4] = "";
    uint8_t bytes[sizeof(struct in6_addr)];
    if (word.len >= sizeof(text)) return false;
    memcpy(text, word.p, word.len);
    char *slash = strchr(text, '/');
    unsigned bits = 0;
    if (slash != NULL) {
        const char *digits = slash + 1;
        if (strlen(digits) == 0 || strlen(digits) > 3 || strspn(digits, "0123456789") != strlen(digits)) return false;
        for (const char *p = digits; *p != '\0'; p++) bits = bits * 10 + (unsigned)(*p - '0');
        *slash = '\0';
    }
    const bool is_ip4 = inet_pton(AF_INET, text, bytes) == 1;
    if (!is_ip4 && inet_pton(AF_INET6, text, bytes) != 1) return false;
    const unsigned most = is_ip4 ? 32 : 128;
    for (unsigned i = slash == NULL ? most : bits; i < most; i++)
        if ((bytes[i / 8] >> (7 - i % 8) & 1) != 0) return false;
    return bits <= most;
}

static bool read_proxies(const struct lark_option_value *value)
{
    struct lark_slice word;
    size_t at = 0;
    while (lark__cli_word(value->text, &at, &word)) {
        if (good_network(word)) continue;
        lark__cli_say("%s: expected IP addresses or networks as 10.0.0.0/8, got '%.*s'", value->where,
                      word.len > 100 ? 100 : (int)word.len, (const char *)word.p);
        return false;
    }
    return true;
}

bool lark__web_settings_read(const struct lark_options *options, struct lark_web_settings *out_web)
{
    const struct lark_option_value *origins = &options->values[LARK_OPTION_CORS_ORIGINS];
    const struct lark_option_value *proxies = &options->values[LARK_OPTION_TRUSTED_PROXIES];
    if (!read_origins(origins) || !read_proxies(proxies)) return false;
    *out_web = (struct lark_web_settings){
        .cors_origins = origins->text,
        .trusted_proxies = proxies->text,
        .max_calls = lark__options_count(options, LARK_OPTION_MAX_CALLS),
        .rate_caller = lark__options_count(options, LARK_OPTION_RATE_CALLER),
        .rate_address = lark__options_count(options, LARK_OPTION_RATE_ADDRESS),
        .rate_failures = lark__options_count(options, LARK_OPTION_RATE_FAILURES),
    };
    return true;
}

static const char *make_rate(struct lark_arena *arena, const char *name, uint32_t n, char unit)
{
    return n == 0 ? lark__cli_format(arena, "        lark_rate_%s off;\n", name)
                  : lark__cli_format(arena, "        lark_rate_%s %ur/%c;\n", name, (unsigned)n, unit);
}

static const char *make_proxies(struct lark_arena *arena, const char *proxies)
{
    const char *lines = "";
    struct lark_slice word;
    size_t at = 0;
    while (lark__cli_word(proxies, &at, &word))
        lines =
            lark__cli_format(arena, "%s        set_real_ip_from %.*s;\n", lines, (int)word.len, (const char *)word.p);
    return lines[0] == '\0' ? ""
                            : lark__cli_format(arena,
                                               "%s        real_ip_header X-Forwarded-For;\n"
                                               "        real_ip_recursive on;\n",
                                               lines);
}

/* Counted by nginx, in its preaccess phase: behind the credentials. */
const char *lark__web_settings_http(const struct lark_web_settings *web)
{
    return web->max_calls == 0 ? ""
                               : "    map $lark_caller $lark_counted {\n"
                                 "        default \"caller $lark_caller\";\n"
                                 "        \"\" $binary_remote_addr;\n"
                                 "    }\n"
                                 "    limit_conn_zone $lark_counted zone=lark_calls:1m;\n"
                                 "    limit_conn_status 429;\n"
                                 "    limit_conn_log_level info;\n";
}

const char *lark__web_settings_api(struct lark_arena *arena, const struct lark_web_settings *web)
{
    return web->max_calls == 0
               ? ""
               : lark__cli_format(arena, "            limit_conn lark_calls %u;\n", (unsigned)web->max_calls);
}

const char *lark__web_settings_server(struct lark_arena *arena, const struct lark_web_settings *web)
{
    const char *origins = web->cors_origins[0] == '\0'
                              ? ""
                              : lark__cli_format(arena, "        lark_cors_origins %s;\n", web->cors_origins);
    return lark__cli_format(arena, "%s%s%s%s%s", make_proxies(arena, web->trusted_proxies), origins,
                            make_rate(arena, "caller", web->rate_caller, 's'),
                            make_rate(arena, "address", web->rate_address, 's'),
                            make_rate(arena, "failures", web->rate_failures, 'm'));
}

const char *lark__web_settings_document(const struct lark_web_settings *web)
{
    return web->cors_origins[0] == '\0' ? ""
                                        : "            add_header Access-Control-Allow-Origin $lark_cors_origin;\n"
                                          "            add_header Vary Origin;\n";
}
