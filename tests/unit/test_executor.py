"""One attempt: prepared, sent within the limits, its outcome written."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.delivery.call import Call
from shared.delivery.executor import Executor, Outcome
from shared.delivery.limits import Limits, Skipped
from shared.model import record
from shared.model.answer import Answer
from shared.model.errors import DependencyDown
from shared.model.record import Proof
from shared.storage.records import Stored
from tests.unit.engine import SETTINGS, Secrets, Target, Written, call, made


class Engine:
    """An executor with what is around it."""

    def __init__(self, target: Target | None = None, written: Written | None = None, **parts: Any):
        self.secrets = parts.get("secrets") or Secrets()
        self.target = target or Target()
        self.written = written or Written()
        self.call: Call = parts.get("call") or call()
        self.limits = Limits(self.call.settings)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Executor]:
        completer = self.written.completer()
        try:
            yield Executor(*(self.call, self.written, self.secrets, self.target, completer, self.limits))
        finally:
            await completer.close()

    async def attempt(self, stored: Stored) -> Outcome:
        async with self.running() as executor:
            return await executor.execute(await executor.prepare(stored))


def under(**members: Any) -> Call:
    """A call in which one policy holds for all records."""
    return call(100, 300, SETTINGS, {"name": "erp", "targetRestApi": "https://erp.example.com/", **members})


async def test_a_record_that_the_target_accepts_succeeds() -> None:
    engine, stored = Engine(), made()
    assert await engine.attempt(stored) is Outcome.SUCCEEDED
    assert engine.target.received == [(stored.document["id"], None)]
    after = engine.written.after[stored.document["id"]]
    assert (after["status"], after["status_code"]) == ("success", 200)
    assert engine.call.stats.delivered.total() == 1


@pytest.mark.parametrize(
    ("code", "outcome", "is_dead"),
    [(503, Outcome.FAILED, False), ("unexpectedError", Outcome.FAILED, False), (404, Outcome.DEAD, True)],
)
async def test_one_that_it_does_not_fails_or_dies(code: int | str, outcome: Outcome, is_dead: bool) -> None:
    engine, stored = Engine(Target(lambda _: Answer(code, "why"))), made()
    assert await engine.attempt(stored) is outcome
    after = engine.written.after[stored.document["id"]]
    assert (after["status"], after["status_code"], after["failure_reason"]) == ("failed", code, "why")
    assert bool(after.get("dead")) is is_dead


async def test_the_secret_that_it_names_goes_with_it_looked_up_once_for_all() -> None:
    engine = Engine(secrets=Secrets(erp="Bearer 1"))
    one, another = made(vaultSecretName="erp"), made(vaultSecretName="erp")
    async with engine.running() as executor:
        prepared = [await executor.prepare(one), await executor.prepare(another)]
        for each in prepared:
            await executor.execute(each)
    assert [secret for _, secret in engine.target.received] == ["Bearer 1", "Bearer 1"]
    assert engine.secrets.reads == ["erp"]


async def test_without_its_secret_it_fails_and_nothing_is_sent() -> None:
    engine, stored = Engine(), made(vaultSecretName="gone")
    assert await engine.attempt(stored) is Outcome.FAILED
    assert engine.target.received == []
    assert "'gone'" in engine.written.after[stored.document["id"]]["failure_reason"]


async def test_while_vault_is_down_records_with_a_secret_are_skipped_and_asked_for_once() -> None:
    engine = Engine(secrets=Secrets(erp=DependencyDown("down"), crm="Bearer 2"))
    async with engine.running() as executor:
        for name in ("erp", "erp", "crm"):
            with pytest.raises(Skipped) as caught:
                await executor.prepare(made(vaultSecretName=name))
            assert isinstance(caught.value.cause, DependencyDown)
        without = await executor.prepare(made())
        assert await executor.execute(without) is Outcome.SUCCEEDED
    assert engine.secrets.reads == ["erp"]


async def test_a_record_that_a_policy_filters_is_finished_and_not_sent() -> None:
    engine = Engine(call=under(filter="`false`"))
    stored = made(targetRestApiPayload={"a": 1})
    assert await engine.attempt(stored) is Outcome.FILTERED
    assert engine.target.received == []
    assert engine.written.after[stored.document["id"]]["filteredBy"] == "erp"


async def test_a_policy_that_fails_is_the_records_failure() -> None:
    engine = Engine(call=under(payload="sum(payload)"))
    stored = made(targetRestApiPayload="no list")
    assert await engine.attempt(stored) is Outcome.FAILED
    assert engine.target.received == []
    assert "'erp'" in engine.written.after[stored.document["id"]]["failure_reason"]


async def test_what_a_policy_makes_of_it_is_sent_and_what_was_stored_stays() -> None:
    sent: list[Any] = []

    def answer(document: Any) -> Answer:
        sent.append(document["targetRestApiPayload"])
        return Answer(200)

    engine = Engine(Target(answer), call=under(payload="payload.inner"))
    stored = made(targetRestApiPayload={"inner": 7})
    await engine.attempt(stored)
    assert sent == [7]
    assert engine.written.after[stored.document["id"]]["targetRestApiPayload"] == {"inner": 7}


@pytest.mark.parametrize("seconds", [0.0, 10.0, 36.0])
async def test_nothing_is_sent_that_has_not_the_whole_time_out_left(seconds: float) -> None:
    engine = Engine(call=call(seconds=seconds))
    assert await engine.attempt(made()) is Outcome.LEFT
    assert engine.target.received == []
    assert engine.written.after == {}


async def test_what_no_call_is_long_enough_for_is_skipped_and_said_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    policy = {"name": "erp", "targetRestApi": "https://erp.example.com/", "readTimeout": "2m"}
    engine = Engine(call=call(100, 60, SETTINGS, policy))
    async with engine.running() as executor:
        for _ in range(2):
            with pytest.raises(Skipped):
                await executor.execute(await executor.prepare(made()))
    assert engine.target.received == []
    assert caplog.text.count("policy 'erp': a delivery may take 125 s") == 1


async def test_an_outcome_that_another_worker_overtook_is_dropped() -> None:
    class Changed(Written):
        async def write(self, changes: Any) -> list[bool]:
            return [False] * len(changes)

    engine = Engine(written=Changed())
    assert await engine.attempt(made()) is Outcome.LEFT
    assert engine.call.stats.delivered.total() == 0


async def test_after_failures_to_connect_in_a_row_the_rest_is_skipped() -> None:
    engine = Engine(Target(lambda _: Answer("unexpectedError", "refused", cause="connection")))
    async with engine.running() as executor:
        for _ in range(5):
            assert await executor.execute(await executor.prepare(made())) is Outcome.FAILED
        with pytest.raises(Skipped):
            await executor.execute(await executor.prepare(made()))
    assert len(engine.target.received) == 5


def proven(name: str, version: int, **members: Any) -> Stored:
    """A record that was proven with a version of its secret."""
    stored = made(vaultSecretName=name, **members)
    return replace(stored, document=record.bound_to(stored.document, Proof(f"ocid of {name}", version)))


async def test_a_record_is_never_sent_with_another_version_than_it_was_proven_with() -> None:
    engine, stored = Engine(secrets=Secrets(erp="Bearer of another")), proven("erp", version=7)
    assert await engine.attempt(stored) is Outcome.DEAD
    assert engine.target.received == []
    after = engine.written.after[stored.document["id"]]
    assert (after["status_code"], after["dead"], record.attempts(after)) == ("tokenChanged", True, 0)
    assert "adoptToken" in after["failure_reason"]


async def test_nor_with_that_of_a_secret_made_anew_under_its_name() -> None:
    engine, stored = Engine(secrets=Secrets(erp="Bearer of another")), made(vaultSecretName="erp")
    document = record.bound_to(stored.document, Proof("ocid of the one before", 1))
    assert await engine.attempt(replace(stored, document=document)) is Outcome.DEAD
    assert engine.target.received == []


async def test_an_operator_lets_it_go_and_it_is_bound_to_what_it_goes_with() -> None:
    its = call()
    its = replace(its, request=replace(its.request, adopt_token=True))
    engine = Engine(Target(lambda _: Answer(503)), secrets=Secrets(erp="Bearer new"), call=its)
    stored = proven("erp", version=7)
    assert await engine.attempt(stored) is Outcome.FAILED
    assert [secret for _, secret in engine.target.received] == ["Bearer new"]
    assert record.proof(engine.written.after[stored.document["id"]]) == Proof("ocid of erp", 1)


def message(name: str) -> Stored:
    """A message of a Stream, for which nobody has passed a token."""
    stored = made()
    return replace(stored, document={**stored.document, "vaultSecretName": name})


async def test_a_secret_that_is_listed_for_connector_hub_binds_no_message_of_a_stream() -> None:
    settings = replace(SETTINGS, connector_hub_secrets=frozenset({"erp"}))
    engine = Engine(secrets=Secrets("erp", erp="Bearer new"), call=call(settings=settings))
    engine.secrets.version = 7
    assert await engine.attempt(message("erp")) is Outcome.SUCCEEDED
    assert await engine.attempt(message("other")) is Outcome.FAILED
    assert await engine.attempt(proven("erp", version=1)) is Outcome.DEAD
    assert [secret for _, secret in engine.target.received] == ["Bearer new"]


async def test_a_message_that_is_adopted_is_bound_to_nothing() -> None:
    its = call(settings=replace(SETTINGS, connector_hub_secrets=frozenset({"erp"})))
    its = replace(its, request=replace(its.request, adopt_token=True))
    engine, stored = Engine(secrets=Secrets("erp", erp="Bearer new"), call=its), message("erp")
    assert await engine.attempt(stored) is Outcome.SUCCEEDED
    assert record.proof(engine.written.after[stored.document["id"]]) is None


async def test_a_token_that_is_refused_is_read_again_before_its_record_is_dead() -> None:
    engine = Engine(secrets=Secrets("hub", erp="Bearer old", hub="Bearer old"))

    def answer(_: Any) -> Answer:
        engine.secrets.version, engine.secrets.held = 2, dict.fromkeys(("erp", "hub"), "Bearer new")
        return Answer(401 if len(engine.target.received) == 1 else 200, sent="yes")

    engine.target.answer = answer
    bound, unbound = proven("erp", version=1), message("hub")
    assert await engine.attempt(bound) is Outcome.DEAD
    after = engine.written.after[bound.document["id"]]
    assert (after["status_code"], record.attempts(after)) == ("tokenChanged", 1)
    assert after["failure_reason"].startswith("401, and ")
    engine.secrets.version, engine.secrets.held = 1, {"hub": "Bearer old"}
    engine.target.received.clear()
    assert await engine.attempt(unbound) is Outcome.SUCCEEDED
    assert [secret for _, secret in engine.target.received] == ["Bearer old", "Bearer new"]


@pytest.mark.parametrize("now", [None, DependencyDown("down")])
async def test_one_that_can_not_be_read_again_is_tried_again(now: Exception | None) -> None:
    """It is not known whether the record is to blame."""
    engine, stored = Engine(secrets=Secrets(erp="Bearer 1")), proven("erp", version=1)

    def answer(_: Any) -> Answer:
        engine.secrets.held = {"erp": now}
        return Answer(401, sent="yes")

    engine.target.answer = answer
    assert await engine.attempt(stored) is Outcome.FAILED
    after = engine.written.after[stored.document["id"]]
    assert (after["status_code"], record.attempts(after)) == ("unexpectedError", 1)
    assert after["failure_reason"].startswith("401, and ")


async def test_what_a_secret_holds_by_now_is_known_within_one_call() -> None:
    """A record may come with another version than those before it in the same call."""
    engine = Engine(secrets=Secrets(erp="Bearer old"))
    async with engine.running() as executor:
        await executor.execute(await executor.prepare(proven("erp", version=1)))
        engine.secrets.version, engine.secrets.held = 2, {"erp": "Bearer new"}
        await executor.execute(await executor.prepare(proven("erp", version=2)))
    assert [secret for _, secret in engine.target.received] == ["Bearer old", "Bearer new"]


async def test_what_is_adopted_only_after_a_refusal_is_bound_to_what_it_goes_with_too() -> None:
    its = call()
    its = replace(its, request=replace(its.request, adopt_token=True))
    engine = Engine(secrets=Secrets(erp="Bearer old"), call=its)

    def answer(_: Any) -> Answer:
        engine.secrets.version, engine.secrets.held = 2, {"erp": "Bearer new"}
        return Answer(401 if len(engine.target.received) == 1 else 503, sent="yes")

    engine.target.answer = answer
    bound = proven("erp", version=1)
    assert await engine.attempt(bound) is Outcome.FAILED
    assert [secret for _, secret in engine.target.received] == ["Bearer old", "Bearer new"]
    assert record.proof(engine.written.after[bound.document["id"]]) == Proof("ocid of erp", 2)


async def test_a_token_that_is_refused_and_unchanged_is_the_records_failure() -> None:
    engine, stored = Engine(Target(lambda _: Answer(401)), secrets=Secrets(erp="Bearer 1")), proven("erp", 1)
    assert await engine.attempt(stored) is Outcome.DEAD
    assert engine.written.after[stored.document["id"]]["status_code"] == 401
    assert len(engine.target.received) == 1


@pytest.mark.parametrize(
    "answer",
    [Answer(429, "429", sent="yes"), Answer(503, "503", retry_after=7, sent="yes")],
)
async def test_a_target_that_is_overloaded_speaks_of_itself_and_the_attempt_does_not_count(
    answer: Answer,
) -> None:
    engine, stored = Engine(Target(lambda _: answer)), made()
    assert await engine.attempt(stored) is Outcome.FAILED
    after = engine.written.after[stored.document["id"]]
    assert (after["status"], after["status_code"], after["retry_attempts"]) == ("failed", answer.code, 0)
    assert (after["datasync"]["attempts"], after["datasync"]["unsent"]) == (0, 1)
    assert (
        after["attempts"][0]["reason"] == f"{answer.code}; the target is overloaded, so this does not count"
    )
    due, now = record.due_since(after), datetime.now(UTC)
    assert timedelta(seconds=-1) < due - now < timedelta(seconds=8)
    assert engine.limits.rest(record.target(stored.document)) > 0.5


async def test_no_number_of_refusals_by_an_overloaded_target_kills_a_record() -> None:
    engine, stored = Engine(Target(lambda _: Answer(429, "429", sent="yes"))), made()
    for _ in range(3 * SETTINGS.retry_limit):
        engine.limits = Limits(SETTINGS)
        await engine.attempt(stored)
        stored = replace(stored, document=engine.written.after[stored.document["id"]])
    assert "dead" not in stored.document


async def test_503_without_a_word_on_when_to_come_back_counts() -> None:
    engine, stored = Engine(Target(lambda _: Answer(503, "503", sent="yes"))), made()
    await engine.attempt(stored)
    assert engine.written.after[stored.document["id"]]["datasync"]["attempts"] == 1
    assert engine.limits.rest(record.target(stored.document)) == 0
