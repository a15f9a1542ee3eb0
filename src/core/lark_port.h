/* lark_port.h - the only place for compiler extensions. */
#ifndef LARK_PORT_H
#define LARK_PORT_H

#include <stdint.h>

#define LARK_LIKELY(x) __builtin_expect(!!(x), 1)
#define LARK_UNLIKELY(x) __builtin_expect(!!(x), 0)
#define LARK_FALLTHROUGH __attribute__((fallthrough))
/* Kept out of its callers, whose common way is shorter without it. */
#define LARK_APART __attribute__((noinline))

__extension__ typedef unsigned __int128 lark_u128;

#if defined(__SANITIZE_ADDRESS__)
#define LARK_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define LARK_ASAN 1
#endif
#endif

#ifdef LARK_ASAN
#include <sanitizer/asan_interface.h>
#define LARK_POISON(p, n) ASAN_POISON_MEMORY_REGION(p, n)
#define LARK_UNPOISON(p, n) ASAN_UNPOISON_MEMORY_REGION(p, n)
#else
#define LARK_POISON(p, n) ((void)(p), (void)(n))
#define LARK_UNPOISON(p, n) ((void)(p), (void)(n))
#endif

static inline int lark__clz64(uint64_t x) /* x != 0 */
{
    return __builtin_clzll(x);
}

static inline int lark__ctz64(uint64_t x) /* x != 0 */
{
    return __builtin_ctzll(x);
}

#endif
