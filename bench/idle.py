"""What connections cost in memory that do nothing: many that had one answer and stay open."""
import http.client
import pathlib
import resource
import socket
import statistics

import servers

CONNECTIONS = 10_000
SPARE = 200  # of a server's descriptors and connections: listeners, logs, Redis


def rss_bytes(pid):
    """Resident memory of a process and its children that is theirs alone or shared, as the kernel counts it for each."""
    pages = 0
    for one in servers.tree(pid):
        pages += int(pathlib.Path(f"/proc/{one}/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def connections_max():
    """Half the descriptors of a process is what `lark serve` lets nginx have connections."""
    return min(CONNECTIONS, resource.getrlimit(resource.RLIMIT_NOFILE)[1] // 2 - SPARE)


def hold(server, case, n):
    """Open n connections, each with one answer. return: bytes of memory that the server takes more for each"""
    method, path, headers, body = server.request(case)
    size = server.check(case).whole
    request = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n\r\n".encode()
    assert not headers and body is None
    before, held = rss_bytes(server.process.pid), []
    try:
        for _ in range(n):
            held.append(socket.create_connection(("127.0.0.1", server.port), timeout=30))
            held[-1].sendall(request)
            got = held[-1].recv(size, socket.MSG_WAITALL)
            if len(got) != size or not got.startswith(b"HTTP/1.1 200"):
                raise servers.Failure(f"{server.name}: with {len(held):,} connections open: {got[:200]!r}")
        after = rss_bytes(server.process.pid)
        server.check(case)
    except (OSError, http.client.HTTPException) as error:
        raise servers.Failure(f"{server.name}: with {len(held):,} connections open: {error!r}") from error
    finally:
        for one in held:
            one.close()
    return (after - before) / n


def measure(start, names, case, rounds):
    """start: a context manager that starts a server by its name, since memory that was used once stays. return: {"connections":
    N, "bytes": {name: [of a connection, ...]}}"""
    n, found = connections_max(), {name: [] for name in names}
    for i in range(rounds):
        for name in names:
            with start(name) as server:
                found[name].append(hold(server, case, n))
            print(f"  {i + 1}/{rounds} {name:10} {statistics.median(found[name]):8,.0f} bytes a connection", flush=True)
    return {"connections": n, "bytes": found}
