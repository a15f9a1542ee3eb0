/* documents.h - texts made from data/methods at build time (tools/openapi.py). */
#ifndef LARK_CLI_DOCUMENTS_H
#define LARK_CLI_DOCUMENTS_H

#include <lark/types.h>

/* A table for people, the catalogue as JSON, the OpenAPI document. Constant. */
extern const struct lark_slice lark__document_methods;
extern const struct lark_slice lark__document_methods_json;
extern const struct lark_slice lark__document_openapi;

/* lark__document_openapi_at - the OpenAPI document of a server with this mount point ("" is the root). in the arena, or
 * the constant one. */
struct lark_slice lark__document_openapi_at(struct lark_arena *arena, const char *mount);

#endif
