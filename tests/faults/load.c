/* load.c - callers who check what they get: lark-fault-load PORT [--name VALUE]...
 *
 * For tests only. Many callers at once, each with a connection of its own, ask for values that only their key has and
 * look whether they get just these; some leave in between. At the end, or on SIGTERM, one line of JSON on stdout says
 * what came of it.
 *     --gets N         requests to start (0: until the time is over)      --seconds N  no more are started after it
 *     --callers N      connections at once                                --addresses N  from 127.0.0.2 on
 *     --depth N        up to so many requests are sent in one go          --pause MS   between two goes of one caller
 *     --cancel PERCENT leave at a random byte of request or answer        --fresh PERCENT  a new connection for the next go
 *     --small N, --large N     there are so many keys small:I and large:I, made with DEBUG POPULATE: value:I and NULs
 *     --large-bytes N  what values of the large ones are long
 *     --incr KEY       POST /INCR/KEY/ instead */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "answer.h"

#define DEPTH_MAX 8
#define REQUEST_MAX_BYTES 256
#define READ_BYTES ((size_t)64 * 1024)
#define EVENTS_MAX 512
#define BUCKETS 200000
#define BUCKET_US 10
#define STATUS_MAX 600
#define END_US ((uint64_t)20 * 1000 * 1000) /* for what is under way when the load ends */
#define NEVER UINT64_MAX

enum leave { STAY, LEAVE_CLOSE, LEAVE_RESET, LEAVE_HALF };

struct question {
    bool large;
    uint64_t id;
};

struct caller {
    int fd; /* -1: none */
    uint32_t interest;
    bool connecting;
    bool used;  /* the connection has had an answer */
    bool asked; /* a go is under way */
    size_t n_questions;
    size_t n_answered;
    struct question question[DEPTH_MAX];
    size_t out_len;
    size_t out_at;
    uint64_t started_us;
    uint64_t next_us;
    enum leave leave;
    uint64_t leave_us;  /* or NEVER */
    size_t leave_sent;  /* after so many bytes of the requests, or SIZE_MAX */
    uint64_t leave_got; /* after so many of the answers, or NEVER */
    uint64_t got;
    struct answer answer;
    char out[DEPTH_MAX * REQUEST_MAX_BYTES];
};

struct totals {
    uint64_t started, answered, wrong, unknown, cancelled, lost, stale, unconnected, half;
    uint64_t refused[STATUS_MAX];
    uint64_t took[BUCKETS + 1];
    uint64_t refused_took[BUCKETS + 1];
    uint64_t took_max, refused_max;
};

struct load {
    uint16_t port;
    uint64_t gets, seconds, callers, addresses, depth, pause_ms, cancel, fresh, small, large, large_bytes;
    const char *incr;
    int epoll_fd;
    uint64_t seed;
    uint64_t begun_us;
    uint64_t envelope_bytes; /* of an answer's body, the value taken off; 0: none seen yet */
    struct caller *caller;
    struct totals totals;
};

static volatile sig_atomic_t told_to_end;

static void on_signal(int number)
{
    (void)number;
    told_to_end = 1;
}

static void die(const char *what)
{
    fprintf(stderr, "lark-fault-load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static uint64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static uint64_t random_below(struct load *load, uint64_t n)
{
    load->seed ^= load->seed >> 12;
    load->seed ^= load->seed << 25;
    load->seed ^= load->seed >> 27;
    return n == 0 ? 0 : (load->seed * UINT64_C(2685821657736338717) >> 11) % n;
}

static bool chance(struct load *load, uint64_t percent)
{
    return random_below(load, 100) < percent;
}

/* ---- connections ---- */

static void watch(struct load *load, struct caller *caller)
{
    const bool writes = caller->connecting || caller->out_at < caller->out_len;
    const uint32_t wanted = (uint32_t)EPOLLIN | (writes ? (uint32_t)EPOLLOUT : 0U);
    if (caller->fd < 0 || caller->interest == wanted) return;
    struct epoll_event event = {.events = wanted, .data.ptr = caller};
    const int op = caller->interest == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
    if (epoll_ctl(load->epoll_fd, op, caller->fd, &event) != 0) die("epoll_ctl");
    caller->interest = wanted;
}

static void hang_up(struct caller *caller, bool reset)
{
    const struct linger linger = {.l_onoff = 1, .l_linger = 0};
    if (caller->fd >= 0) {
        if (reset) (void)setsockopt(caller->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
        close(caller->fd);
    }
    caller->fd = -1;
    caller->interest = 0;
    caller->connecting = false;
    caller->used = false;
}

static bool dial(struct load *load, struct caller *caller)
{
    const int on = 1;
    const struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(load->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    caller->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (caller->fd < 0) die("socket");
    if (load->addresses > 0) {
        const uint32_t which = 1 + (uint32_t)((uint64_t)(caller - load->caller) % load->addresses);
        const struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK + which)};
        if (bind(caller->fd, (const struct sockaddr *)&from, sizeof from) != 0) die("bind");
    }
    (void)setsockopt(caller->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    caller->connecting = connect(caller->fd, (const struct sockaddr *)&to, sizeof to) != 0;
    if (caller->connecting && errno != EINPROGRESS) {
        hang_up(caller, false);
        return false;
    }
    return true;
}

/* ---- a go: some requests ---- */

static size_t put_request(struct load *load, struct caller *caller, size_t i)
{
    struct question *question = &caller->question[i];
    char *to = caller->out + caller->out_len;
    int n;
    if (load->incr != NULL) {
        n = snprintf(to, REQUEST_MAX_BYTES,
                     "POST /api/0/INCR/%s/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}", load->incr);
    } else {
        question->large = load->large > 0 && chance(load, load->small > 0 ? 5 : 100);
        question->id = random_below(load, question->large ? load->large : load->small);
        n = snprintf(to, REQUEST_MAX_BYTES, "GET /api/0/GET/%s:%llu/ HTTP/1.1\r\nHost: localhost\r\n\r\n",
                     question->large ? "large" : "small", (unsigned long long)question->id);
    }
    return (size_t)n;
}

static void plan_to_leave(struct load *load, struct caller *caller)
{
    caller->leave = STAY;
    caller->leave_us = NEVER;
    caller->leave_sent = SIZE_MAX;
    caller->leave_got = NEVER;
    if (!chance(load, load->cancel)) return;
    caller->leave = (enum leave)(LEAVE_CLOSE + random_below(load, 3));
    if (caller->leave == LEAVE_HALF) return; /* says that it will send no more, and reads */
    switch (random_below(load, 3)) {
    case 0: caller->leave_sent = (size_t)random_below(load, caller->out_len + 1); break;
    case 1: caller->leave_us = caller->started_us + random_below(load, 300000); break;
    default:
        caller->leave_got =
            1 + random_below(load, chance(load, 50) ? 500 : caller->n_questions * (500 + 6 * load->large_bytes));
        break;
    }
}

static void go(struct load *load, struct caller *caller, uint64_t now)
{
    if (caller->fd < 0 && !dial(load, caller)) {
        load->totals.unconnected++;
        caller->next_us = now + 20000;
        return;
    }
    caller->n_questions = 1 + (size_t)random_below(load, load->depth);
    caller->n_answered = 0;
    caller->out_len = 0;
    caller->out_at = 0;
    caller->got = 0;
    caller->started_us = now;
    caller->asked = true;
    for (size_t i = 0; i < caller->n_questions; i++) caller->out_len += put_request(load, caller, i);
    load->totals.started += caller->n_questions;
    answer_start(&caller->answer);
    plan_to_leave(load, caller);
}

/* The go is over: answered, left, or lost. */
static void rest(struct load *load, struct caller *caller)
{
    caller->asked = false;
    caller->next_us = now_us() + load->pause_ms * 1000;
}

static void leave(struct load *load, struct caller *caller)
{
    load->totals.cancelled += caller->n_questions - caller->n_answered;
    hang_up(caller, caller->leave == LEAVE_RESET);
    rest(load, caller);
}

/* The server ended the connection. Before the first byte of an answer on a connection that was used: it may have been
 * closed between requests, which is its right; what has become of a write is not known. */
static void lose(struct load *load, struct caller *caller)
{
    const uint64_t open = caller->n_questions - caller->n_answered;
    if (caller->connecting)
        load->totals.unconnected++;
    else if (caller->asked && caller->used && caller->got == 0)
        load->totals.stale += open;
    else if (caller->asked)
        load->totals.lost += open;
    hang_up(caller, false);
    if (caller->asked) rest(load, caller);
}

/* ---- answers ---- */

static bool is_right(struct load *load, const struct caller *caller)
{
    const struct answer *answer = &caller->answer;
    const struct question *question = &caller->question[caller->n_answered];
    const char *data = strstr(answer->head, "\"data\": ");
    if (data == NULL || answer->last[1] != '}') return false;
    data += 8;
    if (load->incr != NULL) return *data >= '1' && *data <= '9';
    char wanted[64];
    const int n = snprintf(wanted, sizeof wanted, "\"value:%llu", (unsigned long long)question->id);
    if (strncmp(data, wanted, (size_t)n) != 0 || answer->last[0] != '"') return false;
    const uint64_t text = (uint64_t)n - 1;
    const uint64_t escapes = question->large && load->large_bytes > text ? load->large_bytes - text : 0;
    if (data[n] != (escapes > 0 ? '\\' : '"')) return false;
    const uint64_t envelope = answer->body_len - text - 6 * escapes;
    if (load->envelope_bytes == 0) load->envelope_bytes = envelope;
    return envelope == load->envelope_bytes;
}

static void complain(const struct caller *caller)
{
    const struct question *question = &caller->question[caller->n_answered];
    fprintf(stderr, "wrong: %s:%llu was answered %d %s\n", question->large ? "large" : "small",
            (unsigned long long)question->id, caller->answer.status, caller->answer.head);
}

static void take_answer(struct load *load, struct caller *caller)
{
    struct totals *totals = &load->totals;
    const struct answer *answer = &caller->answer;
    const uint64_t took = now_us() - caller->started_us;
    const size_t bucket = took / BUCKET_US < BUCKETS ? (size_t)(took / BUCKET_US) : BUCKETS;
    if (answer->status == 200) {
        const bool right = is_right(load, caller);
        if (!right) complain(caller);
        totals->answered += right;
        totals->wrong += !right;
        totals->took[bucket]++;
        if (took > totals->took_max) totals->took_max = took;
    } else if (answer->status < STATUS_MAX) {
        totals->refused[answer->status]++;
        totals->unknown += strstr(answer->head, "\"outcome_unknown\"") != NULL;
        totals->refused_took[bucket]++;
        if (took > totals->refused_max) totals->refused_max = took;
    }
    caller->used = true;
    caller->n_answered++;
}

/* false: the connection is no more */
static bool take_bytes(struct load *load, struct caller *caller, const char *bytes, size_t len)
{
    for (size_t at = 0; at < len;) {
        if (!caller->asked) { /* bytes nobody asked for */
            load->totals.wrong++;
            fprintf(stderr, "wrong: %zu bytes too many\n", len - at);
            hang_up(caller, true);
            return false;
        }
        at += answer_feed(&caller->answer, bytes + at, len - at);
        if (caller->answer.part == ANSWER_BROKEN) {
            load->totals.wrong++;
            complain(caller);
            hang_up(caller, true);
            rest(load, caller);
            return false;
        }
        if (caller->answer.part != ANSWER_DONE) continue;
        const bool closes = caller->answer.closes;
        take_answer(load, caller);
        answer_start(&caller->answer);
        if (closes || caller->n_answered == caller->n_questions) {
            load->totals.stale += caller->n_questions - caller->n_answered; /* we were told that they are not taken */
            load->totals.half += caller->leave == LEAVE_HALF;
            if (closes || caller->leave == LEAVE_HALF || chance(load, load->fresh)) hang_up(caller, false);
            rest(load, caller);
            if (caller->fd < 0) return false;
        }
    }
    return true;
}

static void read_some(struct load *load, struct caller *caller)
{
    static char bytes[READ_BYTES];
    size_t wanted = sizeof bytes;
    if (caller->asked && caller->leave_got != NEVER && caller->leave_got - caller->got < wanted)
        wanted = (size_t)(caller->leave_got - caller->got);
    const ssize_t n = recv(caller->fd, bytes, wanted, 0);
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) {
        lose(load, caller);
        return;
    }
    caller->got += (uint64_t)n;
    if (take_bytes(load, caller, bytes, (size_t)n) && caller->asked && caller->got >= caller->leave_got)
        leave(load, caller);
}

static void write_some(struct load *load, struct caller *caller)
{
    size_t end = caller->out_len;
    if (caller->leave_sent < end) end = caller->leave_sent;
    if (caller->out_at < end) {
        const ssize_t n = send(caller->fd, caller->out + caller->out_at, end - caller->out_at, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN) {
            lose(load, caller);
            return;
        }
        if (n > 0) caller->out_at += (size_t)n;
    }
    if (caller->out_at >= caller->leave_sent)
        leave(load, caller);
    else if (caller->out_at == caller->out_len && caller->leave == LEAVE_HALF)
        (void)shutdown(caller->fd, SHUT_WR);
}

static void take_event(struct load *load, struct caller *caller, uint32_t events)
{
    if (caller->fd < 0) return;
    if (caller->connecting) {
        if ((events & (uint32_t)(EPOLLERR | EPOLLHUP)) != 0) {
            lose(load, caller);
            return;
        }
        caller->connecting = false;
    }
    if ((events & (uint32_t)EPOLLOUT) != 0 && caller->asked && caller->out_at < caller->out_len)
        write_some(load, caller);
    if (caller->fd >= 0 && (events & (uint32_t)(EPOLLIN | EPOLLERR | EPOLLHUP)) != 0) read_some(load, caller);
    if (caller->fd >= 0) watch(load, caller);
}

/* ---- the whole ---- */

static bool starts_more(const struct load *load, uint64_t now)
{
    if (told_to_end || (load->gets > 0 && load->totals.started >= load->gets)) return false;
    return load->seconds == 0 || now - load->begun_us < load->seconds * 1000000;
}

/* Everybody's clock. return: somebody waits for an answer */
static bool tick(struct load *load, uint64_t now)
{
    bool waits = false;
    for (uint64_t i = 0; i < load->callers; i++) {
        struct caller *caller = &load->caller[i];
        if (caller->asked && caller->leave_us <= now) leave(load, caller);
        if (!caller->asked && caller->next_us <= now && starts_more(load, now)) {
            go(load, caller, now);
            if (caller->fd >= 0 && !caller->connecting) write_some(load, caller);
            watch(load, caller);
        }
        waits = waits || caller->asked;
    }
    return waits;
}

static void run(struct load *load)
{
    struct epoll_event events[EVENTS_MAX];
    uint64_t end_us = NEVER;
    load->begun_us = now_us();
    for (uint64_t now = load->begun_us;; now = now_us()) {
        const bool waits = tick(load, now);
        const bool more = starts_more(load, now);
        if (!more && end_us == NEVER) end_us = now + END_US;
        if (!more && (!waits || now > end_us)) return;
        const int n = epoll_wait(load->epoll_fd, events, EVENTS_MAX, 1);
        for (int i = 0; i < n; i++) take_event(load, events[i].data.ptr, events[i].events);
    }
}

static double quantile_ms(const uint64_t *took, double q)
{
    uint64_t n = 0;
    uint64_t seen = 0;
    for (size_t i = 0; i <= BUCKETS; i++) n += took[i];
    for (size_t i = 0; i <= BUCKETS; i++) {
        seen += took[i];
        if (n > 0 && (double)seen >= q * (double)n) return (double)((i + 1) * BUCKET_US) / 1000;
    }
    return 0;
}

static void report(const struct load *load)
{
    const struct totals *totals = &load->totals;
    uint64_t open = 0;
    for (uint64_t i = 0; i < load->callers; i++)
        if (load->caller[i].asked) open += load->caller[i].n_questions - load->caller[i].n_answered;
    printf("{\"started\": %llu, \"answered\": %llu, \"wrong\": %llu, \"unknown\": %llu, \"cancelled\": %llu, ",
           (unsigned long long)totals->started, (unsigned long long)totals->answered, (unsigned long long)totals->wrong,
           (unsigned long long)totals->unknown, (unsigned long long)totals->cancelled);
    printf("\"lost\": %llu, \"stale\": %llu, \"unconnected\": %llu, \"unanswered\": %llu, \"half\": %llu, ",
           (unsigned long long)totals->lost, (unsigned long long)totals->stale, (unsigned long long)totals->unconnected,
           (unsigned long long)open, (unsigned long long)totals->half);
    printf("\"refused\": {");
    const char *comma = "";
    for (int status = 0; status < STATUS_MAX; status++) {
        if (totals->refused[status] == 0) continue;
        printf("%s\"%d\": %llu", comma, status, (unsigned long long)totals->refused[status]);
        comma = ", ";
    }
    printf("}, \"p50_ms\": %.2f, \"p99_ms\": %.2f, \"max_ms\": %.2f, \"refused_p99_ms\": %.2f, "
           "\"refused_max_ms\": %.2f, \"seconds\": %.2f}\n",
           quantile_ms(totals->took, 0.5), quantile_ms(totals->took, 0.99), (double)totals->took_max / 1000,
           quantile_ms(totals->refused_took, 0.99), (double)totals->refused_max / 1000,
           (double)(now_us() - load->begun_us) / 1000000);
}

static void read_options(struct load *load, int argc, char **argv)
{
    const struct {
        const char *name;
        uint64_t *value;
    } options[] = {
        {"--gets", &load->gets},           {"--seconds", &load->seconds}, {"--callers", &load->callers},
        {"--addresses", &load->addresses}, {"--depth", &load->depth},     {"--pause", &load->pause_ms},
        {"--cancel", &load->cancel},       {"--fresh", &load->fresh},     {"--small", &load->small},
        {"--large", &load->large},         {"--seed", &load->seed},       {"--large-bytes", &load->large_bytes},
    };
    load->port = (uint16_t)(argc > 1 ? strtoul(argv[1], NULL, 10) : 0);
    for (int i = 2; i + 1 < argc; i += 2) {
        size_t k = 0;
        while (k < sizeof options / sizeof *options && strcmp(argv[i], options[k].name) != 0) k++;
        if (k < sizeof options / sizeof *options)
            *options[k].value = strtoull(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--incr") == 0)
            load->incr = argv[i + 1];
        else
            load->port = 0;
    }
    const bool asks = load->incr != NULL || load->small + load->large > 0;
    if (load->port == 0 || load->callers == 0 || load->depth == 0 || load->depth > DEPTH_MAX || !asks) {
        fprintf(stderr, "lark-fault-load: see the head of tests/faults/load.c\n");
        exit(2);
    }
}

int main(int argc, char **argv)
{
    static struct load load;
    load.callers = 1;
    load.depth = 1;
    load.seed = now_us() | 1;
    read_options(&load, argc, argv);
    const struct sigaction end = {.sa_handler = on_signal};
    (void)sigaction(SIGTERM, &end, NULL);
    load.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    load.caller = calloc((size_t)load.callers, sizeof *load.caller);
    if (load.epoll_fd < 0 || load.caller == NULL) die("start");
    for (uint64_t i = 0; i < load.callers; i++) {
        load.caller[i].fd = -1;
        load.caller[i].next_us = now_us() + random_below(&load, load.pause_ms * 1000 + 1);
    }
    run(&load);
    report(&load);
    free(load.caller);
    return 0;
}
