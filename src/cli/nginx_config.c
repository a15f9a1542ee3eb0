#include "nginx_config.h"

#include <string.h>
#include <sys/resource.h>

#include "nginx_oauth.h"
#include "text.h"
#include "web_settings.h"

#define FILES_MAX 65536U
#define CONNECTIONS_MAX 16384U

/* Redis connections, logs, spools and the like need descriptors besides the callers'. */
static void limits(uint32_t *out_files, uint32_t *out_connections)
{
    struct rlimit limit;
    uint32_t files = 1024;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        files = limit.rlim_max > FILES_MAX ? FILES_MAX : (uint32_t)limit.rlim_max;
    *out_files = files;
    *out_connections = files / 2 > CONNECTIONS_MAX ? CONNECTIONS_MAX : files / 2 < 64 ? 64 : files / 2;
}

static const char *make_main(struct lark_arena *arena, const struct lark_settings *settings, const char *state_dir,
                             const char *module, bool as_root)
{
    uint32_t files = 0;
    uint32_t connections = 0;
    limits(&files, &connections);
    return lark__cli_format(arena,
                            "# Made by lark serve at each start and reload; do not edit.\n"
                            "load_module \"%s\";\n"
                            "daemon off;\n"
                            "master_process on;\n"
                            "%s"
                            "worker_processes %u;\n"
                            "worker_rlimit_nofile %u;\n"
                            "worker_shutdown_timeout 30s;\n"
                            "pid \"%s/nginx.pid\";\n"
                            "error_log \"%s/" LARK_NGINX_ERROR_LOG "\" warn;\n"
                            "\n"
                            "events {\n"
                            "    worker_connections %u;\n"
                            "}\n"
                            "\n",
                            module, as_root ? "user root root;\n" : "", (unsigned)settings->workers, (unsigned)files,
                            state_dir, state_dir, (unsigned)connections);
}

/* A word of lark_redis that is written NAME=VALUE, or nothing. */
static const char *redis_word(struct lark_arena *arena, const char *name, const char *value)
{
    return value == NULL ? "" : lark__cli_format(arena, " \"%s=%s\"", name, value);
}

static const char *make_place(struct lark_arena *arena, const char *name, const char *url,
                              const struct lark_redis_place *place, const char *password_file)
{
    const struct lark_tls_options *tls = &place->tls;
    return lark__cli_format(arena, "    lark_redis %s \"%s\"%s%s%s%s%s;\n", name, url,
                            redis_word(arena, "password_file", place->password.len == 0 ? NULL : password_file),
                            redis_word(arena, "ca", tls->ca), redis_word(arena, "cert", tls->cert),
                            redis_word(arena, "key", tls->key), redis_word(arena, "server_name", tls->name));
}

static const char *make_redis(struct lark_arena *arena, const struct lark_settings *settings, const char *state_dir)
{
    const char *data = make_place(arena, "main", settings->redis_url, &settings->redis,
                                  lark__cli_format(arena, "%s/" LARK_NGINX_PASSWORD, state_dir));
    if (!settings->has_store) return data;
    const char *store = make_place(arena, "tokens", settings->store_url, &settings->store,
                                   lark__cli_format(arena, "%s/" LARK_NGINX_STORE_PASSWORD, state_dir));
    return lark__cli_format(arena, "%s%s", data, store);
}

/* One JSON object a line. No key, value or credential is in it: the target holds keys, and is there only when it is asked for. A
 * status that nginx does not have is 000, which is no number of JSON. */
static const char *make_log_format(struct lark_arena *arena, const struct lark_settings *settings)
{
    if (settings->access_log == NULL) return "";
    return lark__cli_format(
        arena,
        "    map $status $lark_log_status {\n"
        "        default $status;\n"
        "        000 0;\n"
        "    }\n"
        "    log_format lark escape=json '{\"time\": \"$time_iso8601\", \"route\": \"$lark_route\", "
        "\"verb\": \"$request_method\", \"method\": \"$lark_method\", \"caller\": \"$lark_caller\", "
        "\"address\": \"$remote_addr\", \"status\": $lark_log_status, \"error\": \"$lark_error\", "
        "\"received\": $request_length, \"sent\": $bytes_sent, \"duration_s\": $lark_time, "
        "\"redis_s\": $lark_redis_time, \"request_id\": \"$lark_request_id\", "
        "\"trace_id\": \"$lark_trace_id\"%s}';\n",
        settings->access_log_paths ? ", \"target\": \"$lark_target\"" : "");
}

static const char *make_http(struct lark_arena *arena, const struct lark_settings *settings, const char *state_dir)
{
    const char *log =
        settings->access_log == NULL ? "off" : lark__cli_format(arena, "\"%s\" lark", settings->access_log);
    char *paths = lark__cli_format(arena, "%s", "");
    static const char *const temp[] = {"client_body", "proxy", "fastcgi", "uwsgi", "scgi"};
    for (size_t i = 0; i < sizeof(temp) / sizeof(*temp); i++)
        paths = lark__cli_format(arena, "%s    %s_temp_path \"%s/" LARK_NGINX_TEMP "/%s\";\n", paths, temp[i],
                                 state_dir, temp[i]);
    return lark__cli_format(arena,
                            "    default_type application/octet-stream;\n"
                            "%s"
                            "    access_log %s;\n"
                            "%s"
                            "    server_tokens off;\n"
                            "    merge_slashes off;\n"
                            "    keepalive_requests 1000000000;\n"
                            "    reset_timedout_connection on;\n"
                            "    client_header_buffer_size 4k;\n"
                            "    large_client_header_buffers 8 64k;\n"
                            "    client_body_buffer_size 64k;\n"
                            "    client_max_body_size 683m;\n",
                            make_log_format(arena, settings), log, paths);
}

/* The host names as a regular expression; in brackets dots and brackets are themselves. */
static const char *host_pattern(struct lark_arena *arena, const char *hosts)
{
    size_t n = 0;
    char *out = lark__cli_format(arena, "%*s", (int)(3 * strlen(hosts)), "");
    for (const char *p = hosts; *p != '\0'; p++) {
        if (*p == ' ') {
            out[n++] = '|';
        } else if (*p == '.' || *p == '[' || *p == ']') {
            out[n++] = '[';
            out[n++] = *p;
            out[n++] = ']';
        } else {
            out[n++] = *p;
        }
    }
    out[n] = '\0';
    return out;
}

/* The OpenAPI document is nginx' to serve: the module's checks do not reach it. Both hosts of a request (the target may
 * have one, too) must be known for the map to name a file that is there. */
static const char *make_document_map(struct lark_arena *arena, const struct lark_settings *settings)
{
    const char *hosts = host_pattern(arena, settings->hosts);
    return lark__cli_format(arena,
                            "    map \"$host $http_host\" $lark_document {\n"
                            "        default /none;\n"
                            "        \"~*^(%s) (%s)[.]?(:[0-9]*)?$\" /" LARK_NGINX_DOCUMENT ";\n"
                            "    }\n",
                            hosts, hosts);
}

static const char *make_document(struct lark_arena *arena, const struct lark_settings *settings, const char *state_dir)
{
    return lark__cli_format(arena,
                            "        location = /openapi.json {\n"
                            "            root \"%s\";\n"
                            "            try_files $lark_document =421;\n"
                            "            types {}\n"
                            "            max_ranges 0;\n"
                            "            default_type application/json;\n"
                            "            add_header X-Content-Type-Options nosniff;\n"
                            "            add_header Cross-Origin-Resource-Policy same-origin;\n"
                            "            add_header Cache-Control no-cache;\n"
                            "%s"
                            "        }\n",
                            state_dir, lark__web_settings_document(&settings->web));
}

static const char *make_credentials(struct lark_arena *arena, const struct lark_settings *settings,
                                    const char *state_dir)
{
    const char *tokens =
        settings->tokens == NULL
            ? ""
            : lark__cli_format(arena, "        lark_tokens \"%s/" LARK_NGINX_TOKENS "\";\n", state_dir);
    return lark__cli_format(arena, "%s%s%s%s%s", tokens,
                            settings->has_store ? "        lark_token_store tokens;\n" : "",
                            settings->require_prefix ? "        lark_require_prefix on;\n" : "",
                            settings->insecure ? "        lark_insecure on;\n" : "",
                            lark__nginx_oauth_directives(arena, &settings->oauth, state_dir));
}

static const char *make_server(struct lark_arena *arena, const struct lark_settings *settings, const char *state_dir)
{
    const bool tls = settings->tls_cert != NULL;
    const char *certificate = !tls ? ""
                                   : lark__cli_format(arena,
                                                      "        ssl_certificate \"%s\";\n"
                                                      "        ssl_certificate_key \"%s\";\n"
                                                      "        ssl_protocols TLSv1.2 TLSv1.3;\n"
                                                      "        ssl_session_cache shared:lark:1m;\n",
                                                      settings->tls_cert, settings->tls_key);
    const char *scopes = settings->scopes[0] == '\0'
                             ? ""
                             : lark__cli_format(arena, "        lark_default_scopes %s;\n", settings->scopes);
    const char *rest = settings->mount[0] == '\0' ? "" : "        location / {\n            return 404;\n        }\n";
    return lark__cli_format(
        arena,
        "    server {\n"
        "        listen %s%s;\n"
        "        server_name _;\n"
        "%s%s"
        "        error_page 400 403 404 405 408 411 412 413 414 415 416 417 421 429 494 495 496 497 500 "
        "501 502 503 504 505 /lark-error;\n"
        "%s%s"
        "        lark_allowed_hosts %s;\n"
        "        location %s/ {\n"
        "            lark main;\n"
        "%s"
        "        }\n"
        "        location = /healthz {\n"
        "            lark_health main;\n"
        "        }\n"
        "        location = /readyz {\n"
        "            lark_ready main%s;\n"
        "        }\n"
        "        location = /metrics {\n"
        "            lark_metrics;\n"
        "        }\n"
        "%s%s"
        "        location = /lark-error {\n"
        "            internal;\n"
        "            lark_error;\n"
        "        }\n"
        "%s"
        "    }\n",
        settings->listen.text, tls ? " ssl http2" : "", certificate, lark__web_settings_server(arena, &settings->web),
        scopes, make_credentials(arena, settings, state_dir), settings->hosts, settings->mount,
        lark__web_settings_api(arena, &settings->web), settings->has_store ? " tokens" : "",
        lark__nginx_oauth_locations(arena, settings), make_document(arena, settings, state_dir), rest);
}

char *lark__nginx_config_make(struct lark_arena *arena, const struct lark_settings *settings, const char *state_dir,
                              const char *module, bool as_root)
{
    return lark__cli_format(arena, "%shttp {\n%s%s%s%s\n%s}\n", make_main(arena, settings, state_dir, module, as_root),
                            make_redis(arena, settings, state_dir), make_http(arena, settings, state_dir),
                            make_document_map(arena, settings), lark__web_settings_http(&settings->web),
                            make_server(arena, settings, state_dir));
}
