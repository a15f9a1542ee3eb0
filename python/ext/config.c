/* config.c - Config and Scopes: what is the same for many calls. Both are never changed once made. */
#include <stddef.h>
#include <string.h>

#include "ext.h"

/* A body is whole in memory here: less than a server takes that reads it from a file. */
#define BODY_BYTES ((uint64_t)64 << 20)

/* --- Config ---------------------------------------------------------------------------------------------------- */

static struct {
    const char *name;
    size_t offset;
    bool wide;
} const limits[] = {
    {"body_bytes", offsetof(struct lark_limits, body_bytes), true},
    {"reply_bytes", offsetof(struct lark_limits, reply_bytes), true},
    {"reply_elements", offsetof(struct lark_limits, reply_elements), true},
    {"args", offsetof(struct lark_limits, args), false},
    {"scan_keys", offsetof(struct lark_limits, scan_keys), false},
    {"block_max_s", offsetof(struct lark_limits, block_max_s), false},
};
#define N_LIMITS (sizeof limits / sizeof limits[0])

static int set_limit(struct lark_limits *all, const char *name, unsigned long long value)
{
    for (size_t i = 0; i < N_LIMITS; i++) {
        if (strcmp(limits[i].name, name) != 0) continue;
        unsigned char *field = (unsigned char *)all + limits[i].offset;
        if (limits[i].wide) {
            uint64_t wide = value;
            memcpy(field, &wide, sizeof wide);
            return 0;
        }
        uint32_t narrow = (uint32_t)value;
        if (value > UINT32_MAX) break;
        memcpy(field, &narrow, sizeof narrow);
        return 0;
    }
    PyErr_Format(PyExc_ValueError, "there is no limit \"%s\" that could be %llu", name, value);
    return -1;
}

static int read_limits(PyObject *dict, struct lark_limits *all)
{
    PyObject *name;
    PyObject *value;
    Py_ssize_t at = 0;
    while (PyDict_Next(dict, &at, &name, &value)) {
        const char *text = PyUnicode_Check(name) ? PyUnicode_AsUTF8AndSize(name, NULL) : NULL;
        if (text == NULL) {
            if (!PyErr_Occurred()) PyErr_SetString(PyExc_TypeError, "the name of a limit must be text");
            return -1;
        }
        if (!PyLong_Check(value) || PyBool_Check(value)) {
            PyErr_Format(PyExc_TypeError, "limit \"%s\" must be a whole number, got %R", text, value);
            return -1;
        }
        unsigned long long n = PyLong_AsUnsignedLongLong(value);
        if (PyErr_Occurred()) {
            PyErr_Format(PyExc_ValueError, "limit \"%s\" must be from 0 to 2^64 - 1, got %R", text, value);
            return -1;
        }
        if (set_limit(all, text, n) != 0) return -1;
    }
    return 0;
}

static PyObject *config_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"mount", "limits", NULL};
    PyObject *mount;
    PyObject *dict = NULL;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "S|O!", names, &mount, &PyDict_Type, &dict)) return NULL;
    struct lark_slice text = lark_python_slice(mount);
    if (text.len > 0 && (text.p[0] != '/' || text.p[text.len - 1] == '/')) {
        PyErr_Format(PyExc_ValueError, "a mount point begins with a slash and ends without one, or is empty; got %R",
                     mount);
        return NULL;
    }
    struct config_object *self = (struct config_object *)PyType_GenericNew(type, NULL, NULL);
    if (self == NULL) return NULL;
    self->mount = Py_NewRef(mount);
    self->config = (struct lark_config){.catalogue = lark_catalogue_default(),
                                        .dialect = lark_dialect_native(),
                                        .zone = lark_zone_libc(),
                                        .mount = text};
    lark_limits_default(&self->config.limits);
    self->config.limits.body_bytes = BODY_BYTES;
    if (dict != NULL && read_limits(dict, &self->config.limits) != 0) Py_CLEAR(self);
    if (self == NULL) return NULL;
    self->several = self->config;
    self->several.several = true;
    return (PyObject *)self;
}

static void config_dealloc(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    Py_XDECREF(((struct config_object *)object)->mount);
    freefunc release = PyType_GetSlot(type, Py_tp_free);
    release(object);
    Py_DECREF(type);
}

static PyObject *config_mount(PyObject *self, void *unused)
{
    (void)unused;
    return Py_NewRef(((struct config_object *)self)->mount);
}

static PyObject *config_body_bytes(PyObject *self, void *unused)
{
    (void)unused;
    return PyLong_FromUnsignedLongLong(((struct config_object *)self)->config.limits.body_bytes);
}

static PyGetSetDef config_fields[] = {
    {"mount", config_mount, NULL, "the mount point", NULL},
    {"body_bytes", config_body_bytes, NULL, "the limit of a request's body", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot config_slots[] = {
    {Py_tp_doc, "Config(mount, limits={}): what is the same for all requests of one mount point"},
    {Py_tp_new, (void *)config_new},
    {Py_tp_dealloc, (void *)config_dealloc},
    {Py_tp_getset, config_fields},
    {0, NULL},
};

PyType_Spec lark_python_config_spec = {
    .name = "lark_redis._core.Config",
    .basicsize = sizeof(struct config_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = config_slots,
};

/* --- Scopes ---------------------------------------------------------------------------------------------------- */

/* Adds one word; what no method has is kept apart. */
static int add_word(struct scopes_object *self, PyObject *word, PyObject *unknown)
{
    Py_ssize_t len;
    const char *text = PyUnicode_Check(word) ? PyUnicode_AsUTF8AndSize(word, &len) : NULL;
    if (text == NULL) {
        if (!PyErr_Occurred()) PyErr_Format(PyExc_TypeError, "a scope must be text, got %R", word);
        return -1;
    }
    struct lark_slice slice = {(const uint8_t *)text, (size_t)len};
    if (lark_scopes_add(lark_catalogue_default(), slice, &self->scopes) == LARK_OK) return 0;
    return PyList_Append(unknown, word);
}

static int add_words(struct scopes_object *self, PyObject *words)
{
    PyObject *unknown = PyList_New(0);
    PyObject *iterator = unknown == NULL ? NULL : PyObject_GetIter(words);
    PyObject *word;
    int result = iterator == NULL ? -1 : 0;
    while (result == 0 && (word = PyIter_Next(iterator)) != NULL) {
        result = add_word(self, word, unknown);
        Py_DECREF(word);
    }
    if (PyErr_Occurred()) result = -1;
    if (result == 0) self->unknown = PyList_AsTuple(unknown);
    Py_XDECREF(iterator);
    Py_XDECREF(unknown);
    return result == 0 && self->unknown != NULL ? 0 : -1;
}

static PyObject *scopes_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"words", NULL};
    PyObject *words;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O", names, &words)) return NULL;
    if (PyUnicode_Check(words) || PyBytes_Check(words)) {
        PyErr_Format(PyExc_TypeError, "scopes must be a set or list of words, got %R", words);
        return NULL;
    }
    struct scopes_object *self = (struct scopes_object *)PyType_GenericNew(type, NULL, NULL);
    if (self != NULL && add_words(self, words) != 0) Py_CLEAR(self);
    return (PyObject *)self;
}

static void scopes_dealloc(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    Py_XDECREF(((struct scopes_object *)object)->unknown);
    freefunc release = PyType_GetSlot(type, Py_tp_free);
    release(object);
    Py_DECREF(type);
}

static PyObject *scopes_unknown(PyObject *self, void *unused)
{
    (void)unused;
    return Py_NewRef(((struct scopes_object *)self)->unknown);
}

static PyObject *scopes_near(PyObject *self, PyObject *word)
{
    (void)self;
    struct lark_slice near[3];
    Py_ssize_t len;
    const char *text = PyUnicode_AsUTF8AndSize(word, &len);
    if (text == NULL) return NULL;
    size_t n =
        lark_scopes_near(lark_catalogue_default(), (struct lark_slice){(const uint8_t *)text, (size_t)len}, near, 3);
    PyObject *list = PyList_New((Py_ssize_t)n);
    for (size_t i = 0; list != NULL && i < n; i++) {
        PyObject *item = PyUnicode_FromStringAndSize((const char *)near[i].p, (Py_ssize_t)near[i].len);
        if (item == NULL || PyList_SetItem(list, (Py_ssize_t)i, item) != 0) Py_CLEAR(list);
    }
    return list;
}

static PyGetSetDef scopes_fields[] = {
    {"unknown", scopes_unknown, NULL, "the words that no method has", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef scopes_methods[] = {
    {"near", scopes_near, METH_O | METH_STATIC, "near(word) -> list[str]: words that are spelled nearly so"},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot scopes_slots[] = {
    {Py_tp_doc, "Scopes(words): what a caller may call. Unknown words give nothing"},
    {Py_tp_new, (void *)scopes_new},
    {Py_tp_dealloc, (void *)scopes_dealloc},
    {Py_tp_getset, scopes_fields},
    {Py_tp_methods, scopes_methods},
    {0, NULL},
};

PyType_Spec lark_python_scopes_spec = {
    .name = "lark_redis._core.Scopes",
    .basicsize = sizeof(struct scopes_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = scopes_slots,
};
