"""How much is in flight: in all, per target, and nothing more to a target that does not connect."""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import pytest

from shared.delivery.limits import Limits, Skipped
from shared.delivery.memory import Memory
from shared.delivery.rates import Rates
from shared.model.answer import Answer
from shared.model.pace import Refusal
from shared.model.policy import Policy, Rate
from shared.settings import Settings
from shared.storage.rates import Reserved

ERP, CRM = "erp.example.com:443", "crm.example.com:443"
REFUSED = Answer("unexpectedError", "the target refused the connection", cause="connection")
LOST = Answer("unexpectedError", "the connection was lost", cause="answer")
ANSWERED = Answer(503, "the target answered 503", sent="yes")
SETTINGS = Settings("sqlite:", "ocid1.vault", "ocid1.key", "ocid1.compartment")


def bounds(
    in_all: int = 128, per_target: int = 32, suspects: Sequence[str] = (), known: Sequence[str] = (ERP, CRM)
) -> Limits:
    """Limits, with targets that have answered in an earlier call, and just now."""
    settings = replace(SETTINGS, concurrency=in_all, concurrency_per_target=per_target)
    limits = Limits(settings, suspects, memory=Memory(windows=dict.fromkeys(known, per_target)))
    for target in set(known).difference(suspects):
        limits.record(target, ANSWERED)
    return limits


class Sending:
    """Requests that last until they are told to end."""

    def __init__(self, bounds: Limits):
        self.in_flight: Counter[str] = Counter()
        self._bounds = bounds
        self._end = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self, *targets: str) -> None:
        self._tasks += [asyncio.create_task(self._send(target)) for target in targets]
        await settled()

    async def end(self) -> list[BaseException | None]:
        self._end.set()
        return await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _send(self, target: str) -> None:
        async with self._bounds.place(target):
            self.in_flight[target] += 1
            await self._end.wait()
            self.in_flight[target] -= 1


async def settled() -> None:
    """Let every task run until it waits."""
    for _ in range(20):
        await asyncio.sleep(0)


async def is_put_off(bounds: Limits, target: str) -> bool:
    try:
        async with bounds.place(target):
            return False
    except Skipped:
        return True


async def test_no_more_requests_are_in_flight_than_allowed_in_all() -> None:
    sending = Sending(bounds(in_all=3))
    await sending.start(ERP, CRM, ERP, CRM, ERP)
    assert sending.in_flight.total() == 3
    assert await sending.end() == [None] * 5


async def test_targets_that_accept_and_never_answer_leave_places_to_others() -> None:
    sending = Sending(bounds(in_all=128, per_target=32))
    hanging = [f"hanging-{number}.example.com:443" for number in range(4)]
    await sending.start(*(target for target in hanging for _ in range(50)))
    assert {sending.in_flight[target] for target in hanging} == {8}
    await sending.start(*[ERP] * 50)
    assert sending.in_flight[ERP] == 32
    assert await sending.end() == [None] * 250


async def test_targets_that_hang_although_they_once_answered_leave_the_last_quarter_to_others() -> None:
    hanging = [f"hanging-{number}.example.com:443" for number in range(4)]
    limits = bounds(in_all=128, per_target=32, known=hanging)
    for target in hanging:
        limits._of(target).answered_at -= 2
    sending = Sending(limits)
    await sending.start(*(target for target in hanging for _ in range(50)))
    assert sending.in_flight.total() == 3 * 32 + 8
    await sending.start(*[ERP] * 50)
    assert sending.in_flight[ERP] == 8
    for _ in range(24):
        limits.record(ERP, ANSWERED)
    await settled()
    assert sending.in_flight.total() == 128
    assert sending.in_flight[ERP] == 24
    await sending.end()


async def test_targets_that_answer_may_have_all_places() -> None:
    targets = [f"answering-{number}.example.com:443" for number in range(4)]
    sending = Sending(bounds(in_all=128, per_target=32, known=targets))
    await sending.start(*(target for target in targets for _ in range(50)))
    assert set(sending.in_flight.values()) == {32}
    await sending.end()


async def test_a_request_without_an_answer_halves_what_its_target_may_have() -> None:
    memory = Memory(windows={ERP: 32})
    limits = Limits(SETTINGS, memory=memory)
    limits.record(ERP, replace(LOST, sent="unknown"))
    assert memory.windows == {ERP: 16}
    sending = Sending(limits)
    await sending.start(*[ERP] * 50)
    assert sending.in_flight[ERP] == 16
    limits.record(ERP, ANSWERED)
    await settled()
    assert sending.in_flight[ERP] == 17
    await sending.end()


async def test_no_more_requests_are_in_flight_to_one_target_than_allowed() -> None:
    sending = Sending(bounds(per_target=2))
    await sending.start(ERP, ERP, ERP, CRM)
    assert sending.in_flight == {ERP: 2, CRM: 1}
    assert await sending.end() == [None] * 4


async def test_who_waits_for_a_slow_target_takes_no_place_from_others() -> None:
    sending = Sending(bounds(in_all=2, per_target=1))
    await sending.start(ERP, ERP, ERP)
    await sending.start(CRM)
    assert sending.in_flight == {ERP: 1, CRM: 1}
    await sending.end()


async def test_a_place_is_free_again_whatever_happened_in_it() -> None:
    bound = bounds(in_all=1, per_target=1)
    for error in (ValueError, asyncio.CancelledError):
        with pytest.raises(error):
            async with bound.place(ERP):
                raise error
    assert not await is_put_off(bound, ERP)


async def test_five_failures_to_connect_in_a_row_open_a_targets_circuit() -> None:
    bound = bounds()
    for _ in range(4):
        bound.record(ERP, REFUSED)
    assert not await is_put_off(bound, ERP)
    assert bound.open_circuits() == []
    bound.record(ERP, REFUSED)
    assert await is_put_off(bound, ERP)
    assert bound.open_circuits() == [ERP]


async def test_an_open_circuit_is_one_targets_alone() -> None:
    bound = bounds()
    for _ in range(5):
        bound.record(ERP, REFUSED)
    assert not await is_put_off(bound, CRM)
    assert not await is_put_off(bound, "erp.example.com:8443")


@pytest.mark.parametrize("answer", [Answer(200), ANSWERED, LOST])
async def test_whatever_a_connected_target_answers_the_count_begins_again(answer: Answer) -> None:
    bound = bounds()
    for _ in range(3):
        for _ in range(4):
            bound.record(ERP, REFUSED)
        bound.record(ERP, answer)
    assert not await is_put_off(bound, ERP)
    assert bound.open_circuits() == []


async def test_a_success_closes_a_circuit() -> None:
    bound = bounds()
    for _ in range(7):
        bound.record(ERP, REFUSED)
    bound.record(ERP, Answer(200))  # of a request that was on its way
    assert not await is_put_off(bound, ERP)


async def test_failures_that_are_http_answers_open_no_circuit() -> None:
    bound = bounds()
    for _ in range(100):
        bound.record(ERP, ANSWERED)
    assert not await is_put_off(bound, ERP)


async def test_who_waited_for_a_place_while_the_circuit_opened_is_put_off() -> None:
    bound = bounds(per_target=1)
    sending = Sending(bound)
    await sending.start(ERP, ERP, ERP)
    for _ in range(5):
        bound.record(ERP, REFUSED)
    first, *others = await sending.end()
    assert first is None
    assert [type(other) for other in others] == [Skipped, Skipped]


async def test_who_is_put_off_leaves_its_place() -> None:
    bound = bounds(in_all=1, per_target=1)
    for _ in range(5):
        bound.record(ERP, REFUSED)
    for _ in range(3):
        assert await is_put_off(bound, ERP)
    assert not await is_put_off(bound, CRM)


async def test_a_target_that_did_not_connect_in_an_earlier_call_gets_one_probe() -> None:
    sending = Sending(bounds(suspects=[ERP]))
    await sending.start(ERP, ERP, ERP, CRM, CRM)
    assert sending.in_flight == {ERP: 1, CRM: 2}
    await sending.end()


@pytest.mark.parametrize("answer", [Answer(200), ANSWERED, LOST])
async def test_a_probe_that_connects_lets_the_others_through(answer: Answer) -> None:
    bound = bounds(suspects=[ERP])
    async with bound.place(ERP):
        others = [asyncio.create_task(is_put_off(bound, ERP)) for _ in range(3)]
        await settled()
        assert not any(other.done() for other in others)
        bound.record(ERP, answer)
    assert await asyncio.gather(*others) == [False] * 3
    assert not await is_put_off(bound, ERP)
    assert bound.open_circuits() == []


async def test_a_probe_that_does_not_connect_opens_the_circuit_at_once() -> None:
    bound = bounds(suspects=[ERP])
    async with bound.place(ERP):
        others = [asyncio.create_task(is_put_off(bound, ERP)) for _ in range(3)]
        await settled()
        bound.record(ERP, REFUSED)
    assert await asyncio.gather(*others) == [True] * 3
    assert await is_put_off(bound, ERP)
    assert bound.open_circuits() == [ERP]


async def test_nobody_waits_for_a_probe_that_was_given_up() -> None:
    bound = bounds(suspects=[ERP])
    probe = asyncio.create_task(hold(bound, ERP))
    await settled()
    others = [asyncio.create_task(is_put_off(bound, ERP)) for _ in range(3)]
    await settled()
    probe.cancel()
    assert await asyncio.gather(*others) == [True] * 3


async def test_who_waits_for_a_probe_may_be_given_up_without_harm_to_the_others() -> None:
    bound = bounds(suspects=[ERP])
    async with bound.place(ERP):
        given_up, other = (asyncio.create_task(is_put_off(bound, ERP)) for _ in range(2))
        await settled()
        given_up.cancel()
        await settled()
        bound.record(ERP, Answer(200))
    assert not await other


async def test_the_targets_that_connected_are_known() -> None:
    bound = bounds(known=())
    for target, answer in ((ERP, REFUSED), (CRM, REFUSED), (CRM, ANSWERED)):
        bound.record(target, answer)
    assert bound.connected == {CRM}


OVERLOADED = Answer(429, "the target answered 429", retry_after=2, sent="yes")


async def test_nothing_is_sent_to_a_target_that_rests_and_others_go_on() -> None:
    limits = bounds()
    limits.record(ERP, OVERLOADED)
    sending = Sending(limits)
    await sending.start(ERP, CRM)
    assert sending.in_flight == {CRM: 1}
    limits._of(ERP).rest._until = 0.001  # its time has come
    await asyncio.sleep(0.01)
    limits._serve()
    await settled()
    assert sending.in_flight == {ERP: 1, CRM: 1}
    await sending.end()


async def test_who_waits_for_a_target_that_rests_is_let_through_when_its_time_has_come() -> None:
    limits = bounds()
    limits.record(ERP, replace(OVERLOADED, retry_after=0.05))
    limits._of(ERP).rest._until = time.monotonic() + 0.05
    async with asyncio.timeout(60), limits.place(ERP):
        assert limits.rest(ERP) == 0


async def test_for_a_target_that_rests_for_long_nobody_waits() -> None:
    limits = bounds(per_target=1)
    sending = Sending(limits)
    await sending.start(ERP, ERP, ERP)
    limits.record(ERP, replace(OVERLOADED, retry_after=60))
    assert limits.unavailable() == [ERP]
    assert limits.open_circuits() == []
    assert limits.rests() == {ERP: pytest.approx(60, abs=1)}
    assert await is_put_off(limits, ERP)
    first, *others = await sending.end()
    assert first is None
    assert [type(other) for other in others] == [Skipped, Skipped]


async def test_a_rest_of_an_earlier_call_holds() -> None:
    limits = Limits(SETTINGS, rests={ERP: 60})
    assert await is_put_off(limits, ERP)
    assert not await is_put_off(limits, CRM)


async def test_who_waits_is_sent_away_when_another_worker_tells_of_a_long_rest() -> None:
    limits = bounds(in_all=2, per_target=1)
    async with asyncio.timeout(60), limits.place(ERP):
        waiting = asyncio.create_task(is_put_off(limits, ERP))
        await settled()
        limits.hear_of({ERP: 60.0})
        assert await waiting
        assert limits.unavailable() == [ERP]
        assert not await is_put_off(limits, CRM)


async def test_nobody_waits_for_the_probe_of_a_target_that_rests() -> None:
    limits = Limits(SETTINGS, [ERP], {ERP: 60})
    async with asyncio.timeout(60):
        assert await asyncio.gather(*(is_put_off(limits, ERP) for _ in range(3))) == [True] * 3


async def test_who_waits_for_the_place_of_a_probe_may_be_given_up() -> None:
    limits = bounds(in_all=1, per_target=1, suspects=[ERP])
    async with asyncio.timeout(60):
        async with limits.place(CRM):
            probe = asyncio.create_task(hold(limits, ERP))
            await settled()
            others = [asyncio.create_task(is_put_off(limits, ERP)) for _ in range(2)]
            await settled()
            probe.cancel()
        assert await asyncio.gather(*others) == [False, False]
        assert limits._free == 1


async def test_what_targets_take_is_remembered_by_the_process() -> None:
    memory = Memory()
    limits = Limits(SETTINGS, memory=memory)
    for _ in range(20):
        limits.record(ERP, Answer(200, sent="yes"))
    limits.record(ERP, OVERLOADED)
    assert memory.windows == {ERP: 14}


class Book:
    """What workers share of rates: gives moments at an interval, and notes what it is told."""

    def __init__(self, interval: float | None = 0.05, ahead: float = 0.0):
        self.interval = interval
        self.ahead = ahead
        self.overloads: list[tuple[str, int]] = []
        self.reserved: list[int] = []
        self.rests = 0.0

    def reserve(self, policy: Policy, most_ahead: float, number: int) -> Reserved:
        return cast("Reserved", self.reserve_paced(policy.name, most_ahead, number))

    def reserve_paced(self, _: str, most_ahead: float, number: int) -> Reserved | None:
        if self.interval is None:
            return None
        self.reserved.append(number)
        first = time.monotonic() + self.ahead
        if self.ahead > most_ahead:
            return Reserved(first, self.interval, 0)
        self.ahead += number * self.interval
        return Reserved(first, self.interval, number)

    def slow_down(self, target: str, refusal: Refusal) -> float:
        self.overloads.append((target, refusal.taken))
        return self.rests


async def seconds_for(limits: Limits, number: int) -> float:
    """How long it takes until so many requests were let through, one after the other."""
    started = time.monotonic()
    async with asyncio.timeout(60):
        for _ in range(number):
            async with limits.place(ERP):
                pass
    return time.monotonic() - started


async def test_after_an_overload_requests_go_at_the_pace_that_workers_share() -> None:
    book, memory = Book(), Memory()
    limits = Limits(SETTINGS, memory=memory, rates=Rates(book))
    for _ in range(7):
        limits.record(ERP, Answer(200, sent="yes"))
    assert await seconds_for(limits, 10) < 0.2
    limits.record(ERP, replace(OVERLOADED, retry_after=0.01))
    limits._of(ERP).rest._until = 0.0
    assert await seconds_for(limits, 10) > 9 * 0.05 * 0.9
    assert book.overloads == [(ERP, 7)]
    following = Limits(SETTINGS, memory=memory, rates=Rates(book))  # of the next call in this process
    assert await seconds_for(following, 3) > 2 * 0.05 * 0.9
    book.interval = None  # there is no pace any more
    assert await seconds_for(following, 50) < 1
    assert memory.paced == set()


async def test_a_policys_rate_counts_and_no_pace_is_learnt() -> None:
    policy, memory = Policy("erp", rate=Rate(10, 1)), Memory()
    limits = Limits(SETTINGS, memory=memory, policy_of=lambda _: policy, rates=Rates(Book(0.1)))
    assert await seconds_for(limits, 5) > 4 * 0.1 * 0.9
    limits.record(ERP, OVERLOADED)
    assert memory.paced == set()
    assert limits.rest(ERP) > 1


async def test_nobody_waits_for_a_rate_that_others_have_used_up() -> None:
    policy = Policy("erp", rate=Rate(10, 1))
    limits = Limits(SETTINGS, policy_of=lambda _: policy, rates=Rates(Book(ahead=100)))
    assert await is_put_off(limits, ERP)
    assert limits.unavailable() == [ERP]


async def test_what_all_workers_have_seen_of_an_overload_may_make_the_rest_longer() -> None:
    book = Book()
    book.rests = 300.0
    rates = Rates(book)
    limits = Limits(SETTINGS, rates=rates)
    limits.record(ERP, OVERLOADED)
    await rates.noted()
    assert limits.rests() == {ERP: pytest.approx(300, abs=1)}


async def test_a_portion_of_a_rate_is_reserved_at_once() -> None:
    policy, book = Policy("erp", rate=Rate(1000, 1)), Book(0.001)
    limits = Limits(SETTINGS, policy_of=lambda _: policy, rates=Rates(book))
    await asyncio.gather(*(hold_briefly(limits) for _ in range(500)))
    assert len(book.reserved) < 10


async def hold_briefly(limits: Limits) -> None:
    async with limits.place(ERP):
        pass


async def test_a_rate_that_changes_holds_at_once() -> None:
    policies = [Policy("erp", rate=Rate(1, 100))]
    limits = Limits(SETTINGS, policy_of=lambda _: policies[0], rates=Rates(Book(0.001)))
    assert await seconds_for(limits, 1) < 1
    policies[0] = Policy("erp", concurrency=2)
    limits.adapt()
    assert limits._of(ERP).rate is None
    assert limits._of(ERP).most == 2


async def test_nobody_waits_for_a_pace_beyond_the_end_of_the_sending() -> None:
    limits = Limits(
        *(SETTINGS, (), None, Memory(paced={ERP})),
        until=time.monotonic() + 0.2,
        rates=Rates(Book(8)),
    )
    async with asyncio.timeout(20), limits.place(ERP), limits.place(ERP), limits.place(ERP):
        assert time.monotonic() > limits._until


async def hold(bounds: Limits, target: str) -> None:
    async with bounds.place(target):
        await asyncio.Event().wait()
