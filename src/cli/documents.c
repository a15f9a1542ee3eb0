#include "documents.h"

#include <string.h>

#include "text.h"

#ifndef __clang_analyzer__
#include "documents.inc"
#else /* clang-tidy takes half a minute for three million bytes, and has nothing to say about them */
#define OPENAPI_MOUNT_AT 1
#define OPENAPI_MOUNT_LEN 1
static const uint8_t methods_text[2], methods_json[2], openapi_json[2];
#endif

const struct lark_slice lark__document_methods = {methods_text, sizeof(methods_text)};
const struct lark_slice lark__document_methods_json = {methods_json, sizeof(methods_json)};
const struct lark_slice lark__document_openapi = {openapi_json, sizeof(openapi_json)};

struct lark_slice lark__document_openapi_at(struct lark_arena *arena, const char *mount)
{
    const char *url = mount[0] == '\0' ? "/" : mount; /* letters, digits and - . _ ~ /: lark__settings_read */
    if (lark__cli_is((struct lark_slice){openapi_json + OPENAPI_MOUNT_AT, OPENAPI_MOUNT_LEN}, url))
        return lark__document_openapi;
    const size_t rest = OPENAPI_MOUNT_AT + OPENAPI_MOUNT_LEN;
    const char *text = lark__cli_format(arena, "%.*s%s%.*s", OPENAPI_MOUNT_AT, (const char *)openapi_json, url,
                                        (int)(sizeof(openapi_json) - rest), (const char *)openapi_json + rest);
    return lark__cli_slice(text);
}
