"""Whatever a deployment answers, or does not, the command says in words what to do."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import responses
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from requests import PreparedRequest
from requests.exceptions import ConnectTimeout, ReadTimeout

from datasync.__main__ import main
from datasync.deployment import WAITS_MOST, Deployment, DeploymentError
from tests.unit.datasync_deployment import RETRY, URL, deployment, pauses, run

__all__ = ["deployment", "pauses"]  # fixtures
SECRET = "s3cret-value"
HTML = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 4\r\n\r\n<h1>"


@contextmanager
def listening(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """A server that does with each connection what a test says; gives its port."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    try:
                        answer(connection)
                    except OSError:
                        continue

        threading.Thread(target=serve, daemon=True).start()
        try:
            yield server.getsockname()[1]
        finally:
            server.shutdown(socket.SHUT_RDWR)


def saying(answer: bytes) -> Callable[[socket.socket], None]:
    def answered(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(answer)

    return answered


@pytest.fixture
def certificate(tmp_path: Path) -> ssl.SSLContext:
    """TLS with a certificate that nobody has signed."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    file = tmp_path / "server.pem"
    file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        + signed.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


def complaint(capsys: pytest.CaptureFixture[str], url: str) -> str:
    assert main(["status", "--url", url]) == 1
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("scheme", "answer", "hint"),
    [
        ("http", HTML, "answers with text/html, not with the API's JSON"),
        ("http", HTML.replace(b"text/html", b"application/json"), "not with the API's JSON"),
        ("http", b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", "expects TLS, write https://"),
        ("http", b"SSH-2.0-OpenSSH_9.2\r\n", "does not answer in HTTP"),
        ("http", b"", "does not answer in HTTP"),
        ("https", HTML, "If it speaks plain HTTP, write http://127.0.0.1:"),
        ("https", b"", "no TLS connection"),
    ],
)
def test_an_address_that_is_something_else_is_said(capsys, scheme: str, answer: bytes, hint: str) -> None:
    with listening(saying(answer)) as port:
        assert hint in complaint(capsys, f"{scheme}://127.0.0.1:{port}")


def test_a_certificate_that_nobody_vouches_for_is_said(capsys, certificate: ssl.SSLContext) -> None:
    def answered(connection: socket.socket) -> None:
        certificate.wrap_socket(connection, server_side=True).close()

    with listening(answered) as port:
        said = complaint(capsys, f"https://localhost:{port}")
    assert "self-signed certificate" in said
    assert "REQUESTS_CA_BUNDLE" in said


def test_tls_that_is_called_in_plain_is_said(capsys, certificate: ssl.SSLContext) -> None:
    def answered(connection: socket.socket) -> None:
        certificate.wrap_socket(connection, server_side=True)

    with listening(answered) as port:
        assert f"If it expects TLS, write https://localhost:{port}" in complaint(
            capsys, f"http://localhost:{port}"
        )


@pytest.mark.parametrize(
    ("url", "cause"),
    [
        ("http://127.0.0.1:9", "Connection refused"),
        ("https://no-such-host.invalid", "can't be reached"),
        (f"https://{'a' * 70}.example.com", "can't be reached"),
        ("http://a..b/", "can't be reached"),
    ],
)
def test_a_deployment_that_does_not_run_is_said_with_the_reason(capsys, url: str, cause: str) -> None:
    assert cause in complaint(capsys, url)


@pytest.mark.parametrize(
    ("error", "hint"), [(ReadTimeout("slow"), "no answer within"), (ConnectTimeout("slow"), "firewall")]
)
def test_an_address_that_says_nothing_is_said(deployment, capsys, error: Exception, hint: str) -> None:
    deployment.post(RETRY, body=error)
    assert run("replay") == 1
    assert hint in capsys.readouterr().err


GATEWAY_404 = {"title": "Not Found", "detail": "Not Found", "code": "404", "message": "Not Found"}


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        ({"json": {"hello": "world"}}, "not the API's"),
        ({"json": [1]}, "not with the API's JSON"),
        ({"body": "[" * 100_000, "content_type": "application/json"}, "not with the API's JSON"),
        ({"status": 302, "headers": {"Location": "https://sso.example.com/in?state=1"}}, "in.\nIf that is"),
        ({"status": 401, "body": "no"}, "Set DATASYNC_API_KEY"),
        ({"status": 403, "json": {"title": "Forbidden"}}, "an operator's"),
        ({"status": 404, "body": "no"}, "root of the deployment"),
        ({"status": 404, "json": GATEWAY_404}, "root of the deployment"),
        ({"status": 405, "body": "no"}, "version recent enough"),
        ({"status": 502, "body": "<html>"}, "it answers 502"),
    ],
)
def test_an_answer_that_is_no_report_is_said_with_what_to_do(deployment, capsys, answer, hint) -> None:
    deployment.get(f"{URL}/process", **answer)
    assert run("status") == 1
    said = capsys.readouterr().err
    assert hint in said
    assert "Traceback" not in said


def test_a_key_that_is_not_accepted_is_said_as_such(deployment, capsys) -> None:
    deployment.get(f"{URL}/process", status=401)
    assert run("status", "--api-key", SECRET) == 1
    said = capsys.readouterr().err
    assert "A key was sent and not accepted" in said
    assert SECRET not in said


def test_a_problem_is_shown_with_the_place_and_without_terminal_codes(deployment, capsys) -> None:
    problem = {
        "title": "Unprocessable",
        "detail": "1 member is wrong \x1b[31m",
        "errors": [{"pointer": "/from", "detail": "[bold] is not RFC 3339"}],
    }
    deployment.post(RETRY, status=422, json=problem)
    assert run("replay", "--from", "x") == 1
    said = capsys.readouterr().err
    assert "Unprocessable" in said
    assert "at /from: [bold] is not RFC 3339" in said
    assert "\x1b" not in said


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("value", "pause"), [("7", 7.0), ("Sun, 06 Nov 1994 08:49:37 GMT", 0.0), ("soon", 2.0)]
)
def test_retry_after_is_obeyed(deployment, pauses, status: int, value: str, pause: float) -> None:
    deployment.post(RETRY, status=status, headers={"Retry-After": value})
    deployment.post(RETRY, json={"matchingMessages": 1})
    assert run("replay", "--dry-run") == 0
    assert pauses == [pause]


def test_waiting_is_bounded_in_number(deployment, pauses, capsys) -> None:
    unavailable = {"title": "Unavailable", "detail": "the database does not answer"}
    for _ in range(WAITS_MOST + 1):
        deployment.post(RETRY, status=503, json=unavailable)
    assert run("replay") == 1
    assert len(pauses) == WAITS_MOST
    assert "the database does not answer" in capsys.readouterr().err


def test_waiting_is_bounded_in_time(deployment, pauses) -> None:
    deployment.post(RETRY, status=503, headers={"Retry-After": "3600"})
    assert run("replay") == 1
    assert pauses == []


@pytest.mark.parametrize(
    "url",
    ["deployment.example.com", "ftp://a/", "https://u:p@a/", "https://a/?b=c", "https://a:x/", "https://[/"],
)
def test_a_url_that_names_no_deployment_is_refused(url: str) -> None:
    with pytest.raises(DeploymentError, match="--url"):
        Deployment(url)


def test_without_a_url_the_command_line_is_wrong(capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATASYNC_URL", raising=False)
    with pytest.raises(SystemExit, match="2"):
        main(["status"])
    assert "--url or DATASYNC_URL" in capsys.readouterr().err


REPORT = {"counts": {"failed": 1}}


def test_url_and_key_come_from_the_environment(
    deployment: responses.RequestsMock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATASYNC_URL", f"{URL}/")
    monkeypatch.setenv("DATASYNC_API_KEY", f" Bearer {SECRET}\n")
    deployment.get(f"{URL}/process", json=REPORT)
    deployment.get(f"{URL}/process", json=REPORT)
    assert main(["status"]) == 0
    assert main(["status", "--api-key", "another"]) == 0
    assert [call.request.headers["X-API-Key"] for call in deployment.calls] == [f"Bearer {SECRET}", "another"]


def test_headers_are_sent_whatever_the_home_folder_holds_and_never_printed(
    deployment, capsys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("machine deployment.example.com login a password b\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    deployment.get(f"{URL}/process", status=403, body="no")
    deployment.get(f"{URL}/process", status=403, body="no")
    authorization = f"Authorization: Bearer {SECRET}"
    assert run("status", "--header", f"X-API-Key: {SECRET}", "--header", authorization) == 1
    assert run("status") == 1
    given: PreparedRequest = deployment.calls[0].request
    assert (given.headers["X-API-Key"], given.headers["Authorization"]) == (SECRET, f"Bearer {SECRET}")
    assert "Authorization" not in deployment.calls[1].request.headers
    assert SECRET not in "".join(capsys.readouterr())


@pytest.mark.parametrize(
    "header", [SECRET, f"X-API-Key: {SECRET}\r\nX: y", f"X Y: {SECRET}", f"X: {SECRET}é", "X:"]
)
def test_a_malformed_header_is_refused_without_repeating_it(capsys, header: str) -> None:
    with pytest.raises(SystemExit):
        run("status", "--header", header)
    said = capsys.readouterr().err
    assert "Name: value" in said
    assert SECRET not in said


def test_a_malformed_key_is_refused_without_repeating_it(capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATASYNC_API_KEY", f"{SECRET}\r\nX: y")
    with pytest.raises(SystemExit, match="2"):
        run("status")
    said = capsys.readouterr().err
    assert "one line of printable ASCII" in said
    assert SECRET not in said
