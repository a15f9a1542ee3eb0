/* The directive lark_redis. */
#include "ngx_http_lark.h"

#define PASSWORD_MAX 4096

/* What may stand behind name and URL, each once. */
enum word { WORD_PASSWORD_FILE, WORD_CA, WORD_CERT, WORD_KEY, WORD_SERVER_NAME, N_WORDS };
static const ngx_str_t word_names[N_WORDS] = {
    NGX_HTTP_LARK_TEXT("password_file="), NGX_HTTP_LARK_TEXT("ca="),          NGX_HTTP_LARK_TEXT("cert="),
    NGX_HTTP_LARK_TEXT("key="),           NGX_HTTP_LARK_TEXT("server_name="),
};

ngx_http_lark_redis_t *ngx_http_lark_find_redis(ngx_http_lark_main_conf_t *conf, ngx_str_t *name)
{
    ngx_http_lark_redis_t **redis = conf->redis.elts;
    for (ngx_uint_t i = 0; i < conf->redis.nelts; i++) {
        if (redis[i]->name.len == name->len && ngx_memcmp(redis[i]->name.data, name->data, name->len) == 0) {
            return redis[i];
        }
    }
    return NULL;
}

static char *resolve(ngx_conf_t *cf, ngx_http_lark_redis_t *redis, const struct lark_redis_url *url)
{
    ngx_url_t *u = &redis->url;
    struct lark_slice place = url->is_unix ? url->path : url->host;
    ngx_uint_t is_literal =
        ngx_strlchr((u_char *)(uintptr_t)place.p, (u_char *)(uintptr_t)place.p + place.len, ':') != NULL;
    u_char *text = ngx_pnalloc(cf->pool, place.len + sizeof("unix:[]:65535"));
    if (text == NULL) {
        return NGX_CONF_ERROR;
    }
    u_char *end = text;
    const char *before = url->is_unix ? "unix:" : is_literal ? "[" : "";
    end = ngx_sprintf(end, "%s%*s%s", before, place.len, place.p, !url->is_unix && is_literal ? "]" : "");
    if (!url->is_unix) {
        end = ngx_sprintf(end, ":%ui", (ngx_uint_t)url->port);
    }
    ngx_memzero(u, sizeof(ngx_url_t));
    u->url.data = text;
    u->url.len = (size_t)(end - text);
    if (ngx_parse_url(cf->pool, u) != NGX_OK || u->naddrs == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "lark_redis: %s in \"%V\"", u->err == NULL ? "no address" : u->err,
                           &u->url);
        return NGX_CONF_ERROR;
    }
    return NGX_CONF_OK;
}

static char *read_url(ngx_conf_t *cf, ngx_http_lark_redis_t *redis, ngx_str_t *word, struct lark_redis_url *out_url)
{
    struct lark_err err;
    u_char *storage = ngx_pnalloc(cf->pool, word->len + 1);
    if (storage == NULL) {
        return NGX_CONF_ERROR;
    }
    if (lark_redis_url_parse(ngx_http_lark_slice(*word), storage, out_url, &err) != LARK_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "lark_redis: %s%s%*s", err.text, err.got.len > 0 ? ": " : "",
                           err.got.len, err.got.p);
        return NGX_CONF_ERROR;
    }
    redis->login.user = out_url->user;
    redis->login.password = out_url->password;
    redis->login.db = out_url->db;
    return resolve(cf, redis, out_url);
}

static char *read_words(ngx_conf_t *cf, ngx_str_t out_values[N_WORDS])
{
    return ngx_http_lark_read_words(
        cf, 3, word_names, N_WORDS,
        "lark_redis takes password_file=PATH, ca=PATH, cert=PATH, key=PATH and server_name=NAME behind the URL",
        out_values);
}

/* A path from the configuration's folder on; NULL when the word is not there. */
static ngx_int_t full_path(ngx_conf_t *cf, ngx_str_t *value, const char **out_path)
{
    *out_path = NULL;
    if (value->len > 0 && ngx_conf_full_name(cf->cycle, value, 1) != NGX_OK) {
        return NGX_ERROR;
    }
    *out_path = value->len > 0 ? (const char *)value->data : NULL;
    return NGX_OK;
}

static char *set_tls(ngx_conf_t *cf, ngx_http_lark_redis_t *redis, const struct lark_redis_url *url,
                     ngx_str_t values[N_WORDS])
{
    struct lark_tls_options options;
    ngx_str_t host = {url->host.len, (u_char *)(uintptr_t)url->host.p};
    if (!url->is_tls) {
        for (ngx_uint_t w = WORD_CA; w < N_WORDS; w++) {
            if (values[w].len > 0) {
                return ngx_http_lark_conf_error("has a word of TLS, but its URL does not begin with rediss://");
            }
        }
        return NGX_CONF_OK;
    }
    if ((values[WORD_CERT].len > 0) != (values[WORD_KEY].len > 0)) {
        return ngx_http_lark_conf_error("takes cert= and key= together");
    }
    ngx_str_t *name = values[WORD_SERVER_NAME].len > 0 ? &values[WORD_SERVER_NAME] : &host;
    u_char *text = ngx_pcalloc(cf->pool, name->len + 1);
    if (text == NULL || full_path(cf, &values[WORD_CA], &options.ca) != NGX_OK ||
        full_path(cf, &values[WORD_CERT], &options.cert) != NGX_OK ||
        full_path(cf, &values[WORD_KEY], &options.key) != NGX_OK) {
        return NGX_CONF_ERROR;
    }
    ngx_memcpy(text, name->data, name->len);
    options.name = (const char *)text;
    return ngx_http_lark_tls_create(cf, redis, &options) == NGX_OK ? NGX_CONF_OK : NGX_CONF_ERROR;
}

char *ngx_http_lark_set_redis(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    static const struct lark_slice client_name = {(const uint8_t *)"lark", 4};
    ngx_http_lark_main_conf_t *lmcf = conf;
    ngx_str_t *words = cf->args->elts;
    ngx_str_t values[N_WORDS];
    struct lark_redis_url url;
    (void)cmd;
    if (ngx_http_lark_find_redis(lmcf, &words[1]) != NULL) {
        return ngx_http_lark_conf_error("is duplicate");
    }
    ngx_http_lark_redis_t **slot = ngx_array_push(&lmcf->redis);
    ngx_http_lark_redis_t *redis = ngx_pcalloc(cf->pool, sizeof(ngx_http_lark_redis_t));
    if (slot == NULL || redis == NULL) {
        return NGX_CONF_ERROR;
    }
    *slot = redis;
    redis->name = words[1];
    redis->login.name = client_name;
    ngx_str_t password = ngx_null_string;
    char *rv = read_words(cf, values);
    if (rv == NGX_CONF_OK) {
        rv = read_url(cf, redis, &words[2], &url);
    }
    if (rv == NGX_CONF_OK && values[WORD_PASSWORD_FILE].len > 0) {
        rv = ngx_http_lark_read_line(cf, "lark_redis: password_file", "password", values[WORD_PASSWORD_FILE],
                                     PASSWORD_MAX, &password);
        redis->login.password = ngx_http_lark_slice(password);
    }
    if (rv == NGX_CONF_OK && redis->login.user.len > 0 && redis->login.password.len == 0) {
        return ngx_http_lark_conf_error(
            "has a user but no password: a password alone is written redis://:password@host");
    }
    return rv == NGX_CONF_OK ? set_tls(cf, redis, &url, values) : rv;
}
