"""A real HTTP server that keeps every request byte for byte and answers as its test says."""

import json
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Asked:
    """One request as it arrived; `target` is the path with its query, undecoded."""

    method: str
    target: str
    headers: dict
    body: bytes


@dataclass(frozen=True)
class Said:
    """What is answered; `length` may lie."""

    status: int
    headers: dict
    body: bytes
    length: int | None = None


class Listener:
    """`url` of the server and all that was `asked`."""

    def __init__(self, port):
        self.url = f"http://127.0.0.1:{port}"
        self.asked = []

    @property
    def targets(self):
        return [f"{one.method} {one.target}" for one in self.asked]


@contextmanager
def listening(answer):
    """Serve until the body ends. `answer(asked)` makes a Said, or is a list of such functions taken one by one."""
    answers = iter(answer) if isinstance(answer, list) else None

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            headers = {name.lower(): value for name, value in self.headers.items()}
            asked = Asked(self.command, self.path, headers, self.rfile.read(int(headers.get("content-length", "0"))))
            listener.asked.append(asked)
            said = (next(answers) if answers is not None else answer)(asked)
            (self.send_response_only if "Date" in said.headers else self.send_response)(said.status)
            for name, value in said.headers.items():
                self.send_header(name, value)
            if said.status != 204:
                self.send_header("Content-Length", str(len(said.body) if said.length is None else said.length))
            self.end_headers()
            self.wfile.write(said.body)

        def do_POST(self):
            self.do_GET()

        def log_message(self, *_):
            """Stay quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    listener = Listener(server.server_port)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield listener
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def unsigned(status, content):
    """The answer of nobody we know."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return lambda _asked: Said(status, {}, body)
