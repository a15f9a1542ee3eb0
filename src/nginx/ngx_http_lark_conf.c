#include "ngx_http_lark.h"

/* Bounds of a directive, behind what nginx calls after its own slot function has read the value. */
typedef struct {
    ngx_conf_post_handler_pt post_handler;
    int64_t low;
    int64_t high;
    const char *low_text;
    const char *high_text;
} ngx_http_lark_bounds_t;

static char *ngx_http_lark_check_size(ngx_conf_t *cf, void *post, void *data);
static char *ngx_http_lark_check_number(ngx_conf_t *cf, void *post, void *data);
static char *ngx_http_lark_set_lark(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
static char *ngx_http_lark_set_health(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
static char *ngx_http_lark_set_ready(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
static char *ngx_http_lark_set_error(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
static char *ngx_http_lark_set_metadata(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
static char *ngx_http_lark_set_metrics(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
static char *ngx_http_lark_set_scopes(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
static char *ngx_http_lark_set_hosts(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

#include "ngx_http_lark_directives.inc"

static const char conf_error_text[] = "is duplicate";

static char *check(ngx_conf_t *cf, const ngx_http_lark_bounds_t *bounds, int64_t value)
{
    ngx_str_t *words = cf->args->elts;
    if (value >= bounds->low && value <= bounds->high) {
        return NGX_CONF_OK;
    }
    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "%V must be from %s to %s, not \"%V\"", &words[0], bounds->low_text,
                       bounds->high_text, &words[1]);
    return NGX_CONF_ERROR;
}

static char *ngx_http_lark_check_size(ngx_conf_t *cf, void *post, void *data)
{
    return check(cf, post, (int64_t) * (size_t *)data); /* ngx_msec_t is as wide */
}

static char *ngx_http_lark_check_number(ngx_conf_t *cf, void *post, void *data)
{
    return check(cf, post, *(ngx_int_t *)data);
}

/* ---- what a location answers ---- */

static char *set_handler(ngx_conf_t *cf, void *conf, ngx_http_handler_pt handler, const char *route)
{
    ngx_http_lark_loc_conf_t *llcf = conf;
    ngx_http_core_loc_conf_t *clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    if (clcf->handler != NULL) {
        return ngx_http_lark_conf_error("cannot stand beside another handler of the same location");
    }
    clcf->handler = handler;
    llcf->route.data = (u_char *)(uintptr_t)route;
    llcf->route.len = ngx_strlen(route);
    return NGX_CONF_OK;
}

static char *set_name(ngx_conf_t *cf, ngx_http_lark_loc_conf_t *llcf)
{
    ngx_str_t *words = cf->args->elts;
    if (llcf->redis_name.data != NULL) {
        return ngx_http_lark_conf_error(conf_error_text);
    }
    llcf->redis_name = words[1];
    return NGX_CONF_OK;
}

/* The mount point is compared with the raw path, to the byte: only a prefix can be one. */
static char *ngx_http_lark_set_lark(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_lark_loc_conf_t *llcf = conf;
    ngx_http_core_loc_conf_t *clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    ngx_uint_t is_regex = 0;
    (void)cmd;
#if (NGX_PCRE)
    is_regex = clcf->regex != NULL;
#endif
    if (is_regex || clcf->exact_match || clcf->named || clcf->noname || clcf->name.len == 0 ||
        clcf->name.data[0] != '/') {
        return ngx_http_lark_conf_error("needs a prefix location, as in \"location /api/0/ { ... }\"");
    }
    llcf->mount = clcf->name;
    if (llcf->mount.data[llcf->mount.len - 1] == '/') {
        llcf->mount.len--;
    }
    llcf->is_api = 1;
    char *rv = set_name(cf, llcf);
    return rv == NGX_CONF_OK ? set_handler(cf, conf, ngx_http_lark_handler, "api") : rv;
}

/* The names, which become what they name when all is read (merge_pinged). */
static char *set_pinged(ngx_conf_t *cf, ngx_http_lark_loc_conf_t *llcf, const char *route)
{
    ngx_str_t *words = cf->args->elts;
    if (llcf->pinged != NULL) {
        return ngx_http_lark_conf_error(conf_error_text);
    }
    llcf->pinged = ngx_array_create(cf->pool, cf->args->nelts, sizeof(ngx_str_t));
    ngx_str_t *names = llcf->pinged == NULL ? NULL : ngx_array_push_n(llcf->pinged, cf->args->nelts - 1);
    if (names == NULL) {
        return NGX_CONF_ERROR;
    }
    ngx_memcpy(names, words + 1, llcf->pinged->nelts * sizeof(ngx_str_t));
    return set_handler(cf, llcf, ngx_http_lark_health_handler, route);
}

static char *ngx_http_lark_set_health(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    (void)cmd;
    return set_pinged(cf, conf, "health");
}

static char *ngx_http_lark_set_ready(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    (void)cmd;
    ((ngx_http_lark_loc_conf_t *)conf)->is_ready = 1;
    return set_pinged(cf, conf, "ready");
}

static char *ngx_http_lark_set_error(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    (void)cmd;
    return set_handler(cf, conf, ngx_http_lark_error_handler, "error");
}

static char *ngx_http_lark_set_metadata(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    (void)cmd;
    ((ngx_http_lark_loc_conf_t *)conf)->oauth.tells = 1;
    return set_handler(cf, conf, ngx_http_lark_metadata_handler, "resource_metadata");
}

static char *ngx_http_lark_set_metrics(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_lark_loc_conf_t *llcf = conf;
    (void)cmd;
    llcf->is_metrics = 1;
    return set_handler(cf, conf, ngx_http_lark_metrics_handler, "metrics");
}

/* ---- scopes and hosts ---- */

static char *unknown_scope(ngx_conf_t *cf, ngx_str_t *word)
{
    struct lark_slice near[3];
    size_t n = lark_scopes_near(lark_catalogue_default(), ngx_http_lark_slice(*word), near, 3);
    u_char text[256];
    u_char *end = text;
    for (size_t i = 0; i < n; i++) {
        end = ngx_slprintf(end, text + sizeof(text), "%s\"%*s\"", i == 0 ? "; did you mean " : ", ", near[i].len,
                           near[i].p);
    }
    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "lark_default_scopes: there is no scope \"%V\"%*s", word,
                       (size_t)(end - text), text);
    return NGX_CONF_ERROR;
}

static char *ngx_http_lark_set_scopes(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_lark_loc_conf_t *llcf = conf;
    ngx_str_t *words = cf->args->elts;
    (void)cmd;
    if (llcf->scopes != NULL) {
        return ngx_http_lark_conf_error(conf_error_text);
    }
    llcf->scopes = ngx_pcalloc(cf->pool, sizeof(struct lark_scopes));
    if (llcf->scopes == NULL) {
        return NGX_CONF_ERROR;
    }
    for (ngx_uint_t i = 1; i < cf->args->nelts; i++) {
        if (lark_scopes_add(lark_catalogue_default(), ngx_http_lark_slice(words[i]), llcf->scopes) != LARK_OK) {
            return unknown_scope(cf, &words[i]);
        }
    }
    return NGX_CONF_OK;
}

static ngx_uint_t is_host_name(ngx_str_t *name)
{
    ngx_uint_t is_literal = name->len > 1 && name->data[0] == '[' && name->data[name->len - 1] == ']';
    if (name->len == 0 || name->data[0] == '.') {
        return 0;
    }
    for (size_t i = 0; i < name->len; i++) {
        u_char byte = name->data[i];
        if (byte <= ' ' || byte >= 0x7f || byte == '/' || byte == '*' || byte == '~' || (byte == ':' && !is_literal)) {
            return 0;
        }
    }
    return 1;
}

static char *ngx_http_lark_set_hosts(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_lark_loc_conf_t *llcf = conf;
    ngx_str_t *words = cf->args->elts;
    (void)cmd;
    if (llcf->hosts != NULL) {
        return ngx_http_lark_conf_error(conf_error_text);
    }
    llcf->hosts = ngx_array_create(cf->pool, cf->args->nelts, sizeof(ngx_str_t));
    if (llcf->hosts == NULL) {
        return NGX_CONF_ERROR;
    }
    for (ngx_uint_t i = 1; i < cf->args->nelts; i++) {
        if (!is_host_name(&words[i])) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "lark_allowed_hosts: \"%V\" is no host name (write it without a port and wildcards, an "
                               "IPv6 address in brackets)",
                               &words[i]);
            return NGX_CONF_ERROR;
        }
        ngx_str_t *host = ngx_array_push(llcf->hosts);
        if (host == NULL) {
            return NGX_CONF_ERROR;
        }
        *host = words[i];
        ngx_strlow(host->data, host->data, host->len);
    }
    return NGX_CONF_OK;
}

/* The exact names of the server; not its wildcards, not its regular expressions. */
static char *hosts_of_server(ngx_conf_t *cf, ngx_http_lark_loc_conf_t *llcf)
{
    ngx_http_core_srv_conf_t *cscf = ngx_http_conf_get_module_srv_conf(cf, ngx_http_core_module);
    ngx_http_server_name_t *names = cscf->server_names.elts;
    llcf->hosts = ngx_array_create(cf->pool, 4, sizeof(ngx_str_t));
    if (llcf->hosts == NULL) {
        return NGX_CONF_ERROR;
    }
    for (ngx_uint_t i = 0; i < cscf->server_names.nelts; i++) {
        ngx_uint_t is_regex = 0;
#if (NGX_PCRE)
        is_regex = names[i].regex != NULL;
#endif
        if (is_regex || !is_host_name(&names[i].name)) {
            continue;
        }
        ngx_str_t *host = ngx_array_push(llcf->hosts);
        if (host == NULL) {
            return NGX_CONF_ERROR;
        }
        *host = names[i].name;
    }
    if (llcf->hosts->nelts == 0) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"lark %V\" would answer no Host: give the server a server_name, or lark_allowed_hosts",
                      &llcf->redis_name);
        return NGX_CONF_ERROR;
    }
    return NGX_CONF_OK;
}

/* Where nobody says more: the names that a program on this machine uses for it. */
static char *hosts_of_machine(ngx_conf_t *cf, ngx_http_lark_loc_conf_t *llcf)
{
    static const ngx_str_t names[] = {NGX_HTTP_LARK_TEXT("localhost"), NGX_HTTP_LARK_TEXT("127.0.0.1"),
                                      NGX_HTTP_LARK_TEXT("[::1]")};
    llcf->hosts = ngx_array_create(cf->pool, 3, sizeof(ngx_str_t));
    ngx_str_t *hosts = llcf->hosts == NULL ? NULL : ngx_array_push_n(llcf->hosts, 3);
    if (hosts == NULL) {
        return NGX_CONF_ERROR;
    }
    ngx_memcpy(hosts, names, sizeof(names));
    return NGX_CONF_OK;
}

/* ---- the configuration's life ---- */

void *ngx_http_lark_create_main_conf(ngx_conf_t *cf)
{
    ngx_http_lark_main_conf_t *conf = ngx_pcalloc(cf->pool, sizeof(ngx_http_lark_main_conf_t));
    if (conf == NULL || ngx_array_init(&conf->redis, cf->pool, 2, sizeof(ngx_http_lark_redis_t *)) != NGX_OK ||
        ngx_array_init(&conf->token_files, cf->pool, 1, sizeof(ngx_http_lark_token_file_t)) != NGX_OK ||
        ngx_array_init(&conf->keys, cf->pool, 1, sizeof(ngx_http_lark_keys_t *)) != NGX_OK ||
        ngx_array_init(&conf->oauth, cf->pool, 1, sizeof(ngx_http_lark_oauth_t *)) != NGX_OK ||
        ngx_array_init(&conf->introspect, cf->pool, 1, sizeof(ngx_http_lark_introspect_t *)) != NGX_OK) {
        return NULL;
    }
    conf->connect_timeout = NGX_CONF_UNSET_MSEC;
    conf->queue_max = NGX_CONF_UNSET;
    conf->pool_max = NGX_CONF_UNSET;
    conf->spool_max = NGX_CONF_UNSET_SIZE;
    conf->block_calls_max = NGX_CONF_UNSET;
    conf->rate_zone_size = NGX_CONF_UNSET_SIZE;
    return conf;
}

char *ngx_http_lark_init_main_conf(ngx_conf_t *cf, void *data)
{
    ngx_http_lark_main_conf_t *conf = data;
    ngx_http_lark_redis_t **redis = conf->redis.elts;
    ngx_conf_init_msec_value(conf->connect_timeout, LARK_CONNECT_TIMEOUT_DEFAULT);
    ngx_conf_init_value(conf->queue_max, LARK_QUEUE_MAX_DEFAULT);
    ngx_conf_init_value(conf->pool_max, LARK_POOL_MAX_DEFAULT);
    ngx_conf_init_size_value(conf->spool_max, LARK_SPOOL_MAX_DEFAULT);
    ngx_conf_init_value(conf->block_calls_max, LARK_BLOCK_CALLS_MAX_DEFAULT);
    ngx_conf_init_size_value(conf->rate_zone_size, LARK_RATE_ZONE_DEFAULT);
    if (conf->redis.nelts > 0 &&
        (ngx_http_lark_add_rate_zone(cf, conf) != NGX_OK || ngx_http_lark_add_stats_zone(cf, conf) != NGX_OK)) {
        return NGX_CONF_ERROR;
    }
    for (ngx_uint_t i = 0; i < conf->redis.nelts; i++) {
        redis[i]->connect_timeout = conf->connect_timeout;
        redis[i]->queue_max = (ngx_uint_t)conf->queue_max;
        redis[i]->pool_max = (ngx_uint_t)conf->pool_max;
        redis[i]->block_calls_max = (ngx_uint_t)conf->block_calls_max;
    }
    return NGX_CONF_OK;
}

void *ngx_http_lark_create_loc_conf(ngx_conf_t *cf)
{
    ngx_http_lark_loc_conf_t *conf = ngx_pcalloc(cf->pool, sizeof(ngx_http_lark_loc_conf_t));
    if (conf == NULL) {
        return NULL;
    }
    conf->timeout = NGX_CONF_UNSET_MSEC;
    conf->block_max = NGX_CONF_UNSET_MSEC;
    conf->body_max = NGX_CONF_UNSET_SIZE;
    conf->value_max = NGX_CONF_UNSET_SIZE;
    conf->reply_max = NGX_CONF_UNSET_SIZE;
    conf->args_max = NGX_CONF_UNSET;
    conf->scan_max = NGX_CONF_UNSET;
    conf->require_prefix = NGX_CONF_UNSET;
    conf->insecure = NGX_CONF_UNSET;
    ngx_http_lark_create_oauth(&conf->oauth);
    return conf;
}

static void fill_config(ngx_conf_t *cf, ngx_http_lark_loc_conf_t *conf)
{
    static const struct lark_scopes nothing;
    ngx_http_core_loc_conf_t *clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    struct lark_limits *limits = &conf->config.limits;
    conf->config.catalogue = lark_catalogue_default();
    conf->config.dialect = lark_dialect_native();
    conf->config.zone = lark_zone_libc();
    conf->config.several = true;
    conf->config.mount = ngx_http_lark_slice(conf->mount);
    lark_limits_default(limits);
    limits->body_bytes = conf->body_max;
    if (clcf->client_max_body_size > 0 && (uint64_t)clcf->client_max_body_size < limits->body_bytes) {
        limits->body_bytes = (uint64_t)clcf->client_max_body_size;
    }
    limits->value_bytes = conf->value_max;
    limits->reply_bytes = conf->reply_max;
    limits->args = (uint32_t)conf->args_max;
    limits->scan_keys = (uint32_t)conf->scan_max;
    limits->block_max_s = (uint32_t)(conf->block_max / 1000);
    conf->principal.scopes = conf->scopes != NULL ? conf->scopes : &nothing;
    conf->principal.unidentified = ngx_http_lark_has_source(conf);
}

static ngx_http_lark_redis_t *redis_named(ngx_conf_t *cf, ngx_http_lark_main_conf_t *lmcf, ngx_str_t *name)
{
    ngx_http_lark_redis_t *redis = ngx_http_lark_find_redis(lmcf, name);
    if (redis == NULL) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0, "there is no lark_redis \"%V\"", name);
    }
    return redis;
}

static char *merge_pinged(ngx_conf_t *cf, ngx_http_lark_main_conf_t *lmcf, ngx_http_lark_loc_conf_t *conf)
{
    ngx_str_t *names = conf->pinged->elts;
    ngx_array_t *pinged = ngx_array_create(cf->pool, conf->pinged->nelts, sizeof(ngx_http_lark_redis_t *));
    for (ngx_uint_t i = 0; i < conf->pinged->nelts; i++) {
        ngx_http_lark_redis_t **redis = pinged == NULL ? NULL : ngx_array_push(pinged);
        if (redis == NULL) {
            return NGX_CONF_ERROR;
        }
        *redis = redis_named(cf, lmcf, &names[i]);
        if (*redis == NULL) {
            return NGX_CONF_ERROR;
        }
    }
    conf->pinged = pinged;
    return NGX_CONF_OK;
}

static char *merge_redis(ngx_conf_t *cf, ngx_http_lark_main_conf_t *lmcf, ngx_http_lark_loc_conf_t *conf)
{
    if (conf->pinged != NULL && merge_pinged(cf, lmcf, conf) != NGX_CONF_OK) {
        return NGX_CONF_ERROR;
    }
    if (conf->redis_name.data == NULL) {
        return NGX_CONF_OK;
    }
    conf->redis = redis_named(cf, lmcf, &conf->redis_name);
    if (conf->redis == NULL) {
        return NGX_CONF_ERROR;
    }
    if (conf->is_api) {
        conf->redis->is_data = 1;
    }
    return NGX_CONF_OK;
}

char *ngx_http_lark_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_lark_loc_conf_t *prev = parent;
    ngx_http_lark_loc_conf_t *conf = child;
    ngx_http_lark_main_conf_t *lmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_lark_module);
    ngx_conf_merge_msec_value(conf->timeout, prev->timeout, LARK_TIMEOUT_DEFAULT);
    ngx_conf_merge_msec_value(conf->block_max, prev->block_max, LARK_BLOCK_MAX_DEFAULT);
    ngx_conf_merge_size_value(conf->body_max, prev->body_max, LARK_BODY_MAX_DEFAULT);
    ngx_conf_merge_size_value(conf->value_max, prev->value_max, LARK_VALUE_MAX_DEFAULT);
    ngx_conf_merge_size_value(conf->reply_max, prev->reply_max, LARK_REPLY_MAX_DEFAULT);
    ngx_conf_merge_value(conf->args_max, prev->args_max, LARK_ARGS_MAX_DEFAULT);
    ngx_conf_merge_value(conf->scan_max, prev->scan_max, LARK_SCAN_MAX_DEFAULT);
    if (conf->scopes == NULL) {
        conf->scopes = prev->scopes;
    }
    if (conf->hosts == NULL) {
        conf->hosts = prev->hosts;
    }
    if (conf->cors_origins == NULL && !conf->is_metrics) { /* no page reads metrics */
        conf->cors_origins = prev->cors_origins;
    }
    ngx_http_lark_merge_rates(conf->rates, prev->rates);
    ngx_conf_merge_value(conf->require_prefix, prev->require_prefix, LARK_REQUIRE_PREFIX_DEFAULT);
    ngx_conf_merge_value(conf->insecure, prev->insecure, LARK_INSECURE_DEFAULT);
    ngx_conf_merge_msec_value(conf->oauth.leeway, prev->oauth.leeway, LARK_OAUTH_LEEWAY_DEFAULT);
    if (ngx_http_lark_merge_oauth(cf, &prev->oauth, &conf->oauth, conf->is_api || conf->is_metrics) != NGX_CONF_OK ||
        ngx_http_lark_merge_tokens(cf, prev, conf) != NGX_CONF_OK) {
        return NGX_CONF_ERROR;
    }
    fill_config(cf, conf);
    if (merge_redis(cf, lmcf, conf) != NGX_CONF_OK) {
        return NGX_CONF_ERROR;
    }
    if (conf->hosts != NULL) {
        return NGX_CONF_OK;
    }
    return conf->is_api ? hosts_of_server(cf, conf) : conf->is_metrics ? hosts_of_machine(cf, conf) : NGX_CONF_OK;
}
