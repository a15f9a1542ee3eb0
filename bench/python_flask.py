"""What Flask with Lark costs beside a view written by hand, and plan and shape alone. Run by tools/bench --case python in an
environment that has the wheel (tools/test-python venv): python_flask.py REDIS-SOCKET [ROUNDS]. One JSON object on stdout.

CPU time of this process for WSGI calls without a server; rounds alternate, the median counts."""
import json
import statistics
import sys
import time

import redis
from flask import Flask, g, jsonify
from lark_redis import Gate, Request, plan, shape
from lark_redis.flask import Redis, redis_api_blueprint
from lark_redis.gate import scopes_of

CALLS = 500


def lark_app(path):
    app = Flask("lark")
    app.config.update(REDIS_URLS={"main": f"unix://{path}"}, DEFAULT_LARK_SCOPES={"admin"})
    Redis(app)
    app.register_blueprint(redis_api_blueprint, url_prefix="/api/0")
    return app


def hand_app(path):
    app, client = Flask("hand"), redis.Redis(unix_socket_path=path)

    @app.before_request
    def connect():
        g.r = client

    @app.get("/api/0/GET/<key>/")
    def get(key):
        value = g.r.get(key)
        return jsonify({"meta": {"status": "ok", "status_code": 200}, "data": None if value is None else value.decode()})

    return app


def environ():
    return {"REQUEST_METHOD": "GET", "SCRIPT_NAME": "", "PATH_INFO": "/api/0/GET/key/", "QUERY_STRING": "",
            "RAW_URI": "/api/0/GET/key/", "SERVER_NAME": "127.0.0.1", "SERVER_PORT": "80", "HTTP_HOST": "127.0.0.1",
            "HTTP_ACCEPT": "*/*", "HTTP_USER_AGENT": "bench", "REMOTE_ADDR": "127.0.0.1", "SERVER_PROTOCOL": "HTTP/1.1",
            "wsgi.url_scheme": "http", "wsgi.input": sys.stdin.buffer, "wsgi.errors": sys.stderr, "wsgi.version": (1, 0),
            "wsgi.multithread": False, "wsgi.multiprocess": False, "wsgi.run_once": False}


def cpu_us(app):
    """CPU microseconds of one call."""
    def start(status, headers, exc_info=None):
        assert status.startswith("200"), status

    before = time.process_time()
    for _ in range(CALLS):
        answer = app(environ(), start)
        body = b"".join(answer)
        answer.close()
    assert b'"0123456789abcdef"' in body, body
    return (time.process_time() - before) / CALLS * 1e6


def plan_shape_us():
    gate, headers = Gate(scopes=scopes_of({"admin"})), {"host": "localhost"}
    before = time.process_time()
    for _ in range(CALLS):
        shape(plan(Request("GET", b"/GET/key/", headers), gate), b"0123456789abcdef")
    return (time.process_time() - before) / CALLS * 1e6


def main():
    path, rounds = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 7
    redis.Redis(unix_socket_path=path).set("key", "0123456789abcdef")
    apps = {"lark": lark_app(path), "hand": hand_app(path)}
    found = {name: [] for name in (*apps, "plan_shape")}
    for _ in range(rounds + 1):
        for name, app in apps.items():
            found[name].append(cpu_us(app))
        found["plan_shape"].append(plan_shape_us())
    runs = {name: values[1:] for name, values in found.items()}  # the first is a warm-up
    medians = {name: statistics.median(values) for name, values in runs.items()}
    # within a round, whose two runs stood beside each other in time
    ratio = statistics.median(lark / hand for lark, hand in zip(runs["lark"], runs["hand"]))
    print(json.dumps({**medians, "ratio": ratio, "runs": runs}))


if __name__ == "__main__":
    main()
