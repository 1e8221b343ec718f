"""Tokens: proven when a record is stored, sent in the very version that was proven, seldom read."""

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from shared.model import record
from shared.model.errors import Conflict, DependencyDown, Invalid
from shared.model.record import Document, Proof
from shared.storage import readings
from shared.storage.readings import FRESH_SECONDS, Readings
from shared.storage.tokens import MOST_NEW, NoToken, TokenChanged, TokenVault
from shared.storage.vault import Secret

TOKEN, OTHER = "Bearer s3cret-1", "Bearer s3cret-2"


@dataclass
class FakeVault:
    """Secrets by name, each with its OCID and its versions; something may happen as one is asked for."""

    secrets: dict[str, tuple[str, list[str]]] = field(default_factory=dict)
    states: dict[str, str] = field(default_factory=dict)
    calls: Counter[str] = field(default_factory=Counter)
    trouble: Exception | None = None
    on_create: Callable[[str], object] = bool
    on_read: Callable[[], object] = bool

    def put(self, name: str, text: str) -> Proof:
        """Do as an operator: a new version, or a new secret."""
        ocid, versions = self.secrets.setdefault(name, (f"ocid1.{name}.{len(self.secrets)}", []))
        versions.append(text)
        return Proof(ocid, len(versions))

    def remove(self, name: str) -> None:
        del self.secrets[name]
        self.secrets[f"gone {name} {len(self.secrets)}"] = ("", [])  # so that the next has another OCID

    def current(self, name: str) -> Secret | None:
        self.calls["read"] += 1
        found = self.secrets.get(name)
        secret = Secret(found[1][-1], Proof(found[0], len(found[1]))) if found else None
        self.on_read()
        if self.trouble:
            raise self.trouble
        return secret

    def create(self, name: str, text: str) -> Secret | None:
        self.calls["create"] += 1
        self.on_create(name)
        if self.trouble:
            raise self.trouble
        if name in self.secrets or name in self.states:
            return None
        return Secret(text, self.put(name, text))

    def state(self, name: str) -> str:
        return self.states.get(name, "")

    def is_leaving(self, name: str) -> bool:
        return self.state(name) == "PENDING_DELETION"


class Clock:
    """A clock that goes when it is told to, and a little with each look."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        self.now += 0.001
        return self.now


class World:
    """A vault, and the tokens of two processes."""

    def __init__(self) -> None:
        self.vault, self.clock = FakeVault(), Clock()
        self.tokens, self.delivery = self.process(), self.process()

    def process(self, *reserved: str) -> TokenVault:
        return TokenVault(self.vault, Readings(self.vault, self.clock), reserved)  # type: ignore[arg-type]  # as much of it as is used

    def reads(self, doing: Callable[[], Any]) -> int:
        """Count Vault's calls while something is done."""
        self.vault.calls.clear()
        doing()
        return self.vault.calls.total()


def claim(tokens: TokenVault, name: str, token: str) -> Proof:
    """Prove one name."""
    return tokens.claim_all([name], token)[name]


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The waits for a secret that is being created, taken down instead of waited for."""
    taken: list[float] = []
    monkeypatch.setattr(time, "sleep", taken.append)
    return taken


def document(name: str | None, proof: Proof | None) -> Document:
    members = {"targetRestApi": "https://a.example.com/", "targetRestApiOperation": "DELETE"}
    return record.new(members | ({"vaultSecretName": name} if name else {}), proof=proof)


# To store


def test_the_first_use_of_a_name_keeps_the_token_and_proves_it(world: World) -> None:
    proof = claim(world.tokens, "erp", TOKEN)
    assert world.vault.secrets == {"erp": (proof.secret, [TOKEN])}
    assert proof.version == 1
    assert world.vault.calls == {"read": 1, "create": 1}


def test_the_same_token_proves_the_same_version_and_costs_one_call_in_a_while(world: World) -> None:
    proof = world.vault.put("erp", TOKEN)
    assert [claim(world.tokens, "erp", TOKEN) for _ in range(9)] == [proof] * 9
    assert world.vault.calls == {"read": 1}
    world.clock.now += FRESH_SECONDS
    assert claim(world.tokens, "erp", TOKEN) == proof
    assert world.vault.calls == {"read": 2}


def test_what_a_process_has_just_made_it_need_not_read(world: World) -> None:
    proof = claim(world.tokens, "erp", TOKEN)
    assert world.reads(lambda: claim(world.tokens, "erp", TOKEN)) == 0
    assert world.tokens.for_record(document("erp", proof)) == Secret(TOKEN, proof)


@pytest.mark.parametrize("token", [OTHER, TOKEN + "x", TOKEN[:-1], TOKEN.lower(), "ü", " " + TOKEN])
def test_another_token_is_refused_with_advice_and_changes_nothing(world: World, token: str) -> None:
    world.vault.put("erp", TOKEN)
    for _ in range(2):
        with pytest.raises(Conflict, match="Use a new name for this token") as caught:
            claim(world.tokens, "erp", token)
        assert "s3cret" not in caught.value.detail
        assert "version" not in caught.value.detail  # which would give the name's records another's token
    assert world.vault.calls["create"] == 0
    claim(world.tokens, "erp", TOKEN)


def test_a_new_version_is_seen_before_its_holder_is_refused(world: World) -> None:
    first = world.vault.put("erp", TOKEN)
    assert claim(world.tokens, "erp", TOKEN) == first
    second = world.vault.put("erp", OTHER)
    assert claim(world.tokens, "erp", OTHER) == second
    assert (first.secret, first.version + 1) == (second.secret, second.version)


def test_an_old_token_proves_for_seconds_what_it_is_and_then_nothing(world: World) -> None:
    """Its records are bound to the old version, so none of them is ever sent the new token."""
    first = world.vault.put("erp", TOKEN)
    claim(world.tokens, "erp", TOKEN)
    world.vault.put("erp", OTHER)
    assert claim(world.tokens, "erp", TOKEN) == first
    world.clock.now += FRESH_SECONDS
    with pytest.raises(Conflict):
        claim(world.tokens, "erp", TOKEN)
    with pytest.raises(TokenChanged):
        world.delivery.for_record(document("erp", first))


@pytest.mark.parametrize("text", ["", "{", '{"token_url": "x"}'])
def test_a_secret_that_proves_nothing_is_nobodys(world: World, text: str) -> None:
    world.vault.put("erp", text)
    for token in (TOKEN, "", "{"):
        with pytest.raises(Conflict):
            claim(world.tokens, "erp", token)


def test_client_credentials_are_proven_with_the_clients_own_authorization(world: World) -> None:
    text = '{"token_url": "https://a.example.com/", "client_id": "me", "client_secret": "s3cret"}'
    proof = world.vault.put("erp", text)
    assert claim(world.tokens, "erp", "Basic bWU6czNjcmV0") == proof


def test_a_reserved_name_is_never_made_but_can_be_proven(world: World) -> None:
    tokens = world.process("hub")
    with pytest.raises(Conflict, match="reserved"):
        claim(tokens, "hub", TOKEN)
    assert world.vault.secrets == {}
    proof = world.vault.put("hub", TOKEN)
    assert claim(tokens, "hub", TOKEN) == proof
    with pytest.raises(Conflict):
        claim(tokens, "hub", OTHER)


def test_names_are_made_once_none_of_a_request_is_refused(world: World) -> None:
    world.vault.put("taken", OTHER)
    with pytest.raises(Conflict):
        world.tokens.claim_all(["a", "b", "taken"], TOKEN)
    with pytest.raises(Conflict):
        world.process("hub").claim_all(["a", "hub"], TOKEN)
    assert list(world.vault.secrets) == ["taken"]


def test_a_request_makes_few_new_names_and_uses_as_many_as_it_likes(world: World) -> None:
    names = [f"name-{number}" for number in range(MOST_NEW + 1)]
    with pytest.raises(Invalid) as caught:
        world.tokens.claim_all(names, TOKEN)
    assert "more than 20" in caught.value.faults[0].detail
    assert world.vault.secrets == {}
    first = world.tokens.claim_all(names[:-1], TOKEN)
    again = world.tokens.claim_all(names, TOKEN)
    assert list(again) == names
    assert again.items() >= first.items()
    assert len(world.vault.secrets) == MOST_NEW + 1


def test_of_endless_new_names_few_are_looked_up(world: World) -> None:
    with pytest.raises(Invalid):
        world.tokens.claim_all((f"name-{number}" for number in range(1000)), TOKEN)
    assert world.vault.calls == {"read": MOST_NEW + 1}


@pytest.mark.parametrize("times", [0, 1, 4])
def test_two_first_uses_at_once_with_one_token_both_pass(
    world: World, times: int, pauses: list[float]
) -> None:
    """The other's secret can be read a while after it was created."""

    def created(name: str) -> None:
        world.vault.states[name] = "CREATING"
        world.vault.on_read = read

    def read() -> None:
        if len(pauses) + 1 >= times and "erp" not in world.vault.secrets:
            world.vault.put("erp", TOKEN)

    world.vault.on_create = created
    if not times:
        world.vault.on_create = lambda name: world.vault.put(name, TOKEN)
    proof = claim(world.tokens, "erp", TOKEN)
    assert world.vault.secrets == {"erp": (proof.secret, [TOKEN])}
    assert len(pauses) == times


def test_of_two_first_uses_at_once_with_different_tokens_the_second_is_refused(world: World) -> None:
    world.vault.on_create = lambda name: world.vault.put(name, OTHER)
    with pytest.raises(Conflict):
        claim(world.tokens, "erp", TOKEN)
    assert world.vault.secrets["erp"][1] == [OTHER]


def test_a_name_that_stays_unreadable_is_not_waited_for_for_ever(world: World, pauses: list[float]) -> None:
    world.vault.states["erp"] = "FAILED"
    with pytest.raises(DependencyDown, match=r"erp.*FAILED") as caught:
        claim(world.tokens, "erp", TOKEN)
    assert TOKEN not in caught.value.detail
    assert 0 < sum(pauses) < 10


@pytest.mark.parametrize("token", [TOKEN, OTHER])
def test_a_name_on_its_way_out_is_refused_at_once_whatever_the_token(
    world: World, token: str, pauses: list[float]
) -> None:
    world.vault.states["erp"] = "PENDING_DELETION"
    with pytest.raises(Conflict, match=r"scheduled for deletion\. Use a new name"):
        claim(world.tokens, "erp", token)
    assert pauses == []
    assert not hasattr(world.vault, "cancel_deletion")  # nobody here could


def test_a_vault_that_does_not_answer_is_down_and_is_asked_again(world: World) -> None:
    world.vault.trouble = DependencyDown("down")
    with pytest.raises(DependencyDown):
        claim(world.tokens, "erp", TOKEN)
    with pytest.raises(DependencyDown):
        world.delivery.for_record(document("erp", Proof("ocid", 1)))
    world.vault.trouble = None
    proof = claim(world.tokens, "erp", TOKEN)
    assert world.delivery.for_record(document("erp", proof)) == Secret(TOKEN, proof)


# To send


def test_a_record_is_sent_with_the_version_that_it_was_proven_with(world: World) -> None:
    proof = claim(world.tokens, "erp", TOKEN)
    assert world.delivery.for_record(document("erp", proof)) == Secret(TOKEN, proof)
    assert TOKEN not in repr(world.delivery.for_record(document("erp", proof)))


def test_without_a_name_there_is_nothing_to_send_or_to_ask(world: World) -> None:
    assert world.delivery.for_record(document(None, None)) is None
    assert world.delivery.at_hand(document(None, None)) is None
    assert world.vault.calls == {}


def test_a_record_is_never_sent_with_another_version(world: World) -> None:
    proof = claim(world.tokens, "erp", TOKEN)
    world.vault.put("erp", OTHER)
    with pytest.raises(TokenChanged, match=r"erp.*adoptToken") as caught:
        world.delivery.for_record(document("erp", proof))
    assert caught.value.code == "tokenChanged"
    assert "s3cret" not in caught.value.reason


def test_nor_with_a_secret_that_was_made_anew_under_its_name(world: World) -> None:
    """Though it holds the very same token, and its version has the same number."""
    proof = claim(world.tokens, "erp", TOKEN)
    world.vault.remove("erp")
    other = claim(world.process(), "erp", TOKEN)
    assert (other.version, other.secret == proof.secret) == (proof.version, False)
    with pytest.raises(TokenChanged):
        world.delivery.for_record(document("erp", proof))


def test_one_without_a_proof_is_sent_only_where_the_operator_lists_its_name(world: World) -> None:
    proof = world.vault.put("hub", TOKEN)
    with pytest.raises(TokenChanged):
        world.delivery.for_record(document("hub", None))
    delivery = world.process("hub")
    assert delivery.for_record(document("hub", None)) == Secret(TOKEN, proof)
    second = world.vault.put("hub", OTHER)
    world.clock.now += FRESH_SECONDS
    assert delivery.for_record(document("hub", None)) == Secret(OTHER, second)
    # Listed, it binds nobody.
    assert delivery.for_record(document("hub", proof)) == Secret(OTHER, second)


def test_an_operator_may_adopt_what_the_secret_holds_now(world: World) -> None:
    proof = claim(world.tokens, "erp", TOKEN)
    second = world.vault.put("erp", OTHER)
    assert world.delivery.for_record(document("erp", proof), adopt=True) == Secret(OTHER, second)
    assert world.delivery.for_record(document("erp", None), adopt=True) == Secret(OTHER, second)
    with pytest.raises(TokenChanged):
        world.delivery.for_record(document("erp", proof))


def test_a_missing_secret_is_told_and_looked_up_once_for_records_that_are_alike(world: World) -> None:
    gone = Proof("ocid1.gone", 1)
    for _ in range(5):
        with pytest.raises(NoToken, match="no readable secret for vaultSecretName 'erp'") as caught:
            world.delivery.for_record(document("erp", gone))
        assert (caught.value.code, type(caught.value)) == ("unexpectedError", NoToken)
    assert world.vault.calls == {"read": 1}


def test_what_was_missing_a_moment_ago_does_not_hold_up_who_was_stored_since(world: World) -> None:
    with pytest.raises(NoToken):
        world.delivery.for_record(document("erp", Proof("ocid1.gone", 1)))
    proof = claim(world.tokens, "erp", TOKEN)
    assert world.delivery.for_record(document("erp", proof)) == Secret(TOKEN, proof)
    world.clock.now += FRESH_SECONDS
    with pytest.raises(TokenChanged):
        world.delivery.for_record(document("erp", Proof("ocid1.gone", 1)))


def test_what_was_current_a_moment_ago_does_not_hold_up_who_was_stored_since(world: World) -> None:
    first = claim(world.tokens, "erp", TOKEN)
    world.delivery.for_record(document("erp", first))
    second = world.vault.put("erp", OTHER)
    assert claim(world.tokens, "erp", OTHER) == second
    assert world.delivery.for_record(document("erp", second)) == Secret(OTHER, second)
    with pytest.raises(TokenChanged):
        world.delivery.for_record(document("erp", first))


def test_many_records_cost_one_call_in_a_while(world: World) -> None:
    proof = world.vault.put("erp", TOKEN)
    bound, unbound = document("erp", proof), document("erp", Proof(proof.secret, 9))

    def send() -> None:
        for _ in range(100):
            world.delivery.for_record(bound)
            with pytest.raises(TokenChanged):
                world.delivery.for_record(unbound)

    assert world.reads(send) <= 2
    world.clock.now += FRESH_SECONDS
    assert world.reads(send) <= 2


def test_what_is_at_hand_is_told_without_a_call(world: World) -> None:
    proof = world.vault.put("erp", TOKEN)
    bound, changed = document("erp", proof), document("erp", Proof("ocid1.other", 1))
    assert world.reads(lambda: world.delivery.at_hand(bound)) == 0
    assert world.delivery.at_hand(bound) is None
    world.delivery.for_record(bound)
    assert (
        world.delivery.at_hand(bound) == world.delivery.at_hand(changed, adopt=True) == Secret(TOKEN, proof)
    )
    assert world.delivery.at_hand(changed) is None  # what is known may be older than the record
    with pytest.raises(TokenChanged):
        world.delivery.for_record(changed)
    with pytest.raises(TokenChanged):
        world.delivery.at_hand(changed)
    world.clock.now += FRESH_SECONDS
    assert world.delivery.at_hand(bound) is world.delivery.at_hand(changed) is None


def test_what_a_target_refused_is_read_again(world: World) -> None:
    proof = world.vault.put("erp", TOKEN)
    bound, adopted = document("erp", proof), document("erp", None)
    world.delivery.for_record(bound)
    sent = world.clock()
    assert world.reads(lambda: world.delivery.for_record(bound, since=sent)) == 1
    assert world.reads(lambda: world.delivery.for_record(bound, since=sent)) == 0
    second = world.vault.put("erp", OTHER)
    sent = world.clock()
    assert world.delivery.for_record(adopted, adopt=True, since=sent) == Secret(OTHER, second)

    def refused() -> None:
        for _ in range(10):
            with pytest.raises(TokenChanged):
                world.delivery.for_record(bound, since=sent)

    assert world.reads(refused) == 1


@pytest.mark.parametrize(
    ("text", "why"), [("", "empty, not UTF-8, or not for callers"), ("a\nb", "control"), ("a\0", "control")]
)
def test_a_secret_that_no_header_can_hold_is_told_with_the_reason(world: World, text: str, why: str) -> None:
    proof = world.vault.put("erp", text)
    for _ in range(2):
        with pytest.raises(NoToken, match=why) as caught:
            world.delivery.for_record(document("erp", proof))
        assert not text or text not in caught.value.reason
    assert world.vault.calls == {"read": 1}


@pytest.mark.parametrize("text", ["ü", "Bearer a\tb", '{"a":\n1}', "x" * 8000])
def test_what_a_header_or_a_description_may_hold_passes(world: World, text: str) -> None:
    proof = world.vault.put("erp", text)
    assert world.delivery.for_record(document("erp", proof)) == Secret(text, proof)


# Many at once


def test_threads_that_ask_at_once_share_one_call(world: World) -> None:
    proof = world.vault.put("erp", TOKEN)
    asked, go_on, all_ask = threading.Event(), threading.Event(), threading.Barrier(8)

    def on_read() -> None:
        asked.set()
        assert go_on.wait(60)

    world.vault.on_read = on_read
    found: list[Any] = []

    def ask() -> None:
        all_ask.wait(60)
        found.append(world.delivery.for_record(document("erp", proof)))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for one in threads:
        one.start()
    assert asked.wait(60)
    go_on.set()
    for one in threads:
        one.join()
    assert found == [Secret(TOKEN, proof)] * 8
    assert world.vault.calls["read"] <= 2  # of those who asked before the first call began, and after


def test_a_slow_answer_is_timed_from_when_it_was_asked_for(world: World) -> None:
    proof = world.vault.put("erp", TOKEN)
    world.vault.on_read = lambda: setattr(world.clock, "now", world.clock.now + FRESH_SECONDS)
    assert world.delivery.for_record(document("erp", proof)) == Secret(TOKEN, proof)
    assert world.delivery.at_hand(document("erp", proof)) is None


def test_what_is_remembered_is_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readings, "_MOST_KNOWN", 10)
    for number in range(100):
        proof = world.vault.put(f"name-{number}", TOKEN)
        world.delivery.for_record(document(f"name-{number}", proof))
        with pytest.raises(TokenChanged):
            world.delivery.for_record(document(f"name-{number}", Proof("ocid1.other", 1)))
        world.clock.now += 1
    assert len(world.delivery._readings._known) <= 10
    assert len(world.delivery._refusals) <= FRESH_SECONDS + 1
