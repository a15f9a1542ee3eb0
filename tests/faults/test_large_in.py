"""Values of 100 MB on their way in: what they take of the worker's memory, and of others' time."""
import pytest
from faults import form, load, others, placed, populate, told, worker
from large_bodies import FORMS, MEBI, members

import nginx_host

pytestmark = pytest.mark.timeout(form(120, 1800))
MEBIBYTES = form(100, 512)
GIGABIT = 125_000_000  # bytes a second of a line: from loopback as fast as it goes only the processors' scheduler would be seen
LIMITS = {"http": "client_max_body_size 1600m; lark_body_max 1600m; client_body_buffer_size 64k;"}


@pytest.mark.parametrize("name", FORMS)
def test_memory(record_property, name):
    body = FORMS[name](MEBIBYTES if name != "$base64" else MEBIBYTES - 1)
    with nginx_host.serving(**LIMITS) as web:
        process = worker(web)
        assert FORMS[name](1).send(web, b"/SET/k/").data is True
        before = process.resident_mb()
        process.forget_peak()
        assert body.send(web, b"/SET/k/").data is True
        growth = process.peak_mb() - before
        assert body.is_stored(web.redis.client, "k")
    told(record_property, f"a value of {body.n} MiB in, by {name}", f"{growth:.1f} MB of memory more ({body.size / MEBI:.0f} MiB sent)",
         "< 32 MB", growth < 32)


def test_many_members(record_property):
    """Names are remembered to see doubles, on the way in and when a stored object is told from a text: as many as may be."""
    body, stored = members(749_999)  # and the name that stands for the argument
    with nginx_host.serving(**LIMITS) as web:
        process = worker(web)
        assert web.request("POST", "/SET/k/", b'{"value": {"a": 1}}').data is True
        assert web.get("/GET/k/").data == {"a": 1}
        before = process.resident_mb()
        process.forget_peak()
        assert web.request("POST", "/SET/k/", body).data is True
        inward = process.peak_mb() - before
        assert web.redis.client.get("k") == stored
        process.forget_peak()
        assert len(web.get("/GET/k/").data) == 749_999
        outward = process.peak_mb() - before
    told(record_property, "an object of 749,999 members", f"{inward:.1f} MB of memory more in, {outward:.1f} out", "< 32 MB",
         max(inward, outward) < 32)


@pytest.mark.parametrize("name", FORMS)
def test_others(record_property, name):
    """Small GETs beside it, in interleaved rounds: with and without."""
    body, alone, beside = FORMS[name](100), [], []
    with nginx_host.serving(**LIMITS) as web:
        keys = populate(web.redis.client, small=1000)
        with placed(web):
            for _ in range(form(3, 7)):
                with load(web.port, seconds=1.5, callers=4, pause=2, **keys) as callers:
                    got = callers.result()
                    alone.append(got["p99_ms"])
                with load(web.port, gets=0, seconds=60, callers=4, pause=2, **keys) as callers:
                    assert body.send(web, b"/SET/k/", bytes_per_s=GIGABIT).data is True
                    got = callers.end()
                    beside.append(got["p99_ms"])
                web.redis.client.unlink("k")  # to free 100 MB in SET takes Redis itself some ms
                assert got["wrong"] == 0 and not got["refused"]
    live, how = others(beside, alone, 2)
    told(record_property, f"others while 100 MiB come in by {name}", how, "p99 < 2 times", live)
