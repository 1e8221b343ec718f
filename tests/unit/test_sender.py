"""What a request connects to: each name resolved by a stub, every connection to a real socket."""

import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from shared.model.answer import Answer
from shared.outbound.sender import Sender
from shared.settings import Settings
from tests.contract.clients import terms

LISTED, UNLISTED = "127.0.0.5", "127.0.0.6"  # the operator allows the network of the first
NAME = "erp.example.com"


@dataclass
class Site:
    """A web server on an address of this machine."""

    address: str
    port: int = 0
    requests: list[dict[str, str]] = field(default_factory=list)
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


def _handler(site: Site) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle(self) -> None:
            site.requests.append({})  # a connection counts, whatever comes over it
            super().handle()

        def do_POST(self) -> None:
            site.requests[-1] = {name.lower(): value for name, value in self.headers.items()}
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(site.status)
            for name, value in (site.headers | {"Content-Length": "0"}).items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    return Handler


@pytest.fixture
def sites() -> Iterator[tuple[Site, Site]]:
    """A site that may be sent to and one that may not, on the same port."""
    listed, unlisted = Site(LISTED), Site(UNLISTED)
    servers = []
    for site in (listed, unlisted):
        server = ThreadingHTTPServer((site.address, listed.port), _handler(site))
        site.port = server.server_port
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield listed, unlisted
    for server in servers:
        server.shutdown()
        server.server_close()


class Names:
    """Stands for the system's resolver: what each next question about NAME is answered with."""

    def __init__(self, ask: Callable[..., Any]):
        self.answers: list[list[str]] = []
        self.asked = 0
        self._ask = ask

    def __call__(self, host: str, port: int, *arguments: Any, **options: Any) -> Any:
        if host != NAME:
            return self._ask(host, port, *arguments, **options)
        addresses = self.answers[min(self.asked, len(self.answers) - 1)]
        self.asked += 1
        return [
            (
                socket.AF_INET6 if ":" in address else socket.AF_INET,
                socket.SOCK_STREAM,
                socket.IPPROTO_TCP,
                "",
                (address, port, 0, 0) if ":" in address else (address, port),
            )
            for address in addresses
        ]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    names = Names(socket.getaddrinfo)
    monkeypatch.setattr(socket, "getaddrinfo", names)
    return names


async def sent(
    site: Site, times: int = 1, path: str = "/", seconds: float = 5.0, **members: Any
) -> list[Answer]:
    """Send a record to NAME some times, one after the other, in one call."""
    config = {
        "DATABASE_DSN": "sqlite:x",
        "VAULT_OCID": "v",
        "VAULT_KEY_OCID": "k",
        "VAULT_COMPARTMENT_OCID": "c",
        "ALLOWED_TARGETS": f"http://{NAME}:{site.port}",
        "ALLOWED_NETWORKS": f"{LISTED}/32",
    }
    document = {
        "id": "1",
        "targetRestApi": f"http://{NAME}:{site.port}{path}",
        "targetRestApiOperation": "POST",
        "targetRestApiPayload": {},
    } | members
    async with Sender(Settings.from_config(config)) as sender:
        return [await sender.send(document, None, terms(seconds)) for _ in range(times)]


async def test_a_name_is_resolved_once_and_that_address_is_connected_to(
    sites: tuple[Site, Site], names: Names
) -> None:
    listed, unlisted = sites
    names.answers = [[LISTED], [UNLISTED]]
    answers = await sent(listed, times=3)
    assert [answer.code for answer in answers] == [200] * 3
    assert names.asked == 1
    assert [one["host"] for one in listed.requests] == [f"{NAME}:{listed.port}"]
    assert unlisted.requests == []


async def test_a_name_that_changes_between_two_calls_is_vetted_again(
    sites: tuple[Site, Site], names: Names
) -> None:
    listed, unlisted = sites
    names.answers = [[LISTED], [UNLISTED]]
    [first], [second] = await sent(listed), await sent(listed)
    assert first.code == 200
    assert second.reason == "not sent: the host leads to an address that is not public"
    assert (names.asked, len(listed.requests), unlisted.requests) == (2, 1, [])


@pytest.mark.parametrize(
    "addresses",
    [
        [UNLISTED],
        [LISTED, UNLISTED],
        [UNLISTED, LISTED],
        [LISTED, "93.184.215.14", "::1"],
        [f"::ffff:{UNLISTED}"],
        ["::1"],
        ["0.0.0.0"],  # noqa: S104 - an address to refuse
        ["169.254.169.254"],
        ["fd00:ec2::254"],
        ["fe80::1"],
        ["64:ff9b::7f00:6"],
        ["2002:7f00:6::"],
    ],
)
async def test_a_name_is_refused_where_one_of_its_addresses_is(
    sites: tuple[Site, Site], names: Names, addresses: list[str]
) -> None:
    names.answers = [addresses]
    [answer] = await sent(sites[0])
    assert answer.reason == "not sent: the host leads to an address that is not public"
    assert [site.requests for site in sites] == [[], []]


async def test_a_redirect_leads_nowhere(sites: tuple[Site, Site], names: Names) -> None:
    listed, unlisted = sites
    names.answers = [[LISTED]]
    listed.status, listed.headers = 307, {"Location": f"http://{UNLISTED}:{unlisted.port}/"}
    [answer] = await sent(listed)
    assert (answer.code, len(listed.requests), unlisted.requests) == (307, 1, [])


async def test_proxies_and_passwords_in_the_environment_are_ignored(
    sites: tuple[Site, Site], names: Names, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    listed, unlisted = sites
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://{UNLISTED}:{unlisted.port}")
    netrc = tmp_path / "netrc"
    netrc.write_text(f"machine {NAME} login me password secret")
    monkeypatch.setenv("NETRC", str(netrc))
    names.answers = [[LISTED]]
    [answer] = await sent(listed)
    assert (answer.code, len(listed.requests), unlisted.requests) == (200, 1, [])
    assert "authorization" not in listed.requests[0]


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        (
            {"targetRestApiHeaders": [{"key": "X-A", "value": "a\r\nHost: evil"}]},
            "the record's header 0 has a control character in its value",
        ),
        (
            {"targetRestApiHeaders": {"X-A": "a\n\nPOST /admin HTTP/1.1"}},
            "the record's header X-A has a control character in its value",
        ),
        (
            {"targetRestApiHeaders": {"X-A\r\nX-B": "a"}},
            "the record's header X-A\r\nX-B is not a valid header name",
        ),
        ({"targetRestApiHeaders": {"Host": "evil"}}, "the record's header Host is a header that a record"),
        ({"targetRestApiHeaders": {"Authorization": "a"}}, "the record's header Authorization is a header"),
        ({"targetRestApiHeaders": {"Transfer-Encoding": "chunked"}}, "Transfer-Encoding is a header that"),
        ({"targetRestApiHeaders": {"Content-Length": "3"}}, "Content-Length is a header that a record can't"),
        ({"targetRestApiHeaders": 7}, "must be a list of"),
        ({"targetRestApiOperation": "CONNECT"}, "the record's operation is none of POST, PUT"),
        ({"targetRestApiOperation": "POST / HTTP/1.1\r\nX: y\r\n"}, "the record's operation is none of"),
        ({"targetRestApiOperation": None}, "the record's operation is none of"),
        ({"targetRestApi": 7}, "the URL must be a string"),
    ],
)
async def test_what_store_would_refuse_is_not_sent_either(
    sites: tuple[Site, Site], names: Names, members: dict[str, Any], reason: str
) -> None:
    names.answers = [[LISTED]]
    [answer] = await sent(sites[0], **members)
    assert answer.reason.startswith("not sent: ")
    assert reason in answer.reason
    assert (names.asked, sites[0].requests) == (0, [])


async def test_a_record_without_a_target_is_not_sent(sites: tuple[Site, Site]) -> None:
    config = Settings("sqlite:", "v", "k", "c")
    async with Sender(config) as sender:
        answer = await sender.send({"id": "1", "targetRestApiOperation": "POST"}, None, terms(5.0))
    assert answer.reason == "not sent: the record has no targetRestApi"


async def test_without_time_nothing_is_sent(sites: tuple[Site, Site], names: Names) -> None:
    names.answers = [[LISTED]]
    assert (await sent(sites[0], seconds=-0.1))[0].reason == "not sent: no time is left for it"
    assert sites[0].requests == []
