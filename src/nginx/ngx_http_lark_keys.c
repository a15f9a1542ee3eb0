/* An issuer's keys in a file. Read with the configuration, and by each worker anew when the file has been replaced: looked at
 * once a second at most, and only when somebody shows a JWT. A file that is broken leaves the keys that were good in use. With
 * max_age somebody refreshes the file; then keys that were not refreshed for so long are not used: who stops the refreshing
 * would keep a revoked key alive. */
#include "ngx_http_lark.h"

#define DIRECTIVE "lark_oauth_jwks"
#define LOOK_EVERY_MS 1000
#define WISH_EVERY_MS 30000

/* A file as it was seen: another one in its place differs. */
typedef struct {
    ngx_file_uniq_t inode;
    time_t mtime;
    long mtime_ns;
    off_t size;
} seen_t;

/* wanted:     the file that is touched when keys are missing
 * jwks:       NULL: there was no file yet. fresh_s: when the file that they are from was written
 * seen:       the file as it was looked at last, good or broken
 * looked, wished: 0: not yet
 * gone, old:  that is in the log */
struct ngx_http_lark_keys_s {
    ngx_str_t path;
    ngx_str_t wanted;
    time_t max_age_s;
    struct lark_jwks *jwks;
    time_t fresh_s;
    seen_t seen;
    ngx_uint_t generation;
    ngx_msec_t looked;
    ngx_msec_t wished;
    unsigned gone : 1;
    unsigned old : 1;
};

/* ---- a file ---- */

static seen_t seen_of(const ngx_file_info_t *info)
{
    seen_t seen = {ngx_file_uniq(info), ngx_file_mtime(info), info->st_mtim.tv_nsec, ngx_file_size(info)};
    return seen;
}

static ngx_uint_t same(const seen_t *a, const seen_t *b)
{
    return a->inode == b->inode && a->mtime == b->mtime && a->mtime_ns == b->mtime_ns && a->size == b->size;
}

typedef struct {
    ngx_log_t *log;
    ngx_str_t *path;
} warning_t;

static void warn(void *data, const char *text)
{
    warning_t *warning = data;
    ngx_log_error(NGX_LOG_WARN, warning->log, 0, DIRECTIVE " \"%V\": %s", warning->path, text);
}

/* New keys, or the old ones stay. */
static ngx_int_t load(ngx_http_lark_keys_t *keys, ngx_log_t *log, ngx_uint_t level)
{
    ngx_str_t text;
    ngx_file_info_t info;
    struct lark_jwks_error error;
    struct lark_jwks *jwks = NULL;
    warning_t warning = {log, &keys->path};
    if (ngx_http_lark_read_file(log, level, DIRECTIVE, &keys->path, LARK_JWKS_FILE_MAX, &text, &info) != NGX_OK) {
        return NGX_ERROR;
    }
    keys->seen = seen_of(&info);
    enum lark_status status =
        lark_jwks_parse(&ngx_http_lark_mem, ngx_http_lark_slice(text), warn, &warning, &jwks, &error);
    ngx_free(text.data);
    if (status != LARK_OK) {
        ngx_log_error(level, log, 0, DIRECTIVE " \"%V\": %s%s", &keys->path, error.text,
                      keys->jwks == NULL ? "" : "; the keys before it stay in use");
        return NGX_ERROR;
    }
    lark_jwks_free(keys->jwks);
    keys->jwks = jwks;
    keys->fresh_s = keys->seen.mtime;
    keys->generation++;
    return NGX_OK;
}

static void free_keys(void *data)
{
    ngx_http_lark_keys_t *keys = data;
    lark_jwks_free(keys->jwks);
    keys->jwks = NULL;
}

/* ---- the configuration ---- */

/* A file that several places name is read once. */
static ngx_http_lark_keys_t *known(ngx_http_lark_main_conf_t *lmcf, ngx_str_t *path, time_t max_age_s)
{
    ngx_http_lark_keys_t **all = lmcf->keys.elts;
    for (ngx_uint_t i = 0; i < lmcf->keys.nelts; i++) {
        if (all[i]->max_age_s == max_age_s && all[i]->path.len == path->len &&
            ngx_memcmp(all[i]->path.data, path->data, path->len) == 0) {
            return all[i];
        }
    }
    return NULL;
}

/* Who refreshes the file may not have come to it yet. */
static ngx_uint_t may_be_missing(const ngx_http_lark_keys_t *keys)
{
    ngx_file_info_t info;
    return keys->max_age_s > 0 && ngx_file_info(keys->path.data, &info) == NGX_FILE_ERROR && ngx_errno == NGX_ENOENT;
}

ngx_http_lark_keys_t *ngx_http_lark_keys_from_file(ngx_conf_t *cf, ngx_str_t path, time_t max_age_s)
{
    static const char suffix[] = ".refresh-wanted";
    ngx_http_lark_main_conf_t *lmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_lark_module);
    ngx_http_lark_keys_t *keys = known(lmcf, &path, max_age_s);
    if (keys != NULL) {
        return keys;
    }
    ngx_http_lark_keys_t **slot = ngx_array_push(&lmcf->keys);
    ngx_pool_cleanup_t *cleanup = ngx_pool_cleanup_add(cf->pool, 0);
    keys = ngx_pcalloc(cf->pool, sizeof(ngx_http_lark_keys_t));
    u_char *wanted = ngx_pnalloc(cf->pool, path.len + sizeof(suffix));
    if (slot == NULL || cleanup == NULL || keys == NULL || wanted == NULL) {
        return NULL;
    }
    *slot = keys;
    cleanup->handler = free_keys;
    cleanup->data = keys;
    keys->path = path;
    keys->max_age_s = max_age_s;
    keys->wanted.data = wanted;
    keys->wanted.len = path.len + sizeof(suffix) - 1;
    ngx_memcpy(ngx_cpymem(wanted, path.data, path.len), suffix, sizeof(suffix));
    if (may_be_missing(keys)) {
        ngx_log_error(NGX_LOG_WARN, cf->log, 0, DIRECTIVE ": \"%V\" is not there yet: tokens cannot be checked",
                      &keys->path);
        return keys;
    }
    return load(keys, cf->log, NGX_LOG_EMERG) == NGX_OK ? keys : NULL;
}

/* ---- a worker ---- */

static void look(ngx_http_lark_keys_t *keys, ngx_log_t *log)
{
    ngx_file_info_t info;
    if (keys->looked != 0 && ngx_current_msec - keys->looked < LOOK_EVERY_MS) {
        return;
    }
    keys->looked = ngx_current_msec;
    if (ngx_file_info(keys->path.data, &info) == NGX_FILE_ERROR) {
        if (!keys->gone) {
            ngx_log_error(NGX_LOG_ERR, log, ngx_errno, DIRECTIVE " cannot find \"%V\"", &keys->path);
        }
        keys->gone = 1;
        return;
    }
    keys->gone = 0;
    seen_t seen = seen_of(&info);
    if (same(&seen, &keys->seen)) {
        return;
    }
    keys->seen = seen; /* what cannot be read is not tried again before it changes */
    if (load(keys, log, NGX_LOG_ERR) == NGX_OK) {
        ngx_log_error(NGX_LOG_NOTICE, log, 0, DIRECTIVE ": %uz keys from \"%V\"", lark_jwks_count(keys->jwks),
                      &keys->path);
    }
}

struct lark_jwks *ngx_http_lark_keys_now(ngx_http_lark_keys_t *keys, ngx_log_t *log)
{
    look(keys, log);
    if (keys->jwks != NULL && (keys->max_age_s == 0 || ngx_time() - keys->fresh_s < keys->max_age_s)) {
        keys->old = 0;
        return keys->jwks;
    }
    if (!keys->old) {
        ngx_log_error(NGX_LOG_ERR, log, 0,
                      DIRECTIVE ": \"%V\" has not been refreshed for %T s: no token is taken by its keys", &keys->path,
                      keys->max_age_s);
    }
    keys->old = 1;
    ngx_http_lark_keys_wish(keys, log);
    return NULL;
}

ngx_uint_t ngx_http_lark_keys_generation(const ngx_http_lark_keys_t *keys)
{
    return keys->generation;
}

/* Closing what was open for writing is seen by who watches the file; the time is for people. */
void ngx_http_lark_keys_wish(ngx_http_lark_keys_t *keys, ngx_log_t *log)
{
    if (keys->max_age_s == 0 || (keys->wished != 0 && ngx_current_msec - keys->wished < WISH_EVERY_MS)) {
        return;
    }
    keys->wished = ngx_current_msec;
    ngx_fd_t fd = open((const char *)keys->wanted.data, O_WRONLY | O_CREAT | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC, 0644);
    if (fd == NGX_INVALID_FILE || ngx_set_file_time(keys->wanted.data, fd, ngx_time()) != NGX_OK) {
        ngx_log_error(NGX_LOG_ERR, log, ngx_errno,
                      DIRECTIVE ": \"%V\" cannot be touched, so nobody knows that new keys are wanted", &keys->wanted);
    }
    if (fd != NGX_INVALID_FILE) {
        (void)ngx_close_file(fd);
    }
}
