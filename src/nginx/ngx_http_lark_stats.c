#include "ngx_http_lark_stats.h"

#include <ngx_event.h>

#include <time.h>

#include "ngx_http_lark.h"

/* 100 us to 10 s */
const uint64_t ngx_http_lark_bounds_ns[NGX_HTTP_LARK_N_BUCKETS] = {
    100000,    250000,    500000,    1000000,    2500000,    5000000,    10000000,    25000000,   50000000,
    100000000, 250000000, 500000000, 1000000000, 2500000000, 5000000000, 10000000000, UINT64_MAX,
};
u_char ngx_http_lark_n_bounds[64];

static ngx_http_lark_stats_t nobodys;
ngx_http_lark_stats_t *ngx_http_lark_stats = &nobodys;

/* ---- time ---- */

/* The clock is 20 to 50 ns away. Asked for the first time in a turn, it is kept until what the turn has posted is run. */
static ngx_event_t turn;
uint64_t ngx_http_lark_turn_ns;

static void turn_ends(ngx_event_t *ev)
{
    (void)ev;
    ngx_http_lark_turn_ns = 0;
}

uint64_t ngx_http_lark_turn_begins(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    ngx_http_lark_turn_ns = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
    ngx_post_event(&turn, &ngx_posted_events);
    return ngx_http_lark_turn_ns;
}

static void bounds_count(void)
{
    for (ngx_uint_t power = 0; power < 64; power++) {
        ngx_uint_t n = 0;
        while (ngx_http_lark_bounds_ns[n] < (uint64_t)1 << power && n < NGX_HTTP_LARK_N_BUCKETS - 1) {
            n++;
        }
        ngx_http_lark_n_bounds[power] = (u_char)n;
    }
}

/* ---- the zone ---- */

static ngx_int_t zone_init(ngx_shm_zone_t *zone, void *former)
{
    ngx_slab_pool_t *pool = (ngx_slab_pool_t *)zone->shm.addr;
    if (former != NULL) {
        zone->data = former; /* a reload: the counters go on */
        return NGX_OK;
    }
    ngx_http_lark_board_t *board = ngx_slab_calloc(pool, sizeof(ngx_http_lark_board_t));
    void *slots = ngx_slab_alloc(pool, NGX_HTTP_LARK_SLOTS * sizeof(ngx_http_lark_slot_t)); /* on pages of their own */
    if (board == NULL || slots == NULL) {
        return NGX_ERROR;
    }
    board->slots = slots;
    board->began = ngx_time();
    zone->data = board;
    return NGX_OK;
}

/* The size is the same whatever the configuration says, or a reload would begin anew. Memory that no worker has used is not
 * taken from the system. */
ngx_int_t ngx_http_lark_add_stats_zone(ngx_conf_t *cf, ngx_http_lark_main_conf_t *conf)
{
    static ngx_str_t name = NGX_HTTP_LARK_TEXT("lark_metrics");
    size_t slots = NGX_HTTP_LARK_SLOTS * sizeof(ngx_http_lark_slot_t);
    size_t size = slots + slots / 64 + 16 * ngx_pagesize;
    conf->stats = ngx_shared_memory_add(cf, &name, size, &ngx_http_lark_module);
    if (conf->stats == NULL) {
        return NGX_ERROR;
    }
    conf->stats->init = zone_init;
    return NGX_OK;
}

ngx_uint_t ngx_http_lark_stats_lives(const ngx_http_lark_stats_t *stats)
{
    ngx_pid_t pid = stats->pid;
    return pid != 0 && (pid == ngx_pid || kill(pid, 0) == 0 || ngx_errno != ESRCH);
}

static void slot_leave(ngx_http_lark_stats_t *stats)
{
    for (ngx_uint_t i = 0; i < NGX_HTTP_LARK_N_GAUGES; i++) {
        stats->n[i] = 0;
    }
    stats->leaving = 0;
    stats->pid = 0;
}

/* A free slot: one that was left, or a fresh one. Workers that died have not left theirs. */
static ngx_http_lark_stats_t *slot_take(ngx_http_lark_board_t *board)
{
    ngx_http_lark_stats_t *found = NULL;
    for (ngx_uint_t i = 0; i < board->n_used; i++) {
        ngx_http_lark_stats_t *stats = &board->slots[i].stats;
        if (stats->pid != 0 && !ngx_http_lark_stats_lives(stats)) {
            board->n_deaths++;
            slot_leave(stats);
        }
        if (stats->pid == 0 && found == NULL) {
            found = stats;
        }
    }
    if (found == NULL && board->n_used < NGX_HTTP_LARK_SLOTS) {
        found = &board->slots[board->n_used].stats;
        ngx_memzero(found, sizeof(ngx_http_lark_stats_t));
        board->n_used++;
    }
    return found;
}

void ngx_http_lark_stats_begin(ngx_shm_zone_t *zone, ngx_log_t *log)
{
    turn.log = log;
    turn.handler = turn_ends;
    bounds_count();
    if (zone == NULL) {
        return; /* there is no lark_redis: nobody counts */
    }
    ngx_slab_pool_t *pool = (ngx_slab_pool_t *)zone->shm.addr;
    ngx_http_lark_board_t *board = zone->data;
    ngx_shmtx_lock(&pool->mutex);
    ngx_http_lark_stats_t *stats = slot_take(board);
    if (stats != NULL) {
        stats->pid = ngx_pid;
        ngx_http_lark_stats = stats;
    }
    board->n_starts++;
    ngx_shmtx_unlock(&pool->mutex);
    if (stats == NULL) {
        ngx_log_error(NGX_LOG_ERR, log, 0, "lark: over %d workers: what this one counts is not in lark_metrics",
                      NGX_HTTP_LARK_SLOTS);
    }
}

void ngx_http_lark_stats_end(ngx_shm_zone_t *zone)
{
    ngx_slab_pool_t *pool = (ngx_slab_pool_t *)zone->shm.addr;
    ngx_http_lark_stats_t *stats = ngx_http_lark_stats;
    ngx_http_lark_stats = &nobodys;
    if (stats == &nobodys) {
        return;
    }
    ngx_shmtx_lock(&pool->mutex);
    slot_leave(stats);
    ngx_shmtx_unlock(&pool->mutex);
}
