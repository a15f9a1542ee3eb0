#include "token_settings.h"

#include <errno.h>
#include <string.h>

#include "files.h"
#include "redis_settings.h"
#include "text.h"

static void warn(void *ctx, const char *text)
{
    lark__cli_say("warning: %s: %s", (const char *)ctx, text);
}

struct lark_tokens *lark__tokens_read(const char *path, struct lark_slice bytes)
{
    struct lark_tokens *tokens = NULL;
    struct lark_tokens_error error;
    char *where = (char *)(uintptr_t)path; /* handed back to warn, which only reads it */
    if (lark_tokens_parse(lark_mem_default(), lark_catalogue_default(), bytes, warn, where, &tokens, &error) == LARK_OK)
        return tokens;
    lark__cli_say("%s: %s", path, error.text);
    return NULL;
}

static bool read_file(struct lark_arena *arena, const struct lark_option_value *value, struct lark_settings *settings)
{
    settings->tokens = lark__file_absolute(arena, value->text);
    const int error = lark__file_read(arena, settings->tokens, LARK_TOKENS_FILE_MAX, &settings->tokens_text);
    if (error != 0) {
        lark__cli_say("%s: %s cannot be read: %s%s", value->where, settings->tokens, strerror(error),
                      error == ENOENT ? "; lark token create makes it" : "");
        return false;
    }
    struct lark_tokens *tokens = lark__tokens_read(settings->tokens, settings->tokens_text);
    const bool good = tokens != NULL;
    lark_tokens_free(tokens);
    return good;
}

bool lark__settings_tokens_safe(const struct lark_option_value *value, const struct lark_settings *settings)
{
    if (settings->listen.loopback || settings->tls_cert != NULL || settings->insecure) return true;
    lark__cli_say(
        "%s: tokens would be sent without TLS to %s, which is not loopback: give --tls-cert and --tls-key, or "
        "--insecure if a proxy before lark ends TLS",
        value->where, settings->listen.text);
    return false;
}

bool lark__settings_read_store(struct lark_arena *arena, const struct lark_option_value *url,
                               const struct lark_option_value *password_file, const struct lark_option_value *ca,
                               struct lark_redis_place *out_place, const char **out_text)
{
    if (!lark__settings_read_place(arena, url, password_file, out_place, out_text)) return false;
    if (ca->text != NULL && !out_place->url.is_tls) {
        lark__cli_say("%s needs %s with rediss://", ca->where, url->where);
        return false;
    }
    if (!out_place->url.is_tls) return true;
    out_place->tls.name = lark__cli_copy(arena, out_place->url.host);
    if (ca->text != NULL) out_place->tls.ca = lark__file_absolute(arena, ca->text);
    if (out_place->tls.ca == NULL || lark__cli_quotable(out_place->tls.ca)) return true;
    lark__cli_say("%s: a path with quotes, \\, $ or control characters cannot stand in nginx's configuration, got '%s'",
                  ca->where, ca->text);
    return false;
}

/* Where there is no store, what belongs to it is a mistake. */
static bool read_store(struct lark_arena *arena, const struct lark_options *options, struct lark_settings *settings)
{
    const struct lark_option_value *url = &options->values[LARK_OPTION_TOKEN_STORE];
    const struct lark_option_value *password = &options->values[LARK_OPTION_TOKEN_STORE_PASSWORD_FILE];
    const struct lark_option_value *ca = &options->values[LARK_OPTION_TOKEN_STORE_CA];
    settings->has_store = url->text != NULL;
    if (!settings->has_store && (password->text != NULL || ca->text != NULL)) {
        lark__cli_say("%s needs --token-store", password->text != NULL ? password->where : ca->where);
        return false;
    }
    if (!settings->has_store) return true;
    return lark__settings_tokens_safe(url, settings) &&
           lark__settings_read_store(arena, url, password, ca, &settings->store, &settings->store_url);
}

bool lark__settings_read_tokens(struct lark_arena *arena, const struct lark_options *options,
                                struct lark_settings *settings)
{
    const struct lark_option_value *file = &options->values[LARK_OPTION_TOKENS];
    settings->require_prefix = lark__options_flag(options, LARK_OPTION_REQUIRE_PREFIX);
    settings->insecure = lark__options_flag(options, LARK_OPTION_INSECURE);
    if (settings->require_prefix && settings->scopes[0] != '\0') {
        lark__cli_say("%s: callers without credentials would reach all keys by --default-scopes; remove one of them",
                      options->values[LARK_OPTION_REQUIRE_PREFIX].where);
        return false;
    }
    if (!read_store(arena, options, settings)) return false;
    if (file->text == NULL) return true;
    return lark__settings_tokens_safe(file, settings) && read_file(arena, file, settings);
}
