/* proxy.c - faults between Lark and Redis: lark-fault-proxy REDIS-PORT
 *
 * For tests only. It listens on a free port of 127.0.0.1, says "port N", and takes commands, a line each, on stdin;
 * every one is answered with a line, and its end ends the proxy:
 *     delay MIN MAX            each piece of what passes is held so many milliseconds, at random; order is kept
 *     pace BYTES MICROSECONDS  so many bytes at once, then a pause; "pace 0 0" ends it
 *     hole none|request|reply|both   that way nothing passes any more; the connections stay, new ones are taken
 *     at request|reply N close|reset|hole   once, after N further bytes that way: their connection ends, or falls silent
 *     at request|reply N pause MICROSECONDS   the same, and what follows waits
 *     drop close|reset         every connection ends now
 *     stat                     "connections N request BYTES reply BYTES"
 * "request" is the way to Redis. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define READ_BYTES ((size_t)64 * 1024)
#define HELD_MAX_BYTES ((size_t)4 * 1024 * 1024) /* of one way; over it nothing more is read */
#define EVENTS_MAX 256
#define LINE_MAX_BYTES 256
#define BACKLOG 1024

enum way { REQUEST, REPLY, WAYS };
enum act { NOTHING, CLOSE, RESET, HOLE, PAUSE };

/* Bytes that may pass from due_us on. */
struct piece {
    struct piece *next;
    uint64_t due_us;
    size_t len;
    size_t at;
    uint8_t bytes[];
};

struct flow {
    struct piece *head;
    struct piece *tail;
    size_t held;
    uint64_t last_due_us;
    uint64_t hold_until_us;
    bool ended; /* nothing more comes */
    bool full;  /* the other side takes nothing now */
    bool hole;
};

/* A connection of Lark and ours to Redis: what is read from fd[way] leaves by fd[1 - way]. */
struct pair {
    struct pair *next;
    struct pair **link;
    int fd[WAYS];
    uint32_t interest[WAYS];
    struct flow flow[WAYS];
    bool over;
};

struct proxy {
    int epoll_fd;
    int listen_fd;
    uint16_t redis_port;
    struct pair *pairs;
    struct pair *over; /* ended, not yet freed: an event of this turn may still name them */
    uint64_t delay_min_ms;
    uint64_t delay_max_ms;
    size_t pace_bytes;
    uint64_t pace_us;
    bool hole[WAYS];
    enum act act[WAYS];
    uint64_t act_after[WAYS];
    uint64_t act_us[WAYS];
    uint64_t passed[WAYS];
    uint64_t seed;
    char line[LINE_MAX_BYTES];
    size_t line_len;
    bool done;
};

static void die(const char *what)
{
    fprintf(stderr, "lark-fault-proxy: %s: %s\n", what, strerror(errno));
    exit(1);
}

static uint64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* xorshift64* */
static uint64_t random_below(struct proxy *proxy, uint64_t n)
{
    proxy->seed ^= proxy->seed >> 12;
    proxy->seed ^= proxy->seed << 25;
    proxy->seed ^= proxy->seed >> 27;
    return n == 0 ? 0 : (proxy->seed * UINT64_C(2685821657736338717) >> 11) % n;
}

/* ---- connections ---- */

static void watch(struct proxy *proxy, struct pair *pair, enum way way, int op)
{
    const struct flow *in = &pair->flow[way];
    uint32_t wanted = pair->flow[1 - way].full ? (uint32_t)EPOLLOUT : 0U;
    if (!in->ended && in->held < HELD_MAX_BYTES && !in->hole && !proxy->hole[way]) wanted |= (uint32_t)EPOLLIN;
    if (op == EPOLL_CTL_MOD && pair->interest[way] == wanted) return;
    pair->interest[way] = wanted;
    struct epoll_event event = {.events = wanted, .data.u64 = (uint64_t)(uintptr_t)pair | (uint64_t)way};
    if (epoll_ctl(proxy->epoll_fd, op, pair->fd[way], &event) != 0) die("epoll_ctl");
}

static void watch_both(struct proxy *proxy, struct pair *pair)
{
    watch(proxy, pair, REQUEST, EPOLL_CTL_MOD);
    watch(proxy, pair, REPLY, EPOLL_CTL_MOD);
}

static void end_pair(struct proxy *proxy, struct pair *pair, bool reset)
{
    if (pair->over) return;
    pair->over = true;
    for (int way = 0; way < WAYS; way++) {
        const struct linger linger = {.l_onoff = 1, .l_linger = 0};
        if (reset) (void)setsockopt(pair->fd[way], SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
        close(pair->fd[way]);
        while (pair->flow[way].head != NULL) {
            struct piece *piece = pair->flow[way].head;
            pair->flow[way].head = piece->next;
            free(piece);
        }
    }
    *pair->link = pair->next;
    if (pair->next != NULL) pair->next->link = pair->link;
    pair->next = proxy->over;
    proxy->over = pair;
}

static int redis_connect(const struct proxy *proxy)
{
    const struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(proxy->redis_port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) die("socket");
    /* On loopback this does not wait: it is refused, or there is room in the listener's queue. */
    if (connect(fd, (const struct sockaddr *)&to, sizeof to) != 0 || fcntl(fd, F_SETFL, O_NONBLOCK) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static void accept_one(struct proxy *proxy)
{
    const int on = 1;
    const int lark_fd = accept4(proxy->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (lark_fd < 0) return;
    const int redis_fd = redis_connect(proxy);
    struct pair *pair = redis_fd < 0 ? NULL : calloc(1, sizeof *pair);
    if (pair == NULL) {
        close(lark_fd);
        return;
    }
    pair->fd[REQUEST] = lark_fd;
    pair->fd[REPLY] = redis_fd;
    pair->next = proxy->pairs;
    pair->link = &proxy->pairs;
    if (pair->next != NULL) pair->next->link = &pair->next;
    proxy->pairs = pair;
    for (int way = 0; way < WAYS; way++) {
        (void)setsockopt(pair->fd[way], IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        watch(proxy, pair, (enum way)way, EPOLL_CTL_ADD);
    }
}

/* ---- what passes ---- */

/* How many of the next bytes may leave at once. */
static size_t allowed(const struct proxy *proxy, enum way way, size_t len)
{
    if (proxy->pace_bytes > 0 && len > proxy->pace_bytes) len = proxy->pace_bytes;
    if (proxy->act[way] != NOTHING && len > proxy->act_after[way]) len = (size_t)proxy->act_after[way];
    return len;
}

/* The point of "at" is reached. true: this flow stops here */
static bool act_now(struct proxy *proxy, struct pair *pair, enum way way)
{
    const enum act act = proxy->act[way];
    if (act == NOTHING || proxy->act_after[way] > 0) return false;
    proxy->act[way] = NOTHING;
    if (act == CLOSE || act == RESET) end_pair(proxy, pair, act == RESET);
    if (act == HOLE) pair->flow[REQUEST].hole = pair->flow[REPLY].hole = true;
    if (act == PAUSE) pair->flow[way].hold_until_us = now_us() + proxy->act_us[way];
    return true;
}

static void passed(struct proxy *proxy, struct flow *flow, enum way way, size_t n)
{
    struct piece *piece = flow->head;
    piece->at += n;
    flow->held -= n;
    proxy->passed[way] += n;
    if (proxy->act[way] != NOTHING) proxy->act_after[way] -= n;
    if (proxy->pace_us > 0) flow->hold_until_us = now_us() + proxy->pace_us;
    if (piece->at == piece->len) {
        flow->head = piece->next;
        if (flow->head == NULL) flow->tail = NULL;
        free(piece);
    }
}

/* Write what is due; the pair may be over afterwards. */
static void flush_flow(struct proxy *proxy, struct pair *pair, enum way way)
{
    struct flow *flow = &pair->flow[way];
    while (flow->head != NULL && !flow->full) {
        const uint64_t now = now_us();
        if (flow->hole || proxy->hole[way] || flow->head->due_us > now || flow->hold_until_us > now) return;
        if (act_now(proxy, pair, way)) return;
        const struct piece *piece = flow->head;
        const size_t len = allowed(proxy, way, piece->len - piece->at);
        const ssize_t n = send(pair->fd[1 - way], piece->bytes + piece->at, len, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN) {
            end_pair(proxy, pair, false);
            return;
        }
        flow->full = n < 0;
        if (n > 0) passed(proxy, flow, way, (size_t)n);
    }
    if (flow->head == NULL && flow->ended) end_pair(proxy, pair, false);
}

static void read_flow(struct proxy *proxy, struct pair *pair, enum way way)
{
    struct flow *flow = &pair->flow[way];
    struct piece *piece = malloc(sizeof *piece + READ_BYTES);
    if (piece == NULL) die("malloc");
    const ssize_t n = recv(pair->fd[way], piece->bytes, READ_BYTES, 0);
    if (n <= 0) {
        const bool again = n < 0 && errno == EAGAIN;
        free(piece);
        if (!again && n < 0) end_pair(proxy, pair, true);
        if (n == 0) flow->ended = true;
        return;
    }
    struct piece *fitting = realloc(piece, sizeof *piece + (size_t)n);
    piece = fitting == NULL ? piece : fitting;
    piece->next = NULL;
    piece->len = (size_t)n;
    piece->at = 0;
    piece->due_us = 0;
    if (proxy->delay_max_ms > 0) {
        const uint64_t range = proxy->delay_max_ms - proxy->delay_min_ms + 1;
        const uint64_t ms = proxy->delay_min_ms + random_below(proxy, range);
        piece->due_us = (now_us() / 1000 + ms) * 1000;
        if (piece->due_us < flow->last_due_us) piece->due_us = flow->last_due_us;
        flow->last_due_us = piece->due_us;
    }
    if (flow->tail != NULL)
        flow->tail->next = piece;
    else
        flow->head = piece;
    flow->tail = piece;
    flow->held += (size_t)n;
}

static void take_event(struct proxy *proxy, struct pair *pair, enum way way, uint32_t events)
{
    if (pair->over) return;
    if ((events & (uint32_t)(EPOLLERR | EPOLLHUP)) != 0 && (pair->interest[way] & (uint32_t)EPOLLIN) == 0) {
        end_pair(proxy, pair, (events & (uint32_t)EPOLLERR) != 0); /* nobody reads that it broke: a hole */
        return;
    }
    if ((events & (uint32_t)(EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) read_flow(proxy, pair, way);
    if (!pair->over && (events & (uint32_t)EPOLLOUT) != 0) {
        pair->flow[1 - way].full = false;
        flush_flow(proxy, pair, (enum way)(1 - way));
    }
    if (!pair->over) flush_flow(proxy, pair, way);
    if (!pair->over) watch_both(proxy, pair);
}

/* When the next piece of a connection is due. */
static uint64_t next_due(const struct proxy *proxy, const struct pair *pair)
{
    uint64_t next = UINT64_MAX;
    for (int way = 0; way < WAYS; way++) {
        const struct flow *flow = &pair->flow[way];
        if (flow->head == NULL || flow->full || flow->hole || proxy->hole[way]) continue;
        uint64_t due = flow->head->due_us > flow->hold_until_us ? flow->head->due_us : flow->hold_until_us;
        if (due < next) next = due;
    }
    return next;
}

/* Milliseconds until the next piece is due; pauses below one are spun away, they are what "pace" is for. */
static int turn(struct proxy *proxy)
{
    uint64_t next = UINT64_MAX;
    for (struct pair *pair = proxy->pairs, *after; pair != NULL; pair = after) {
        after = pair->next;
        for (int way = 0; way < WAYS && !pair->over; way++) flush_flow(proxy, pair, (enum way)way);
        if (pair->over) continue;
        watch_both(proxy, pair);
        const uint64_t due = next_due(proxy, pair);
        if (due < next) next = due;
    }
    if (next == UINT64_MAX) return -1;
    const uint64_t now = now_us();
    if (next <= now) return 0;
    if (next - now < 1000 && proxy->pace_us > 0 && proxy->pace_us < 1000) return 0;
    return (int)((next - now + 999) / 1000);
}

/* ---- commands ---- */

static enum way way_of(const char *word)
{
    return strcmp(word, "request") == 0 ? REQUEST : REPLY;
}

static enum act act_of(const char *word)
{
    static const char *const words[] = {"", "close", "reset", "hole", "pause"};
    for (int i = 1; i < (int)(sizeof words / sizeof *words); i++)
        if (strcmp(word, words[i]) == 0) return (enum act)i;
    return NOTHING;
}

static bool command_at(struct proxy *proxy, const char *way_word, const char *number, const char *act, const char *us)
{
    const enum way way = way_of(way_word);
    proxy->act[way] = act_of(act);
    proxy->act_after[way] = strtoull(number, NULL, 10);
    proxy->act_us[way] = strtoull(us, NULL, 10);
    return proxy->act[way] != NOTHING;
}

static void command_drop(struct proxy *proxy, bool reset)
{
    while (proxy->pairs != NULL) end_pair(proxy, proxy->pairs, reset);
}

static void say_stat(const struct proxy *proxy)
{
    unsigned n = 0;
    for (const struct pair *pair = proxy->pairs; pair != NULL; pair = pair->next) n++;
    printf("connections %u request %llu reply %llu\n", n, (unsigned long long)proxy->passed[REQUEST],
           (unsigned long long)proxy->passed[REPLY]);
}

static void command(struct proxy *proxy, const char *line)
{
    char word[5][32] = {{0}};
    bool good = true;
    (void)sscanf(line, "%31s %31s %31s %31s %31s", word[0], word[1], word[2], word[3], word[4]);
    if (strcmp(word[0], "stat") == 0) {
        say_stat(proxy);
        return;
    }
    if (strcmp(word[0], "delay") == 0) {
        proxy->delay_min_ms = strtoull(word[1], NULL, 10);
        proxy->delay_max_ms = strtoull(word[2], NULL, 10);
        good = proxy->delay_min_ms <= proxy->delay_max_ms;
    } else if (strcmp(word[0], "pace") == 0) {
        proxy->pace_bytes = (size_t)strtoull(word[1], NULL, 10);
        proxy->pace_us = strtoull(word[2], NULL, 10);
    } else if (strcmp(word[0], "hole") == 0) {
        proxy->hole[REQUEST] = strcmp(word[1], "request") == 0 || strcmp(word[1], "both") == 0;
        proxy->hole[REPLY] = strcmp(word[1], "reply") == 0 || strcmp(word[1], "both") == 0;
    } else if (strcmp(word[0], "at") == 0) {
        good = command_at(proxy, word[1], word[2], word[3], word[4]);
    } else if (strcmp(word[0], "drop") == 0) {
        command_drop(proxy, strcmp(word[1], "reset") == 0);
    } else {
        good = false;
    }
    puts(good ? "ok" : "what?");
}

static void read_commands(struct proxy *proxy)
{
    const ssize_t n = read(STDIN_FILENO, proxy->line + proxy->line_len, sizeof proxy->line - 1 - proxy->line_len);
    if (n <= 0) {
        proxy->done = true;
        return;
    }
    proxy->line_len += (size_t)n;
    proxy->line[proxy->line_len] = '\0';
    for (char *end; (end = strchr(proxy->line, '\n')) != NULL;) {
        *end = '\0';
        command(proxy, proxy->line);
        proxy->line_len -= (size_t)(end + 1 - proxy->line);
        memmove(proxy->line, end + 1, proxy->line_len + 1);
    }
}

/* ---- the whole ---- */

static void add(const struct proxy *proxy, int fd, uint64_t name)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = name};
    if (epoll_ctl(proxy->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0) die("epoll_ctl");
}

static void listen_here(struct proxy *proxy)
{
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof here;
    proxy->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (proxy->listen_fd < 0 || bind(proxy->listen_fd, (struct sockaddr *)&here, sizeof here) != 0 ||
        listen(proxy->listen_fd, BACKLOG) != 0 || getsockname(proxy->listen_fd, (struct sockaddr *)&here, &len) != 0)
        die("listen");
    printf("port %u\n", (unsigned)ntohs(here.sin_port));
}

/* Names of what is no pair: a pair's address is even and never so low. */
enum { NAME_LISTEN, NAME_STDIN, NAMES };

static void dispatch(struct proxy *proxy, const struct epoll_event *event)
{
    const uint64_t name = event->data.u64;
    if (name == NAME_LISTEN)
        accept_one(proxy);
    else if (name == NAME_STDIN)
        read_commands(proxy);
    else
        take_event(proxy, (struct pair *)(uintptr_t)(name & ~UINT64_C(1)), (enum way)(name & 1), event->events);
}

int main(int argc, char **argv)
{
    static struct proxy proxy;
    struct epoll_event events[EVENTS_MAX];
    const long port = argc == 2 ? strtol(argv[1], NULL, 10) : 0;
    if (port <= 0 || port > UINT16_MAX) {
        fprintf(stderr, "usage: lark-fault-proxy REDIS-PORT\n");
        return 2;
    }
    proxy.redis_port = (uint16_t)port;
    proxy.seed = now_us() | 1;
    proxy.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (proxy.epoll_fd < 0) die("epoll");
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    listen_here(&proxy);
    add(&proxy, proxy.listen_fd, NAME_LISTEN);
    add(&proxy, STDIN_FILENO, NAME_STDIN);
    while (!proxy.done) {
        const int n = epoll_wait(proxy.epoll_fd, events, EVENTS_MAX, turn(&proxy));
        for (int i = 0; i < n; i++) dispatch(&proxy, &events[i]);
        while (proxy.over != NULL) {
            struct pair *pair = proxy.over;
            proxy.over = pair->next;
            free(pair);
        }
    }
    command_drop(&proxy, false);
    return 0;
}
