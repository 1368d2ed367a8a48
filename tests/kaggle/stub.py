"""A Kaggle on 127.0.0.1 that speaks the real client's protocol, and misbehaves when asked."""

import base64
import json
import math
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

USER, KEY, TOKEN = "stubuser", "k3y-7f1e-stub-secret", "KGAT_stub-secret-42"
BASIC = "Basic " + base64.b64encode(f"{USER}:{KEY}".encode()).decode()
BEARER = f"Bearer {TOKEN}"
SECRETS = (KEY, TOKEN, BASIC.removeprefix("Basic "))


@dataclass(frozen=True)
class Fault:
    """An answer in place of the right one; `hang` gives none until the stub closes.

    after: what was asked is done first. lost: the connection is closed without an answer. cut: of
    a file, so many bytes come and then the fault.
    """

    status: int = 200
    body: str = ""
    type: str = "text/html"
    hang: bool = False
    after: bool = False
    lost: bool = False
    cut: int | None = None
    location: str | None = None
    trickle: float = 0  # seconds between two bytes of the answer


def refusal(status: int, message: str) -> Fault:
    """As Kaggle words an error."""
    return Fault(status, json.dumps({"code": status, "message": message}), "application/json")


def answer(**body) -> Fault:
    return Fault(200, json.dumps(body), "application/json")


@dataclass
class KaggleStub:
    """Use as a context. `faults` maps a method of the API, or PUT, to its wrong answer, or to a
    list of them for its first calls.

    calls: (method, Authorization header, body) in order. uploads: what was PUT, by its token.
    taken: the body of each CreateSubmission that was answered rightly. submissions: as listed.
    late: seconds by `clock` until a submission is listed.
    scores: the public scores of the next submissions; None: pending for ever, "x" an error.
    more: further methods. files: what GET gives, by the last part of the address; ranges: whether
    a part of it may be asked for. version: changes when a file does. gets: their Range headers.
    """

    faults: dict[str, Fault | list[Fault]] = field(default_factory=dict)
    submissions: list[dict] = field(default_factory=list)
    late: float = 0
    clock: Callable[[], float] = time.monotonic
    made: dict[int, float] = field(default_factory=dict)
    scores: list[str | None] = field(default_factory=list)
    error: str = "Evaluation Exception: 3,001 rows expected"
    allowed: int = 10
    more: dict[str, Callable[[dict], Fault]] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    ranges: bool = True
    version: str = '"v1"'
    gets: list[str | None] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    blob_url: str | None = None
    calls: list[tuple[str, str | None, dict]] = field(default_factory=list)
    uploads: dict[str, bytes] = field(default_factory=dict)
    taken: list[dict] = field(default_factory=list)

    def __enter__(self):
        self.closing = threading.Event()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Handler,), {}))
        self.server.RequestHandlerClass.stub = self
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self.closing.set()
        self.server.shutdown()
        self.server.server_close()

    def named(self, method: str) -> list[dict]:
        """The bodies of the calls of one method."""
        return [body for name, _, body in self.calls if name == method]

    def right_answer(self, method: str, authorization: str | None, body: dict) -> Fault:
        if method == "IntrospectToken":
            return answer(active=body["token"] == TOKEN, username=USER)
        if authorization not in (BASIC, BEARER):
            return refusal(401, "Unauthenticated")
        if method == "StartSubmissionUpload":
            token = f"tok{len(self.calls)}"
            self.names[token] = body["fileName"]
            return answer(token=token, createUrl=f"{self.blob_url or self.url}/blob/{token}")
        if method == "CreateSubmission":
            if body["blobFileTokens"] not in self.uploads:
                return refusal(400, "no such blob")
            self.taken.append(body)
            return answer(message="Successfully submitted to Stub", ref=self._submission(body))
        if method == "GetSubmissionLimits":
            used = len(self.taken)
            return answer(numToday=used, numTotal=used, numAllowedNow=self.allowed - used)
        if method == "ListSubmissions":
            return answer(submissions=[s for s in self.submissions[::-1] if self._listed(s)])
        if method == "GetSubmission":
            listed = [s for s in self.submissions if s["ref"] == body["ref"] and self._listed(s)]
            return answer(**listed[0]) if listed else refusal(404, "Not found")
        if method == "DownloadDataFiles" and f"{body['competitionName']}.zip" in self.files:
            return Fault(302, location=f"{self.url}/files/{body['competitionName']}.zip?sig=1")
        if method in self.more:
            return self.more[method](body)
        return refusal(404, "Not found")

    def next_fault(self, method: str) -> Fault | None:
        planned = self.faults.get(method)
        if isinstance(planned, list):
            return planned.pop(0) if planned else None
        return planned

    def _listed(self, submission: dict) -> bool:
        return self.clock() - self.made.get(submission["ref"], -math.inf) >= self.late

    def _submission(self, body: dict) -> int:
        score = self.scores.pop(0) if self.scores else "0.91234"
        made = {
            "ref": 1000 + len(self.submissions),
            "date": "2026-01-02T03:04:05.000Z",
            "fileName": self.names[body["blobFileTokens"]],
            "description": body.get("submissionDescription", ""),
            "publicScore": score or "",
            "status": "COMPLETE" if score else "PENDING",
        }
        if score == "x":
            made |= {"status": "ERROR", "publicScore": "", "errorDescription": self.error}
        self.submissions.append(made)
        self.made[made["ref"]] = self.clock()
        return made["ref"]


class Handler(BaseHTTPRequestHandler):
    """One request. The target may be absolute, because the stub is also its clients' proxy."""

    stub: KaggleStub

    def do_POST(self):
        method = urlsplit(self.path).path.rsplit("/", 1)[-1]
        body = json.loads(self._read() or b"{}")
        authorization = self.headers.get("Authorization")
        self.stub.calls.append((method, authorization, body))
        fault = self.stub.next_fault(method)
        if fault is None or fault.after:
            right = self.stub.right_answer(method, authorization, body)
        self._send(fault or right)

    def do_GET(self):
        content = self.stub.files[urlsplit(self.path).path.rsplit("/", 1)[-1]]
        fault, whole = self.stub.next_fault("GET"), len(content)
        self.stub.gets.append(self.headers.get("Range"))
        if fault is not None and fault.cut is None:
            self._send(fault)
            return
        same = self.headers.get("If-Range") in (None, self.stub.version)
        start = 0
        if self.stub.gets[-1] and self.stub.ranges and same:
            start = int(self.stub.gets[-1].removeprefix("bytes=").rstrip("-"))
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{whole - 1}/{whole}")
        if self.stub.ranges:
            self.send_header("Accept-Ranges", "bytes")
            self.send_header("ETag", self.stub.version)
        self.send_header("Content-Type", "application/zip")
        self.send_header("Content-Length", str(whole - start))
        self.send_header("Last-Modified", "Fri, 02 Jan 2026 03:04:05 GMT")
        self.end_headers()
        self.wfile.write(content[start : None if fault is None else fault.cut])
        if fault is not None:
            self._break(fault)

    def do_PUT(self):
        token = urlsplit(self.path).path.rsplit("/", 1)[-1]
        content = self._read()
        self.stub.calls.append(("PUT", self.headers.get("Authorization"), {}))
        fault = self.stub.next_fault("PUT")
        if fault is None:
            self.stub.uploads[token] = content
        self._send(fault or Fault(201))

    def _read(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _send(self, reply: Fault) -> None:
        if reply.hang or reply.lost:
            self._break(reply)
            return
        content = reply.body.encode()
        self.send_response(reply.status)
        self.send_header("Content-Type", reply.type)
        self.send_header("Content-Length", str(len(content)))
        if reply.location is not None:
            self.send_header("Location", reply.location)
        for name, value in self.stub.headers.items():
            self.send_header(name, value)
        self.end_headers()
        for at in range(0, len(content), 1 if reply.trickle else len(content) or 1):
            self.wfile.write(content[at : at + 1] if reply.trickle else content)
            self.stub.closing.wait(reply.trickle)

    def _break(self, fault: Fault) -> None:
        if fault.hang:
            self.stub.closing.wait(60)
        self.close_connection = True
        with suppress(OSError):  # whoever asked has gone
            self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, *_):
        pass
