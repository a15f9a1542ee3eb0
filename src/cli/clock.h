/* clock.h - time for deadlines. */
#ifndef LARK_CLI_CLOCK_H
#define LARK_CLI_CLOCK_H

#include <stdint.h>
#include <time.h>

/* lark__clock_ms - milliseconds since some moment; never goes back. */
static inline int64_t lark__clock_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

#endif
