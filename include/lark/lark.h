/* lark.h - all of the core's public API. docs/ARCHITECTURE.md tells how the parts fit. */
#ifndef LARK_LARK_H
#define LARK_LARK_H

#include <lark/catalogue.h>
#include <lark/json.h>
#include <lark/plan.h>
#include <lark/reply.h>
#include <lark/resp.h>
#include <lark/spool.h>
#include <lark/text.h>
#include <lark/types.h>

#endif
