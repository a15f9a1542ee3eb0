"""RedisCluster, synchronous and asynchronous: which node is asked, and what happens when slots move or a node dies."""
import asyncio
import contextlib
import time

import pytest
import redis
import redis.asyncio
from conftest import Redis, free_port, wait_for
from test_clients import ask, ask_all, ask_async, part


@pytest.fixture(scope="module")
def cluster_port():
    ports, buses = [free_port(), free_port()], [free_port(), free_port()]
    nodes = [Redis("--cluster-enabled", "yes", "--cluster-port", str(bus), port=port) for port, bus in zip(ports, buses)]
    first, second = (node.client for node in nodes)
    first.execute_command("CLUSTER ADDSLOTSRANGE", 0, 8191)
    second.execute_command("CLUSTER ADDSLOTSRANGE", 8192, 16383)
    second.execute_command("CONFIG SET", "cluster-node-timeout", 2000)
    first.execute_command("CLUSTER SET-CONFIG-EPOCH", 1)
    second.execute_command("CLUSTER SET-CONFIG-EPOCH", 2)
    first.execute_command("CLUSTER MEET", "127.0.0.1", ports[1], buses[1])
    for client in (first, second):
        wait_for("the cluster is there", lambda client=client: b"cluster_state:ok" in raw_info(client)
                 and b"cluster_known_nodes:2" in raw_info(client), 30)
    yield ports[0]
    for node in nodes:
        node.stop()


def raw_info(client):
    info = client.execute_command("CLUSTER INFO")
    return b"".join(f"{name}:{value} ".encode() for name, value in info.items()) if isinstance(info, dict) else info


def test_cluster(cluster_port):
    client = redis.RedisCluster(host="127.0.0.1", port=cluster_port)
    for name in ("a", "b", "c", "d", "e"):
        assert ask(client, "POST", f"SET/{name}/", {"value": name}) == (200, True)
        assert ask(client, "GET", f"GET/{name}/") == (200, name)
    assert ask(client, "GET", "MGET/?key=a&key=b") == (400, "redis_error")
    assert ask(client, "GET", "MGET/?key={a}1&key={a}2") == (200, [None, None])
    assert ask(client, "GET", "KEYS/") == (400, "redis_error")
    assert ask(client, "GET", "PING/") == (200, True)
    assert ask_async(lambda: redis.asyncio.RedisCluster(host="127.0.0.1", port=cluster_port),
                     ("GET", "GET/a/", None), ("GET", "GET/b/", None), ("GET", "LLEN/c/", None), ("GET", "KEYS/", None),
                     ("GET", "PING/", None)) == [(200, "a"), (200, "b"), (400, "redis_error"), (400, "redis_error"), (200, True)]
    for name in ("a", "b", "c"):
        client.set(name, f"{name}123")
        for either in (client, lambda: redis.asyncio.RedisCluster(host="127.0.0.1", port=cluster_port)):
            assert part(either, name, "bytes=0-1") == (206, f"{name}1".encode(), "bytes 0-1/4", "2")
    client.close()


def test_moved_slots_are_followed(cluster_port):
    """The client has an old view of the slots: what it sends to the wrong node is done once, on the right one."""
    client = redis.RedisCluster(host="127.0.0.1", port=cluster_port)
    far = next(name for name in "abcdefgh" if client.keyslot(name) > 8191)
    client.delete(far)
    slots = client.nodes_manager.slots_cache
    for slot in range(8192, 16384):
        slots[slot] = slots[0]
    assert ask(client, "POST", f"INCR/{far}/", {}) == (200, 1)
    assert client.get(far) == b"1"
    assert ask(client, "POST", f"INCR/{far}/", {}) == (200, 2)
    for slot in range(8192, 16384):
        slots[slot] = slots[0]
    assert part(client, far, "bytes=0-0") == (206, b"2", "bytes 0-0/1", "1")
    client.close()


def test_a_slot_on_its_way(cluster_port):
    """Redis says ASK for what has moved already: the call is done there, once, a transaction too."""
    client = redis.RedisCluster(host="127.0.0.1", port=cluster_port)
    name = next(name for name in "abcdefgh" if client.keyslot(name) > 8191)
    slot = client.keyslot(name)
    client.delete(name)
    there, here = (client.get_redis_connection(client.nodes_manager.slots_cache[n][0]) for n in (0, 16383))
    ids = [node.execute_command("CLUSTER MYID") for node in (there, here)]
    there.execute_command("CLUSTER SETSLOT", slot, "IMPORTING", ids[1])
    here.execute_command("CLUSTER SETSLOT", slot, "MIGRATING", ids[0])
    try:
        assert ask(client, "POST", f"SET/{name}/", {"value": "abc"}) == (200, True)
        make = lambda: redis.asyncio.RedisCluster(host="127.0.0.1", port=cluster_port)  # noqa: E731
        for either in (client, make):
            assert part(either, name, "bytes=1-") == (206, b"bc", "bytes 1-2/3", "2")
        assert ask_async(make, ("GET", f"GET/{name}/", None), ("POST", f"APPEND/{name}/", {"value": "d"})) == [(200, "abc"), (200, 4)]
    finally:
        for node in (there, here):
            node.execute_command("CLUSTER SETSLOT", slot, "STABLE")
        client.close()


# --- a call goes to its node at once ---------------------------------------------------------------------------------


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_parts_go_to_the_node_of_their_key(cluster_port, asynchronous):
    client = redis.RedisCluster(host="127.0.0.1", port=cluster_port)
    nodes = [client.get_redis_connection(node) for node in client.get_nodes()]
    names = "abcdef"
    assert len({client.get_node_from_key(name).port for name in names}) == 2
    for name in names:
        client.set(name, f"{name}123")
    for node in nodes:
        node.config_resetstat()
    either = (lambda: redis.asyncio.RedisCluster(host="127.0.0.1", port=cluster_port)) if asynchronous else client
    asked = 3 * len(names) if asynchronous else len(names)  # part() asks an asynchronous client three times
    for name in names:
        assert part(either, name, "bytes=0-1")[1] == f"{name}1".encode()
    stats = [node.info("commandstats") for node in nodes]
    assert sum(one.get("cmdstat_multi", {}).get("calls", 0) for one in stats) == asked, "none is sent twice"
    client.close()


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_private_calls_leave_no_trace(cluster_port, asynchronous):
    make = redis.asyncio.RedisCluster if asynchronous else redis.RedisCluster
    options = {"host": "127.0.0.1", "port": cluster_port, "client_name": "lark"}
    calls = [("GET", "CLIENT/GETNAME/", None), ("POST", "CLIENT/SETNAME/", {"name": "x"}), ("GET", "CLIENT/GETNAME/", None)]
    if asynchronous:
        found = ask_async(lambda: make(**options), *calls)
    else:
        with make(**options) as client:
            found = [ask(client, *call) for call in calls]
    assert found == [(200, None), (200, True), (200, None)]


# --- a node dies -----------------------------------------------------------------------------------------------------

SLOTS = 8192, 16383


@contextlib.contextmanager
def three_nodes():
    """[nodes], of which the third has no slots yet."""
    ports, buses = [free_port() for _ in range(3)], [free_port() for _ in range(3)]
    nodes = [Redis("--cluster-enabled", "yes", "--cluster-port", str(bus), "--cluster-node-timeout", "1000",
                   "--cluster-require-full-coverage", "no", "--cluster-allow-replica-migration", "no", port=port)
             for port, bus in zip(ports, buses)]
    try:
        first = nodes[0].client
        first.execute_command("CLUSTER ADDSLOTSRANGE", 0, SLOTS[0] - 1)
        nodes[1].client.execute_command("CLUSTER ADDSLOTSRANGE", *SLOTS)
        for epoch, node in enumerate(nodes, 1):
            node.client.execute_command("CLUSTER SET-CONFIG-EPOCH", epoch)
        for port, bus in zip(ports[1:], buses[1:]):
            first.execute_command("CLUSTER MEET", "127.0.0.1", port, bus)
        for node in nodes:
            wait_for("the cluster is there", lambda node=node: b"cluster_state:ok" in raw_info(node.client)
                     and b"cluster_known_nodes:3" in raw_info(node.client), 30)
        yield nodes, ports
    finally:
        for node in nodes:
            with contextlib.suppress(Exception):
                node.stop()


def take_over(nodes, dead):
    """The second node is dead; the third gets its slots, as a replica would."""
    for node in (nodes[0], nodes[2]):
        node.client.execute_command("CLUSTER FORGET", dead)
    nodes[2].client.execute_command("CLUSTER ADDSLOTSRANGE", *SLOTS)
    for node in (nodes[0], nodes[2]):
        wait_for("the cluster is whole again", lambda node=node: b"cluster_state:ok" in raw_info(node.client)
                 and b"cluster_slots_assigned:16384" in raw_info(node.client), 30)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_a_dead_node_is_told_and_its_successor_found(asynchronous):
    with three_nodes() as (nodes, ports), asyncio.Runner() as runner:
        options = {"host": "127.0.0.1", "port": ports[0]}
        if asynchronous:
            client = runner.run(made(redis.asyncio.RedisCluster, options))
            calls = lambda *wanted: runner.run(ask_all(client, *wanted))  # noqa: E731
        else:
            client = redis.RedisCluster(**options)
            calls = lambda *wanted: [ask(client, *call) for call in wanted]  # noqa: E731
        far = next(name for name in "abcdefgh" if client.keyslot(name) >= SLOTS[0])
        near = next(name for name in "abcdefgh" if client.keyslot(name) < SLOTS[0])
        incr, get = ("POST", f"INCR/{far}/", {}), ("GET", f"GET/{near}/", None)
        assert calls(incr, get) == [(200, 1), (200, None)]
        dead = nodes[1].client.execute_command("CLUSTER MYID")
        nodes[1].process.kill()
        nodes[1].process.wait()
        assert calls(incr)[0] in ((503, "redis_away"), (502, "outcome_unknown")), "it has to be seen that the connection is gone"
        assert calls(incr)[0] in ((503, "redis_away"), (503, "redis_busy")), "nothing was sent, or nothing done"
        take_over(nodes, dead)
        time.sleep(1.1)  # the view of the cluster is read anew once a second at most
        found = calls(incr, incr, get)
        assert found[1:] == [(200, 2), (200, None)] or found == [(200, 1), (200, 2), (200, None)], found
        if asynchronous:
            runner.run(client.aclose() if hasattr(client, "aclose") else client.close())
        else:
            client.close()


async def made(kind, options):
    return await kind(**options).initialize()
