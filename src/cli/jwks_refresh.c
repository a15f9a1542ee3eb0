#include "jwks_refresh.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <lark/jwt.h>

#include "clock.h"
#include "fetch.h"
#include "files.h"
#include "issuer.h"
#include "text.h"

#define WANTED_EVERY_MS 30000
#define BACKOFF_FIRST_MS 1000
#define BACKOFF_MAX_MS 60000

/* name:      of the file in the folder; wanted_name: of the one that is touched
 * told:      keys were fetched, and said so: what follows is news only after a failure
 * wanted_from_ms: before that nobody's wish brings the next refresh forward */
struct refresher {
    const struct lark_jwks_place *place;
    const char *name;
    const char *wanted_name;
    int dir_fd;
    int watch_fd;
    bool wanted;
    bool told;
    int64_t next_ms;
    int64_t wanted_from_ms;
    int64_t backoff_ms;
};

/* ---- one refresh ---- */

static void warn(void *ctx, const char *text)
{
    lark__cli_say("%s: %s", (const char *)ctx, text);
}

/* Each key that is left out is told when it is news. return: how many can be used, 0: out_why says why */
static size_t check_keys(const struct refresher *refresher, const char *url, struct lark_slice bytes, char *out_why)
{
    struct lark_jwks *jwks = NULL;
    struct lark_jwks_error error;
    char *where = (char *)(uintptr_t)url; /* handed back to warn, which only reads it */
    if (lark_jwks_parse(lark_mem_default(), bytes, refresher->told ? NULL : warn, where, &jwks, &error) != LARK_OK) {
        (void)snprintf(out_why, LARK_FETCH_WHY_MAX, "%.390s", error.text);
        return 0;
    }
    const size_t n = lark_jwks_count(jwks);
    lark_jwks_free(jwks);
    return n;
}

static bool keep(const struct refresher *refresher, struct lark_slice bytes, char *out_why)
{
    const int error =
        lark__file_replace(refresher->dir_fd, refresher->name, 0644, (unsigned)geteuid(), (unsigned)getegid(), bytes);
    if (error != 0)
        (void)snprintf(out_why, LARK_FETCH_WHY_MAX, "%.300s cannot be written: %s", refresher->place->out,
                       strerror(error));
    return error == 0;
}

static bool fetch(struct refresher *refresher, struct lark_arena *arena, struct lark_buf *body)
{
    const struct lark_jwks_place *place = refresher->place;
    struct lark_fetch from = {place->issuer, place->ca, place->timeout_s};
    char why[LARK_FETCH_WHY_MAX];
    long code = 0;
    size_t n = 0;
    const char *url = place->url != NULL ? place->url : lark__issuer_keys_url(arena, &from, why);
    from.url = url;
    if (url != NULL && lark__fetch_get(&from, body, &code, why)) {
        const struct lark_slice bytes = {body->p, body->len};
        n = check_keys(refresher, url, bytes, why);
        if (n > 0 && !keep(refresher, bytes, why)) n = 0;
    }
    if (n == 0) {
        lark__cli_say("no keys from %s, what is in %s stays: %s", url != NULL ? url : place->issuer, place->out, why);
        refresher->told = false;
    } else if (!refresher->told) {
        lark__cli_say("%zu %s from %s to %s", n, n == 1 ? "key" : "keys", url, place->out);
        refresher->told = true;
    }
    return n > 0;
}

static bool refresh(struct refresher *refresher)
{
    struct lark_arena arena;
    struct lark_buf body;
    lark_arena_init(&arena, lark_mem_default(), LARK_CLI_TEXT_MAX, NULL, 0);
    lark_buf_init(&body, lark_mem_default(), LARK_JWKS_FILE_MAX, NULL, 0);
    const bool good = fetch(refresher, &arena, &body);
    lark_buf_done(&body);
    lark_arena_done(&arena);
    return good;
}

/* ---- again and again ---- */

/* News from the folder: was it our file that was touched? */
static void read_watch(struct refresher *refresher)
{
    _Alignas(struct inotify_event) char bytes[4096];
    ssize_t n;
    while ((n = read(refresher->watch_fd, bytes, sizeof(bytes))) > 0) {
        size_t at = 0;
        while (at + sizeof(struct inotify_event) <= (size_t)n) {
            struct inotify_event event;
            memcpy(&event, bytes + at, sizeof(event));
            const char *name = bytes + at + sizeof(event);
            if ((event.mask & IN_Q_OVERFLOW) != 0 || (event.len > 0 && strcmp(name, refresher->wanted_name) == 0))
                refresher->wanted = true;
            at += sizeof(event) + event.len;
        }
    }
}

static int64_t due_ms(const struct refresher *refresher)
{
    return refresher->wanted && refresher->wanted_from_ms < refresher->next_ms ? refresher->wanted_from_ms
                                                                               : refresher->next_ms;
}

static void schedule(struct refresher *refresher, bool good)
{
    const int64_t now = lark__clock_ms();
    const int64_t interval_ms = (int64_t)refresher->place->interval_s * 1000;
    if (refresher->wanted) refresher->wanted_from_ms = now + WANTED_EVERY_MS;
    refresher->wanted = false;
    if (good)
        refresher->backoff_ms = 0;
    else if (refresher->backoff_ms == 0)
        refresher->backoff_ms = BACKOFF_FIRST_MS;
    else
        refresher->backoff_ms = refresher->backoff_ms * 2 < BACKOFF_MAX_MS ? refresher->backoff_ms * 2 : BACKOFF_MAX_MS;
    const bool sooner = !good && refresher->backoff_ms < interval_ms;
    refresher->next_ms = now + (sooner ? refresher->backoff_ms : interval_ms);
}

static void stay(struct refresher *refresher)
{
    for (;;) {
        const int64_t left = due_ms(refresher) - lark__clock_ms();
        struct pollfd wait = {.fd = refresher->watch_fd, .events = POLLIN};
        if (left > 0) (void)poll(&wait, 1, (int)left + 1);
        read_watch(refresher);
        if (due_ms(refresher) > lark__clock_ms()) continue;
        schedule(refresher, refresh(refresher));
    }
}

static const char *folder_of(struct lark_arena *arena, const char *path, const char **out_name)
{
    const char *slash = strrchr(path, '/');
    *out_name = slash == NULL ? path : slash + 1;
    return slash == NULL ? "." : lark__cli_format(arena, "%.*s", slash == path ? 1 : (int)(slash - path), path);
}

static bool open_folder(struct refresher *refresher, struct lark_arena *arena)
{
    const uint32_t touches = IN_CREATE | IN_ATTRIB | IN_MODIFY | IN_CLOSE_WRITE | IN_MOVED_TO;
    const char *folder = folder_of(arena, refresher->place->out, &refresher->name);
    refresher->wanted_name = lark__cli_format(arena, "%s" LARK_JWKS_WANTED, refresher->name);
    refresher->dir_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    refresher->watch_fd = refresher->dir_fd < 0 ? -1 : inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (refresher->watch_fd >= 0 && refresher->name[0] != '\0' &&
        inotify_add_watch(refresher->watch_fd, folder, touches) >= 0)
        return true;
    lark__cli_say("--out: the folder of %s cannot be used: %s", refresher->place->out,
                  strerror(refresher->name[0] == '\0' ? EISDIR : errno));
    return false;
}

bool lark__jwks_refresh(const struct lark_jwks_place *place, bool once)
{
    struct refresher refresher = {.place = place, .dir_fd = -1, .watch_fd = -1};
    struct lark_arena arena;
    lark_arena_init(&arena, lark_mem_default(), LARK_CLI_TEXT_MAX, NULL, 0);
    bool good = open_folder(&refresher, &arena);
    if (good && once)
        good = refresh(&refresher);
    else if (good)
        stay(&refresher);
    if (refresher.watch_fd >= 0) close(refresher.watch_fd);
    if (refresher.dir_fd >= 0) close(refresher.dir_fd);
    lark_arena_done(&arena);
    return good;
}
