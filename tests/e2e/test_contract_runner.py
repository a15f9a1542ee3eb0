"""The runner of the contract's cases must see a wrong answer."""
import datetime
import json

import contract
import pytest


@pytest.mark.parametrize(("got", "want"), [
    (1, 1), (1.0, 1.0), (None, None), ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
    ([2, 1], {"mode": "unordered", "value": [1, 2]}),
    (1.0000000001, {"mode": "approx", "value": 1.0}),
    (5, {"mode": "range", "min": 5, "max": 5}),
    (1, {"mode": "type", "value": ["null", "int"]}),
    ("a1", {"mode": "regex", "value": "\\d$"}),
    (None, {"mode": "one_of", "values": [None, "x"]}),
    ({"a": 1, "b": {"c": 2, "d": 3}}, {"mode": "subset", "value": {"b": {"mode": "subset", "value": {"d": 3}}}}),
    (None, {"mode": "any"}),
    ([1, 2], {"mode": "length", "value": 2}),
    ([1, 2], {"mode": "array_of", "min": 2, "item": {"mode": "type", "value": "int"}}),
    ({"a": "x"}, {"mode": "map_of", "item": "x"}),
    ([["a", 1], ["b", 2]], {"mode": "unordered_pairs", "value": [["b", 2], ["a", 1]]}),
    (["0", ["b", "a"]], {"mode": "scan", "cursor": "0", "items": ["a", "b"]}),
    ({"mode": "subset of nothing"}, {"mode": "subset of nothing"}),
])
def test_like(got, want):
    assert contract.like(got, want)


@pytest.mark.parametrize(("got", "want"), [
    (1, 1.0), (1, True), (0, False), (0, None), ("1", 1), ({}, []), ({"a": 1}, {"a": 1, "b": 2}), ([1, 2], [2, 1]),
    ([1, 1, 2], {"mode": "unordered", "value": [1, 2, 2]}),
    ("ab", {"mode": "unordered", "value": ["a", "b"]}),
    (1.1, {"mode": "approx", "value": 1.0}),
    (True, {"mode": "range", "min": 0, "max": 2}), (6, {"mode": "range", "min": 1, "max": 5}),
    (True, {"mode": "type", "value": ["int", "number"]}), (1.0, {"mode": "type", "value": ["int"]}),
    (1, {"mode": "regex", "value": "1"}),
    ("y", {"mode": "one_of", "values": [None, "x"]}),
    ({"a": 1}, {"mode": "subset", "value": {"b": 1}}), ([], {"mode": "subset", "value": {}}),
    ([1], {"mode": "length", "value": 2}), (1, {"mode": "length", "value": 1}),
    ([], {"mode": "array_of", "min": 1, "item": {"mode": "any"}}),
    ([1, "x"], {"mode": "array_of", "item": {"mode": "type", "value": "int"}}),
    ({"a": 1}, {"mode": "map_of", "item": "x"}),
    ([["a", 1]], {"mode": "unordered_pairs", "value": [["a", 2]]}),
    (["1", []], {"mode": "scan", "cursor": "0", "items": []}), ([0, []], {"mode": "scan", "cursor": "0", "items": []}),
    (["0", {}], {"mode": "scan", "cursor": "0", "items": []}),
])
def test_not_like(got, want):
    assert not contract.like(got, want)


def ok(data):
    return json.dumps({"meta": {"status": "ok", "status_code": 200}, "data": data}).encode()


def error(status, **more):
    meta = {"status": "error", "status_code": status, "error_message": "why", "error_code": "bad_json", **more}
    return json.dumps({"meta": meta}).encode()


JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(("status", "headers", "body"), [
    (200, {"Content-Type": "text/html"}, ok(1)),
    (200, JSON, b'{"meta": {"status": "ok", "status_code": 200}}'),
    (200, JSON, b'{"meta": {"status": "ok", "status_code": 200}, "data": 1, "data": 1}'),
    (200, JSON, b'{"meta": {"status": "ok", "status_code": 200}, "data": NaN}'),
    (200, JSON, b'{"meta": {"status": "ok", "status_code": 200}, "data": "\xff"}'),
    (200, JSON, ok(1)[:-1]),
    (201, JSON, ok(1)),
    (400, JSON, error(404)), (400, JSON, error(400, error_message="")), (400, JSON, error(400, error_code="Bad JSON")),
    (400, JSON, error(400)[:-1] + b', "data": null}'),
    (405, {**JSON, "Allow": ""}, error(405)),
])
def test_a_bad_envelope_is_seen(status, headers, body):
    with pytest.raises((AssertionError, KeyError, ValueError)):
        contract.check_envelope(status, headers, body)


def scripted(*answers):
    seen = []

    def transport(verb, target, body, headers, as_):
        seen.append((verb, target, body, headers, as_))
        return answers[len(seen) - 1]

    return transport, seen


def test_steps_capture_and_fill():
    transport, seen = scripted((200, JSON, ok("a/b")), (200, JSON, ok([1])), (400, JSON, error(400)))
    contract.run_case({"steps": [
        {"verb": "GET", "path": "/A/", "query": "x=%00", "capture": "d", "expect": {"status": 200, "data": "a/b"}},
        {"sleep": 0.01},
        {"verb": "POST", "path": "/B/${d}/", "json": {"v": ["${d}"], "é": "<${d}>"}, "as": {"scopes": []},
         "expect_like": {"data": {"mode": "length", "value": 1}}},
        {"verb": "POST", "path": "/C/", "raw": "{bad", "headers": {"Content-Type": "text/plain"},
         "expect": {"status": 400, "error_code": "bad_json"}, "expect_like": {"error_message": {"mode": "any"}}},
    ]}, transport)
    assert seen == [
        ("GET", "/api/0/A/?x=%00", None, {}, None),
        ("POST", "/api/0/B/a%2Fb/", '{"v": ["a/b"], "é": "<a/b>"}'.encode(), {"Content-Type": "application/json"},
         {"scopes": []}),
        ("POST", "/api/0/C/", b"{bad", {"Content-Type": "text/plain"}, None),
    ]


def test_retry_until_it_fits():
    transport, seen = scripted(*[(200, JSON, ok(1))] * 2, (200, JSON, ok(2)))
    step = {"verb": "GET", "path": "/A/", "expect": {"data": 2}, "retry": 5}
    contract.run_case({"steps": [step]}, transport)
    assert len(seen) == 3


def test_a_failure_names_the_step():
    transport, _ = scripted((200, JSON, ok(1)))
    with pytest.raises(AssertionError, match=r"step 1, GET /A/: data: wanted True; got 200 .*"):
        contract.run_case({"steps": [{"verb": "GET", "path": "/A/", "expect": {"data": True}}]}, transport)


def test_the_present():
    moment = datetime.datetime.fromisoformat(contract.fill("${now_local+60}", {}))
    assert moment.tzinfo is None
    assert 55 < (moment - datetime.datetime.now()).total_seconds() <= 60
    text = contract.fill("${now_utc-3600}+00:00", {})
    away = datetime.datetime.fromisoformat(text) - datetime.datetime.now(datetime.timezone.utc)
    assert -3605 < away.total_seconds() <= -3600
    assert isinstance(contract.fill("${now_epoch+5}", {}), int)
