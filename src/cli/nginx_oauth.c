#include "nginx_oauth.h"

#include <string.h>

#include "text.h"

#define LOCATION "/lark-introspect"
#define METADATA "/.well-known/oauth-protected-resource"

static const char *directive(struct lark_arena *arena, const char *name, const char *value)
{
    return value == NULL ? "" : lark__cli_format(arena, "        lark_oauth_%s \"%s\";\n", name, value);
}

static const char *make_keys(struct lark_arena *arena, const struct lark_oauth_settings *oauth, const char *state_dir)
{
    if (oauth->jwks_url != NULL || oauth->discover)
        return lark__cli_format(arena, "        lark_oauth_jwks \"%s/" LARK_NGINX_JWKS "\" max_age=1h;\n", state_dir);
    return directive(arena, "jwks", oauth->jwks);
}

static const char *make_introspect(struct lark_arena *arena, const struct lark_oauth_settings *oauth,
                                   const char *state_dir)
{
    if (oauth->introspect == NULL) return "";
    return lark__cli_format(arena,
                            "        lark_oauth_introspect " LOCATION
                            " \"client=%s\" \"secret_file=%s/" LARK_NGINX_OAUTH_SECRET "\" cache=%us;\n",
                            oauth->client, state_dir, (unsigned)oauth->cache_s);
}

const char *lark__nginx_oauth_directives(struct lark_arena *arena, const struct lark_oauth_settings *oauth,
                                         const char *state_dir)
{
    if (oauth->issuer == NULL) return "";
    return lark__cli_format(arena, "%s%s%s%s%s%s%s%s        lark_oauth_leeway %us;\n",
                            directive(arena, "issuer", oauth->issuer), directive(arena, "audience", oauth->audience),
                            make_keys(arena, oauth, state_dir), make_introspect(arena, oauth, state_dir),
                            directive(arena, "typ", oauth->typ), directive(arena, "scope_claim", oauth->scope_claim),
                            directive(arena, "prefix_claim", oauth->prefix_claim),
                            directive(arena, "resource", oauth->resource), (unsigned)oauth->leeway_s);
}

static const char *make_tls(struct lark_arena *arena, const struct lark_oauth_settings *oauth)
{
    if (oauth->trusted == NULL) return "";
    return lark__cli_format(arena,
                            "            proxy_ssl_verify on;\n"
                            "            proxy_ssl_verify_depth 5;\n"
                            "            proxy_ssl_trusted_certificate \"%s\";\n"
                            "            proxy_ssl_server_name on;\n"
                            "            proxy_ssl_protocols TLSv1.2 TLSv1.3;\n",
                            oauth->trusted);
}

/* Callers cannot reach it. A caller who leaves does not end the question: others may ask the same. */
static const char *make_location(struct lark_arena *arena, const struct lark_oauth_settings *oauth)
{
    if (oauth->introspect == NULL) return "";
    return lark__cli_format(arena,
                            "        location = " LOCATION " {\n"
                            "            internal;\n"
                            "            proxy_pass \"%s\";\n"
                            "            proxy_http_version 1.1;\n"
                            "            proxy_method POST;\n"
                            "            proxy_pass_request_headers off;\n"
                            "            proxy_pass_request_body off;\n"
                            "            proxy_set_header Authorization $lark_introspect_authorization;\n"
                            "            proxy_set_header Content-Type application/x-www-form-urlencoded;\n"
                            "            proxy_set_header Accept application/json;\n"
                            "            proxy_set_body $lark_introspect_body;\n"
                            "            proxy_connect_timeout 2s;\n"
                            "            proxy_send_timeout 2s;\n"
                            "            proxy_read_timeout 3s;\n"
                            "            proxy_next_upstream_timeout 3s;\n"
                            "            proxy_ignore_client_abort on;\n"
                            "            proxy_ignore_headers X-Accel-Redirect X-Accel-Limit-Rate X-Accel-Buffering;\n"
                            "            proxy_max_temp_file_size 0;\n"
                            "%s"
                            "        }\n",
                            oauth->introspect, make_tls(arena, oauth));
}

static const char *make_metadata(struct lark_arena *arena, const struct lark_settings *settings)
{
    if (settings->oauth.resource == NULL) return "";
    return lark__cli_format(arena,
                            "        location = " METADATA "%s {\n"
                            "            lark_resource_metadata;\n"
                            "        }\n",
                            settings->mount);
}

const char *lark__nginx_oauth_locations(struct lark_arena *arena, const struct lark_settings *settings)
{
    if (settings->oauth.issuer == NULL) return "";
    return lark__cli_format(arena, "%s%s", make_location(arena, &settings->oauth), make_metadata(arena, settings));
}
