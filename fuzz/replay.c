/* replay.c - a target without libFuzzer: replay REGRESSIONS [SEEDS], two folders. TAP: each file that was a crash once is
 * a test, all seeds together are one; with each input every allocation fails in turn. */
#include "fuzz.h"

#include <dirent.h>

static void read_file(const char *path, struct fuzz_log *out)
{
    char block[65536];
    size_t n = 0;
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        perror(path);
        exit(1);
    }
    while ((n = fread(block, 1, sizeof block, file)) > 0) fuzz_add(out, block, n);
    fclose(file);
}

static void run_file(const char *path)
{
    struct fuzz_log bytes = {.len = 0};
    read_file(path, &bytes);
    uint8_t *exact = fuzz_copy((struct lark_slice){bytes.p, bytes.len});
    (void)LLVMFuzzerTestOneInput(exact, bytes.len);
    free(exact);
    fuzz_log_done(&bytes);
}

static int visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

/* tell: a line of TAP for each. return: files */
static int run_folder(const char *folder, bool tell)
{
    struct dirent **entries = NULL;
    int n = scandir(folder, &entries, visible, alphasort);
    for (int i = 0; i < n; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", folder, entries[i]->d_name);
        fprintf(stderr, "%s\n", path); /* the last one is the culprit */
        run_file(path);
        if (tell) printf("ok %d - %s\n", i + 1, entries[i]->d_name);
        fflush(stdout);
        free(entries[i]);
    }
    free(entries);
    return n > 0 ? n : 0;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fputs("usage: replay REGRESSIONS [SEEDS]\n", stderr);
        return 2;
    }
    fuzz_every_allocation = true;
    int n = run_folder(argv[1], true);
    if (argc > 2) {
        int seeds = run_folder(argv[2], false);
        printf("%s %d - %d seeds\n", seeds > 0 ? "ok" : "not ok", ++n, seeds);
    }
    printf("1..%d\n", n);
    return 0;
}
