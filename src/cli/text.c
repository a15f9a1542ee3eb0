#include "text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NEAR_LEN_MAX 40
#define LINE_MAX_BYTES 2048

void lark__cli_say(const char *format, ...)
{
    char line[LINE_MAX_BYTES] = "lark: ";
    const size_t start = strlen(line);
    va_list args;
    va_start(args, format);
    const int n = vsnprintf(line + start, sizeof(line) - start - 1, format, args);
    va_end(args);
    size_t len = start + (n > 0 ? (size_t)n : 0);
    if (len > sizeof(line) - 2) len = sizeof(line) - 2;
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f) line[i] = '?';
    line[len++] = '\n';
    fflush(stdout);
    /* one write: lines of several processes do not mix. Nothing can be done when nobody listens */
    const ssize_t written = write(STDERR_FILENO, line, len);
    (void)written;
}

static void *take(struct lark_arena *arena, size_t n)
{
    void *p = lark_arena_alloc(arena, n);
    if (p == NULL) {
        lark__cli_say("out of memory");
        exit(EXIT_FAILURE);
    }
    return p;
}

char *lark__cli_format(struct lark_arena *arena, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    const size_t size = n < 0 ? 1 : (size_t)n + 1;
    char *text = take(arena, size);
    text[0] = '\0';
    va_start(args, format);
    (void)vsnprintf(text, size, format, args);
    va_end(args);
    return text;
}

char *lark__cli_copy(struct lark_arena *arena, struct lark_slice bytes)
{
    char *text = take(arena, bytes.len + 1);
    if (bytes.len > 0) memcpy(text, bytes.p, bytes.len);
    text[bytes.len] = '\0';
    return text;
}

struct lark_slice lark__cli_slice(const char *text)
{
    return (struct lark_slice){(const uint8_t *)text, strlen(text)};
}

bool lark__cli_is(struct lark_slice bytes, const char *word)
{
    return bytes.len == strlen(word) && memcmp(bytes.p, word, bytes.len) == 0;
}

/* Levenshtein's distance; both at most NEAR_LEN_MAX long. */
static size_t distance(const char *a, size_t n_a, const char *b, size_t n_b)
{
    size_t row[NEAR_LEN_MAX + 1];
    for (size_t j = 0; j <= n_b; j++) row[j] = j;
    for (size_t i = 1; i <= n_a; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= n_b; j++) {
            size_t best = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
            if (row[j] + 1 < best) best = row[j] + 1;
            if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
            diagonal = row[j];
            row[j] = best;
        }
    }
    return row[n_b];
}

const char *lark__cli_near(const char *word, const char *const *words, size_t n_words)
{
    const size_t len = strlen(word);
    if (len > NEAR_LEN_MAX) return NULL;
    const char *best = NULL;
    size_t best_distance = len / 3 < 3 ? len / 3 + 1 : 4;
    for (size_t i = 0; i < n_words; i++) {
        const size_t n = strlen(words[i]);
        if (n > NEAR_LEN_MAX) continue;
        size_t d = distance(word, len, words[i], n);
        /* the beginning of an option is as good as a small slip */
        if (len >= 3 && len < n && memcmp(word, words[i], len) == 0) d = 1;
        if (d < best_distance) {
            best_distance = d;
            best = words[i];
        }
    }
    return best;
}

bool lark__cli_word(const char *list, size_t *at, struct lark_slice *out_word)
{
    const char *start = list + *at;
    size_t len = 0;
    while (start[len] != '\0' && start[len] != ' ') len++;
    if (len == 0) return false;
    *out_word = (struct lark_slice){(const uint8_t *)start, len};
    *at += len + (start[len] == ' ' ? 1 : 0);
    return true;
}

bool lark__cli_quotable(const char *text)
{
    for (const char *p = text; *p != '\0'; p++)
        if (*p == '"' || *p == '\'' || *p == '\\' || *p == '$' || (unsigned char)*p < 0x20 || *p == 0x7f) return false;
    return true;
}
