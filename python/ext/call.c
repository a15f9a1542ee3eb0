/* call.c - Call: one request on its way to an answer.
 *
 *     find (optional)  which method is it, if the caller may
 *     route            verb, path, scopes
 *     make             parameters; gives the RESP to send
 *     feed             a reply; gives the RESP of a further step, or None: answered, or a further reply is awaited
 *     fail             the host's own errors
 *
 * Once `answered` is true, status, body, is_bytes, allow and retry_after say what to send. */
#include "ext.h"

#define ARENA_BLOCK 1024
#define OUT_BLOCK 1024
#define ARENA_MAX ((size_t)1 << 30)

struct call_object {
    PyObject_HEAD PyObject *config;
    PyObject *target; /* bytes that the request borrows */
    PyObject *values;
    PyObject *range; /* NULL: the host sends one command at a time */
    PyObject *prefix;
    PyObject *body;
    struct lark_request request;
    struct lark_plan plan;
    struct lark_arena arena;
    struct lark_buf out;
    struct lark_reply reply;
    size_t n_awaited;       /* replies to what was sent last */
    enum lark_status error; /* LARK_OK: none */
    int http_status;
    int retry_after_s;
    unsigned allow; /* LARK_VERB_*, 0: no such header */
    bool routed;
    bool made;
    bool answered;
    bool is_bytes; /* of a value, not JSON */
    bool busy;     /* another thread is inside */
    uint8_t arena_block[ARENA_BLOCK];
    uint8_t out_block[OUT_BLOCK];
};

static const struct lark_config *config_of(const struct call_object *self)
{
    const struct config_object *config = (const struct config_object *)self->config;
    return self->range != NULL ? &config->several : &config->config;
}

/* --- the answer ------------------------------------------------------------------------------------------------ */

static void settle(struct call_object *self, int http_status)
{
    self->http_status = http_status;
    self->answered = true;
}

/* return: 0, or -1 with an exception set */
static int answer_error(struct call_object *self, const struct lark_err *err)
{
    const struct lark_error_row *row = lark_error_row(err->status);
    self->out.len = 0;
    self->is_bytes = false;
    if (lark_error_render(config_of(self), err, &self->out) != LARK_OK) {
        PyErr_NoMemory();
        return -1;
    }
    self->error = err->status;
    self->retry_after_s = row->retry_after_s;
    if (err->status == LARK_E_WRONG_VERB) self->allow = err->verbs;
    settle(self, row->http_status);
    return 0;
}

static PyObject *none_or_error(int result)
{
    if (result != 0) return NULL;
    Py_RETURN_NONE;
}

/* --- one thread at a time -------------------------------------------------------------------------------------- */

static int enter(struct call_object *self)
{
    if (self->busy) {
        PyErr_SetString(PyExc_RuntimeError, "a call belongs to one thread at a time");
        return -1;
    }
    self->busy = true;
    return 0;
}

static int must_be(bool condition, const char *what)
{
    if (condition) return 0;
    PyErr_SetString(PyExc_RuntimeError, what);
    return -1;
}

/* --- find, route ----------------------------------------------------------------------------------------------- */

static int route(struct call_object *self, const struct lark_principal *principal)
{
    struct lark_err err;
    enum lark_status status = lark_plan_route(config_of(self), &self->request, principal, &self->plan, &err);
    if (status == LARK_OK) return 0;
    err.status = status;
    return answer_error(self, &err);
}

static PyObject *call_find(PyObject *object, PyObject *unused)
{
    struct call_object *self = (struct call_object *)object;
    struct lark_scopes every = {.admin = false};
    struct lark_slice admin = {(const uint8_t *)"admin", 5};
    (void)unused;
    if (must_be(!self->routed && !self->answered, "find() comes first") != 0) return NULL;
    if (lark_scopes_add(config_of(self)->catalogue, admin, &every) != LARK_OK) return PyErr_NoMemory();
    struct lark_principal principal = {.scopes = &every};
    return none_or_error(route(self, &principal));
}

static PyObject *call_route(PyObject *object, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"scopes", "prefix", "unidentified", NULL};
    struct call_object *self = (struct call_object *)object;
    PyObject *scopes;
    PyObject *prefix = NULL;
    int unidentified = 0;
    PyObject *type = (PyObject *)lark_python_state(object)->scopes_type;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|Sp", names, &scopes, &prefix, &unidentified)) return NULL;
    if ((PyObject *)Py_TYPE(scopes) != type)
        return PyErr_Format(PyExc_TypeError, "route() takes Scopes, got %R", scopes);
    if (must_be(!self->routed && !self->answered, "route() comes once") != 0) return NULL;
    self->prefix = Py_XNewRef(prefix);
    self->routed = true;
    struct lark_principal principal = {.scopes = &((struct scopes_object *)scopes)->scopes,
                                       .prefix = lark_python_slice(self->prefix),
                                       .unidentified = unidentified != 0};
    return none_or_error(route(self, &principal));
}

/* --- make ------------------------------------------------------------------------------------------------------ */

static enum lark_status make(struct call_object *self, struct lark_buf *resp, struct lark_err *err)
{
    struct lark_body body = {.len = lark_python_slice(self->body).len, .p = lark_python_slice(self->body).p};
    enum lark_status status;
    if (body.len < LARK_PYTHON_LARGE_BYTES) {
        status = lark_plan_make(&self->plan, &self->arena, &body, err);
        return status == LARK_OK ? lark_plan_encode(&self->plan, resp) : status;
    }
    Py_BEGIN_ALLOW_THREADS;
    status = lark_plan_make(&self->plan, &self->arena, &body, err);
    if (status == LARK_OK) status = lark_plan_encode(&self->plan, resp);
    Py_END_ALLOW_THREADS;
    return status;
}

static void start_reply(struct call_object *self)
{
    if (self->made) lark_reply_done(&self->reply);
    self->out.len = 0;
    lark_reply_init(&self->reply, &self->plan, lark_mem_default(), &self->out);
    self->n_awaited = self->plan.n_commands;
    self->made = true;
}

static PyObject *made(struct call_object *self, enum lark_status status, struct lark_err *err,
                      const struct lark_buf *resp)
{
    if (status != LARK_OK) {
        if (err->status == LARK_OK) err->status = status;
        return none_or_error(answer_error(self, err));
    }
    if (self->plan.n_commands > 0) {
        start_reply(self);
        return lark_python_bytes((struct lark_slice){resp->p, resp->len});
    }
    /* OPTIONS */
    if (lark_options_render(&self->plan, &self->out) != LARK_OK) return PyErr_NoMemory();
    self->allow = self->plan.verbs;
    settle(self, 200);
    Py_RETURN_NONE;
}

static PyObject *call_make(PyObject *object, PyObject *body)
{
    struct call_object *self = (struct call_object *)object;
    struct lark_err err = {.status = LARK_OK, .method = -1};
    uint8_t block[1024];
    struct lark_buf resp;
    if (!PyBytes_Check(body)) return PyErr_Format(PyExc_TypeError, "make() takes bytes, got %R", body);
    if (must_be(self->routed && !self->made && !self->answered, "make() comes after route()") != 0) return NULL;
    if (enter(self) != 0) return NULL;
    self->body = Py_NewRef(body);
    lark_buf_init(&resp, lark_mem_default(), SIZE_MAX / 2, block, sizeof block);
    PyObject *result = made(self, make(self, &resp, &err), &err, &resp);
    lark_buf_done(&resp);
    self->busy = false;
    return result;
}

/* --- feed ------------------------------------------------------------------------------------------------------ */

static PyObject *next_step(struct call_object *self)
{
    struct lark_buf resp;
    lark_buf_init(&resp, lark_mem_default(), SIZE_MAX / 2, NULL, 0);
    enum lark_status status = lark_reply_next(&self->reply, &resp);
    self->n_awaited = 1;
    PyObject *result = status == LARK_OK ? lark_python_bytes((struct lark_slice){resp.p, resp.len}) : PyErr_NoMemory();
    lark_buf_done(&resp);
    return result;
}

static PyObject *taken(struct call_object *self, enum lark_status status)
{
    struct lark_err err;
    if (PyErr_Occurred()) return NULL;
    self->n_awaited--;
    if (status == LARK_MORE && self->n_awaited > 0) Py_RETURN_NONE;
    if (status == LARK_NEXT) return next_step(self);
    if (status == LARK_OK) {
        if (self->reply.error != NULL) {
            self->error = self->reply.error->status;
            self->retry_after_s = self->reply.error->retry_after_s;
        }
        self->is_bytes = self->reply.content == LARK_CONTENT_BYTES;
        settle(self, self->reply.http_status);
        Py_RETURN_NONE;
    }
    if (status == LARK_MORE) status = LARK_E_PROTOCOL;
    lark_reply_fail(&self->reply, status, &err);
    return none_or_error(answer_error(self, &err));
}

static int may_feed(struct call_object *self)
{
    if (must_be(self->made && !self->answered, "a reply comes after make() and before the answer") != 0) return -1;
    return enter(self);
}

static PyObject *call_feed(PyObject *object, PyObject *value)
{
    struct call_object *self = (struct call_object *)object;
    if (may_feed(self) != 0) return NULL;
    PyObject *result = taken(self, lark_python_shape(&self->reply, value));
    self->busy = false;
    return result;
}

static PyObject *call_feed_error(PyObject *object, PyObject *text)
{
    struct call_object *self = (struct call_object *)object;
    if (!PyBytes_Check(text)) return PyErr_Format(PyExc_TypeError, "feed_error() takes bytes, got %R", text);
    if (may_feed(self) != 0) return NULL;
    struct lark_resp_event event = {
        .type = LARK_RESP_ERROR, .first = true, .last = true, .text = lark_python_slice(text)};
    PyObject *result = taken(self, lark_reply_event(&self->reply, &event));
    self->busy = false;
    return result;
}

static PyObject *call_again(PyObject *object, PyObject *unused)
{
    struct call_object *self = (struct call_object *)object;
    (void)unused;
    if (may_feed(self) != 0) return NULL;
    start_reply(self);
    self->busy = false;
    Py_RETURN_NONE;
}

static PyObject *call_fail(PyObject *object, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"error", "name", "got", "text", NULL};
    struct call_object *self = (struct call_object *)object;
    struct lark_err err = {.method = -1};
    const char *text = NULL;
    PyObject *name = NULL;
    PyObject *got = NULL;
    int error;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "i|SSz", names, &error, &name, &got, &text)) return NULL;
    if (enter(self) != 0) return NULL;
    if (self->made) lark_reply_fail(&self->reply, (enum lark_status)error, &err);
    err.status = (enum lark_status)error;
    if (name != NULL) err.name = lark_python_slice(name);
    if (got != NULL) err.got = lark_python_slice(got);
    if (text != NULL) err.text = text;
    if (error == LARK_E_TOO_LARGE) err.offset = config_of(self)->limits.body_bytes;
    int result = answer_error(self, &err);
    self->busy = false;
    return none_or_error(result);
}

/* --- making and freeing ---------------------------------------------------------------------------------------- */

static PyObject *call_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"config", "verb", "target", "values", "seed", "range", NULL};
    PyObject *config;
    PyObject *target;
    PyObject *values = NULL;
    PyObject *range = Py_None;
    const char *verb;
    Py_ssize_t verb_len;
    unsigned long long seed = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "Os#S|SKO", names, &config, &verb, &verb_len, &target, &values,
                                     &seed, &range)) {
        return NULL;
    }
    if (range != Py_None && !PyBytes_Check(range))
        return PyErr_Format(PyExc_TypeError, "range must be bytes or None, got %R", range);
    struct call_object *self = (struct call_object *)PyType_GenericNew(type, NULL, NULL);
    if (self == NULL) return NULL;
    lark_arena_init(&self->arena, lark_mem_default(), ARENA_MAX, self->arena_block, sizeof self->arena_block);
    lark_buf_init(&self->out, lark_mem_default(), 0, self->out_block, sizeof self->out_block);
    if (Py_TYPE(config) != lark_python_state((PyObject *)self)->config_type) {
        Py_DECREF(self);
        return PyErr_Format(PyExc_TypeError, "Call() takes a Config, got %R", config);
    }
    self->config = Py_NewRef(config);
    self->target = Py_NewRef(target);
    self->values = Py_XNewRef(values);
    self->range = range == Py_None ? NULL : Py_NewRef(range);
    self->request =
        (struct lark_request){.verb = lark_verb_parse((struct lark_slice){(const uint8_t *)verb, (size_t)verb_len}),
                              .target = lark_python_slice(target),
                              .values = lark_python_slice(values),
                              .range = lark_python_slice(self->range),
                              .seed = seed};
    self->plan.method = -1;
    /* JSON makes six bytes of one at worst */
    uint64_t reply_max = config_of(self)->limits.reply_bytes;
    self->out.max = reply_max < SIZE_MAX / 16 ? (size_t)reply_max * 6 + 65536 : SIZE_MAX / 2;
    return (PyObject *)self;
}

static void call_dealloc(PyObject *object)
{
    struct call_object *self = (struct call_object *)object;
    PyTypeObject *type = Py_TYPE(object);
    if (self->made) lark_reply_done(&self->reply);
    lark_arena_done(&self->arena);
    lark_buf_done(&self->out);
    Py_XDECREF(self->config);
    Py_XDECREF(self->target);
    Py_XDECREF(self->values);
    Py_XDECREF(self->range);
    Py_XDECREF(self->prefix);
    Py_XDECREF(self->body);
    freefunc release = PyType_GetSlot(type, Py_tp_free);
    release(object);
    Py_DECREF(type);
}

/* --- what can be read ------------------------------------------------------------------------------------------ */

static PyObject *call_answered(PyObject *self, void *unused)
{
    (void)unused;
    return PyBool_FromLong(((struct call_object *)self)->answered);
}

static PyObject *call_error(PyObject *self, void *unused)
{
    (void)unused;
    return PyLong_FromLong(((struct call_object *)self)->error);
}

static PyObject *call_status(PyObject *self, void *unused)
{
    (void)unused;
    return PyLong_FromLong(((struct call_object *)self)->http_status);
}

static PyObject *call_is_bytes(PyObject *self, void *unused)
{
    (void)unused;
    return PyBool_FromLong(((struct call_object *)self)->is_bytes);
}

static PyObject *call_retry_after(PyObject *self, void *unused)
{
    (void)unused;
    return PyLong_FromLong(((struct call_object *)self)->retry_after_s);
}

static PyObject *call_body(PyObject *self, void *unused)
{
    const struct lark_buf *out = &((struct call_object *)self)->out;
    (void)unused;
    return lark_python_bytes((struct lark_slice){out->p, out->len});
}

/* Of the body that a GET has. */
static PyObject *call_length(PyObject *object, void *unused)
{
    const struct call_object *self = (const struct call_object *)object;
    (void)unused;
    return PyLong_FromUnsignedLongLong(self->is_bytes ? self->reply.content_len : self->out.len);
}

static PyObject *call_accepts_ranges(PyObject *object, void *unused)
{
    const struct call_object *self = (const struct call_object *)object;
    (void)unused;
    return PyBool_FromLong(self->is_bytes && self->reply.accepts_ranges);
}

static PyObject *call_content_range(PyObject *object, void *unused)
{
    const struct lark_reply *reply = &((const struct call_object *)object)->reply;
    int status = ((const struct call_object *)object)->http_status;
    (void)unused;
    if (status == 206) {
        return PyUnicode_FromFormat("bytes %llu-%llu/%llu", (unsigned long long)reply->range_first,
                                    (unsigned long long)reply->range_last, (unsigned long long)reply->range_total);
    }
    if (status == 416) return PyUnicode_FromFormat("bytes */%llu", (unsigned long long)reply->range_total);
    Py_RETURN_NONE;
}

static PyObject *call_awaited(PyObject *self, void *unused)
{
    (void)unused;
    return PyLong_FromSize_t(((struct call_object *)self)->n_awaited);
}

static PyObject *call_allow(PyObject *object, void *unused)
{
    struct call_object *self = (struct call_object *)object;
    uint8_t block[64];
    struct lark_buf list;
    (void)unused;
    if (self->allow == 0) Py_RETURN_NONE;
    lark_buf_init(&list, lark_mem_default(), sizeof block, block, sizeof block);
    if (lark_verbs_list(self->allow, &list) != LARK_OK) return PyErr_NoMemory();
    return PyUnicode_FromStringAndSize((const char *)list.p, (Py_ssize_t)list.len);
}

static PyObject *call_method(PyObject *object, void *unused)
{
    struct call_object *self = (struct call_object *)object;
    (void)unused;
    if (self->plan.method < 0) Py_RETURN_NONE;
    struct lark_slice name = lark_catalogue_name(config_of(self)->catalogue, (size_t)self->plan.method);
    return PyUnicode_FromStringAndSize((const char *)name.p, (Py_ssize_t)name.len);
}

static PyObject *call_scope(PyObject *object, void *unused)
{
    struct call_object *self = (struct call_object *)object;
    (void)unused;
    if (self->plan.method < 0) Py_RETURN_NONE;
    struct lark_slice word = lark_catalogue_scope(config_of(self)->catalogue, (size_t)self->plan.method);
    return PyUnicode_FromStringAndSize((const char *)word.p, (Py_ssize_t)word.len);
}

static PyObject *call_lane(PyObject *object, void *unused)
{
    static const char *const words[] = {"shared", "blocking", "private"};
    (void)unused;
    return PyUnicode_InternFromString(words[((struct call_object *)object)->plan.lane]);
}

static PyObject *call_writes(PyObject *object, void *unused)
{
    (void)unused;
    return PyBool_FromLong(((struct call_object *)object)->plan.access == LARK_ACCESS_WRITE);
}

static PyObject *call_block_ms(PyObject *object, void *unused)
{
    (void)unused;
    return PyLong_FromUnsignedLong(((struct call_object *)object)->plan.block_ms);
}

static PyObject *call_params(PyObject *object, void *unused)
{
    struct call_object *self = (struct call_object *)object;
    struct lark_slice name;
    struct lark_slice raw;
    PyObject *list = PyList_New(0);
    (void)unused;
    if (self->plan.method < 0) return list;
    for (size_t i = 0; list != NULL && lark_plan_path_param(&self->plan, i, &name, &raw); i++) {
        PyObject *pair = Py_BuildValue("(s#y#)", (const char *)name.p, (Py_ssize_t)name.len, (const char *)raw.p,
                                       (Py_ssize_t)raw.len);
        if (pair == NULL || PyList_Append(list, pair) != 0) Py_CLEAR(list);
        Py_XDECREF(pair);
    }
    return list;
}

/* Positions of keys in the first command, of a transaction in that behind MULTI, for hosts whose Redis has many nodes. */
static PyObject *call_keys(PyObject *object, void *unused)
{
    struct call_object *self = (struct call_object *)object;
    PyObject *list = PyList_New(0);
    (void)unused;
    const struct lark_command *command = self->made ? self->plan.commands + (self->plan.n_commands > 1) : NULL;
    for (size_t i = 0; list != NULL && command != NULL && i < command->n_args; i++) {
        if (!command->args[i].is_key) continue;
        PyObject *position = PyLong_FromSize_t(i);
        if (position == NULL || PyList_Append(list, position) != 0) Py_CLEAR(list);
        Py_XDECREF(position);
    }
    return list;
}

static PyGetSetDef fields[] = {
    {"answered", call_answered, NULL, "is there an answer?", NULL},
    {"error", call_error, NULL, "the number of the answer's error, 0: none", NULL},
    {"status", call_status, NULL, "the HTTP status of the answer", NULL},
    {"is_bytes", call_is_bytes, NULL, "is the body the bytes of a value (Lark-Values: raw), and not JSON?", NULL},
    {"retry_after", call_retry_after, NULL, "seconds for Retry-After, 0: no such header", NULL},
    {"body", call_body, NULL, "the body of the answer; of a HEAD of bytes, nothing", NULL},
    {"length", call_length, NULL, "of the body, also of one that a HEAD leaves out", NULL},
    {"accepts_ranges", call_accepts_ranges, NULL, "for Accept-Ranges: bytes", NULL},
    {"content_range", call_content_range, NULL, "the Content-Range header of the answer, or None", NULL},
    {"awaited", call_awaited, NULL, "replies that are still to come to what was sent last", NULL},
    {"allow", call_allow, NULL, "the Allow header of the answer, or None", NULL},
    {"method", call_method, NULL, "the name of the method, or None", NULL},
    {"scope", call_scope, NULL, "the narrowest scope that allows the method, or None", NULL},
    {"lane", call_lane, NULL, "shared, blocking or private", NULL},
    {"writes", call_writes, NULL, "does it change anything?", NULL},
    {"block_ms", call_block_ms, NULL, "how long Redis may wait by itself", NULL},
    {"params", call_params, NULL, "(name, percent-encoded bytes) of the path's parameters", NULL},
    {"keys", call_keys, NULL, "positions of keys in the first command, of a transaction in that behind MULTI", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef methods[] = {
    {"find", call_find, METH_NOARGS, "find(): which method is it, whoever calls"},
    {"route", (PyCFunction)(void (*)(void))call_route, METH_VARARGS | METH_KEYWORDS,
     "route(scopes, prefix=b'', unidentified=False): check path, verb and scopes"},
    {"make", call_make, METH_O, "make(body) -> bytes | None: the RESP to send, None: answered"},
    {"feed", call_feed, METH_O,
     "feed(reply) -> bytes | None: the RESP of a further step; None: answered, or a further reply is awaited"},
    {"feed_error", call_feed_error, METH_O, "feed_error(text): the reply was this error"},
    {"again", call_again, METH_NOARGS, "again(): the call is sent once more from its first command"},
    {"fail", (PyCFunction)(void (*)(void))call_fail, METH_VARARGS | METH_KEYWORDS,
     "fail(error, name=b'', got=b'', text=None): an error that the host saw; text: what was expected"},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_doc, "Call(config, verb, target, values=b'', seed=0, range=None): one request on its way to an answer. "
                "range: the header Range; None: the host sends one command at a time"},
    {Py_tp_new, (void *)call_new},
    {Py_tp_dealloc, (void *)call_dealloc},
    {Py_tp_methods, methods},
    {Py_tp_getset, fields},
    {0, NULL},
};

PyType_Spec lark_python_call_spec = {
    .name = "lark_redis._core.Call",
    .basicsize = sizeof(struct call_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = slots,
};
