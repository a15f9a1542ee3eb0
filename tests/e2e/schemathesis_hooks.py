"""What test_openapi.py tells schemathesis: which findings are explained, and which requests would only cost time.

Loaded by the program `schemathesis` (SCHEMATHESIS_HOOKS). Each finding that is explained is written to the file that
LARK_EXPLAINED names, a line of JSON each; all others fail the run.
"""
import json
import os
import re

import schemathesis

VALUES_KEPT_SMALL = 1000


def _meta(response):
    try:
        return json.loads(response.content)["meta"]
    except (ValueError, KeyError, TypeError):
        return {}


def _code(response):
    return _meta(response).get("error_code")


def _message(response):
    return _meta(response).get("error_message", "")


def _refused(failure, response):
    return type(failure).__name__ == "RejectedPositiveData" and response.status_code == 400


def _taken(failure, response):
    return type(failure).__name__ == "AcceptedNegativeData" and response.status_code == 200


def _redis_refuses(failure, case, response):
    return _refused(failure, response) and _code(response) == "redis_error"


def _goes_together(failure, case, response):
    return _refused(failure, response) and "goes together with another" in _message(response)


def _groups(failure, case, response):
    return _refused(failure, response) and _message(response).startswith('when using "groups"')


def _no_such_day(failure, case, response):
    got = re.search(r'must be a date in ISO 8601.*, got "\d{4}-\d\d-(29|30|31)', _message(response))
    return _refused(failure, response) and got is not None


def _body_wins(failure, case, response):
    """The invalid value of the query stands in the body, too."""
    names = re.findall(r"parameter `(\w+)` in query", str(failure.message))
    return _taken(failure, response) and names != [] and isinstance(case.body, dict) and \
        all(case.body.get(name) is not None for name in names)


def _empty_header(failure, case, response):
    return _taken(failure, response) and (case.headers or {}).get("Lark-Values") == ""


def _no_such_bytes(failure, case, response):
    return type(failure).__name__ == "RejectedPositiveData" and _code(response) in ("no_value", "range_not_satisfiable")


# name: (is it this one?, why it is no fault)
EXPLAINED = {
    "redis refuses": (_redis_refuses, "what a valid call means is for Redis to judge: the key may hold another type, the number "
                                      "may be out of its range"),
    "goes together": (_goes_together, "OpenAPI cannot say that a query parameter needs another; the description does"),
    "groups": (_groups, "OpenAPI cannot say that groups=1 needs two or more get; the description does"),
    "no such day": (_no_such_day, "the pattern of a date cannot tell which months have 30 or 31 days"),
    "empty header": (_empty_header, "an empty Lark-Values counts as none; the description says so"),
    "no such bytes": (_no_such_bytes, "with Lark-Values: raw a value that is not there is 404, a Range beyond it 416"),
    "body wins": (_body_wins, "a query parameter that the body has, too, is not looked at; the description says so"),
}


@schemathesis.hook
def filter_failure(context, failure, case, response):
    for name, (is_it, _) in EXPLAINED.items():
        if is_it(failure, case, response):
            with open(os.environ["LARK_EXPLAINED"], "a") as out:
                out.write(json.dumps([name, case.operation.label, _message(response)]) + "\n")
            return False
    return True


def waits(timeout):
    try:
        return float(timeout) >= 0
    except (TypeError, ValueError, OverflowError):
        return isinstance(timeout, int) and timeout >= 0


@schemathesis.hook
def before_call(context, case, kwargs):
    """Blocking calls wait a second at most; SRANDMEMBER does not give a million members of a small set."""
    if "/BLPOP/" in case.path or "/BRPOP" in case.path:
        if isinstance(case.body, dict):
            timeout = case.body.get("timeout")
            if waits(timeout) or "/BRPOPLPUSH/" in case.path and timeout is None:
                case.body["timeout"] = 1
    for part in (case.path_parameters, case.query):
        number = (part or {}).get("number")
        if isinstance(number, int) and abs(number) > VALUES_KEPT_SMALL:
            part["number"] = VALUES_KEPT_SMALL
