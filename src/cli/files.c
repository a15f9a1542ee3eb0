#include "files.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "text.h"

#define TAIL_BYTES 500

int lark__file_read_fd(struct lark_arena *arena, int fd, size_t max, struct lark_slice *out_bytes)
{
    struct stat st;
    if (fstat(fd, &st) != 0) return errno;
    if (S_ISDIR(st.st_mode)) return EISDIR;
    if (!S_ISREG(st.st_mode)) return EINVAL;
    if (st.st_size < 0 || (uintmax_t)st.st_size > max) return EFBIG;
    const size_t size = (size_t)st.st_size;
    char *p = lark_arena_alloc(arena, size + 1);
    if (p == NULL) return ENOMEM;
    size_t len = 0;
    while (len < size) {
        const ssize_t n = pread(fd, p + len, size - len, (off_t)len);
        if (n < 0) return errno;
        if (n == 0) break;
        len += (size_t)n;
    }
    p[len] = '\0';
    *out_bytes = (struct lark_slice){(const uint8_t *)p, len};
    return 0;
}

int lark__file_read(struct lark_arena *arena, const char *path, size_t max, struct lark_slice *out_bytes)
{
    /* a FIFO would keep us waiting for ever without O_NONBLOCK */
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) return errno;
    const int error = lark__file_read_fd(arena, fd, max, out_bytes);
    close(fd);
    return error;
}

/* Whose a file is to be, and whether it must be on disk; NULL: ours, and it need not. */
struct keeping {
    unsigned uid, gid;
};

static int fill(int fd, unsigned mode, const struct keeping *keeping, struct lark_slice bytes)
{
    size_t done = 0;
    if (fchmod(fd, (mode_t)mode) != 0) return errno;
    while (done < bytes.len) {
        const ssize_t written = write(fd, bytes.p + done, bytes.len - done);
        if (written < 0) return errno;
        done += (size_t)written;
    }
    if (keeping == NULL) return 0;
    struct stat st;
    if (fstat(fd, &st) != 0) return errno;
    const bool other = st.st_uid != keeping->uid || st.st_gid != keeping->gid;
    if (other && fchown(fd, keeping->uid, keeping->gid) != 0) return errno;
    return fsync(fd) == 0 ? 0 : errno;
}

static int write_fresh(int dir_fd, const char *name, unsigned mode, const struct keeping *keeping,
                       struct lark_slice bytes)
{
    char fresh[NAME_MAX];
    const int n = snprintf(fresh, sizeof(fresh), ".%s.new", name);
    if (n < 0 || (size_t)n >= sizeof(fresh)) return ENAMETOOLONG;
    if (unlinkat(dir_fd, fresh, 0) != 0 && errno != ENOENT) return errno;
    const int fd = openat(dir_fd, fresh, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) return errno;
    int error = fill(fd, mode, keeping, bytes);
    if (close(fd) != 0 && error == 0) error = errno;
    if (error == 0 && renameat(dir_fd, fresh, dir_fd, name) != 0) error = errno;
    if (error != 0) (void)unlinkat(dir_fd, fresh, 0);
    return error;
}

int lark__file_write(int dir_fd, const char *name, unsigned mode, struct lark_slice bytes)
{
    return write_fresh(dir_fd, name, mode, NULL, bytes);
}

int lark__file_replace(int dir_fd, const char *name, unsigned mode, unsigned uid, unsigned gid, struct lark_slice bytes)
{
    const struct keeping keeping = {uid, gid};
    const int error = write_fresh(dir_fd, name, mode, &keeping, bytes);
    return error == 0 && fsync(dir_fd) != 0 ? errno : error;
}

char *lark__file_tail(struct lark_arena *arena, const char *path, int64_t from)
{
    uint8_t bytes[TAIL_BYTES];
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) return lark__cli_format(arena, "%s", "");
    const off_t end = lseek(fd, 0, SEEK_END);
    if (end < from) from = 0;
    if (end - from > TAIL_BYTES) from = end - TAIL_BYTES;
    const ssize_t got = pread(fd, bytes, sizeof(bytes), from);
    close(fd);
    size_t len = got > 0 ? (size_t)got : 0;
    while (len > 0 && (bytes[len - 1] == '\n' || bytes[len - 1] == '\0')) len--;
    size_t start = len;
    while (start > 0 && bytes[start - 1] != '\n') start--;
    return lark__cli_copy(arena, (struct lark_slice){bytes + start, len - start});
}

char *lark__file_absolute(struct lark_arena *arena, const char *path)
{
    char here[PATH_MAX];
    if (path[0] == '/' || getcwd(here, sizeof(here)) == NULL) return lark__cli_format(arena, "%s", path);
    while (path[0] == '.' && path[1] == '/') path += 2;
    return lark__cli_format(arena, "%s%s%s", here, here[1] == '\0' ? "" : "/", path);
}
