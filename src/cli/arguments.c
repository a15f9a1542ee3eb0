#include "arguments.h"

#include <string.h>

#include "text.h"

char **lark__arguments_take(struct lark_arena *arena, int argc, char **argv)
{
    char **copies = lark_arena_alloc(arena, ((size_t)argc + 1) * sizeof(*copies));
    if (copies == NULL) return NULL;
    for (int i = 0; i < argc; i++) {
        copies[i] = lark__cli_format(arena, "%s", argv[i]);
        char *start = strstr(argv[i], "://");
        char *at = start == NULL ? NULL : strrchr(start, '@');
        char *colon = at == NULL ? NULL : memchr(start + 3, ':', (size_t)(at - start - 3));
        if (colon != NULL) memset(colon + 1, '*', (size_t)(at - colon - 1));
        char *query = start == NULL ? NULL : strstr(start, "password=");
        if (query != NULL) memset(query + strlen("password="), '*', strlen(query) - strlen("password="));
    }
    copies[argc] = NULL;
    return copies;
}
