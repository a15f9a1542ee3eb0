/* text.h - lines for people, and text in an arena. */
#ifndef LARK_CLI_TEXT_H
#define LARK_CLI_TEXT_H

#include <lark/types.h>

/* Text of one set of settings, the config file's and the tokens file's included. */
#define LARK_CLI_TEXT_MAX (40U << 20)

/* lark__cli_say - one line on standard error: "lark: ...". Control characters are shown as '?'. */
__attribute__((format(printf, 1, 2))) void lark__cli_say(const char *format, ...);

/* lark__cli_format - printf into the arena. return: NUL-terminated. Without memory the program ends with a line:
 * its children end with it. */
__attribute__((format(printf, 2, 3))) char *lark__cli_format(struct lark_arena *arena, const char *format, ...);

/* lark__cli_copy - len bytes and a NUL in the arena; ends as lark__cli_format does. */
char *lark__cli_copy(struct lark_arena *arena, struct lark_slice bytes);

/* lark__cli_slice - a NUL-terminated text as a slice. */
struct lark_slice lark__cli_slice(const char *text);

/* lark__cli_is - are the bytes this word? */
bool lark__cli_is(struct lark_slice bytes, const char *word);

/* lark__cli_near - of n_words the one that is spelled nearly as word (distance 1..3, less for short words), or NULL.
 * cost: O(words * length²); for errors only */
const char *lark__cli_near(const char *word, const char *const *words, size_t n_words);

/* lark__cli_word - the next word of a list joined by blanks, behind *at. return: false at its end */
bool lark__cli_word(const char *list, size_t *at, struct lark_slice *out_word);

/* lark__cli_quotable - may the text stand between quotes in nginx's or Redis' configuration? Not with what ends them, escapes,
 * or names a variable. */
bool lark__cli_quotable(const char *text);

#endif
