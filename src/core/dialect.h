/* dialect.h - what differs between ways to write the API: how a request is read, how an answer looks.
 * `native` is Lark's own; others add a row like it. Nothing of URL grammar or envelope is known outside one. */
#ifndef LARK_DIALECT_H
#define LARK_DIALECT_H

#include <lark/plan.h>

struct lark_dialect {
    /* fills row, route, path, query, values of the plan; see lark_plan_route */
    enum lark_status (*route)(const struct lark_config *config, const struct lark_request *request,
                              const struct lark_principal *principal, struct lark_plan *plan, struct lark_err *err);
    /* what stands before and behind the data of a good answer */
    struct lark_slice before_data;
    struct lark_slice after_data;
    /* a whole error answer */
    enum lark_status (*error)(const struct lark_config *config, const struct lark_err *err, struct lark_buf *out);
};

enum lark_status lark__native_route(const struct lark_config *config, const struct lark_request *request,
                                    const struct lark_principal *principal, struct lark_plan *plan,
                                    struct lark_err *err);
enum lark_status lark__native_error(const struct lark_config *config, const struct lark_err *err, struct lark_buf *out);

#endif
