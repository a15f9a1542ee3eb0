/* url.c - Redis URLs: what is accepted keeps the promises of url.h, what is refused tells no password. */
#include "fuzz.h"

#include "url.h"

static bool inside(struct lark_slice s, const uint8_t *p, size_t n)
{
    return s.len == 0 || (s.p >= p && s.p + s.len <= p + n);
}

static void check_good(const struct lark_redis_url *good, struct lark_slice url, const uint8_t *storage)
{
    const struct lark_slice slices[] = {good->host, good->path, good->user, good->password};
    for (size_t i = 0; i < sizeof slices / sizeof slices[0]; i++) {
        FUZZ_CHECK(inside(slices[i], url.p, url.len) || inside(slices[i], storage, url.len));
    }
    FUZZ_CHECK(url.len <= LARK_REDIS_URL_MAX);
    if (good->is_unix) {
        FUZZ_CHECK(good->path.len >= 1 && good->path.len <= LARK_REDIS_PATH_MAX && good->path.p[0] == '/');
        FUZZ_CHECK(memchr(good->path.p, 0, good->path.len) == NULL);
    } else {
        FUZZ_CHECK(good->host.len >= 1 && good->host.len <= 255 && good->port >= 1);
        FUZZ_CHECK(memchr(good->host.p, 0, good->host.len) == NULL);
    }
}

/* The bytes between the first colon and the last @ of the part before the path. */
static struct lark_slice password_of(struct lark_slice url)
{
    struct lark_slice none = {NULL, 0};
    size_t from = 0, end = 0;
    while (from + 3 <= url.len && memcmp(url.p + from, "://", 3) != 0) from++;
    if (from + 3 > url.len) return none;
    from += 3;
    for (end = from; end < url.len && url.p[end] != '/' && url.p[end] != '?' && url.p[end] != '#';) end++;
    while (end > from && url.p[end - 1] != '@') end--;
    if (end == from) return none;
    end--;
    while (from < end && url.p[from] != ':') from++;
    return from < end ? (struct lark_slice){url.p + from + 1, end - from - 1} : none;
}

static void check_error(const struct lark_err *err, struct lark_slice url, const uint8_t *storage)
{
    struct lark_slice password = password_of(url);
    struct lark_config config;
    struct lark_buf out;
    FUZZ_CHECK(err->status == LARK_E_BAD_PARAMETER && err->text != NULL);
    bool shown = err->got.len > 0 && password.len > 0;
    if (shown && inside(err->got, url.p, url.len)) {
        FUZZ_CHECK(err->got.p + err->got.len <= password.p || err->got.p >= password.p + password.len);
    } else if (shown && inside(err->got, storage, url.len)) {
        FUZZ_CHECK(!fuzz_same(err->got, password));
    }
    fuzz_config(&config);
    lark_buf_init(&out, lark_mem_default(), 65536, NULL, 0);
    FUZZ_CHECK(lark_error_render(&config, err, &out) == LARK_OK);
    FUZZ_CHECK(fuzz_is_json((struct lark_slice){out.p, out.len}));
    lark_buf_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lark_redis_url good, again;
    struct lark_err err = {.status = LARK_OK};
    uint8_t *copy = fuzz_copy((struct lark_slice){data, size});
    uint8_t *storage = malloc(size);
    struct lark_slice url = {copy, size};
    enum lark_status status = lark_redis_url_parse(url, storage, &good, &err);
    FUZZ_CHECK(status == LARK_OK || status == LARK_E_BAD_PARAMETER);
    if (status == LARK_OK) check_good(&good, url, storage);
    if (status != LARK_OK) check_error(&err, url, storage);
    FUZZ_CHECK(lark_redis_url_parse(url, storage, &again, NULL) == status);
    free(storage);
    free(copy);
    return 0;
}
