/* slices.h - small things about slices, shared in this room. */
#ifndef LARK_AUTH_SLICES_H
#define LARK_AUTH_SLICES_H

#include <string.h>

#include <lark/types.h>

static inline struct lark_slice lark__auth_slice(const void *p, size_t len)
{
    return (struct lark_slice){(const uint8_t *)p, len};
}

static inline struct lark_slice lark__auth_text(const char *text)
{
    return (struct lark_slice){(const uint8_t *)text, strlen(text)};
}

/* at <= s.len */
static inline struct lark_slice lark__auth_from(struct lark_slice s, size_t at)
{
    return at == 0 ? s : (struct lark_slice){s.p + at, s.len - at};
}

static inline bool lark__auth_is(struct lark_slice s, const char *word)
{
    return s.len == strlen(word) && (s.len == 0 || memcmp(s.p, word, s.len) == 0);
}

/* word: in lower case */
static inline bool lark__auth_is_in_any_case(struct lark_slice s, const char *word)
{
    if (s.len != strlen(word)) return false;
    for (size_t i = 0; i < s.len; i++) {
        const uint8_t c = s.p[i];
        if ((c >= 'A' && c <= 'Z' ? (uint8_t)(c | 0x20) : c) != (uint8_t)word[i]) return false;
    }
    return true;
}

/* What stands in a file may hold line ends, which would make lines of their own in a log, and a terminal's escapes. C1 controls
 * are C2 80..9F in UTF-8. */
static inline void lark__auth_one_line(char *text)
{
    for (char *p = text; *p != '\0'; p++) {
        const bool is_c1 = (uint8_t)p[0] == 0xc2 && (uint8_t)p[1] >= 0x80 && (uint8_t)p[1] < 0xa0;
        if (is_c1) p[1] = '?';
        if (is_c1 || (uint8_t)*p < 0x20 || *p == 0x7f) *p = '?';
    }
}

static inline enum lark_status lark__auth_fail(struct lark_err *err, enum lark_status status, const char *text)
{
    if (err != NULL) {
        *err = (struct lark_err){.status = status, .text = text, .method = -1};
    }
    return status;
}

#endif
