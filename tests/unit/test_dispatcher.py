"""A call's deliveries: in order of key, noted before they are sent, within what was asked for, summed up."""

import asyncio
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.delivery.call import Call
from shared.delivery.dispatcher import Dispatcher
from shared.delivery.executor import Executor
from shared.delivery.in_flight import InFlight
from shared.delivery.limits import Limits
from shared.delivery.memory import Memory
from shared.delivery.requests import retry_request
from shared.delivery.summary import Summary
from shared.model import record, transitions
from shared.model.answer import Answer
from shared.model.errors import DependencyDown
from shared.model.ids import timestamp
from shared.model.record import Document, Proof
from shared.model.transitions import Failure
from shared.monitoring.call_stats import CallStats
from shared.storage.leases import Lease
from shared.storage.queries import Query
from shared.storage.records import Stored
from shared.storage.vault import Secret
from tests.unit.engine import ALL, SETTINGS, Noted, Queue, Secrets, Target, Written, call, interrupted, made


class Engine:
    """A dispatcher with what is around it."""

    def __init__(self, *records: Stored, target: Target | None = None, **parts: Any):
        self.target = target or Target()
        self.queue = Queue(*records, holding=parts.get("holding", ()))
        self.written = parts.get("written") or Written()
        self.noted = parts.get("noted") or Noted()
        self.secrets = parts.get("secrets") or Secrets()
        self.memory = Memory()

    async def run(self, its: Call | None = None) -> Summary:
        its = its or call()
        completer, limits = self.written.completer(), Limits(its.settings)
        executor = Executor(its, self.written, self.secrets, self.target, completer, limits)
        in_flight = InFlight(self.noted, its.lease)
        try:
            async with asyncio.timeout(60):
                summary = await Dispatcher(its, self.queue, in_flight, executor, limits, self.memory).run()
        finally:
            await completer.close()
        return summary

    @property
    def sent(self) -> list[str]:
        return [identity for identity, _ in self.target.received]


def ids(*records: Stored) -> list[str]:
    return [one.document["id"] for one in records]


async def test_everything_is_sent_once_and_counted() -> None:
    records = [made() for _ in range(20)]
    engine = Engine(*records)
    summary = await engine.run()
    assert sorted(engine.sent) == ids(*records)
    assert (summary.succeeded, summary.failed, summary.skipped) == (20, 0, 0)
    assert summary.last == max(ids(*records))


async def test_what_is_sent_was_noted_before_in_few_notes() -> None:
    records = [made() for _ in range(20)]
    noted = Noted()

    def answer(document: Any) -> Answer:
        assert any(document["id"] in note for note in noted.notes)
        return Answer(200)

    await Engine(*records, target=Target(answer), noted=noted).run()
    assert len(noted.notes) == 1


@pytest.mark.parametrize("answer", [False, DependencyDown("down")], ids=["lease lost", "database away"])
async def test_nothing_is_sent_that_could_not_be_noted(answer: Any) -> None:
    engine = Engine(made(), made(), noted=Noted(answer))
    if isinstance(answer, Exception):
        with pytest.raises(DependencyDown):
            await engine.run()
    else:
        summary = await engine.run()
        assert (summary.handled, summary.end) == (0, False)
    assert engine.sent == []


async def test_records_whose_secret_hangs_are_not_noted_and_hold_up_no_others() -> None:
    hanging, others = made(vaultSecretName="slow"), [made() for _ in range(3)]
    started = asyncio.Event()

    class Slow(Secrets):
        def current(self, name: str) -> Secret | None:
            started_thread.wait(60)
            return Secret("late", Proof(f"ocid of {name}", 1))

    import threading

    started_thread = threading.Event()
    engine = Engine(hanging, *others, secrets=Slow())

    def answer(_: Any) -> Answer:
        if len(engine.target.received) == 3:
            assert all(hanging.document["id"] not in note for note in engine.noted.notes)
            started.set()
            started_thread.set()
        return Answer(200)

    engine.target.answer = answer
    summary = await engine.run()
    assert started.is_set()
    assert summary.succeeded == 4
    assert engine.sent[-1] == hanging.document["id"]


async def test_records_of_one_key_are_sent_in_order_and_none_behind_a_failed_one() -> None:
    records = [made(streamKey="k") for _ in range(4)]
    failing = records[1].document["id"]
    engine = Engine(*records, target=Target(lambda one: Answer(503 if one["id"] == failing else 200)))
    summary = await engine.run()
    assert engine.sent == ids(*records[:2])
    assert (summary.succeeded, summary.failed, summary.skipped) == (1, 1, 2)


async def test_a_dead_record_holds_back_nothing() -> None:
    records = [made(streamKey="k") for _ in range(3)]
    dead = records[0].document["id"]
    engine = Engine(*records, target=Target(lambda one: Answer(404 if one["id"] == dead else 200)))
    assert (await engine.run()).succeeded == 2
    assert engine.sent == ids(*records)


async def test_a_failed_record_that_is_not_due_holds_back_the_later_ones_of_its_key_only() -> None:
    resting, later, other = made(streamKey="k"), made(streamKey="k"), made(streamKey="other")
    resting.document["datasync"]["due"] = f"9999 {resting.document['id']}"
    engine = Engine(later, other, holding=[resting])
    engine.written.write = _forgetting(engine)
    summary = await engine.run()
    assert (summary.succeeded, summary.skipped, summary.end) == (1, 1, True)


async def test_a_key_of_which_too_much_would_have_to_be_read_waits() -> None:
    unknown, other = made(streamKey="k"), made()
    engine = Engine(unknown, other)
    engine.queue.unknown = {record.key_digest(unknown.document): ""}
    summary = await engine.run()
    assert engine.sent == ids(other)
    assert summary.skipped == 1


async def test_no_more_are_sent_than_were_asked_for() -> None:
    records = [made() for _ in range(9)]
    engine = Engine(*records)
    summary = await engine.run(call(limit=4))
    assert engine.sent == ids(*records[:4])
    assert summary.succeeded == 4


async def test_of_records_that_may_kill_a_worker_too_no_more_are_sent_than_were_asked_for() -> None:
    records = [interrupted(made(), 2) for _ in range(41)]
    engine = Engine(*records)
    await engine.run(call(limit=1))
    assert engine.sent == ids(*records[:1])


@pytest.mark.parametrize("times", [1, 2])
async def test_what_comes_first_in_its_key_is_no_more_than_was_asked_for(times: int) -> None:
    """They hold back the one that was read, and stand in its page with all that hold it back."""
    chain = [interrupted(made(streamKey="k"), times) for _ in range(41)]
    engine = Engine(chain[40], holding=chain[:40])
    summary = await engine.run(call(limit=1))
    assert engine.sent == ids(chain[0])
    assert not summary.end


async def test_a_record_that_may_kill_its_worker_is_sent_alone_at_the_end() -> None:
    suspect, others = interrupted(made(), 2), [made() for _ in range(5)]
    engine = Engine(suspect, *others)
    await engine.run()
    assert engine.sent[-1] == suspect.document["id"]
    assert engine.noted.notes[-1] == ids(suspect)


@pytest.mark.parametrize(
    "error", [ValueError("odd"), KeyError("x"), UnicodeDecodeError("utf-8", b"", 0, 1, "")]
)
async def test_whatever_is_wrong_with_one_record_harms_itself_only(error: Exception) -> None:
    odd, others = made(vaultSecretName="odd"), [made() for _ in range(3)]
    engine = Engine(odd, *others, secrets=Secrets(odd=error))
    summary = await engine.run()
    assert (summary.succeeded, summary.failed) == (3, 1)
    written = engine.written.after[odd.document["id"]]
    assert written["failure_reason"] == f"it can't be attempted: {type(error).__name__}"


@pytest.mark.parametrize(
    ("code", "is_dead", "counts"), [(200, True, (2, 1, 0)), (503, False, (1, 1, 1)), (404, True, (2, 1, 0))]
)
async def test_an_outcome_that_can_not_be_written_is_written_as_a_failure_and_harms_no_other(
    code: int, is_dead: bool, counts: tuple[int, int, int]
) -> None:
    """What the target has accepted is not sent again; what holds back its key goes on to do so."""
    records = [made(streamKey="k"), made(streamKey="k"), made()]
    refused = records[0].document["id"]

    def answer(document: Document) -> Answer:
        return Answer(code if document["id"] == refused else 200, sent="yes")

    def refuse(after: Document) -> Exception | None:
        return ZeroDivisionError() if after["id"] == refused and after["status_code"] == code else None

    engine = Engine(*records, target=Target(answer), written=Written(refuse))
    summary = await engine.run()
    assert (summary.succeeded, summary.failed, summary.skipped) == counts
    written = engine.written.after[refused]
    assert (written["status"], written.get("dead", False)) == ("failed", is_dead)
    assert written["failure_reason"] == f"its outcome, {code}, can't be written: ZeroDivisionError"
    assert (written["attempts"][-1]["sent"], written["datasync"]["attempts"]) == ("unknown", 1)


async def test_one_that_can_not_be_written_at_all_holds_back_its_key_and_harms_no_other() -> None:
    records = [made(streamKey="k"), made(streamKey="k"), made()]
    refused = records[0].document["id"]

    def refuse(after: Any) -> Exception | None:
        return ZeroDivisionError() if after["id"] == refused else None

    engine = Engine(*records, written=Written(refuse))
    summary = await engine.run()
    assert (summary.succeeded, summary.end) == (1, False)
    assert records[1].document["id"] not in engine.sent


async def test_a_target_that_is_down_ends_the_stream_when_only_its_records_are_left() -> None:
    records = [made() for _ in range(12)]
    engine = Engine(
        *records, target=Target(lambda _: Answer("unexpectedError", "refused", cause="connection"))
    )
    engine.written.write = _forgetting(engine)
    summary = await engine.run()
    assert summary.end is True
    assert summary.failed + summary.skipped == 12


def _forgetting(engine: Engine) -> Any:
    original = engine.written.write

    async def write(changes: Any) -> list[bool]:
        engine.queue.finished |= {after["id"] for _, after in changes}  # due later, or finished
        return await original(changes)

    return write


async def test_what_came_meanwhile_does_not_end_the_stream() -> None:
    first, second = made(), made()
    engine = Engine(first)

    def answer(_: Any) -> Answer:
        engine.queue.records = (second,)
        return Answer(200)

    engine.target.answer = answer
    summary = await engine.run(call(limit=1))
    assert summary.end is False


async def test_a_database_that_was_away_from_the_beginning_is_an_outage() -> None:
    engine = Engine(made(), written=Written(lambda _: DependencyDown("down")))
    with pytest.raises(DependencyDown):
        await engine.run()


@pytest.mark.parametrize("cause", ["machine", "time"])
async def test_what_this_call_lacked_is_no_attempt_and_opens_no_circuit(cause: Any) -> None:
    lacking = Answer("unexpectedError", "no more files", cause=cause)
    engine = Engine(*[made() for _ in range(12)], target=Target(lambda _: lacking))
    summary = await engine.run()
    assert (summary.failed, summary.skipped) == (0, 12)
    assert len(engine.target.received) == 12
    assert engine.written.after == {}


# Walks


def walk(lease: Lease | None = None) -> Call:
    request = retry_request(b'{"retryCodes": "404"}', SETTINGS, time.monotonic() + 300)
    request = replace(request, query=request.query.at(datetime.now(UTC)))
    return Call.begun(SETTINGS, request, lease or Lease("me", ALL, time.monotonic() + 3600), CallStats())


def failures(number: int, **members: Any) -> list[Stored]:
    """Dead records, which have no partition of their own any more."""
    found = []
    for _ in range(number):
        stored = made(**members)
        failure = Failure(404, "not found", "unrecoverable", None)
        found.append(
            replace(stored, document=transitions.failed(stored.document, failure, datetime.now(UTC)))
        )
    return found


async def test_a_walk_stops_at_the_first_record_that_another_worker_owns() -> None:
    records = failures(40)
    owners = [record.partition(one.document) for one in records]
    theirs = owners[25]
    mine = frozenset(ALL) - {theirs}
    first = owners.index(theirs)
    engine = Engine(*records)
    summary = await engine.run(walk(Lease("me", mine, time.monotonic() + 3600)))
    assert engine.sent == ids(*records[:first])
    assert (summary.last, summary.end) == (records[first - 1].document["id"] if first else "-1", False)


async def test_a_walk_of_all_partitions_visits_all_and_ends() -> None:
    records = failures(300)
    engine = Engine(*records)
    summary = await engine.run(walk())
    assert sorted(engine.sent) == ids(*records)
    assert (summary.last, summary.end) == (records[-1].document["id"], True)


async def test_a_walk_does_not_overtake_what_waits_with_the_same_key() -> None:
    waiting = made(streamKey="k")
    failed, other = failures(1, streamKey="k")[0], failures(1, streamKey="another")[0]
    engine = Engine(failed, other)
    key, identity = record.key_digest(waiting.document), waiting.document["id"]
    engine.queue.first_waiting = lambda *_: ({key: identity}, set())  # type: ignore[method-assign]
    summary = await engine.run(walk())
    assert engine.sent == ids(other)
    assert (summary.skipped, summary.succeeded) == (1, 1)


async def test_what_was_sent_and_can_not_be_written_stays_in_the_lease() -> None:
    sent = made()
    engine, its = Engine(sent, written=Written(lambda _: DependencyDown("down"))), call()
    with pytest.raises(DependencyDown):
        await engine.run(its)
    assert its.lease.unsettled == {sent.document["id"]: 0}


async def test_what_was_not_sent_since_the_database_is_down_is_nobodys_to_settle() -> None:
    engine = Engine(made(), noted=Noted(DependencyDown("down")))
    its = call()
    with pytest.raises(DependencyDown):
        await engine.run(its)
    assert (engine.sent, its.lease.unsettled) == ([], {})


async def test_a_page_that_is_not_the_first_may_lack_what_was_stored_meanwhile() -> None:
    """The missing record's insert took long: it stands before what was read, and its successor behind."""
    late, *others = [made(streamKey="late"), *(made() for _ in range(300))]
    successor = made(streamKey="late")
    engine = Engine(*others, successor)
    key, identity = record.key_digest(late.document), late.document["id"]
    engine.queue.first_waiting = lambda *_: ({key: identity}, set())  # type: ignore[method-assign]
    summary = await engine.run(call(limit=1000))
    assert sorted(engine.sent) == ids(*others)
    assert summary.skipped == 1


def held(number: int, each: int) -> tuple[list[Stored], list[Stored]]:
    """Failures that are not due, and records that they hold back."""
    after = Failure(503, "the target answered 503", "recoverable", datetime.now(UTC) + timedelta(hours=1))
    heads, followers = [], []
    for key in range(number):
        head = made(streamKey=f"k{key}")
        heads.append(replace(head, document=transitions.failed(head.document, after, datetime.now(UTC))))
        followers += [made(streamKey=f"k{key}") for _ in range(each)]
    return heads, followers


async def test_what_is_held_back_is_not_read_again_by_the_next_call() -> None:
    heads, followers = held(30, 10)
    new = made()
    engine = Engine(*followers, new, holding=heads)
    first = await engine.run(call(limit=1000))
    assert first.skipped > 256
    assert engine.sent == ids(new)
    engine.queue.finished.add(new.document["id"])
    read: list[Stored] = []
    page = engine.queue.page

    def noting(query: Query, limit: int) -> list[Stored]:
        read.extend(found := page(query, limit))
        return found

    engine.queue.page = noting  # type: ignore[method-assign]
    summary = await engine.run(call(limit=1000))
    assert (read, summary.skipped, summary.end) == ([], first.skipped, True)


async def test_after_a_while_what_is_held_back_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    heads, followers = held(30, 10)
    engine = Engine(*followers, holding=heads)
    await engine.run(call(limit=1000))
    engine.queue.holding = ()  # somebody else has delivered them
    await engine.run(call(limit=1000))
    assert engine.sent == []
    assert engine.memory.bookmark is not None
    engine.memory.bookmark = replace(engine.memory.bookmark, until=time.monotonic())
    await engine.run(call(limit=1000))
    assert sorted(engine.sent) == ids(*followers)


async def test_a_delivery_releases_what_it_has_held_back_and_no_call_has_read_again() -> None:
    heads, followers = held(30, 10)
    engine = Engine(*followers, holding=heads)
    await engine.run(call(limit=1000))
    head = heads[0].document
    due = {**head, "datasync": {**head["datasync"], "due": f"{timestamp(datetime.now(UTC))} {head['id']}"}}
    engine.queue.records = (*followers, replace(heads[0], document=due))
    engine.queue.holding = heads[1:]
    engine.queue.waiting_of_key = (
        lambda key, after, limit: [  # type: ignore[attr-defined]
            one for one in followers if record.key_digest(one.document) == key and one.document["id"] > after
        ][:limit]
    )
    summary = await engine.run(call(limit=1000))
    assert engine.sent == ids(heads[0], *followers[:10])
    assert (summary.succeeded, summary.end) == (11, True)


async def test_beside_a_paused_target_nothing_of_it_is_read_on_the_way_to_others() -> None:
    paused = [made() for _ in range(600)]
    others = [made(targetRestApi="https://crm.example.com/") for _ in range(10)]
    engine = Engine(*paused, *others)
    read: list[Stored] = []
    page = engine.queue.page

    def noting(query: Query, limit: int) -> list[Stored]:
        read.extend(found := page(query, limit))
        return found

    engine.queue.page = noting  # type: ignore[method-assign]
    policy = {"name": "erp", "targetRestApi": "https://erp.example.com/", "paused": True}
    summary = await engine.run(call(1000, 300, SETTINGS, policy))
    assert sorted(engine.sent) == ids(*others)
    assert summary.skipped == 1
    assert sum(one in paused for one in read) <= 1  # by which it is known that something waits
