#include "oauth_settings.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <lark/jwt.h>

#include <openssl/x509.h>

#include "fetch.h"
#include "files.h"
#include "redis_settings.h"
#include "text.h"
#include "token_settings.h"

/* What stands in nginx' configuration between quotes. */
static bool is_plain(const struct lark_option_value *value)
{
    if (value->text == NULL || lark__cli_quotable(value->text)) return true;
    lark__cli_say("%s: quotes, \\, $ and control characters cannot stand in nginx's configuration, got '%s'",
                  value->where, value->text);
    return false;
}

static bool is_url(const struct lark_option_value *value, const char *(*fault_of)(const char *url))
{
    const char *fault = value->text == NULL ? NULL : fault_of(value->text);
    if (fault != NULL) lark__cli_say("%s: %s, got '%s'", value->where, fault, value->text);
    return fault == NULL;
}

/* Options that mean nothing without another one. return: false: said which is missing */
static bool has_company(const struct lark_options *options)
{
    static const struct {
        enum lark_option option;
        enum lark_option needs;
    } pairs[] = {{LARK_OPTION_OAUTH_AUDIENCE, LARK_OPTION_OAUTH_ISSUER},
                 {LARK_OPTION_OAUTH_JWKS, LARK_OPTION_OAUTH_ISSUER},
                 {LARK_OPTION_OAUTH_SCOPE_CLAIM, LARK_OPTION_OAUTH_ISSUER},
                 {LARK_OPTION_OAUTH_PREFIX_CLAIM, LARK_OPTION_OAUTH_ISSUER},
                 {LARK_OPTION_OAUTH_RESOURCE, LARK_OPTION_OAUTH_ISSUER},
                 {LARK_OPTION_OAUTH_INTROSPECT, LARK_OPTION_OAUTH_ISSUER},
                 {LARK_OPTION_OAUTH_CA, LARK_OPTION_OAUTH_ISSUER},
                 {LARK_OPTION_OAUTH_ISSUER, LARK_OPTION_OAUTH_AUDIENCE},
                 {LARK_OPTION_OAUTH_CLIENT, LARK_OPTION_OAUTH_INTROSPECT},
                 {LARK_OPTION_OAUTH_CLIENT_SECRET_FILE, LARK_OPTION_OAUTH_INTROSPECT},
                 {LARK_OPTION_OAUTH_INTROSPECT, LARK_OPTION_OAUTH_CLIENT},
                 {LARK_OPTION_OAUTH_INTROSPECT, LARK_OPTION_OAUTH_CLIENT_SECRET_FILE}};
    for (size_t i = 0; i < sizeof(pairs) / sizeof(*pairs); i++)
        if (options->values[pairs[i].option].text != NULL && options->values[pairs[i].needs].text == NULL) {
            lark__cli_say("%s needs --%s too", options->values[pairs[i].option].where,
                          lark__options_row(pairs[i].needs)->option);
            return false;
        }
    return true;
}

static bool check_keys(struct lark_arena *arena, const struct lark_option_value *value, const char *path)
{
    struct lark_slice bytes = {NULL, 0};
    struct lark_jwks *jwks = NULL;
    struct lark_jwks_error fault;
    const int error = lark__file_read(arena, path, LARK_JWKS_FILE_MAX, &bytes);
    if (error != 0) {
        lark__cli_say("%s: %s cannot be read: %s", value->where, path, strerror(error));
        return false;
    }
    const bool good = lark_jwks_parse(lark_mem_default(), bytes, NULL, NULL, &jwks, &fault) == LARK_OK;
    if (!good) lark__cli_say("%s: %s: %s", value->where, path, fault.text);
    lark_jwks_free(jwks);
    return good;
}

static bool read_keys(struct lark_arena *arena, const struct lark_options *options, struct lark_oauth_settings *oauth)
{
    const struct lark_option_value *value = &options->values[LARK_OPTION_OAUTH_JWKS];
    if (value->text == NULL) {
        oauth->discover = oauth->introspect == NULL;
        return !oauth->discover || is_url(&options->values[LARK_OPTION_OAUTH_ISSUER], lark__fetch_issuer_fault);
    }
    if (strstr(value->text, "://") != NULL) {
        oauth->jwks_url = value->text;
        return is_url(value, lark__fetch_fault);
    }
    oauth->jwks = lark__file_absolute(arena, value->text);
    const struct lark_option_value path = {oauth->jwks, value->where};
    return is_plain(&path) && check_keys(arena, value, oauth->jwks);
}

/* nginx wants a file where libcurl and OpenSSL have a default. */
static const char *system_certificates(void)
{
    static const char *const places[] = {"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt",
                                         "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem"};
    const char *set = getenv(X509_get_default_cert_file_env());
    if (set != NULL && set[0] == '/' && access(set, R_OK) == 0) return set;
    for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++)
        if (access(places[i], R_OK) == 0) return places[i];
    return NULL;
}

static bool read_trusted(const struct lark_options *options, struct lark_oauth_settings *oauth)
{
    oauth->trusted = oauth->ca != NULL ? oauth->ca : system_certificates();
    if (oauth->trusted == NULL) {
        lark__cli_say("%s: this system has no file of certificates to verify it by (ca-certificates); give --oauth-ca",
                      options->values[LARK_OPTION_OAUTH_INTROSPECT].where);
        return false;
    }
    const struct lark_option_value path = {oauth->trusted, options->values[LARK_OPTION_OAUTH_CA].where};
    return is_plain(&path);
}

static bool read_introspection(struct lark_arena *arena, const struct lark_options *options,
                               struct lark_oauth_settings *oauth)
{
    const struct lark_option_value *url = &options->values[LARK_OPTION_OAUTH_INTROSPECT];
    oauth->introspect = url->text;
    oauth->cache_s = lark__options_count(options, LARK_OPTION_OAUTH_INTROSPECT_CACHE);
    oauth->client = options->values[LARK_OPTION_OAUTH_CLIENT].text;
    if (url->text == NULL) return true;
    if (!is_url(url, lark__fetch_fault) || !is_plain(url) || !is_plain(&options->values[LARK_OPTION_OAUTH_CLIENT]) ||
        !lark__settings_read_secret(arena, &options->values[LARK_OPTION_OAUTH_CLIENT_SECRET_FILE], &oauth->secret))
        return false;
    return strncmp(url->text, "https:", 6) != 0 || read_trusted(options, oauth);
}

static bool read_texts(const struct lark_options *options, struct lark_oauth_settings *oauth)
{
    static const enum lark_option plain[] = {LARK_OPTION_OAUTH_ISSUER, LARK_OPTION_OAUTH_AUDIENCE,
                                             LARK_OPTION_OAUTH_SCOPE_CLAIM, LARK_OPTION_OAUTH_PREFIX_CLAIM,
                                             LARK_OPTION_OAUTH_RESOURCE};
    const struct lark_option_value *typ = &options->values[LARK_OPTION_OAUTH_TYP];
    for (size_t i = 0; i < sizeof(plain) / sizeof(*plain); i++)
        if (!is_plain(&options->values[plain[i]])) return false;
    oauth->issuer = options->values[LARK_OPTION_OAUTH_ISSUER].text;
    oauth->audience = options->values[LARK_OPTION_OAUTH_AUDIENCE].text;
    oauth->scope_claim = options->values[LARK_OPTION_OAUTH_SCOPE_CLAIM].text;
    oauth->prefix_claim = options->values[LARK_OPTION_OAUTH_PREFIX_CLAIM].text;
    oauth->resource = options->values[LARK_OPTION_OAUTH_RESOURCE].text;
    oauth->leeway_s = lark__options_count(options, LARK_OPTION_OAUTH_LEEWAY);
    oauth->typ = typ->text;
    static const char *const typs[] = {"at+jwt", "jwt", "any"};
    for (size_t i = 0; i < sizeof(typs) / sizeof(*typs); i++)
        if (strcmp(typ->text, typs[i]) == 0) return true;
    lark__cli_say("%s: expected at+jwt, jwt or any, got '%s'", typ->where, typ->text);
    return false;
}

bool lark__settings_read_oauth(struct lark_arena *arena, const struct lark_options *options,
                               struct lark_settings *settings)
{
    struct lark_oauth_settings oauth = {0};
    const struct lark_option_value *ca = &options->values[LARK_OPTION_OAUTH_CA];
    if (!has_company(options)) return false;
    if (options->values[LARK_OPTION_OAUTH_ISSUER].text == NULL) return true;
    if (ca->text != NULL) oauth.ca = lark__file_absolute(arena, ca->text);
    if (!lark__settings_tokens_safe(&options->values[LARK_OPTION_OAUTH_ISSUER], settings) ||
        !read_texts(options, &oauth) || !read_introspection(arena, options, &oauth) ||
        !read_keys(arena, options, &oauth))
        return false;
    settings->oauth = oauth;
    return true;
}
