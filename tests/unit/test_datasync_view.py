"""`datasync view` lets the operator's browser through, and nobody else on this machine."""

import http.client
import json
import re
import threading
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
import requests

from datasync.view import BODY_MOST, HOST, PageServer
from tests.unit.test_datasync_deployment import listening

KEY = "0perator-b83e5d06ff"
JSON = {"Content-Type": "application/json"}


class Served:
    """A page server before a deployment that notes what it is sent."""

    def __init__(self, server: PageServer, received: list[bytes]) -> None:
        self.server, self.received = server, received
        self.origin = f"http://{HOST}:{server.server_port}"

    def get(self, path: str, **headers: str) -> requests.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return requests.get(self.origin + path, headers=named, timeout=10, allow_redirects=False)

    def post(self, path: str, body: bytes = b"{}", **headers: str) -> requests.Response:
        named = JSON | {name.replace("_", "-"): value for name, value in headers.items()}
        return requests.post(self.origin + path, body, headers=named, timeout=60)


def complete(request: bytes) -> bool:
    """Tell whether all of a request has come."""
    head, end, body = request.partition(b"\r\n\r\n")
    length = re.search(rb"Content-Length: ([0-9]+)", head)
    return bool(end) and len(body) >= (int(length[1]) if length else 0)


@pytest.fixture
def served() -> Iterator[Served]:
    received: list[bytes] = []

    def answered(connection) -> None:
        request = b""
        while not complete(request):
            request += connection.recv(65536)
        received.append(request)
        connection.sendall(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Security-Policy: default-src 'none'\r\n"
            b"Set-Cookie: a=b\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi"
        )

    with (
        listening(answered) as port,
        PageServer(0, f"http://{HOST}:{port}/base", {"X-API-Key": KEY}) as server,
    ):
        threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        yield Served(server, received)
        server.shutdown()


def test_the_page_is_passed_through_with_the_key_which_the_browser_never_gets(served: Served) -> None:
    answer = requests.get(
        served.server.page, {"streamKey": "a b"}, headers={"Accept": "text/html"}, timeout=10
    )
    assert (answer.status_code, answer.text) == (200, "hi")
    assert answer.headers["Content-Security-Policy"] == "default-src 'none'"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Referrer-Policy"] == "no-referrer"  # the address is a secret
    assert "Set-Cookie" not in answer.headers
    assert KEY not in str(answer.headers) + answer.text
    (request,) = served.received
    assert request.startswith(b"GET /base/process?streamKey=a+b HTTP/1.1\r\n")
    assert f"X-API-Key: {KEY}\r\n".encode() in request
    assert b"Accept: text/html\r\n" in request
    assert served.server.root.encode() not in request  # the deployment's log does not get the secret


def test_what_the_page_asks_for_is_passed_on_and_nothing_else(served: Served) -> None:
    root = served.server.root
    assert served.post(f"{root}/process/retry", b'{"dryRun": true}').status_code == 200
    assert served.get(f"{root}/store/0b-1").status_code == 200
    lines = [request.split(b"\r\n")[0] for request in served.received]
    assert lines == [b"POST /base/process/retry HTTP/1.1", b"GET /base/store/0b-1 HTTP/1.1"]
    assert served.received[0].endswith(b'{"dryRun": true}')
    for path in (
        "/",
        "/process/",
        "/process/retry",
        "/store",
        "/store/a/b",
        "/store/..",
        "/store/%2e%2e",
        "//x",
    ):
        assert served.get(root + path).status_code == 404, path
    for path in ("/process", "/store", "/store/0b-1"):
        assert served.post(root + path).status_code == 404, path
    assert requests.delete(f"{served.origin}{root}/process/targets", timeout=60).status_code == 404
    assert requests.options(f"{served.origin}{root}/store/0b-1", timeout=60).status_code == 501
    assert len(served.received) == 2


def test_what_the_page_does_to_records_and_targets_is_passed_on(served: Served) -> None:
    root = f"{served.origin}{served.server.root}"
    json = {"Content-Type": "application/json"}
    for path in ("/process/failures?limit=1", "/process/history", "/process/targets", "/store?reference=7"):
        assert requests.get(root + path, timeout=60).status_code == 200, path
    put = {**json, "If-Match": '"7"'}
    assert requests.put(f"{root}/process/targets", b"{}", headers=put, timeout=60).status_code == 200
    assert b'If-Match: "7"\r\n' in served.received[-1]
    assert requests.patch(f"{root}/store/0b-1", b"{}", headers=json, timeout=60).status_code == 200
    assert requests.delete(f"{root}/store/0b-1", timeout=60).status_code == 200
    assert (
        requests.put(f"{root}/process/targets", b"{}", timeout=60).status_code == 403
    )  # not said to be JSON
    foreign = {"Origin": "https://evil.example.com"}
    assert requests.delete(f"{root}/store/0b-1", headers=foreign, timeout=60).status_code == 403


@pytest.mark.parametrize(
    "path", ["/process", "/", "//process", "/guess/process", "/process?secret=", "/../process", "/é/process"]
)
def test_another_program_that_does_not_know_the_address_gets_nothing(served: Served, path: str) -> None:
    assert served.get(path).status_code == 403
    assert served.post("/process/retry").status_code == 403
    almost = served.server.root[:-1] + ("A" if served.server.root[-1] != "A" else "B")
    assert served.get(f"{almost}/process").status_code == 403
    assert served.get(served.server.root).status_code == 403
    assert served.received == []


def test_the_secret_is_another_each_time() -> None:
    with PageServer(0, "http://127.0.0.1:9", {}) as one, PageServer(0, "http://127.0.0.1:9", {}) as other:
        assert one.root != other.root
        assert len(one.root) > 32


def test_the_link_that_a_browser_is_started_with_works_once(served: Served) -> None:
    path = urlsplit(served.server.link_for_once()).path
    assert served.server.root not in path  # a process list shows it
    first, second = served.get(path), served.get(path)
    assert (first.status_code, first.headers["Location"]) == (303, urlsplit(served.server.page).path)
    assert (second.status_code, "Location" in second.headers) == (403, False)
    assert "used up" in second.json()["detail"]


@pytest.mark.parametrize(
    "foreign",
    [
        {"Host": "evil.example.com"},  # a name that leads to 127.0.0.1
        {"Host": "127.0.0.1"},
        {"Host": "127.0.0.1:1"},
        {"Origin": "https://evil.example.com"},
        {"Origin": "null"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Content_Type": "text/plain"},
        {"Content_Type": "application/x-www-form-urlencoded"},
    ],
)
def test_a_page_elsewhere_is_refused_even_with_the_secret(served: Served, foreign: dict[str, str]) -> None:
    assert served.post(f"{served.server.root}/process/retry", **foreign).status_code == 403
    assert served.received == []


def test_its_own_page_is_not(served: Served) -> None:
    own = {"Host": f"localhost:{served.server.server_port}", "Sec_Fetch_Site": "same-origin"}
    origin = f"http://localhost:{served.server.server_port}"
    assert served.post(f"{served.server.root}/process/retry", **own, Origin=origin).status_code == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Length": str(BODY_MOST + 1)}, 413),
        ({"Content-Length": "9" * 5000}, 413),
        ({"Content-Length": "-1"}, 400),
        ({"Content-Length": "x"}, 400),
        ({"Transfer-Encoding": "chunked"}, 400),
    ],
)
def test_a_body_without_a_reasonable_length_is_refused(
    served: Served, headers: dict[str, str], status: int
) -> None:
    connection = http.client.HTTPConnection(HOST, served.server.server_port, timeout=60)
    connection.putrequest("POST", f"{served.server.root}/process/retry")
    for name, value in {**JSON, **headers}.items():
        connection.putheader(name, value)
    connection.endheaders()
    assert connection.getresponse().status == status
    assert served.received == []


def test_a_deployment_that_is_away_is_said_on_the_page() -> None:
    with PageServer(0, "http://127.0.0.1:9", {"X-API-Key": KEY}) as server:
        threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        answer = requests.get(server.page, timeout=60)
        server.shutdown()
    assert answer.status_code == 502
    assert "Connection refused" in json.loads(answer.text)["detail"]
    assert KEY not in answer.text
