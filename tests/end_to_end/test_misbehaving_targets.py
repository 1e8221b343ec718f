"""Targets that hang, reset, lie or talk too much: each costs its own record an attempt, and nobody else."""

import base64
import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

import local.emulators.soda
from shared.model import json_codec
from tests.end_to_end import bundle as bundles
from tests.end_to_end.bundle import Bundle


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/hang", "no answer from the target within"),
        ("/reset", "the connection to the target was lost"),
        ("/slow/30000", "no answer from the target within"),
    ],
)
def test_a_target_that_does_not_answer_fails_its_own_record_only(
    bundle: Bundle, path: str, reason: str
) -> None:
    bad, good = bundle.stored(path), bundle.stored("/ok")
    answer = bundle.process()
    assert (answer["processedmessages"], answer["failedMessages"]) == (1, 1)
    assert bundle.state(good)["status"] == "success"
    state = bundle.state(bad)
    assert (state["status_code"], state["error_stream"]) == ("unexpectedError", "recoverable")
    assert state["failure_reason"].startswith(reason)


@pytest.mark.parametrize("operation", ["POST", "PUT", "PATCH", "DELETE"])
def test_a_lost_connection_is_not_answered_by_sending_again(bundle: Bundle, operation: str) -> None:
    """An HTTP client may repeat what it holds to be idempotent; the target has acted on the first perhaps."""
    bundle.stored("/reset", targetRestApiOperation=operation)
    assert bundle.process()["failedMessages"] == 1
    assert len(bundle.received("/reset")) == 1


def test_an_answer_without_end_is_not_waited_for(home: Path) -> None:
    with bundles.running(home, TARGET_READ_TIMEOUT="3m", LEASE="5m") as bundle:
        ids = [bundle.stored("/big/2000000"), bundle.stored("/drip/50")]
        assert bundle.process()["processedmessages"] == 2
        assert [bundle.state(one)["status_code"] for one in ids] == [200, 200]
        assert all(one["finished"] - one["started"] < 120 for one in bundle.received())


def test_what_a_target_says_of_a_failure_stands_on_the_record_only(bundle: Bundle) -> None:
    """The target echoes what it got, payload and headers included."""
    kept = bundle.stored("/echo/500", targetRestApiPayload={"private": "payload-words"})
    taken = bundle.stored("/echo/200", targetRestApiPayload={"private": "payload-words"})
    bundle.process()
    state = bundle.state(kept)
    assert state["failure_reason"] == "the target answered 500 Internal Server Error"
    assert "payload-words" in state["attempts"][-1]["answer"]
    assert "answer" not in bundle.state(taken)["attempts"][-1]
    report = bundle.call("GET", "/process")
    assert kept in report.text
    assert "payload-words" not in report.text + bundle.logs()


def test_an_answer_is_kept_up_to_its_limit(home: Path) -> None:
    payload = {"text": "é" * 5000}
    with bundles.running(home, ANSWER_LIMIT="50") as bundle:
        kept = bundle.stored("/echo/500", targetRestApiPayload=payload)
        bundle.process()
        assert len(bundle.state(kept)["attempts"][-1]["answer"]) == 50


def test_no_answer_is_kept_if_the_operator_wants_none(home: Path) -> None:
    with bundles.running(home, ANSWER_LIMIT="0") as bundle:
        kept = bundle.stored("/echo/500")
        bundle.process()
        assert "answer" not in bundle.state(kept)["attempts"][-1]


def test_attack_a_target_gives_the_token_back_and_it_is_not_kept(home: Path) -> None:
    secret = "0rders/s3cret+word"
    basic = "Basic " + base64.b64encode(f"orders:{secret}".encode()).decode()
    with bundles.running(home) as bundle:
        for number, token in enumerate((f"Bearer {secret}", basic)):
            record = bundle.record(f"/echo/500/{number}", vaultSecretName=f"erp-{number}")
            kept = bundle.call("POST", "/store", record, Authorization=token).json()["id"]
            bundle.process()
            (received,) = bundle.received(f"/echo/500/{number}")
            assert received["header"]["authorization"] == token
            answer = bundle.state(kept)["attempts"][-1]["answer"]
            assert "[masked]" in answer
            assert secret not in answer
            assert token.split()[1] not in answer


def test_a_target_that_speaks_no_http_is_a_failure_in_words(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        listener.settimeout(bundles.PATIENCE)
        with bundles.running(home, ALLOWED_TARGETS=address) as bundle:
            kept = bundle.stored(f"{address}/x")

            def talk() -> None:
                connection, _ = listener.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(b"220 mail.example.com ESMTP\r\n")

            thread = threading.Thread(target=talk)
            thread.start()
            bundle.process()
            thread.join(bundles.PATIENCE)
            assert bundle.state(kept)["failure_reason"] == "the target's answer is not HTTP"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 that no authority vouches for, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "target.pem"
    path.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return path


@pytest.fixture(scope="module")
def tls_port(certificate: Path) -> Iterator[str]:
    with bundles.target("--certificate", str(certificate)) as url:
        yield url.rpartition(":")[2]


def test_a_certificate_that_nobody_vouches_for_is_refused(
    home: Path, tls_port: str, certificate: Path
) -> None:
    address = f"https://localhost:{tls_port}"
    with bundles.running(home, ALLOWED_TARGETS=f"localhost:{tls_port}") as bundle:
        kept = bundle.stored(f"{address}/ok")
        assert bundle.process()["failedMessages"] == 1
        assert bundle.state(kept)["failure_reason"].endswith("certificate is not valid: it is self-signed")
    assert requests.get(f"{address}/_received", verify=str(certificate), timeout=60).json()["count"] == 0


def test_a_certificate_is_verified_against_the_host_s_name(
    home: Path, tls_port: str, certificate: Path
) -> None:
    """The same certificate, now trusted: for localhost it holds, for 127.0.0.1 it doesn't."""
    allowed = f"localhost:{tls_port},127.0.0.1:{tls_port}"
    with bundles.running(home, ALLOWED_TARGETS=allowed, SSL_CERT_FILE=str(certificate)) as bundle:
        right = bundle.stored(f"https://localhost:{tls_port}/ok/right")
        wrong = bundle.stored(f"https://127.0.0.1:{tls_port}/ok/wrong")
        bundle.process()
        assert bundle.state(right)["status"] == "success"
        assert (
            bundle.state(wrong)["failure_reason"]
            == "the target's certificate is not valid: it is for another address"
        )


def test_a_host_that_does_not_resolve_is_a_failure_in_words(home: Path) -> None:
    with bundles.running(home, ALLOWED_TARGETS="nowhere.invalid") as bundle:
        kept = bundle.stored("https://nowhere.invalid/x")
        bundle.process()
        assert bundle.state(kept)["failure_reason"] == "the target's host name could not be resolved"


def test_a_name_that_leads_to_an_address_inside_is_not_connected_to(home: Path) -> None:
    """`localhost` is allowed by name here, and its address by nothing."""
    with (
        bundles.target() as url,
        bundles.running(
            home, ALLOWED_TARGETS="http://localhost:" + url.rpartition(":")[2], ALLOWED_NETWORKS="10.0.0.0/8"
        ) as bundle,
    ):
        kept = bundle.stored(f"http://localhost:{url.rpartition(':')[2]}/ok")
        bundle.process()
        state = bundle.state(kept)
        assert state["failure_reason"] == "not sent: the host leads to an address that is not public"
        assert requests.get(f"{url}/_received", timeout=60).json()["count"] == 0


def test_a_record_that_got_behind_the_api_is_checked_again_when_sending(bundle: Bundle) -> None:
    """The operator may have taken a host off the list since, and nothing is trusted for being inside."""
    kept = bundle.stored()
    with local.emulators.soda.connect(bundle.database) as connection:
        connection.autocommit = True
        collection = connection.getSodaDatabase().openCollection(bundles.COLLECTION)
        found = collection.find().filter({"id": kept}).getOne()
        content = found.getContent() | {"targetRestApi": "http://169.254.169.254/opc/v2/instance"}
        del content["_id"]
        collection.find().key(found.key).replaceOne(json_codec.dump(content))
    bundle.process()
    assert "not among the allowed targets" in bundle.state(kept)["failure_reason"]


@pytest.mark.parametrize(("how", "workers"), [("limited", 1), ("throttled", 1), ("throttled", 4)])
def test_a_target_that_allows_so_many_requests_a_second_gets_hardly_more_and_no_record_dies(
    home: Path, how: str, workers: int
) -> None:
    settings = {"RETRY_BACKOFF": "1s..1h", "RETRY_LIMIT": "3", "LEASE": "60s", "FAN_OUT": str(workers)}
    with (
        bundles.target() as limited,
        bundles.target() as other,
        bundles.running(home, ALLOWED_TARGETS=f"{limited},{other}", **settings) as bundle,
    ):
        bundle.store([bundle.record(f"{limited}/{how}/50") for _ in range(400)])  # more than a page
        bundle.store([bundle.record(f"{other}/ok") for _ in range(50)])
        counts: dict[str, int] = {}
        while counts.get("success") != 450:
            bundle.process()
            report = bundle.call("GET", "/process").json()
            counts = report["counts"]
            assert counts["dead"] == 0
        records = [one for one in bundle.documents() if limited in one["targetRestApi"]]
        assert {one["datasync"]["attempts"] for one in records} == {1}
        assert bundles.count(limited) < (1.2 if workers == 1 else 1.4) * 400
        assert bundles.count(other) == 50


def test_a_target_that_asks_to_be_left_alone_gets_nothing_from_later_calls(home: Path) -> None:
    settings = {"RETRY_BACKOFF": "1s..6h", "LEASE": "60s"}
    with (
        bundles.target() as busy,
        bundles.target() as other,
        bundles.running(home, ALLOWED_TARGETS=f"{busy},{other}", **settings) as bundle,
    ):
        busy_ones = bundle.store([bundle.record(f"{busy}/retry-after/3600") for _ in range(100)])["records"]
        answer = bundle.process()
        sent = bundles.count(busy)
        assert sent <= 8  # what a target gets at once before it has answered
        assert (answer["failedMessages"], answer["skippedMessages"] > 0) == (sent, True)
        assert answer["endOfStream"] is True
        bundle.store([bundle.record(f"{other}/ok") for _ in range(10)])
        assert bundle.process()["processedmessages"] == 10
        assert bundles.count(busy) == sent
        (resting,) = bundle.call("GET", "/process").json()["restingTargets"]
        assert resting == busy.removeprefix("http://")
        states = [bundle.state(one["id"]) for one in busy_ones]
        assert sum("attempts" in one for one in states) == sent
        assert not any(one.get("dead") for one in states)
