/* token_file.h - a tokens file changed in place: what stands in it otherwise is kept to the byte. */
#ifndef LARK_CLI_TOKEN_FILE_H
#define LARK_CLI_TOKEN_FILE_H

#include "token.h"

/* A tokens file whose folder is locked against other changes.
 * path: canonical; bytes: as read, empty when there is no file yet; tokens: what they say
 * mode, uid, gid: of the file that will take its place */
struct lark_token_file {
    struct lark_arena *arena;
    const char *path;
    const char *name;
    int dir_fd;
    unsigned mode;
    unsigned uid;
    unsigned gid;
    struct lark_slice bytes;
    struct lark_tokens *tokens;
};

/* lark__token_file_open - read it, and for a change lock its folder and make do without a file.
 * return: false: said why; there is nothing to close then */
LARK_MUST_USE bool lark__token_file_open(struct lark_arena *arena, const char *path, bool change,
                                         struct lark_token_file *out_file);
void lark__token_file_close(struct lark_token_file *file);

/* lark__token_file_add - one more entry. lark__token_file_remove - without the entry of that index.
 * Both write the file anew: on disk, whole or not at all. return: false: said why */
LARK_MUST_USE bool lark__token_file_add(struct lark_token_file *file, const struct lark_new_token *token);
LARK_MUST_USE bool lark__token_file_remove(struct lark_token_file *file, size_t index);

/* lark__token_entry - the entry as JSON. */
void lark__token_entry(struct lark_buf *out, const struct lark_new_token *token);

/* lark__token_file_find - the entry of that name. return: its index, or their count when there is none */
size_t lark__token_file_find(const struct lark_token_file *file, const char *name);

#endif
