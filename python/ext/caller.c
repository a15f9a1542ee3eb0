/* caller.c - Tokens: a tokens file, and whose an Authorization header is. What the sources of credentials share. */
#include "ext.h"

struct tokens_object {
    PyObject_HEAD struct lark_tokens *tokens;
    struct lark_hasher *hasher;
    PyObject *warnings; /* list of what is odd in the file, but no error */
};

static void warn(void *ctx, const char *text)
{
    PyObject *line = PyUnicode_FromString(text);
    if (line == NULL || PyList_Append(ctx, line) != 0) PyErr_Clear();
    Py_XDECREF(line);
}

static PyObject *tokens_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"file", NULL};
    PyObject *file;
    struct lark_tokens_error error;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "S", names, &file)) return NULL;
    struct tokens_object *self = (struct tokens_object *)PyType_GenericNew(type, NULL, NULL);
    if (self == NULL) return NULL;
    self->warnings = PyList_New(0);
    self->hasher = lark_hasher_new();
    if (self->warnings == NULL || self->hasher == NULL) {
        Py_DECREF(self);
        return PyErr_NoMemory();
    }
    enum lark_status status = lark_tokens_parse(lark_mem_default(), lark_catalogue_default(), lark_python_slice(file),
                                                warn, self->warnings, &self->tokens, &error);
    if (status == LARK_OK) return (PyObject *)self;
    Py_DECREF(self);
    return status == LARK_E_NOMEM ? PyErr_NoMemory() : PyErr_Format(PyExc_ValueError, "%s", error.text);
}

static void tokens_dealloc(PyObject *object)
{
    struct tokens_object *self = (struct tokens_object *)object;
    PyTypeObject *type = Py_TYPE(object);
    if (self->tokens != NULL) lark_tokens_free(self->tokens);
    lark_hasher_free(self->hasher);
    Py_XDECREF(self->warnings);
    freefunc release = PyType_GetSlot(type, Py_tp_free);
    release(object);
    Py_DECREF(type);
}

/* --- a header, a credential ------------------------------------------------------------------------------------- */

enum lark_status lark_python_show(struct lark_hasher *hasher, struct lark_slice header, struct lark_python_shown *out,
                                  struct lark_err *err)
{
    struct lark_authorization authorization;
    enum lark_status status = lark_authorization_read(header, out->storage, &authorization, err);
    if (status != LARK_OK) return status;
    out->token = authorization.token;
    return lark_hasher_hash(hasher, out->token, &out->hash);
}

void lark_python_hide(struct lark_python_shown *shown)
{
    volatile uint8_t *wiped = shown->storage;
    for (size_t i = 0; i < sizeof shown->storage; i++) wiped[i] = 0;
}

static PyObject *credential_tuple(PyObject *self, const struct lark_credential *credential)
{
    struct module_state *state = lark_python_state(self);
    struct scopes_object *scopes = (struct scopes_object *)PyType_GenericNew(state->scopes_type, NULL, NULL);
    if (scopes == NULL) return NULL;
    scopes->scopes = credential->scopes;
    scopes->unknown = PyTuple_New(0);
    return Py_BuildValue("(Ns#y#)", (PyObject *)scopes, credential->name, (Py_ssize_t)credential->name_len,
                         credential->prefix, (Py_ssize_t)credential->prefix_len);
}

PyObject *lark_python_judged(PyObject *self, enum lark_status status, struct lark_err *err,
                             const struct lark_credential *credential, long long now_s, bool require_prefix)
{
    if (status == LARK_OK) status = lark_credential_check(credential, now_s, require_prefix, err);
    if (status == LARK_OK) return credential_tuple(self, credential);
    return Py_BuildValue("(is)", (int)status, err->text == NULL ? "" : err->text);
}

/* --- Tokens ----------------------------------------------------------------------------------------------------- */

static PyObject *tokens_find(PyObject *object, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"authorization", "now", "require_prefix", NULL};
    struct tokens_object *self = (struct tokens_object *)object;
    struct lark_python_shown shown;
    struct lark_err err = {.method = -1};
    const struct lark_token *token = NULL;
    PyObject *header;
    long long now;
    int require_prefix = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "SL|p", names, &header, &now, &require_prefix)) return NULL;
    enum lark_status status = lark_python_show(self->hasher, lark_python_slice(header), &shown, &err);
    if (status == LARK_OK) token = lark_tokens_find(self->tokens, &shown.hash);
    lark_python_hide(&shown);
    if (status == LARK_OK && token == NULL) Py_RETURN_NONE;
    return lark_python_judged(object, status, &err, token == NULL ? NULL : &token->credential, now,
                              require_prefix != 0);
}

static PyObject *tokens_warnings(PyObject *self, void *unused)
{
    (void)unused;
    return PyList_AsTuple(((struct tokens_object *)self)->warnings);
}

static PyGetSetDef fields[] = {
    {"warnings", tokens_warnings, NULL, "what is odd in the file", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef methods[] = {
    {"find", (PyCFunction)(void (*)(void))tokens_find, METH_VARARGS | METH_KEYWORDS,
     "find(authorization, now, require_prefix=False) -> (Scopes, name, prefix) | (number of the error, why) | None: "
     "not known"},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_doc, "Tokens(file): a tokens file"},
    {Py_tp_new, (void *)tokens_new},
    {Py_tp_dealloc, (void *)tokens_dealloc},
    {Py_tp_methods, methods},
    {Py_tp_getset, fields},
    {0, NULL},
};

PyType_Spec lark_python_tokens_spec = {
    .name = "lark_redis._core.Tokens",
    .basicsize = sizeof(struct tokens_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = slots,
};
