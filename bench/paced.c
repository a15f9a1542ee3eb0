/* paced.c - an open load: lark-bench-paced PORT RATE SECONDS CONNECTIONS ANSWER_BYTES, with the request on stdin.
 *
 * Requests are due at random times (a Poisson process of RATE a second), whether earlier ones are answered or not; one that
 * is due while all connections are busy waits for one. Its latency counts from when it was due, so that a stall is seen by all
 * who would have called meanwhile. wrk measures as fast as it goes only, and h2load's --rps sends every 10 ms what came
 * together. Each answer has status 200 and ANSWER_BYTES with its head; anything else ends it with 1. One line of JSON. */
#include <errno.h>
#include <math.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define REQUEST_MAX_BYTES ((size_t)64 * 1024)
#define READ_BYTES ((size_t)64 * 1024)
#define CONNECTIONS_MAX 10000UL
#define EVENTS_MAX 256
#define BUCKETS ((size_t)2000000) /* of 1 us */
#define END_US 5e6                /* for what is under way or due when the time is over */

struct caller {
    int fd;
    double due_us;
    size_t got;
};

struct load {
    unsigned long port, rate, seconds, connections, answer_bytes;
    char request[REQUEST_MAX_BYTES];
    size_t request_len;
    int epoll_fd;
    uint64_t seed;
    struct caller caller[CONNECTIONS_MAX];
    struct caller *idle[CONNECTIONS_MAX]; /* n_idle of them */
    size_t n_idle;
    double due_us; /* the next request */
    uint64_t answered;
    uint32_t took[BUCKETS + 1]; /* so many microseconds; the last: longer */
};

static void die(const char *what)
{
    fprintf(stderr, "lark-bench-paced: %s\n", what);
    exit(1);
}

static double now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

/* Until the next request: exponentially distributed. */
static double pause_us(struct load *load)
{
    load->seed ^= load->seed << 13;
    load->seed ^= load->seed >> 7;
    load->seed ^= load->seed << 17;
    const double in_0_1 = ((double)(load->seed >> 11) + 1) / 9007199254740992.0;
    return -log(in_0_1) * 1e6 / (double)load->rate;
}

static void dial(struct load *load, struct caller *caller)
{
    const int on = 1;
    const struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)load->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    caller->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (caller->fd < 0 || connect(caller->fd, (const struct sockaddr *)&to, sizeof to) != 0) die(strerror(errno));
    (void)setsockopt(caller->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = caller};
    if (epoll_ctl(load->epoll_fd, EPOLL_CTL_ADD, caller->fd, &event) != 0) die(strerror(errno));
    load->idle[load->n_idle++] = caller;
}

/* Send what is due and has a connection. */
static void ask(struct load *load, double now, double end_us)
{
    while (load->n_idle > 0 && load->due_us <= now && load->due_us < end_us) {
        struct caller *caller = load->idle[--load->n_idle];
        caller->due_us = load->due_us;
        caller->got = 0;
        const ssize_t n = send(caller->fd, load->request, load->request_len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n != (ssize_t)load->request_len) die("a request could not be sent in one go");
        load->due_us += pause_us(load);
    }
}

static void take(struct load *load, struct caller *caller)
{
    static char bytes[READ_BYTES];
    const ssize_t n = recv(caller->fd, bytes, sizeof bytes, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) die("the server closed a connection");
    if (caller->got == 0 && (n < 12 || memcmp(bytes, "HTTP/1.1 200", 12) != 0)) die("an answer without status 200");
    caller->got += (size_t)n;
    if (caller->got > load->answer_bytes) die("an answer is too long");
    if (caller->got < load->answer_bytes) return;
    const double took = now_us() - caller->due_us;
    load->took[took < (double)BUCKETS ? (size_t)took : BUCKETS]++;
    load->answered++;
    load->idle[load->n_idle++] = caller;
}

/* return: microseconds from the first to the last */
static double run(struct load *load)
{
    struct epoll_event events[EVENTS_MAX];
    const double begun_us = now_us();
    const double end_us = begun_us + (double)load->seconds * 1e6;
    load->due_us = begun_us + pause_us(load);
    for (;;) {
        const double now = now_us();
        ask(load, now, end_us);
        if (load->due_us >= end_us && load->n_idle == load->connections) return fmax(now, end_us) - begun_us;
        if (now > end_us + END_US) die("requests stay without an answer");
        double wait_us = load->n_idle > 0 && load->due_us < end_us ? fmax(load->due_us - now, 0) : 1e5;
        wait_us = fmin(wait_us, 1e5);
        const struct timespec wait = {.tv_nsec = (long)(wait_us * 1e3)};
        const int n = epoll_pwait2(load->epoll_fd, events, EVENTS_MAX, &wait, NULL);
        if (n < 0 && errno != EINTR) die(strerror(errno));
        for (int i = 0; i < n; i++) take(load, events[i].data.ptr);
    }
}

static size_t quantile_us(const struct load *load, double q)
{
    uint64_t seen = 0;
    for (size_t i = 0; i <= BUCKETS; i++) {
        seen += load->took[i];
        if (seen > 0 && (double)seen >= q * (double)load->answered) return i;
    }
    return BUCKETS;
}

static bool read_arguments(struct load *load, int argc, char **argv)
{
    unsigned long *const values[] = {&load->port, &load->rate, &load->seconds, &load->connections, &load->answer_bytes};
    const size_t n = sizeof values / sizeof *values;
    if (argc != (int)n + 1) return false;
    for (size_t i = 0; i < n; i++) {
        char *end;
        *values[i] = strtoul(argv[i + 1], &end, 10);
        if (*values[i] == 0 || *end != '\0') return false;
    }
    load->request_len = fread(load->request, 1, sizeof load->request, stdin);
    return load->port < 65536 && load->connections <= CONNECTIONS_MAX && load->request_len > 0;
}

int main(int argc, char **argv)
{
    static struct load load = {.seed = UINT64_C(0x9E3779B97F4A7C15)};
    if (!read_arguments(&load, argc, argv)) {
        fprintf(stderr, "usage: lark-bench-paced PORT RATE SECONDS CONNECTIONS ANSWER_BYTES, and a request on stdin\n");
        return 2;
    }
    (void)prctl(PR_SET_TIMERSLACK, 1UL);
    load.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (load.epoll_fd < 0) die(strerror(errno));
    for (size_t i = 0; i < load.connections; i++) dial(&load, &load.caller[i]);
    const double us = run(&load);
    printf("{\"requests\": %llu, \"us\": %.0f, \"p50_us\": %zu, \"p99_us\": %zu}\n", (unsigned long long)load.answered,
           us, quantile_us(&load, 0.5), quantile_us(&load, 0.99));
    for (size_t i = 0; i < load.connections; i++) close(load.caller[i].fd);
    return 0;
}
