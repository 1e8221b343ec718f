"""The way in, on stores in memory: what is kept, in which order, and what a failure leaves."""

import base64
import json
import sys
from pathlib import Path
from typing import Any

import pytest

import shared
from shared.drivers.database import Database, Taken
from shared.ingest.service import IngestService, StoreRequest
from shared.model import record
from shared.model.errors import Conflict, DependencyDown, Invalid, NotJson, TooLarge
from shared.model.record import MACHINERY, Proof
from shared.storage.records import Records
from tests.unit.ingest_world import RECORD, SETTINGS, MemoryTokens, Told, World


@pytest.fixture
def world() -> World:
    return World()


# Records


def test_a_record_is_stored_and_answered_with_its_id_status_and_date(world: World) -> None:
    answer, is_new = world.store(RECORD)
    (document,) = world.records.stored
    assert answer == {name: document[name] for name in ("id", "status", "createdDate")}
    assert is_new
    assert document.items() >= RECORD.items()
    assert "caller" not in document


def test_an_array_is_stored_together_and_answered_in_its_order(world: World) -> None:
    answer, _ = world.store([RECORD | {"number": number} for number in range(3)])
    assert world.records.inserted == [3]
    assert [one["number"] for one in world.records.stored] == [0, 1, 2]
    assert [one["id"] for one in answer["records"]] == [one["id"] for one in world.records.stored]


def test_a_record_has_its_callers_name(world: World) -> None:
    world.store(RECORD | {"streamKey": "k"}, caller="mobile")
    (document,) = world.records.stored
    assert document["caller"] == "mobile"
    assert document[MACHINERY]["keyed"] == record.key_digest({"streamKey": "k", "caller": "mobile"})


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"{", NotJson),
        (b"[]", Invalid),
        (json.dumps(RECORD | {"targetRestApi": "https://evil.example.com/"}).encode(), Invalid),
        (json.dumps([RECORD, 7]).encode(), Invalid),
        (json.dumps(RECORD | {"targetRestApiPayload": "x" * 16 * 1024}).encode(), TooLarge),
    ],
)
def test_nothing_is_stored_of_a_body_that_breaks_a_rule(
    world: World, body: bytes, error: type[Exception]
) -> None:
    with pytest.raises(error):
        world.store(body, token="Bearer x")
    assert world.records.stored == []
    assert world.tokens.kept == {}


@pytest.mark.parametrize("key", ["", "k" * 256, "naïve", "a\nb"])
def test_an_idempotency_key_is_visible_ascii(world: World, key: str) -> None:
    with pytest.raises(Invalid) as caught:
        world.store(RECORD, idempotency_key=key)
    assert "Idempotency-Key" in caught.value.faults[0].detail


def test_the_same_key_and_body_are_answered_alike_and_stored_once(world: World) -> None:
    first, _ = world.store([RECORD, RECORD], idempotency_key="k", caller="a")
    again, is_new = world.store([RECORD, RECORD], idempotency_key="k", caller="a")
    assert (again, is_new) == (first, False)
    assert len(world.records.stored) == 2


def test_the_same_key_with_another_body_is_a_conflict(world: World) -> None:
    world.store(RECORD, idempotency_key="k", caller="a")
    with pytest.raises(Conflict):
        world.store(RECORD | {"note": 1}, idempotency_key="k", caller="a")
    assert len(world.records.stored) == 1


def test_another_callers_same_key_is_another_key(world: World) -> None:
    for caller in ("", "a", "b"):
        _, is_new = world.store(RECORD | {"caller_was": caller}, idempotency_key="k", caller=caller)
        assert is_new
    assert len(world.records.stored) == 3


def test_a_key_that_is_taken_where_none_was_sent_is_a_defect(world: World) -> None:
    world.records.faults = [Taken()]
    with pytest.raises(Taken):
        world.store(RECORD)


# Tokens


def test_a_token_is_kept_before_any_record_that_names_it(world: World) -> None:
    world.tokens.fault = DependencyDown("Vault is away")
    with pytest.raises(DependencyDown):
        world.store(RECORD | {"vaultSecretName": "erp"}, token="Bearer x")
    assert world.records.stored == []


def test_a_record_has_the_proof_that_its_token_gave(world: World) -> None:
    names = ["erp", "crm", "erp"]
    world.store([RECORD | {"vaultSecretName": name} for name in names], token="Bearer x")
    proofs = [record.proof(document) for document in world.records.stored]
    assert proofs == [Proof(f"ocid1.{name}", 1) for name in names]
    world.store(RECORD)
    assert record.proof(world.records.stored[-1]) is None


def test_another_token_than_the_names_stores_nothing(world: World) -> None:
    world.tokens.kept["erp"] = "Bearer x"
    with pytest.raises(Conflict):
        world.store([RECORD | {"vaultSecretName": name} for name in ("crm", "erp")], token="Bearer y")
    assert world.records.stored == []


def test_a_token_that_describes_a_client_is_an_operators_to_keep(world: World) -> None:
    with pytest.raises(Invalid):
        world.store(RECORD | {"vaultSecretName": "erp"}, token=' {"token_url": "https://a"}')
    assert world.tokens.kept == {}


# What is shown


# Batches


def message(value: Any = RECORD, offset: int = 0, **members: Any) -> dict[str, Any]:
    encoded = base64.b64encode(json.dumps(value).encode()).decode()
    return {"stream": "orders", "partition": "0", "offset": offset, "key": None, "value": encoded, **members}


def test_a_batch_is_one_only_in_a_direct_invocation(world: World) -> None:
    with pytest.raises(Invalid):
        world.store([message()])
    world.store([message()], is_direct=True)
    assert [one["status"] for one in world.records.stored] == ["not_processed"]


def test_records_may_be_stored_in_a_direct_invocation_too(world: World) -> None:
    world.store(RECORD, is_direct=True)
    world.store([RECORD], is_direct=True)
    assert len(world.records.stored) == 2
    with pytest.raises(TooLarge):
        world.store(RECORD | {"note": "x" * 16 * 1024}, is_direct=True)


def test_a_batch_may_be_larger_than_a_body_and_its_elements_not(world: World) -> None:
    small, large = RECORD | {"note": "x" * 4000}, RECORD | {"note": "x" * 16 * 1024}
    world.store([message(small, number) for number in range(10)] + [message(large, 10)], is_direct=True)
    assert [one["status"] for one in world.records.stored] == ["not_processed"] * 10 + ["failed"]


def test_a_batch_has_as_many_small_messages_as_the_platform_lets_through(world: World) -> None:
    small = {name: value for name, value in RECORD.items() if name != "targetRestApiPayload"}
    batch = [message(small | {"targetRestApiOperation": "DELETE"}, number) for number in range(18_000)]
    world.store(batch, is_direct=True)  # of more JSON values than another body may have
    assert len(world.records.stored) == 18_000


def test_a_message_that_comes_again_is_stored_once_and_answered_alike(world: World) -> None:
    first, _ = world.store([message(offset=number) for number in (1, 2)], is_direct=True)
    again, _ = world.store([message(offset=number) for number in (2, 3, 3)], is_direct=True)
    assert len(world.records.stored) == 3
    assert again["records"][0] == first["records"][1]
    assert len(again["records"]) == 2


def test_messages_are_stored_in_groups_so_that_a_repetition_goes_on(world: World) -> None:
    batch = [message(offset=number) for number in range(1200)]
    world.records.faults = [None, DependencyDown("away")]
    with pytest.raises(DependencyDown):
        world.store(batch, is_direct=True)
    assert world.records.inserted == [500]
    world.store(batch, is_direct=True)
    assert world.records.inserted == [500, 500, 200]


def test_what_another_invocation_stores_at_the_same_moment_is_known_at_the_next_look(world: World) -> None:
    world.records.faults = [Taken(), Taken()]
    world.store([message()], is_direct=True)
    assert len(world.records.stored) == 1


def test_an_endless_race_is_given_up_and_repeated(world: World) -> None:
    world.store([message()], is_direct=True)
    world.records.is_blind = True
    with pytest.raises(DependencyDown):
        world.store([message()], is_direct=True)


def test_messages_that_are_set_aside_are_told_once(world: World) -> None:
    batch = [message({}, 1), message(offset=2), message({}, 3)]
    for _ in range(2):
        world.store(batch, is_direct=True)
    assert world.told.numbers == [2]
    aside = [one for one in world.records.stored if one["status"] == "failed"]
    assert {(one["status_code"], one["dead"], one["error_stream"]) for one in aside} == {
        ("invalid", True, "unrecoverable")
    }


def test_a_message_binds_no_record_to_a_version_of_its_secret(world: World) -> None:
    items = [RECORD | {"vaultSecretName": name} for name in ("listed", "other")]
    world.store([message(item, number) for number, item in enumerate(items)], is_direct=True)
    listed, other = world.records.stored
    assert (listed["status"], record.proof(listed), other["status"]) == ("not_processed", None, "failed")


# How far a reader goes


def test_a_reader_follows_a_record_into_the_database_through_few_modules(tmp_path: Path) -> None:
    """Beside these are those that keep its token."""
    database = Database(f"sqlite:{tmp_path / 'records.db'}", "", lambda: "")
    service = IngestService(SETTINGS, Records(database, "records"), MemoryTokens(), Told())
    visited: set[str] = set()
    root = Path(shared.__file__).parent

    def look(frame: Any, event: str, _: Any) -> None:
        file = Path(frame.f_code.co_filename)
        if event == "call" and file.is_relative_to(root):
            visited.add(str(file.relative_to(root)))

    members = {**RECORD, "targetRestApiHeaders": {"X-Tenant": "north"}}
    body = json.dumps({"streamKey": "k", "streamMessage": members}).encode()
    request = StoreRequest(body, "mobile", idempotency_key="order-4711")
    service.store(StoreRequest(json.dumps(RECORD).encode()))  # the first makes the collection
    sys.setprofile(look)
    service.store(request)
    sys.setprofile(None)
    assert "drivers/database.py" in visited
    assert len(visited) <= 12, sorted(visited)
