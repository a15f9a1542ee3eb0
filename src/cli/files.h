/* files.h - small files whole, by path. */
#ifndef LARK_CLI_FILES_H
#define LARK_CLI_FILES_H

#include <lark/types.h>

/* lark__file_read - all of a regular file of at most max bytes.
 * out:    out_bytes: in the arena, a NUL behind them
 * return: 0 | an errno; EFBIG: larger than max; EISDIR, EINVAL: no regular file */
LARK_MUST_USE int lark__file_read(struct lark_arena *arena, const char *path, size_t max, struct lark_slice *out_bytes);

/* lark__file_read_fd - the same of an open file, from its start. */
LARK_MUST_USE int lark__file_read_fd(struct lark_arena *arena, int fd, size_t max, struct lark_slice *out_bytes);

/* lark__file_write - put a file in a folder, whole or not at all (a new file takes the name's place; links at the name
 * are never followed).
 * in:     dir_fd: the folder; mode: of the file
 * return: 0 | an errno */
LARK_MUST_USE int lark__file_write(int dir_fd, const char *name, unsigned mode, struct lark_slice bytes);

/* lark__file_replace - the same, and it is on disk, and somebody's, before it takes the place.
 * in:     uid, gid: whose it will be. return: 0 | an errno */
LARK_MUST_USE int lark__file_replace(int dir_fd, const char *name, unsigned mode, unsigned uid, unsigned gid,
                                     struct lark_slice bytes);

/* lark__file_tail - the last line of a file that is not empty, without its end, cut to 500 bytes; "" when there is
 * none.
 * in:     from: what stands before this byte is of no interest (all counts when the file is shorter: it is a new one) */
char *lark__file_tail(struct lark_arena *arena, const char *path, int64_t from);

/* lark__file_absolute - the path with the working folder before it when it is relative. */
char *lark__file_absolute(struct lark_arena *arena, const char *path);

#endif
