"""What others have tried to have sent, or to learn, by the name of a token that is not theirs.

A and B are two sources, each with a token of its own. The operator changes secrets in Vault itself, as any
console does. What the target received says which token went with which record.
"""

import uuid
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import oci
import pytest

from local.emulators import identity
from local.emulators.oci.secret_store import SecretStore, put_secret
from tests.contract.oci_server import signer
from tests.end_to_end import bundle as bundles
from tests.end_to_end.bundle import PATIENCE, Bundle, eventually


@dataclass
class Secret:
    """A name of one test, and the tokens that it is about."""

    bundle: Bundle
    name: str

    def token(self, whose: str) -> str:
        return bundles.secret(f"Bearer token-of-{whose}-{self.name}")

    def tried(self, path: str, token: str, **members: Any) -> Any:
        """Store a record under the name; the answer."""
        body = self.bundle.record(f"/ok/{self.name}/{path}", vaultSecretName=self.name, **members)
        return self.bundle.call("POST", "/store", body, Authorization=token)

    def stored(self, path: str, token: str, **members: Any) -> str:
        """Store a record under the name, which must be accepted; its id."""
        answer = self.tried(path, token, **members)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    def received(self, path: str) -> list[str]:
        """The tokens that came with the record of this path."""
        requests = self.bundle.received(f"/ok/{self.name}/{path}")
        return [one["header"]["authorization"] for one in requests]

    def code(self, record: str) -> Any:
        return self.bundle.state(record).get("status_code")

    # What the operator does

    def put(self, token: str) -> None:
        """Give the secret another version, or make it."""
        put_secret(self.bundle.home, f"datasync-{self.name}", token)

    def delete(self) -> None:
        """Let the secret's time of deletion have come: its name is free."""
        past = datetime.now(UTC) - timedelta(days=1)
        store = SecretStore(self.bundle.home, clock=lambda: past - timedelta(days=1))
        (secret,) = (one for one in store.all() if one.name == f"datasync-{self.name}")
        store.change(secret.id, lambda one: replace(one, time_of_deletion=past))

    def client(self) -> Any:
        """A client of Vault."""
        return oci.vault.VaultsClient(
            {}, service_endpoint=self.bundle.oci_url, signer=signer(self.bundle.home), timeout=PATIENCE
        )

    def summary(self) -> Any:
        """What Vault lists of the secret."""
        listed = self.client().list_secrets(identity.COMPARTMENT_OCID, name=f"datasync-{self.name}").data
        return listed[0] if listed else None


@pytest.fixture
def secret(bundle: Bundle) -> Secret:
    return Secret(bundle, f"erp-{uuid.uuid4().hex[:12]}")


def test_who_takes_anothers_name_first_is_never_sent_the_token_that_the_operator_puts_in(
    secret: Secret,
) -> None:
    waiting = secret.stored("b", secret.token("b"))
    assert secret.tried("a", secret.token("a")).status_code == 409
    secret.put(secret.token("a"))
    eventually(lambda: secret.tried("a", secret.token("a")).status_code == 202)
    secret.bundle.process()
    assert secret.received("b") == []
    assert secret.received("a") == [secret.token("a")]
    assert secret.code(waiting) == "tokenChanged"
    assert secret.bundle.state(waiting)["dead"] is True


def test_no_replay_but_one_that_adopts_it_sends_another_token(secret: Secret) -> None:
    waiting = secret.stored("b", secret.token("b"))
    secret.put(secret.token("a"))
    secret.bundle.process()
    for members in ({}, {"force": True}, {"retryCodes": "tokenChanged"}, {"ids": [waiting]}):
        body = {"noOfMessagesToProcess": 10, **members}
        assert secret.bundle.call("POST", "/process/retry", body).status_code in (200, 422)
        assert secret.received("b") == []
    secret.bundle.retry(adoptToken=True, force=True)
    assert secret.received("b") == [secret.token("a")]
    assert secret.code(waiting) == 200


def test_a_leaked_token_is_worth_nothing_seconds_after_its_rotation(secret: Secret) -> None:
    leaked, renewed = secret.token("leaked"), secret.token("renewed")
    own = secret.stored("own", leaked)
    secret.put(renewed)
    thieves = [secret.tried("thief", leaked)]  # what store-data read a moment ago is relied upon

    def is_refused() -> bool:
        thieves.append(secret.tried("thief", leaked))
        return bool(thieves[-1].status_code == 409)

    secret.bundle.process()
    assert renewed not in secret.received("own") + secret.received("thief")
    eventually(is_refused)
    secret.bundle.process()
    assert renewed not in secret.received("own") + secret.received("thief")
    accepted = [one.json()["id"] for one in thieves if one.status_code == 202]
    assert {secret.code(one) for one in (own, *accepted)} <= {200, "tokenChanged"}
    after = secret.stored("after", renewed)
    secret.bundle.process()
    assert (secret.code(after), secret.received("after")) == (200, [renewed])


def test_a_name_that_is_deleted_and_made_anew_sends_nothing_of_its_former_holder(secret: Secret) -> None:
    former = secret.stored("former", secret.token("former"))
    secret.delete()
    eventually(lambda: secret.tried("next", secret.token("next")).status_code == 202)
    secret.bundle.process()
    assert secret.received("former") == []
    assert secret.received("next") == [secret.token("next")]
    assert secret.code(former) == "tokenChanged"


@pytest.mark.parametrize("whose", ["thief", "holder"])
@pytest.mark.parametrize("by", ["the operator", "maintenance"])
def test_no_caller_cancels_the_deletion_of_a_secret(home: Path, whose: str, by: str) -> None:
    at_once = {"ARCHIVE_AFTER": "1ms", "SECRETS_UNUSED_AFTER": "1ms", "EXPIRE_AFTER": "0s"}
    with bundles.running(home, **at_once) as bundle:
        secret = Secret(bundle, "erp")
        bundle.maintain()
        secret.stored("holder", secret.token("holder"))
        bundle.process()
        if by == "maintenance":
            eventually(lambda: bundle.maintain()["secretsDeleted"] == 1)
        else:
            details = oci.vault.models.ScheduleSecretDeletionDetails()
            secret.client().schedule_secret_deletion(secret.summary().id, details)
    with bundles.running(home, **at_once) as bundle:
        secret = Secret(bundle, "erp")
        answer = secret.tried("again", secret.token(whose))
        assert secret.summary().lifecycle_state == "PENDING_DELETION"
        assert answer.status_code == 409
        assert "scheduled for deletion" in answer.json()["detail"]
        assert secret.received("again") == []


def test_a_name_that_is_listed_for_connector_hub_is_not_made_by_a_caller(home: Path) -> None:
    with bundles.running(home, CONNECTOR_HUB_SECRETS="hub-erp") as bundle:
        secret = Secret(bundle, "hub-erp")
        assert 400 <= secret.tried("b", secret.token("b")).status_code < 500
        assert secret.summary() is None
        assert bundle.documents() == []


def test_an_answer_says_nothing_of_how_near_a_guess_is(secret: Secret) -> None:
    token = secret.token("holder")
    secret.stored("holder", token)
    guesses = (token[:-1], token + "x", token.lower(), token.replace("Bearer", "bearer"), "Bearer x")
    answers = [secret.tried("guess", bundles.secret(guess)) for guess in guesses]
    assert {one.status_code for one in answers} == {409}
    assert len({one.json()["detail"] for one in answers}) == 1
    assert len(secret.bundle.documents()) == 1


def test_a_name_alone_opens_nothing(secret: Secret) -> None:
    secret.stored("holder", secret.token("holder"))
    body = secret.bundle.record(f"/ok/{secret.name}/b", vaultSecretName=secret.name)
    for record in (body, [body], body["streamMessage"]):
        assert secret.bundle.call("POST", "/store", record).status_code == 422
    secret.bundle.process()
    assert secret.received("b") == []
