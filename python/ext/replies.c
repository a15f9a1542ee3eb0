/* replies.c - Python values that a Redis client made of a reply, as events; RESP as lists of bytes. */
#include <string.h>

#include "ext.h"

struct walk {
    struct lark_reply *reply;
    uint64_t elements_left;
};

/* NOLINTBEGIN(misc-no-recursion): no deeper than LARK_RESP_DEPTH_MAX */
static enum lark_status push(struct walk *walk, PyObject *value, unsigned depth);

static enum lark_status leaf(struct walk *walk, enum lark_resp_type type, unsigned depth, int64_t n,
                             struct lark_slice text)
{
    struct lark_resp_event event = {.type = type, .first = true, .last = true, .depth = depth, .n = n, .text = text};
    if (text.len < LARK_PYTHON_LARGE_BYTES) return lark_reply_event(walk->reply, &event);
    enum lark_status status;
    Py_BEGIN_ALLOW_THREADS;
    status = lark_reply_event(walk->reply, &event);
    Py_END_ALLOW_THREADS;
    return status;
}

static enum lark_status push_text(struct walk *walk, unsigned depth, struct lark_slice text)
{
    return leaf(walk, lark_reply_text_type(walk->reply, depth), depth, (int64_t)text.len, text);
}

static enum lark_status push_object_text(struct walk *walk, enum lark_resp_type type, PyObject *value, unsigned depth)
{
    PyObject *text = PyObject_Str(value);
    PyObject *bytes = text == NULL ? NULL : PyUnicode_AsEncodedString(text, "utf-8", "surrogateescape");
    enum lark_status status = LARK_E_INTERNAL;
    if (bytes != NULL && type == LARK_RESP_BULK) status = push_text(walk, depth, lark_python_slice(bytes));
    if (bytes != NULL && type != LARK_RESP_BULK) status = leaf(walk, type, depth, 0, lark_python_slice(bytes));
    Py_XDECREF(bytes);
    Py_XDECREF(text);
    return status;
}

static enum lark_status push_int(struct walk *walk, PyObject *value, unsigned depth)
{
    int overflow = 0;
    long long n = PyLong_AsLongLongAndOverflow(value, &overflow);
    if (overflow != 0) return push_object_text(walk, LARK_RESP_BIGNUM, value, depth);
    if (n == -1 && PyErr_Occurred()) return LARK_E_INTERNAL;
    return leaf(walk, LARK_RESP_INT, depth, n, (struct lark_slice){NULL, 0});
}

static enum lark_status push_float(struct walk *walk, PyObject *value, unsigned depth)
{
    double number = PyFloat_AsDouble(value);
    if (number == -1.0 && PyErr_Occurred()) return LARK_E_INTERNAL;
    char *text = PyOS_double_to_string(number, 'r', 0, 0, NULL);
    if (text == NULL) return LARK_E_INTERNAL;
    enum lark_status status =
        leaf(walk, LARK_RESP_DOUBLE, depth, 0, (struct lark_slice){(const uint8_t *)text, strlen(text)});
    PyMem_Free(text);
    return status;
}

static enum lark_status open_items(struct walk *walk, enum lark_resp_type type, Py_ssize_t n, unsigned depth)
{
    if ((uint64_t)n > walk->elements_left) return LARK_E_REPLY_TOO_LARGE;
    walk->elements_left -= (uint64_t)n;
    struct lark_resp_event event = {.type = type, .first = true, .last = true, .depth = depth, .n = n};
    return lark_reply_event(walk->reply, &event);
}

static enum lark_status close_items(struct walk *walk, unsigned depth)
{
    struct lark_resp_event event = {.type = LARK_RESP_END, .first = true, .last = true, .depth = depth};
    return lark_reply_event(walk->reply, &event);
}

static enum lark_status push_items(struct walk *walk, enum lark_resp_type type, PyObject *items, Py_ssize_t n,
                                   unsigned depth)
{
    enum lark_status status = open_items(walk, type, n, depth);
    PyObject *iterator = status < 0 ? NULL : PyObject_GetIter(items);
    PyObject *item;
    if (status >= 0 && iterator == NULL) status = LARK_E_INTERNAL;
    while (status >= 0 && (item = PyIter_Next(iterator)) != NULL) {
        status = push(walk, item, depth + 1);
        Py_DECREF(item);
    }
    Py_XDECREF(iterator);
    if (status >= 0 && PyErr_Occurred()) status = LARK_E_INTERNAL;
    return status < 0 ? status : close_items(walk, depth);
}

static enum lark_status push_dict(struct walk *walk, PyObject *dict, unsigned depth)
{
    PyObject *key;
    PyObject *value;
    Py_ssize_t at = 0;
    enum lark_status status = open_items(walk, LARK_RESP_MAP, 2 * PyDict_Size(dict), depth);
    while (status >= 0 && PyDict_Next(dict, &at, &key, &value)) {
        /* a large leaf lets other threads run: they may change the dict, which must not take these two away */
        Py_INCREF(key);
        Py_INCREF(value);
        status = push(walk, key, depth + 1);
        if (status >= 0) status = push(walk, value, depth + 1);
        Py_DECREF(key);
        Py_DECREF(value);
    }
    return status < 0 ? status : close_items(walk, depth);
}

static enum lark_status push_container(struct walk *walk, PyObject *value, unsigned depth)
{
    if (depth + 1 >= LARK_RESP_DEPTH_MAX) return LARK_E_PROTOCOL;
    if (PyDict_Check(value)) return push_dict(walk, value, depth);
    if (PyList_Check(value)) return push_items(walk, LARK_RESP_ARRAY, value, PyList_Size(value), depth);
    if (PyTuple_Check(value)) return push_items(walk, LARK_RESP_ARRAY, value, PyTuple_Size(value), depth);
    if (PyAnySet_Check(value)) return push_items(walk, LARK_RESP_SET, value, PySet_Size(value), depth);
    PyErr_Format(PyExc_TypeError, "not a reply of a Redis client: %R", value);
    return LARK_E_INTERNAL;
}

static enum lark_status push(struct walk *walk, PyObject *value, unsigned depth)
{
    if (PyBytes_Check(value)) return push_text(walk, depth, lark_python_slice(value));
    if (value == Py_None) return leaf(walk, LARK_RESP_NULL, depth, 0, (struct lark_slice){NULL, 0});
    if (PyBool_Check(value)) return leaf(walk, LARK_RESP_BOOL, depth, value == Py_True, (struct lark_slice){NULL, 0});
    if (PyLong_Check(value)) return push_int(walk, value, depth);
    if (PyFloat_Check(value)) return push_float(walk, value, depth);
    if (PyUnicode_Check(value)) return push_object_text(walk, LARK_RESP_BULK, value, depth);
    if (PyExceptionInstance_Check(value)) return push_object_text(walk, LARK_RESP_ERROR, value, depth);
    return push_container(walk, value, depth);
}
/* NOLINTEND(misc-no-recursion) */

enum lark_status lark_python_shape(struct lark_reply *reply, PyObject *value)
{
    struct walk walk = {reply, reply->plan->config->limits.reply_elements};
    return push(&walk, value, 0);
}

/* --- RESP of the core ------------------------------------------------------------------------------------------ */

struct reader {
    PyObject *commands;
    PyObject *command;
};

static enum lark_status on_event(void *ctx, const struct lark_resp_event *event)
{
    struct reader *reader = ctx;
    if (event->type == LARK_RESP_ARRAY) {
        reader->command = PyList_New(0);
        if (reader->command == NULL) return LARK_E_NOMEM;
        int failed = PyList_Append(reader->commands, reader->command);
        Py_DECREF(reader->command); /* the list of commands holds it */
        return failed ? LARK_E_NOMEM : LARK_OK;
    }
    if (event->type != LARK_RESP_BULK) return LARK_OK;
    PyObject *bytes = lark_python_bytes(event->text);
    int failed = bytes == NULL || PyList_Append(reader->command, bytes) != 0;
    Py_XDECREF(bytes);
    return failed ? LARK_E_NOMEM : LARK_OK;
}

PyObject *lark_python_commands(struct lark_slice resp)
{
    struct reader reader = {PyList_New(0), NULL};
    struct lark_resp parser;
    enum lark_status status = reader.commands == NULL ? LARK_E_NOMEM : LARK_OK;
    lark_resp_init(&parser, lark_mem_default(), UINT64_MAX, UINT64_MAX, on_event, &reader);
    while (status == LARK_OK && resp.len > 0) {
        size_t used = 0;
        status = lark_resp_feed(&parser, resp, &used);
        if (status != LARK_OK) break;
        resp.p += used;
        resp.len -= used;
    }
    lark_resp_done(&parser);
    if (status == LARK_OK) return reader.commands;
    Py_XDECREF(reader.commands);
    if (!PyErr_Occurred()) PyErr_SetString(PyExc_ValueError, "not RESP of commands");
    return NULL;
}
