"""Two callers who use the same keys: neither can tell from any answer that there is the other."""

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from shared.ingest.lookup import Caller, Lookup
from shared.model.errors import Conflict, NotFound
from tests.unit.ingest_world import RECORD, World

NAMES = ("", "a", "b", "a\u00e9", "ab")


@dataclass(frozen=True)
class Call:
    """Who stores what under which keys, or looks at the record that the call of this number has stored."""

    caller: str
    note: int
    idempotency_key: str | None
    stream_key: str | None
    looks_at: int | None


CALLS = st.lists(
    st.builds(
        Call,
        st.sampled_from(NAMES),
        st.integers(0, 1),
        st.sampled_from((None, "1", "a", "a1")),
        st.sampled_from((None, "", "1", "a1", "b1")),
        st.none() | st.integers(0, 8),
    ),
    max_size=12,
)


def answers(calls: list[tuple[int, Call]]) -> tuple[dict[int, Any], World]:
    """Make calls, each with its number; what each is answered, ids replaced by the call that made them."""
    world, made, seen = World(), dict[str, int](), dict[int, Any]()
    for number, call in calls:
        try:
            if call.looks_at is not None:
                identity = next((one for one, by in made.items() if by == call.looks_at), "nobody")
                seen[number] = made[
                    Lookup(world.records, SimpleNamespace()).state(identity, Caller(call.caller))["id"]
                ]
                continue
            body = (
                RECORD
                | {"note": call.note}
                | ({} if call.stream_key is None else {"streamKey": call.stream_key})
            )
            answer, is_new = world.store(body, caller=call.caller, idempotency_key=call.idempotency_key)
            seen[number] = is_new, made.setdefault(answer["id"], number)
        except (Conflict, NotFound) as error:
            seen[number] = type(error)
    return seen, world


@given(CALLS)
def test_what_a_caller_is_answered_depends_on_no_other(calls: list[Call]) -> None:
    numbered = list(enumerate(calls))
    together, world = answers(numbered)
    for name in NAMES:
        own = [(number, call) for number, call in numbered if call.caller == name]
        alone, _ = answers(own)
        assert alone == {number: together[number] for number, _ in own}
    waiting: dict[str, set[str]] = {}
    for document in world.records.stored:
        if "keyed" in document["datasync"]:
            waiting.setdefault(document["datasync"]["keyed"], set()).add(document.get("caller", ""))
    assert all(len(callers) == 1 for callers in waiting.values())
