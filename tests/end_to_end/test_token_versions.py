"""Records go with the version of the secret that they were proven with, whatever happens to it meanwhile.

A is the source whose token is at stake, B one who wants it sent to a target of its own.
"""

import base64
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import oci
import pytest
import requests
from oci.vault.models import Base64SecretContentDetails, UpdateSecretDetails

from local.emulators.identity import COMPARTMENT_OCID
from local.emulators.oci.secret_store import SecretStore, put_secret
from tests.contract.oci_server import signer
from tests.end_to_end.bundle import Bundle, running, secret, target
from tests.end_to_end.test_connector_hub import content, invoked, message

OF_A, OF_A_RENEWED, OF_B = (secret(f"Bearer {who}-0123456789abcdef") for who in ("a", "a-renewed", "b"))
NAME = "erp-token"


@pytest.fixture
def warm(tmp_path: Path) -> Iterator[Bundle]:
    """A bundle whose functions have run, and remember what they can."""
    with running(tmp_path / "home", RETRY_LIMIT="3") as bundle:
        yield bundle


@pytest.fixture
def elsewhere() -> Iterator[str]:
    """A target that outlives a bundle."""
    with target() as url:
        yield url


def vault(bundle: Bundle) -> Any:
    """What an operator does with secrets."""
    return oci.vault.VaultsClient({}, service_endpoint=bundle.oci_url, signer=signer(bundle.home))


def renewed(bundle: Bundle, token: str, name: str = NAME) -> None:
    """Store a new version of a secret, as an operator does after a leak, or on somebody's advice."""
    (found,) = vault(bundle).list_secrets(COMPARTMENT_OCID, name=f"datasync-{name}").data
    holds = Base64SecretContentDetails(content=base64.b64encode(token.encode()).decode())
    vault(bundle).update_secret(found.id, UpdateSecretDetails(secret_content=holds))


def deleted(bundle: Bundle, name: str = NAME) -> None:
    """Let a secret's deletion be over: its name is free."""
    store = SecretStore(bundle.home)
    (found,) = (one for one in store.all() if one.name == f"datasync-{name}")
    store.change(found.id, lambda one: replace(one, time_of_deletion=datetime.now(UTC)))


def stores(bundle: Bundle, token: str, path: str, name: str = NAME, **members: Any) -> int:
    """Store a record as a source does; the answer's status."""
    body = bundle.record(path, vaultSecretName=name, **members)
    return bundle.call("POST", "/store", body, Authorization=token).status_code


def sent(bundle: Bundle, path: str = "/ok") -> list[str]:
    """The tokens that the target has got at a path."""
    return sent_to(bundle.target_url, path)


def sent_to(url: str, path: str) -> list[str]:
    """The tokens that a target has got at a path."""
    received = requests.get(f"{url}/_received", {"prefix": path}, timeout=30).json()["requests"]
    headers = ({name.lower(): value for name, value in one["headers"]} for one in received)
    return [one.get("authorization", "") for one in headers]


def ended(bundle: Bundle, path: str) -> tuple[Any, Any, Any]:
    """How the record for a path stands."""
    (found,) = (one for one in bundle.documents() if one["targetRestApi"].endswith(path))
    return found["status"], found.get("status_code"), found.get("dead")


CHANGED = ("failed", "tokenChanged", True)


# B wants to have it


def test_b_takes_the_name_first_and_has_a_record_that_failed_before(tmp_path: Path, elsewhere: str) -> None:
    settings = {"ALLOWED_TARGETS": elsewhere, "RETRY_LIMIT": "3"}
    with running(tmp_path / "home", **settings) as bundle:
        assert stores(bundle, OF_B, f"{elsewhere}/status/503/b") == 202
        bundle.process()
        renewed(bundle, OF_A)
    with running(tmp_path / "home", **settings) as bundle:  # nothing remembers anything
        bundle.process()
        assert sent_to(elsewhere, "/status/503/b") == [OF_B]
        assert ended(bundle, "/status/503/b") == CHANGED


def test_b_knows_the_token_of_a_name_that_was_made_anew(warm: Bundle) -> None:
    assert stores(warm, OF_A, "/ok/a") == 202
    deleted(warm)
    put_secret(warm.home, f"datasync-{NAME}", OF_A_RENEWED)
    assert stores(warm, OF_A, "/ok/b") in (202, 409)
    warm.process()
    assert OF_A_RENEWED not in sent(warm, "/ok/b")


# A is not hurt


def test_a_goes_on_with_its_renewed_token_at_once(warm: Bundle) -> None:
    assert stores(warm, OF_A, "/ok/1") == 202
    warm.process()
    renewed(warm, OF_A_RENEWED)
    assert stores(warm, OF_A_RENEWED, "/ok/2") == 202
    warm.process()
    assert (sent(warm, "/ok/1"), sent(warm, "/ok/2")) == ([OF_A], [OF_A_RENEWED])


def test_what_a_stored_before_its_rotation_waits_and_an_operator_lets_it_go(warm: Bundle) -> None:
    assert stores(warm, OF_A, "/ok/1", streamKey="k") == 202
    renewed(warm, OF_A_RENEWED)
    assert stores(warm, OF_A_RENEWED, "/ok/2", streamKey="k") == 202
    warm.process()
    assert ended(warm, "/ok/1") == CHANGED
    assert sent(warm) == [OF_A_RENEWED]  # what was stored later is not held back for ever
    assert warm.retry(retryCodes="tokenChanged")["failedMessages"] == 1
    assert ended(warm, "/ok/1") == CHANGED
    assert warm.retry(adoptToken=True, dryRun=True) == {"matchingMessages": 1}
    assert warm.retry(adoptToken=True)["processedmessages"] == 1
    assert sent(warm, "/ok/1") == [OF_A_RENEWED]


def test_what_was_adopted_and_fails_is_retried_by_itself(warm: Bundle) -> None:
    assert stores(warm, OF_A, "/flaky/1") == 202
    renewed(warm, OF_A_RENEWED)
    warm.process()
    assert warm.retry(adoptToken=True)["failedMessages"] == 1
    assert warm.process()["processedmessages"] == 1
    assert sent(warm, "/flaky") == [OF_A_RENEWED] * 2


def test_a_token_that_a_target_refuses_is_read_again_before_the_record_is_dead(warm: Bundle) -> None:
    """The target has the new token; process-data still knows the old one, which it was right to send."""
    assert stores(warm, OF_A, "/ok/1") == 202
    warm.process()
    assert stores(warm, OF_A, "/status/401/2") == 202
    renewed(warm, OF_A_RENEWED)
    warm.process()
    assert ended(warm, "/status/401/2") == CHANGED
    assert OF_A_RENEWED not in sent(warm, "/status/401")


# Names that are nobody's


def test_a_message_that_waits_for_a_name_that_is_listed_no_more_is_not_sent(
    tmp_path: Path, elsewhere: str
) -> None:
    with running(tmp_path / "home", ALLOWED_TARGETS=elsewhere, CONNECTOR_HUB_SECRETS="hub") as bundle:
        put_secret(bundle.home, "datasync-hub", OF_A)
        invoked(bundle, [message(content(bundle, f"{elsewhere}/ok/hub", vaultSecretName="hub"), 1)])
    with running(tmp_path / "home", ALLOWED_TARGETS=elsewhere) as bundle:
        bundle.process()
        assert sent_to(elsewhere, "/ok/hub") == []
        assert ended(bundle, "/ok/hub") == CHANGED


def test_a_system_secret_is_sent_to_nobody_whatever_its_name(tmp_path: Path) -> None:
    with running(tmp_path / "home"):
        pass  # it has keys and a vault now
    password = secret("hunter2-hunter2")
    ocid = put_secret(tmp_path / "home", "datasync-database", password)
    settings = {"DATABASE_PASSWORD_SECRET_OCID": ocid, "CONNECTOR_HUB_SECRETS": "database"}
    with running(tmp_path / "home", **settings) as bundle:
        assert stores(bundle, password, "/ok/b", "database") == 409
        invoked(bundle, [message(content(bundle, "/ok/hub", vaultSecretName="database"), 1)])
        bundle.process()
        assert sent(bundle, "/ok") == []


# Secrets that are no tokens


def test_a_secret_that_is_no_text_harms_its_own_records_only(tmp_path: Path) -> None:
    with running(tmp_path / "home", CONNECTOR_HUB_SECRETS="odd,line,even") as bundle:
        for name, holds in (("odd", b"\xff\xfe"), ("line", f"{OF_A}\r\n".encode()), ("even", OF_A.encode())):
            put_bytes(bundle, name, holds)
        invoked(
            bundle,
            [
                message(content(bundle, f"/ok/{name}", vaultSecretName=name), place)
                for place, name in enumerate(("odd", "line", "even"))
            ],
        )
        assert bundle.call("POST", "/process", {}).status_code == 200
        assert (sent(bundle, "/ok/line"), sent(bundle, "/ok/even")) == ([OF_A], [OF_A])
        assert sent(bundle, "/ok/odd") == []
        (odd,) = (one for one in bundle.documents() if one["targetRestApi"].endswith("/ok/odd"))
        assert "'odd'" in odd["failure_reason"]


def put_bytes(bundle: Bundle, name: str, holds: bytes) -> None:
    put_secret(bundle.home, f"datasync-{name}", "to be replaced")
    (found,) = vault(bundle).list_secrets(COMPARTMENT_OCID, name=f"datasync-{name}").data
    details = Base64SecretContentDetails(content=base64.b64encode(holds).decode())
    vault(bundle).update_secret(found.id, UpdateSecretDetails(secret_content=details))
