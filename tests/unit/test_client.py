"""One request: what becomes of it, in words, and whether the target may have seen it."""

import asyncio
import gc
import os
import resource
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from shared.model.answer import Answer, TlsIdentity
from shared.outbound.client import Client
from shared.outbound.http1 import AnswerReader
from shared.outbound.resolver import Address, Resolver
from shared.settings import Settings
from tests.contract import raw_target, tls
from tests.contract.clients import HERE, SETTINGS, failed, posted, terms
from tests.contract.raw_target import Do, RawTarget, good


async def sent(url: str, seconds: float = 60.0, settings: Settings = SETTINGS, **members: Any) -> Answer:
    async with Client(settings) as client:
        return await client.deliver(posted(url, **members), terms(seconds, settings))


@contextmanager
def listening(backlog: int = 100) -> Iterator[tuple[socket.socket, str]]:
    """A port that nobody accepts connections on."""
    with socket.create_server((HERE, 0), backlog=backlog) as server:
        yield server, f"{HERE}:{server.getsockname()[1]}"


@contextmanager
def deaf() -> Iterator[str]:
    """A port that does not even answer an attempt to connect: its queue is full."""
    with listening(backlog=0) as (_, address), socket.socket() as first, socket.socket() as second:
        host, _, port = address.rpartition(":")
        for one in (first, second):
            one.setblocking(False)
            one.connect_ex((host, int(port)))
        yield address


@asynccontextmanager
async def answering(*steps: raw_target.Step, **options: Any) -> AsyncIterator[RawTarget]:
    async with raw_target.running({"/": steps}, **options) as target:
        yield target


async def test_a_refused_connection_sends_nothing() -> None:
    with listening() as (server, address):
        server.close()
        answer = await sent(f"http://{address}/")
    assert failed(answer) == ("the target refused the connection", "connection", "no")
    assert not answer.connected


async def test_a_time_out_is_named_with_its_value_and_what_it_ended() -> None:
    short = replace(SETTINGS, target_connect_timeout=0.2)
    with deaf() as address:
        answer = await sent(f"http://{address}/", settings=short)
        assert failed(answer) == (
            "no connection to the target within the connect time-out of 0.2 s",
            "connection",
            "no",
        )
        answer = await sent(f"http://{address}/", seconds=0.15)
        assert failed(answer)[0] == "no connection to the target within the 0.15 s that there were for it"
    with listening() as (_, address):
        answer = await sent(f"https://{address}/", settings=short)
        assert failed(answer) == (
            "no TLS connection to the target within the connect time-out of 0.2 s",
            "connection",
            "no",
        )
        answer = await sent(f"http://{address}/", settings=replace(SETTINGS, target_read_timeout=0.2))
        assert failed(answer) == (
            "no answer from the target within the read time-out of 0.2 s",
            "answer",
            "unknown",
        )
        answer = await sent(f"http://{address}/", seconds=0.15)
        assert failed(answer)[0] == "no answer from the target within the 0.15 s that there were for it"


async def test_without_time_nothing_is_sent() -> None:
    assert failed(await sent("http://127.0.0.1:1/", seconds=0)) == (
        "not sent: no time is left for it",
        "time",
        "no",
    )


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
async def test_what_the_target_may_have_read_is_sent_once(method: str) -> None:
    async with answering(Do.CLOSE) as target, Client(SETTINGS) as client:
        await client.deliver(posted(target.url + "/good"), terms())
        answer = await client.deliver(posted(target.url, method=method), terms())
        assert failed(answer) == (
            "the connection to the target was lost before an answer came",
            "answer",
            "unknown",
        )
        assert target.received == {"/good": 1, "/": 1}


async def test_a_kept_connection_that_the_target_has_closed_is_not_used() -> None:
    script = [good("/"), Do.CLOSE]
    async with answering(*script) as target, Client(SETTINGS) as client:
        for _ in range(20):
            assert (await client.deliver(posted(target.url), terms())).code == 299
        assert target.received == {"/": 20}


async def test_a_request_of_which_not_a_byte_could_be_written_goes_out_on_another_connection() -> None:
    async with answering() as target, Client(SETTINGS) as client:
        await client.deliver(posted(target.url + "/first"), terms())
        await asyncio.sleep(0.02)
        [kept] = client._connections._open
        own = os.dup(kept._transport.get_extra_info("socket").fileno())
        with socket.socket(fileno=own) as broken:
            broken.shutdown(socket.SHUT_WR)
        answer = await client.deliver(posted(target.url + "/second"), terms())
        assert (answer.code, answer.sent) == (299, "yes")
        assert target.received == {"/first": 1, "/second": 1}
        assert target.connections["/first"] != target.connections["/second"]


async def test_an_answer_to_half_a_request_counts() -> None:
    """A target that refuses a body need not read it."""
    refused = b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(100)
        writer.write(refused)
        await writer.drain()
        writer.transport.abort()

    server = await asyncio.start_server(refuse, HERE, 0, limit=1024)
    url = f"http://{HERE}:{server.sockets[0].getsockname()[1]}/"
    for _ in range(10):
        answer = await sent(url, body=b"a" * 6_000_000)
        assert (answer.code, answer.sent) == (413, "yes"), answer
    server.close()


async def test_an_answer_that_comes_before_the_request_counts() -> None:
    """A proxy that is full says so to a new connection."""

    async def refuse(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 503 Full\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n")
        writer.write_eof()

    server = await asyncio.start_server(refuse, HERE, 0)
    for _ in range(20):
        answer = await sent(f"http://{HERE}:{server.sockets[0].getsockname()[1]}/")
        assert (answer.code, answer.retry_after, answer.sent) == (503, 7.0, "yes"), answer
    server.close()


async def test_as_much_of_an_answer_as_is_wanted_comes_along() -> None:
    said = b"HTTP/1.1 400 Bad\r\nContent-Type: text/plain\r\nContent-Length: 11\r\n\r\nhello world"
    async with answering(said) as target, Client(SETTINGS) as client:
        answer = await client.deliver(posted(target.url), terms(), keep=5)
        assert (answer.content, answer.headers["content-type"]) == (b"hello", "text/plain")
        assert answer.reason == "the target answered 400 Bad Request"
        assert (await client.deliver(posted(target.url), terms())).content == b""


async def test_a_content_that_matters_is_waited_for() -> None:
    slow = [b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello", 0.6, b"world"]
    async with answering(*slow) as target, Client(SETTINGS) as client:
        answer, content = await client.ask(posted(target.url), 60.0)
        assert (answer.code, content) == (200, b"helloworld")
        answer = await client.deliver(posted(target.url), terms(), keep=100)
        assert (answer.code, answer.content) == (200, b"hello")


async def test_of_an_endless_content_the_beginning_comes_along() -> None:
    endless = [b"HTTP/1.1 200 OK\r\n\r\n", *[b"a" * 10_000] * 1000]
    async with answering(*endless) as target, Client(SETTINGS) as client:
        answer, content = await client.ask(posted(target.url), 60.0)
        assert (answer.code, content) == (200, b"a" * 65_536)


async def test_a_request_that_is_given_up_leaves_no_connection() -> None:
    async with answering(30.0) as target, Client(SETTINGS) as client:
        request = asyncio.create_task(client.deliver(posted(target.url), terms()))
        await target.began["/"].wait()
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request
        assert not client._connections._open


@pytest.fixture(scope="module")
def authority() -> tls.Certificate:
    return tls.made()


async def over_tls(folder: Path, certificate: tls.Certificate, trusted: str, **options: Any) -> Answer:
    context = tls.server_context(certificate, folder)
    async with answering(good("/"), tls=context) as target:
        return await sent(target.url, identity=TlsIdentity(authorities=trusted), **options)


async def test_a_target_with_a_valid_certificate_is_sent_to(
    authority: tls.Certificate, tmp_path: Path
) -> None:
    assert (await over_tls(tmp_path, tls.made(authority), authority.public_pem)).code == 299


@pytest.mark.parametrize(
    ("certificate", "fault"),
    [
        ({"days": (-2, -1)}, "it has expired"),
        ({"days": (1, 2)}, "it is not valid yet"),
        ({"host": "erp.example.com"}, "it is for another address"),
    ],
)
async def test_what_is_wrong_with_a_certificate_is_said(
    authority: tls.Certificate, tmp_path: Path, certificate: dict[str, Any], fault: str
) -> None:
    answer = await over_tls(tmp_path, tls.made(authority, **certificate), authority.public_pem)
    assert failed(answer) == (f"the target's certificate is not valid: {fault}", "connection", "no")


async def test_a_certificate_for_another_host_name_is_refused(
    authority: tls.Certificate, tmp_path: Path
) -> None:
    resolver = Resolver(lambda _, port: [Address(socket.AF_INET, (HERE, port))])
    context = tls.server_context(tls.made(authority, host="erp.example.com"), tmp_path)
    async with answering(good("/"), tls=context) as target, Client(SETTINGS, resolver) as client:
        port = target.url.rpartition(":")[2]
        identity = TlsIdentity(authorities=authority.public_pem)
        answer = await client.deliver(posted(f"https://erp.example.com:{port}/", identity=identity), terms())
        assert answer.code == 299
        answer = await client.deliver(posted(f"https://crm.example.com:{port}/", identity=identity), terms())
        assert failed(answer)[0] == "the target's certificate is not valid: it is for another host name"


async def test_an_unknown_authority_is_told_from_none(authority: tls.Certificate, tmp_path: Path) -> None:
    answer = await over_tls(tmp_path, tls.made(authority), "")
    assert failed(answer)[0] == "the target's certificate is not valid: its authority is unknown"
    answer = await over_tls(tmp_path, tls.made(), "")
    assert failed(answer)[0] == "the target's certificate is not valid: it is self-signed"


def refuse_tls(server: socket.socket, context: ssl.SSLContext) -> None:
    """Agree TLS with one client, as a server does that says why it doesn't; asyncio's says nothing."""
    connection, _ = server.accept()
    connection.settimeout(60)
    agreed = context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
    with agreed:
        with pytest.raises(ssl.SSLError):
            agreed.do_handshake()
        agreed.shutdown(socket.SHUT_WR)
        while agreed.recv(10_000):  # what is closed with something unread says no more than a reset
            pass


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_target_that_wants_a_certificate_is_sent_nothing_without_one(
    authority: tls.Certificate, tmp_path: Path, version: ssl.TLSVersion
) -> None:
    context = tls.server_context(tls.made(authority), tmp_path, clients=authority)
    context.minimum_version = context.maximum_version = version
    trusting = TlsIdentity(authorities=authority.public_pem)
    words = {ssl.TLSVersion.TLSv1_2: "handshake failure", ssl.TLSVersion.TLSv1_3: "certificate required"}
    with listening() as (server, address):
        thread = threading.Thread(target=refuse_tls, args=(server, context))
        thread.start()
        answer = await sent(f"https://{address}/", identity=trusting)
        thread.join(60)
    reason = f"the target refused the TLS connection: {words[version]}"
    assert failed(answer) == (reason, "connection", "no")
    async with answering(good("/"), tls=context) as target:
        certified = trusting._replace(certificate=tls.made(authority).pem)
        assert (await sent(target.url, identity=certified)).code == 299
        assert target.received == {"/": 1}


async def test_a_certificate_that_cannot_be_read_is_a_fault_of_the_request(tmp_path: Path) -> None:
    context = tls.server_context(tls.made(), tmp_path)
    async with answering(tls=context) as target:
        for identity in (TlsIdentity(certificate="x"), TlsIdentity(authorities="x")):
            answer = await sent(target.url, identity=identity)
            assert failed(answer) == ("not sent: the certificates to use can't be read", "request", "no")


async def test_a_target_that_speaks_no_tls_is_sent_nothing() -> None:
    async def refuse(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.write_eof()

    async def leave(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write_eof()

    for serve, reason in (
        (refuse, "no TLS connection to the target could be agreed"),
        (leave, "the target closed the connection before TLS was agreed"),
    ):
        server = await asyncio.start_server(serve, HERE, 0)
        answer = await sent(f"https://{HERE}:{server.sockets[0].getsockname()[1]}/")
        assert failed(answer) == (reason, "connection", "no")
        server.close()


async def test_without_files_to_open_the_target_is_not_to_blame() -> None:
    async with answering(good("/")) as target, Client(SETTINGS) as client:
        assert (await client.deliver(posted(target.url), terms())).code == 299
        by_name = target.url.replace(HERE, "localhost")
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
        try:
            requests = [posted(target.url, credential="another"), posted(by_name)]
            answers = [await client.deliver(request, terms()) for request in requests]
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        for answer in answers:
            assert failed(answer) == ("not sent: this machine has no more files to open", "machine", "no")
            assert answer.connected


async def test_the_address_that_answers_is_taken_whatever_the_others_do() -> None:
    with deaf() as address, listening() as (refusing, closed):
        refusing.close()
        port = int(closed.rpartition(":")[2])
        resolver = Resolver(
            lambda _, port: [
                Address(socket.AF_INET, (HERE, int(address.rpartition(":")[2]))),
                Address(socket.AF_INET6, ("::1", port, 0, 0)),
                Address(socket.AF_INET, (HERE, port)),
            ]
        )
        async with answering(good("/")) as target, Client(SETTINGS, resolver) as client:
            port = int(target.url.rpartition(":")[2])
            answer = await client.deliver(posted(f"http://erp.example.com:{port}/"), terms())
            assert answer.code == 299, answer


async def test_nothing_of_an_answer_stays_in_memory_until_somebody_collects_garbage() -> None:
    """Heads without end, hundreds of them, would fill it."""
    endless = {"/endless": [b"HTTP/1.1 200 OK\r\n", *[b"X-A: %s\r\n" % (b"a" * 9990)] * 30]}
    async with raw_target.running(endless) as target, Client(SETTINGS) as client:
        gc.collect()  # what other tests have left
        gc.disable()
        try:
            assert not (await client.deliver(posted(target.url + "/endless"), terms())).accepted
            for _ in range(100):  # the loop lets go of it in one of its next turns
                await asyncio.sleep(0.001)
            assert not [one for one in gc.get_objects() if isinstance(one, AnswerReader)]
        finally:
            gc.enable()
