/* Where credentials are kept: tokens files, read by the master when it reads the configuration. */
#include "ngx_http_lark.h"

ngx_uint_t ngx_http_lark_has_source(const ngx_http_lark_loc_conf_t *conf)
{
    return conf->tokens != NULL || conf->store != NULL || conf->oauth.keys != NULL || conf->oauth.introspect != NULL;
}

/* ---- a tokens file ---- */

typedef struct {
    ngx_conf_t *cf;
    ngx_str_t *path;
} warning_t;

static void warn(void *data, const char *text)
{
    warning_t *warning = data;
    ngx_conf_log_error(NGX_LOG_WARN, warning->cf, 0, "lark_tokens \"%V\": %s", warning->path, text);
}

static void free_tokens(void *data)
{
    lark_tokens_free(data);
}

static ngx_int_t load(ngx_conf_t *cf, ngx_str_t *path, struct lark_tokens **out_tokens)
{
    ngx_str_t text = ngx_null_string;
    struct lark_tokens_error error;
    warning_t warning = {cf, path};
    ngx_file_info_t info;
    ngx_pool_cleanup_t *cleanup = ngx_pool_cleanup_add(cf->pool, 0);
    if (cleanup == NULL || ngx_http_lark_read_file(cf->log, NGX_LOG_EMERG, "lark_tokens", path, LARK_TOKENS_FILE_MAX,
                                                   &text, &info) != NGX_OK) {
        return NGX_ERROR;
    }
    enum lark_status status = lark_tokens_parse(&ngx_http_lark_mem, lark_catalogue_default(), ngx_http_lark_slice(text),
                                                warn, &warning, out_tokens, &error);
    ngx_free(text.data);
    if (status != LARK_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "lark_tokens \"%V\": %s", path, error.text);
        return NGX_ERROR;
    }
    cleanup->handler = free_tokens;
    cleanup->data = *out_tokens;
    return NGX_OK;
}

/* A file that several places name is read once. */
static ngx_http_lark_token_file_t *known_file(ngx_http_lark_main_conf_t *lmcf, ngx_str_t *path)
{
    ngx_http_lark_token_file_t *files = lmcf->token_files.elts;
    for (ngx_uint_t i = 0; i < lmcf->token_files.nelts; i++) {
        if (files[i].path.len == path->len && ngx_memcmp(files[i].path.data, path->data, path->len) == 0) {
            return &files[i];
        }
    }
    return NULL;
}

char *ngx_http_lark_set_tokens(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_lark_loc_conf_t *llcf = conf;
    ngx_http_lark_main_conf_t *lmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_lark_module);
    ngx_str_t path = ((ngx_str_t *)cf->args->elts)[1];
    (void)cmd;
    if (llcf->tokens != NULL) {
        return ngx_http_lark_conf_error("is duplicate");
    }
    if (path.len == 0 || ngx_conf_full_name(cf->cycle, &path, 1) != NGX_OK) {
        return ngx_http_lark_conf_error("needs a file");
    }
    ngx_http_lark_token_file_t *file = known_file(lmcf, &path);
    if (file == NULL) {
        struct lark_tokens *tokens = NULL;
        if (load(cf, &path, &tokens) != NGX_OK) {
            return NGX_CONF_ERROR;
        }
        file = ngx_array_push(&lmcf->token_files);
        if (file == NULL) {
            return NGX_CONF_ERROR;
        }
        file->path = path;
        file->tokens = tokens;
    }
    llcf->tokens = file->tokens;
    return NGX_CONF_OK;
}

/* ---- a token store ---- */

char *ngx_http_lark_set_token_store(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_lark_loc_conf_t *llcf = conf;
    (void)cmd;
    if (llcf->store_name.data != NULL) {
        return ngx_http_lark_conf_error("is duplicate");
    }
    llcf->store_name = ((ngx_str_t *)cf->args->elts)[1];
    return NGX_CONF_OK;
}

static char *find_store(ngx_conf_t *cf, ngx_http_lark_loc_conf_t *conf)
{
    ngx_http_lark_main_conf_t *lmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_lark_module);
    conf->store = ngx_http_lark_find_redis(lmcf, &conf->store_name);
    if (conf->store == NULL) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0, "lark_token_store: there is no lark_redis \"%V\"", &conf->store_name);
        return NGX_CONF_ERROR;
    }
    ngx_http_lark_store_prepare(conf->store);
    return NGX_CONF_OK;
}

static ngx_uint_t same_place(const ngx_http_lark_redis_t *a, const ngx_http_lark_redis_t *b)
{
    if (a->login.db != b->login.db) {
        return 0;
    }
    for (ngx_uint_t i = 0; i < a->url.naddrs; i++) {
        for (ngx_uint_t k = 0; k < b->url.naddrs; k++) {
            if (ngx_cmp_sockaddr(a->url.addrs[i].sockaddr, a->url.addrs[i].socklen, b->url.addrs[k].sockaddr,
                                 b->url.addrs[k].socklen, 1) == NGX_OK) {
                return 1;
            }
        }
    }
    return 0;
}

/* Who may write keys beside the tokens would write himself one. By address and database; `lark serve` asks both who they are. */
ngx_int_t ngx_http_lark_check_stores(ngx_conf_t *cf)
{
    ngx_http_lark_main_conf_t *lmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_lark_module);
    ngx_http_lark_redis_t **redis = lmcf->redis.elts;
    for (ngx_uint_t i = 0; i < lmcf->redis.nelts; i++) {
        for (ngx_uint_t k = 0; redis[i]->is_store && k < lmcf->redis.nelts; k++) {
            if (redis[k]->is_data && same_place(redis[i], redis[k])) {
                ngx_log_error(
                    NGX_LOG_EMERG, cf->log, 0,
                    "lark_token_store \"%V\" is the database of \"lark %V\": who may write keys there would make "
                    "himself admin; give the tokens a Redis or a database of their own",
                    &redis[i]->name, &redis[k]->name);
                return NGX_ERROR;
            }
        }
    }
    return NGX_OK;
}

/* ---- the configuration ---- */

char *ngx_http_lark_merge_tokens(ngx_conf_t *cf, ngx_http_lark_loc_conf_t *prev, ngx_http_lark_loc_conf_t *conf)
{
    if (conf->tokens == NULL) {
        conf->tokens = prev->tokens;
    }
    if (conf->store_name.data == NULL) {
        conf->store_name = prev->store_name;
    }
    if ((conf->is_api || conf->is_metrics) && conf->store_name.data != NULL && find_store(cf, conf) != NGX_CONF_OK) {
        return NGX_CONF_ERROR;
    }
    if (conf->is_api && conf->require_prefix && conf->scopes != NULL) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "lark_default_scopes lets callers without credentials at all keys of \"lark %V\", where "
                      "lark_require_prefix is on: remove one of them",
                      &conf->redis_name);
        return NGX_CONF_ERROR;
    }
    return NGX_CONF_OK;
}
