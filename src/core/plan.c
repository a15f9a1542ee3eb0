/* plan.c - making a plan, at once and in steps; limits and dialects. */
#include <lark/plan.h>

#include "dialect.h"
#include "planning.h"
#include "raw.h"
#include "steps.h"

/* Just enough for a value of value_bytes in base64 with what stands around it in JSON. */
#define LARK_BODY_BYTES_DEFAULT ((uint64_t)683 << 20)

void lark_limits_default(struct lark_limits *limits)
{
    *limits = (struct lark_limits){
        .body_bytes = LARK_BODY_BYTES_DEFAULT,
        .value_bytes = (uint64_t)512 << 20,
        .reply_bytes = (uint64_t)64 << 20,
        .reply_elements = 16777216,
        .args = 4096,
        .scan_keys = 100000,
        .block_max_s = 60,
    };
}

const struct lark_dialect *lark_dialect_native(void)
{
    static const struct lark_dialect native = {
        .route = lark__native_route,
        .before_data = LARK_TEXT_INIT("{\"meta\": {\"status\": \"ok\", \"status_code\": 200}, \"data\": "),
        .after_data = LARK_TEXT_INIT("}"),
        .error = lark__native_error,
    };
    return &native;
}

bool lark_plan_path_param(const struct lark_plan *plan, size_t index, struct lark_slice *out_name,
                          struct lark_slice *out_raw)
{
    if (plan->route == NULL || index >= plan->route->n_params || index >= plan->n_path) return false;
    *out_name = plan->row->params[plan->route->params[index]].name;
    *out_raw = plan->path[index];
    return true;
}

static void planning_init(struct lark_planning *planning, struct lark_plan *plan, struct lark_arena *arena,
                          const struct lark_body *body)
{
    planning->make = (struct lark__make){.plan = plan, .row = plan->row, .arena = arena};
    planning->make.max_items = plan->config->limits.args * 2;
    planning->phase = LARK__PLANNING_NEW;
    if (body) plan->body = *body;
}

static void planning_done(struct lark_planning *planning)
{
    if (planning->phase == LARK__PLANNING_BODY) lark_json_done(&planning->json);
    planning->phase = LARK__PLANNING_DONE;
}

/* What comes before the body. */
static enum lark_status first(struct lark_planning *planning)
{
    struct lark__make *make = &planning->make;
    size_t bytes = make->row->n_params * sizeof *make->values;
    if (bytes > 0) {
        make->values = lark_arena_alloc(make->arena, bytes);
        if (make->values == NULL) return LARK_E_NOMEM;
        memset(make->values, 0, bytes);
    }
    make->plan->values_of = make->values;
    enum lark_status status = lark__make_path(make);
    return status == LARK_OK ? lark__body_begin(planning) : status;
}

/* What comes after it. */
static enum lark_status rest(struct lark__make *make)
{
    enum lark_status status = lark__make_query(make);
    if (status == LARK_OK) status = lark__make_check(make);
    if (status == LARK_OK) status = lark__make_argv(make);
    if (status == LARK_OK && make->plan->values == LARK_VALUES_RAW) status = lark__raw_commands(make);
    if (status == LARK_OK && make->plan->loop != LARK__STEPS_NONE) status = lark__steps_first(make);
    return status;
}

static enum lark_status step(struct lark_planning *planning, uint64_t max_bytes)
{
    enum lark_status status = LARK_OK;
    if (planning->phase == LARK__PLANNING_NEW) status = first(planning);
    if (status == LARK_OK && planning->phase == LARK__PLANNING_BODY) status = lark__body_step(planning, max_bytes);
    return status == LARK_OK ? rest(&planning->make) : status;
}

enum lark_status lark_plan_step(struct lark_planning *planning, uint64_t max_bytes, struct lark_err *err)
{
    const struct lark_plan *plan = planning->make.plan;
    if (err) *err = (struct lark_err){.method = plan->method, .verbs = plan->verbs};
    if (plan->row == NULL || plan->request->verb == LARK_VERB_OPTIONS) return LARK_OK;
    planning->make.err = err;
    enum lark_status status = step(planning, max_bytes);
    if (status < 0 && err && err->status == LARK_OK) err->status = status;
    return status;
}

enum lark_status lark_plan_begin(struct lark_plan *plan, struct lark_arena *arena, const struct lark_body *body,
                                 struct lark_planning **out_planning, struct lark_err *err)
{
    struct lark_planning *planning = lark_arena_alloc(arena, sizeof *planning);
    if (err) *err = (struct lark_err){.method = plan->method, .verbs = plan->verbs};
    if (planning == NULL) return lark__fail(err, LARK_E_NOMEM, NULL, LARK_NOTHING, LARK_NOTHING);
    planning_init(planning, plan, arena, body);
    *out_planning = planning;
    return LARK_OK;
}

void lark_plan_end(struct lark_planning *planning)
{
    planning_done(planning);
}

enum lark_status lark_plan_make(struct lark_plan *plan, struct lark_arena *arena, const struct lark_body *body,
                                struct lark_err *err)
{
    struct lark_planning planning;
    planning_init(&planning, plan, arena, body);
    enum lark_status status = lark_plan_step(&planning, UINT64_MAX, err);
    planning_done(&planning);
    return status;
}
