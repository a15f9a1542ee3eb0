/* How many requests in a time: of a caller who showed a good credential, else of an address; and how many bad credentials
 * of an address. In shared memory: all workers count together, and a reload forgets nothing.
 *
 * Each caller has one number, the moment until which his requests so far are "paid": a request adds its share of time to
 * it, and is refused when that would reach further into the future than the burst allows (GCRA, ITU-T I.371).
 *
 * The table never grows. Who finds his set full takes over the number of the caller in it who owes least. That number
 * never goes back, so nobody gains by being forgotten; a full table judges too strictly, never too mildly. */
#include "ngx_http_lark.h"

#include <sys/random.h>

#define NS_A_MS UINT64_C(1000000)
#define NS_A_S UINT64_C(1000000000)
#define RATE_MAX 1000000
#define WAYS 8
#define TELL_MS 60000

/* paid_ns: on the clock of ngx_current_msec, which never goes back and is the same in all workers. 0: a free place */
typedef struct {
    uint64_t key;
    uint64_t paid_ns;
} place_t;

/* A table for each kind, so that strangers cannot push callers out.
 * last_paid_ns: no place of the table is later */
typedef struct {
    uint64_t last_paid_ns;
    uint64_t told_ms;
    place_t *places; /* n_sets of WAYS */
} table_t;

typedef struct {
    uint64_t secret[2];
    ngx_uint_t n_sets;
    table_t tables[NGX_HTTP_LARK_N_RATES];
} tables_t;

__extension__ typedef unsigned __int128 u128_t;

/* ---- the directives ---- */

/* "100r/s" or "60r/m" */
static ngx_int_t read_rate(ngx_str_t word, ngx_http_lark_rate_t *out)
{
    static const size_t unit = sizeof("r/s") - 1;
    if (word.len <= unit || ngx_strncmp(word.data + word.len - unit, "r/", 2) != 0) {
        return NGX_ERROR;
    }
    u_char last = word.data[word.len - 1];
    ngx_int_t n = ngx_atoi(word.data, word.len - unit);
    if ((last != 's' && last != 'm') || n < 1 || n > RATE_MAX) {
        return NGX_ERROR;
    }
    out->n = (ngx_uint_t)n;
    out->a_minute = last == 'm';
    out->share_ns = (out->a_minute ? 60 : 1) * NS_A_S / (uint64_t)n;
    return NGX_OK;
}

static ngx_int_t read_burst(ngx_str_t word, ngx_int_t *out)
{
    static const size_t skip = sizeof("burst=") - 1;
    if (word.len <= skip || ngx_strncmp(word.data, "burst=", skip) != 0) {
        return NGX_ERROR;
    }
    *out = ngx_atoi(word.data + skip, word.len - skip);
    return *out >= 1 && *out <= RATE_MAX ? NGX_OK : NGX_ERROR;
}

char *ngx_http_lark_set_rate(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_lark_rate_t *rate = (void *)((char *)conf + cmd->offset);
    ngx_str_t *words = cf->args->elts;
    ngx_int_t burst = 0;
    if (rate->is_set) {
        return ngx_http_lark_conf_error("is duplicate");
    }
    rate->is_set = 1;
    if (cf->args->nelts == 2 && ngx_strcmp(words[1].data, "off") == 0) {
        return NGX_CONF_OK;
    }
    if (cf->args->nelts > 3 || read_rate(words[1], rate) != NGX_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "%V: expected off, or a rate from 1r/m to 1000000r/s and burst=N behind it, got \"%V\"",
                           &words[0], &words[cf->args->nelts > 3 ? 3 : 1]);
        return NGX_CONF_ERROR;
    }
    burst = (ngx_int_t)rate->n;
    if (cf->args->nelts == 3 && read_burst(words[2], &burst) != NGX_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "%V: expected burst=N, N from 1 to 1000000, got \"%V\"", &words[0],
                           &words[2]);
        return NGX_CONF_ERROR;
    }
    rate->ahead_ns = (uint64_t)(burst - 1) * rate->share_ns;
    return NGX_CONF_OK;
}

void ngx_http_lark_merge_rates(ngx_http_lark_rate_t *rates, const ngx_http_lark_rate_t *prev)
{
    /* 60 bad credentials at once, then one a second */
    static const ngx_http_lark_rate_t failures = {60, NS_A_S, 59 * NS_A_S, 1, 1};
    for (ngx_uint_t i = 0; i < NGX_HTTP_LARK_N_RATES; i++) {
        if (!rates[i].is_set) {
            rates[i] = prev[i];
        }
    }
    if (!rates[NGX_HTTP_LARK_RATE_FAILURES].is_set) {
        rates[NGX_HTTP_LARK_RATE_FAILURES] = failures;
    }
}

/* ---- the shared memory ---- */

static ngx_int_t zone_init(ngx_shm_zone_t *zone, void *old)
{
    ngx_slab_pool_t *pool = (ngx_slab_pool_t *)zone->shm.addr;
    if (old != NULL) { /* a reload */
        zone->data = old;
        return NGX_OK;
    }
    size_t set_size = WAYS * sizeof(place_t);
    size_t room = pool->pfree * ngx_pagesize;
    tables_t *tables = ngx_slab_calloc(pool, room);
    if (tables == NULL) {
        return NGX_ERROR;
    }
    place_t *places = (void *)ngx_align_ptr(tables + 1, set_size);
    tables->n_sets = (size_t)((u_char *)tables + room - (u_char *)places) / set_size / NGX_HTTP_LARK_N_RATES;
    for (ngx_uint_t i = 0; i < NGX_HTTP_LARK_N_RATES; i++) {
        tables->tables[i].places = places + i * tables->n_sets * WAYS;
    }
    zone->data = tables;
    return getrandom(tables->secret, sizeof(tables->secret), 0) == sizeof(tables->secret) ? NGX_OK : NGX_ERROR;
}

ngx_int_t ngx_http_lark_add_rate_zone(ngx_conf_t *cf, ngx_http_lark_main_conf_t *conf)
{
    static ngx_str_t name = NGX_HTTP_LARK_TEXT("lark_rates");
    conf->rate_zone = ngx_shared_memory_add(cf, &name, conf->rate_zone_size, &ngx_http_lark_module);
    if (conf->rate_zone == NULL) {
        return NGX_ERROR;
    }
    conf->rate_zone->init = zone_init;
    return NGX_OK;
}

/* ---- counting ---- */

static uint64_t mix(uint64_t a, uint64_t b)
{
    u128_t product = (u128_t)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* Of an id as ngx_http_lark_caller_id makes it. With a secret, so that nobody can choose addresses that share a set. */
static uint64_t key_of(const tables_t *tables, const u_char *id, size_t len)
{
    uint64_t h = tables->secret[0] ^ len;
    for (size_t at = 0; at < len; at += sizeof(uint64_t)) {
        uint64_t word = 0;
        ngx_memcpy(&word, id + at, ngx_min(len - at, sizeof(word)));
        h = mix(h ^ word, tables->secret[1] | 1);
    }
    return mix(h, tables->secret[0] | 1);
}

/* The caller's place, or the one that he would take over. */
static place_t *find(const tables_t *tables, const table_t *table, uint64_t key)
{
    place_t *set = table->places + key % tables->n_sets * WAYS;
    place_t *least = set;
    for (ngx_uint_t i = 0; i < WAYS; i++) {
        if (set[i].key == key) {
            return &set[i];
        }
        if (set[i].paid_ns < least->paid_ns) {
            least = &set[i];
        }
    }
    return least;
}

/* paid_ns of the one who has to go is in the future: his debt is taken over. */
static void tell_full(table_t *table, ngx_log_t *log)
{
    if (ngx_current_msec - table->told_ms < TELL_MS && table->told_ms != 0) {
        return;
    }
    table->told_ms = ngx_current_msec;
    ngx_log_error(NGX_LOG_WARN, log, 0,
                  "lark: more callers than lark_rate_zone has room for: some are counted together, and refused early");
}

/* A name is one caller at one Redis: tokens of another one may have the same names. */
static uint64_t key_of_caller(const tables_t *tables, ngx_http_lark_ctx_t *ctx, ngx_uint_t kind)
{
    u_char id[NGX_HTTP_LARK_CALLER_ID_MAX];
    ngx_uint_t is_named = kind == NGX_HTTP_LARK_RATE_CALLER;
    uint64_t key = key_of(tables, id, ngx_http_lark_caller_id(ctx, is_named, id));
    if (is_named) {
        ngx_str_t name = ctx->conf->redis->name;
        key = mix(key, key_of(tables, name.data, name.len) | 1);
    }
    return key == 0 ? 1 : key;
}

/* Is one more within the limit? With charge it counts, if so. return: 0: yes; else the nanoseconds to wait */
static uint64_t count(ngx_http_lark_ctx_t *ctx, ngx_uint_t kind, ngx_uint_t charge)
{
    ngx_http_lark_main_conf_t *lmcf = ngx_http_get_module_main_conf(ctx->request, ngx_http_lark_module);
    const ngx_http_lark_rate_t *rate = &ctx->conf->rates[kind];
    if (lmcf->rate_zone == NULL) {
        return 0; /* there is no lark_redis, and nothing to guess for */
    }
    ngx_slab_pool_t *pool = (ngx_slab_pool_t *)lmcf->rate_zone->shm.addr;
    tables_t *tables = lmcf->rate_zone->data;
    table_t *table = &tables->tables[kind];
    uint64_t now_ns = (uint64_t)ngx_current_msec * NS_A_MS;
    if (!charge && table->last_paid_ns <= now_ns) {
        return 0; /* nobody owes anything */
    }
    uint64_t key = key_of_caller(tables, ctx, kind);
    ngx_shmtx_lock(&pool->mutex);
    place_t *place = find(tables, table, key);
    uint64_t paid_ns = ngx_max(place->paid_ns, now_ns);
    uint64_t wait_ns = paid_ns - now_ns > rate->ahead_ns ? paid_ns - now_ns - rate->ahead_ns : 0;
    ngx_uint_t is_full = charge && place->key != key && place->paid_ns > now_ns;
    if (charge && wait_ns == 0) {
        place->key = key;
        place->paid_ns = paid_ns + rate->share_ns;
        table->last_paid_ns = ngx_max(table->last_paid_ns, place->paid_ns);
    }
    ngx_shmtx_unlock(&pool->mutex);
    if (is_full) {
        tell_full(table, ctx->request->connection->log);
    }
    return wait_ns;
}

/* ---- what auth asks ---- */

static enum lark_status refuse(ngx_http_lark_ctx_t *ctx, ngx_uint_t kind, uint64_t wait_ns, struct lark_err *err)
{
    static const char *const texts[NGX_HTTP_LARK_N_RATES][2] = {
        {"of this caller in a second (lark_rate_caller)", "of this caller in a minute (lark_rate_caller)"},
        {"of this address in a second (lark_rate_address)", "of this address in a minute (lark_rate_address)"},
        {"bad credentials of this address in a second (lark_rate_failures)",
         "bad credentials of this address in a minute (lark_rate_failures)"},
    };
    const ngx_http_lark_rate_t *rate = &ctx->conf->rates[kind];
    ctx->retry_after_s = (ngx_int_t)((wait_ns + NS_A_S - 1) / NS_A_S);
    err->status = LARK_E_RATE;
    err->text = texts[kind][rate->a_minute];
    err->offset = rate->n;
    return LARK_E_RATE;
}

enum lark_status ngx_http_lark_rate_request(ngx_http_lark_ctx_t *ctx, struct lark_err *err)
{
    ngx_uint_t is_named = ctx->caller != NULL && ctx->caller->name_len > 0;
    ngx_uint_t kind = is_named ? NGX_HTTP_LARK_RATE_CALLER : NGX_HTTP_LARK_RATE_ADDRESS;
    if (ctx->conf->rates[kind].n == 0 || !ctx->conf->is_api) {
        return LARK_OK;
    }
    uint64_t wait_ns = count(ctx, kind, 1);
    return wait_ns == 0 ? LARK_OK : refuse(ctx, kind, wait_ns, err);
}

enum lark_status ngx_http_lark_rate_failures(ngx_http_lark_ctx_t *ctx, const ngx_http_lark_shown_t *shown,
                                             struct lark_err *err)
{
    (void)shown;
    if (ctx->conf->rates[NGX_HTTP_LARK_RATE_FAILURES].n == 0) {
        return LARK_E_BAD_CREDENTIALS;
    }
    uint64_t wait_ns = count(ctx, NGX_HTTP_LARK_RATE_FAILURES, 0);
    return wait_ns == 0 ? LARK_E_BAD_CREDENTIALS : refuse(ctx, NGX_HTTP_LARK_RATE_FAILURES, wait_ns, err);
}

void ngx_http_lark_rate_failed(ngx_http_lark_ctx_t *ctx)
{
    if (ctx->conf->rates[NGX_HTTP_LARK_RATE_FAILURES].n != 0) {
        (void)count(ctx, NGX_HTTP_LARK_RATE_FAILURES, 1);
    }
}
