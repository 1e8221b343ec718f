"""Two callers and an operator who changes secrets: no record goes with a token that is not its own."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.ingest.lookup import Caller
from shared.model.errors import Conflict, NotFound
from tests.fuzz.rotating import Received, World, Worlds, worlds

A, B = "a", "b"
NAMES = ("erp", "crm")
HOLDERS = {"erp": A, "crm": B}
NAMES_OF = {A: ("erp", None), B: ("crm", None)}
TOKENS = {A: ("Bearer a1", "Bearer a2"), B: ("Bearer b1", "Bearer b2")}
SHOWN = ("status", "status_code", "retry_attempts", "dead", "failure_reason", "vaultSecretName")


@dataclass(frozen=True)
class Store:
    """A caller stores a record."""

    caller: str
    name: str | None
    token: str
    path: str
    stream_key: str | None = None
    idempotency_key: str | None = None


@dataclass(frozen=True)
class Look:
    """A caller looks at the record that the act of this number has stored."""

    caller: str
    number: int


@dataclass(frozen=True)
class Process:
    """The schedule's call."""


@dataclass(frozen=True)
class Replay:
    """An operator replays failures."""

    adopts: bool
    force: bool
    codes: str | None


@dataclass(frozen=True)
class Secret:
    """An operator gives a secret a new version, makes it anew, or deletes it (with no text)."""

    name: str
    text: str | None
    is_anew: bool = False


@dataclass(frozen=True)
class Schedule:
    """An operator schedules a secret's deletion, or cancels it."""

    name: str
    is_leaving: bool


@dataclass(frozen=True)
class Wait:
    """So much time goes by that every secret is read again."""


Act = Store | Look | Process | Replay | Secret | Schedule | Wait


def stores(caller: str) -> st.SearchStrategy[Store]:
    return st.builds(
        Store,
        st.just(caller),
        st.sampled_from((*NAMES, None)),
        st.sampled_from(TOKENS[caller]),
        st.sampled_from(("/ok", "/busy", "/strict")),
        st.sampled_from((None, "1", "a1")),
        st.sampled_from((None, None, "k", "ak")),
    )


PROCESS = st.builds(Process)
REPLAY = st.builds(
    Replay, st.booleans(), st.booleans(), st.sampled_from((None, None, "401,503", "tokenChanged,401"))
)
LOOK = st.builds(Look, st.sampled_from((A, B)), st.integers(0, 9))
SECRET = st.builds(
    Secret, st.sampled_from(NAMES), st.sampled_from((*TOKENS[A], *TOKENS[B], None)), st.booleans()
)
SCHEDULE = st.builds(Schedule, st.sampled_from(NAMES), st.booleans())
ACTS = st.one_of(
    *(stores(A), stores(B), stores(A), stores(B), SECRET, SECRET, PROCESS, PROCESS, REPLAY, REPLAY),
    *(LOOK, SCHEDULE, st.builds(Wait)),
)
ANYTHING = st.lists(ACTS, max_size=2)


@st.composite
def rotations(draw: st.DrawFn) -> list[Act]:
    """A record, a change of the secret that it names, and a delivery, with anything between them."""
    name, caller = draw(st.sampled_from(NAMES)), draw(st.sampled_from((A, B)))
    store = replace(draw(stores(caller)), name=name)
    early = draw(st.sampled_from(([], [Process()])))
    change = replace(draw(SECRET), name=name)
    delivery = draw(st.one_of(PROCESS, REPLAY))
    return [store, *early, *draw(ANYTHING), change, *draw(ANYTHING), delivery, Process()]


@st.composite
def rivals(draw: st.DrawFn) -> list[Act]:
    """Records of both callers under the same keys, and a delivery, with anything between them."""
    keys = {
        "stream_key": draw(st.sampled_from(("1", None))),
        "idempotency_key": draw(st.sampled_from(("k", None))),
    }
    first, second = draw(st.permutations((A, B)))
    stored = [
        replace(draw(stores(one)), name=draw(st.sampled_from(NAMES_OF[one])), **keys)
        for one in (first, second)
    ]
    return [stored[0], *draw(ANYTHING), stored[1], *draw(ANYTHING), Process()]


PARTS = st.one_of(rotations(), rivals())
SEQUENCES = st.lists(PARTS, min_size=1, max_size=3).map(lambda parts: [one for part in parts for one in part])
FEWER = settings(max_examples=settings().max_examples // 3)
"""Each is a dozen calls, one after the other."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worlds]:
    with worlds(tmp_path_factory.mktemp("rotation")) as given_:
        yield given_


class Play:
    """Acts in a world, what each was answered, and what the targets received by each."""

    def __init__(self, world: World):
        self.world = world
        self.records: dict[str, tuple[int, Store]] = {}
        self.answers: dict[int, Any] = {}

    def act(self, number: int, act: Act) -> list[Received]:
        """Do the act of this number; what the targets received by it."""
        world = self.world
        match act:
            case Store():
                self.answers[number] = self._stored(number, act)
            case Look():
                self.answers[number] = self._seen(act)
            case Process():
                return world.process()
            case Replay():
                chosen: dict[str, Any] = {"retryCodes": act.codes} if act.codes else {}
                return world.replay(adoptToken=act.adopts, force=act.force, **chosen)
            case Secret() | Schedule():
                self._change(act)
            case Wait():
                world.wait()
        return []

    def _change(self, act: Secret | Schedule) -> None:
        vault = self.world.vault
        if isinstance(act, Secret):
            if act.text is None or act.is_anew:
                vault.delete(act.name)
            if act.text is not None:
                vault.put(act.name, act.text)
        elif act.name in vault.secrets:
            vault.secrets[act.name].is_leaving = act.is_leaving

    def _stored(self, number: int, act: Store) -> Any:
        body: dict[str, Any] = {
            "targetRestApi": f"https://erp.example.com{act.path}",
            "targetRestApiOperation": "DELETE",
        }
        body |= {"vaultSecretName": act.name} if act.name else {}
        body |= {"streamKey": act.stream_key} if act.stream_key else {}
        token = act.token if act.name else None
        try:
            identity, is_new = self.world.store(body, act.caller, token, act.idempotency_key)
        except Conflict as error:
            return str(error)
        made_by, _ = self.records.setdefault(identity, (number, act))
        return is_new, made_by

    def _seen(self, act: Look) -> Any:
        identity = next((one for one, (by, _) in self.records.items() if by == act.number), "nobody")
        try:
            shown = self.world.state(identity, Caller(act.caller))
        except NotFound:
            return NotFound
        return act.number, [shown.get(member) for member in SHOWN]

    def sent(self, received: list[Received], caller: str) -> list[tuple[str, int, str | None]]:
        """What of it is a caller's: keys in their order, and by them the records' numbers and tokens."""
        known = [(*self.records[one.identity], one.token) for one in received]
        own = [(act.stream_key or "", by, token) for by, act, token in known if act.caller == caller]
        return sorted(own, key=lambda one: (one[0], 0 if one[0] else one[1]))


@FEWER
@given(acts=SEQUENCES)
def test_no_request_carries_a_token_that_is_neither_its_records_nor_adopted(
    made: Worlds, acts: list[Act]
) -> None:
    play = Play(made.new())
    own: dict[str, str | None] = {}
    for number, act in enumerate(acts):
        received = play.act(number, act)
        own |= {one: by.token if by.name else None for one, (_, by) in play.records.items() if one not in own}
        adopts = isinstance(act, Replay) and act.adopts
        for one in received:
            lately = play.world.vault.lately_current(one.name) if adopts and one.name else set()
            assert one.token in {own[one.identity], *lately}, (number, act, one)
            own[one.identity] = one.token
    for caller in (A, B):
        others = {identity for identity, (_, act) in play.records.items() if act.caller not in (caller, "")}
        for identity in others:
            with pytest.raises(NotFound):
                play.world.state(identity, Caller(caller))


def _of_its_holder(act: Act) -> list[Act]:
    """What an operator does who knows whose name is whose, and lets the change take hold."""
    match act:
        case Secret(name, text, is_anew):
            one = TOKENS[HOLDERS[name]][0 if text in (None, TOKENS[A][0], TOKENS[B][0]) else 1]
            return [Secret(name, one, is_anew), Wait()]
        case Schedule():
            return [act, Wait()]
    return [act]


@FEWER
@given(acts=SEQUENCES)
def test_whatever_another_caller_does_changes_nothing_for_the_holder_of_a_name(
    made: Worlds, acts: list[Act]
) -> None:
    """Neither answers, nor what is sent when, in which order, with which token."""
    first = [Store(holder, name, TOKENS[holder][0], "/ok") for name, holder in HOLDERS.items()]
    numbered = list(enumerate([*first, *(one for act in acts for one in _of_its_holder(act))]))

    def seen(caller: str, *, alone: bool) -> list[Any]:
        play, everything = Play(made.new()), list[Any]()
        for number, act in numbered:
            by = getattr(act, "caller", None)
            if alone and number >= len(first) and by not in (None, caller):
                continue
            sent = play.sent(play.act(number, act), caller)
            everything.append((number, play.answers.get(number) if by == caller else None, sent))
        return [one for one in everything if one[1] is not None or one[2]]

    for caller in (A, B):
        assert seen(caller, alone=True) == seen(caller, alone=False)
