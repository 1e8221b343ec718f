"""Targets that lead inside, or that two readers read in two ways: refused when storing and when sending.

Whatever an address below means to anybody, it means the machine that runs the test or a place that does not
answer; a listener counts what connects to it.
"""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import local.emulators.soda
from shared.model import json_codec
from tests.end_to_end import bundle as bundles
from tests.end_to_end.bundle import Bundle

# PORT stands for the listener's port. The operator allows every host below by name, and none by its address.
BY_ADDRESS = [
    "127.0.0.1:PORT",
    "127.1.2.3:PORT",
    "0.0.0.0:PORT",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.0.1",
    "100.64.0.1",
    "169.254.169.254",
    "169.254.0.1",
    "192.0.0.1",
    "192.0.2.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "[::1]:PORT",
    "[::]:PORT",
    "[::ffff:127.0.0.1]:PORT",
    "[::ffff:7f00:1]:PORT",
    "[::ffff:169.254.169.254]",
    "[::ffff:10.0.0.1]",
    "[::127.0.0.1]:PORT",
    "[64:ff9b::7f00:1]:PORT",
    "[64:ff9b::a9fe:a9fe]",
    "[64:ff9b:1::7f00:1]",
    "[2002:7f00:1::]:PORT",
    "[2002:a9fe:a9fe::1]",
    "[2001:0:5db8:d822:0:0:80ff:fffe]",
    "[2001:db8::1]",
    "[fe80::1]",
    "[fec0::1]",
    "[fc00::1]",
    "[fd00:c1::a9fe:a9fe]",
    "[ff02::1]",
    "[100::1]",
]
BY_FORM = [
    "http://2130706433:PORT/",
    "http://0x7f000001:PORT/",
    "http://017700000001:PORT/",
    "http://0x7f.0.0.1:PORT/",
    "http://0177.0.0.1:PORT/",
    "http://127.1:PORT/",
    "http://127.0.1:PORT/",
    "http://0:PORT/",
    "http://127.0.0.1.:PORT/",
    "http://127.0.0.01:PORT/",
    "http://127.0.0.1%2f:PORT/",
    "http://localhost.:PORT/",
    "http://LOCALHOST.:PORT/",
    "http://[::1%25lo]:PORT/",
    "http://[::1%lo]:PORT/",
    "http://[0:0:0:0:0:0:0:1:PORT/",
    "http://erp.example.com@127.0.0.1:PORT/",
    "http://erp.example.com:80@127.0.0.1:PORT/",
    "http://127.0.0.1:PORT\\@erp.example.com/",
    "http://erp.example.com\\@127.0.0.1:PORT/",
    "http:\\\\127.0.0.1:PORT/",
    "http:/127.0.0.1:PORT/",
    "http:127.0.0.1:PORT/",
    "//127.0.0.1:PORT/",
    " http://127.0.0.1:PORT/",
    "http://127.0.0.1:PORT/ ",
    "http://127.0.0.1 :PORT/",
    "http://127.0.0.1\t:PORT/",
    "http://127.0.0.1:PORT/\r\nHost: erp.example.com",
    "http://127.0.0.1:PORT/\u0000",
    "http://127.0.0.1:PORT/#erp.example.com",
    "http://127.0.0.1#@erp.example.com:PORT/",
    "http://127\u30020\u30020\u30021:PORT/",
    "http://\u2460\u2461\u2466.0.0.1:PORT/",
    "http://\uff4c\uff4f\uff43\uff41\uff4c\uff48\uff4f\uff53\uff54:PORT/",
    "http://loc\u00adalhost:PORT/",
    "http://127.0.0.1:0PORT0/",
    "http://127.0.0.1:-PORT/",
    "http://127.0.0.1:/",
    "http://127.0.0.1:0/",
    "http://127.0.0.1:99999/",
    "ftp://127.0.0.1:PORT/",
    "file:///etc/passwd",
    "gopher://127.0.0.1:PORT/",
    "http+unix://127.0.0.1:PORT/",
    "http://evil.example:PORT/",
    "https://127.0.0.1.evil.example:PORT/",
]


class Listener:
    """A port of this machine, on IPv4 and IPv6, that counts its connections."""

    def __init__(self, server: socket.socket):
        self.port = server.getsockname()[1]
        self.connections = 0
        self._server = server

    def count(self) -> None:
        """Count until the socket is closed."""
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            self.connections += 1
            connection.close()


@contextmanager
def listening() -> Iterator[Listener]:
    with socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as server:
        listener = Listener(server)
        thread = threading.Thread(target=listener.count)
        thread.start()
        try:
            yield listener
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join(bundles.PATIENCE)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Bundle, Listener, list[str]]]:
    """A bundle whose operator lists every host of BY_ADDRESS, and no network; and all hostile URLs."""
    home: Path = tmp_path_factory.mktemp("hostile")
    with listening() as listener:
        port = str(listener.port)
        hosts = [host.replace("PORT", port) for host in BY_ADDRESS]
        urls = [f"http://{host}/" for host in hosts] + [url.replace("PORT", port) for url in BY_FORM]
        allowed = ",".join(f"http://{host}" for host in [*hosts, "erp.example.com", f"localhost:{port}"])
        with bundles.running(home, ALLOWED_TARGETS=allowed, ALLOWED_NETWORKS="") as bundle:
            socket.create_connection(("127.0.0.1", listener.port)).close()  # it does count
            bundles.eventually(lambda: listener.connections == 1)
            yield bundle, listener, urls


def test_hostile_targets_are_refused_when_storing(
    hostile: tuple[Bundle, Listener, list[str]],
) -> None:
    bundle, listener, urls = hostile
    assert len(set(urls)) >= 60
    for url in urls:
        response = bundle.call("POST", "/store", bundle.record(targetRestApi=url))
        assert response.status_code == 422, url
        # A NUL is refused wherever it stands, before any field is looked at.
        named = "" if "\0" in url else "/streamMessage/targetRestApi"
        assert [one["pointer"] for one in response.json()["errors"]] == [named], response.text
    assert bundle.documents() == []
    assert listener.connections == 1


def test_hostile_targets_are_refused_when_sending(hostile: tuple[Bundle, Listener, list[str]]) -> None:
    """Put behind the API, into a record that was stored in the usual way."""
    bundle, listener, urls = hostile
    harmless = bundle.record(f"http://localhost:{listener.port}/", streamKey="")
    ids = [one["id"] for one in bundle.store([harmless] * len(urls))["records"]]
    with local.emulators.soda.connect(bundle.database) as connection:
        collection = connection.getSodaDatabase().openCollection(bundles.COLLECTION)
        for identity, url in zip(ids, urls, strict=True):
            found = collection.find().filter({"id": identity}).getOne()
            content = found.getContent() | {"targetRestApi": url}
            del content["_id"]
            assert collection.find().key(found.key).replaceOne(json_codec.dump(content))
        connection.commit()
    answer = bundle.process()
    assert answer["processedmessages"] == 0
    for identity, url in zip(ids, urls, strict=True):
        state = bundle.state(identity)
        assert (state["status"], state["status_code"]) == ("failed", "unexpectedError"), url
        assert state["failure_reason"].startswith("not sent: "), url
    assert listener.connections == 1
