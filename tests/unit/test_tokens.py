"""Tokens in Vault: kept by whoever holds them, proved by the same token, read once while they are fresh."""

import base64
import time
from types import SimpleNamespace
from typing import Any

import pytest

from shared.drivers.oci import OciClients, Refused, read_secret
from shared.model.errors import Conflict, DependencyDown
from shared.settings import Settings
from shared.storage.tokens import TokenVault
from shared.storage.vault import Vault

TOKEN, OTHER = "Bearer s3cret-1", "Bearer s3cret-2"
SETTINGS = Settings("sqlite:", "ocid1.vault", "ocid1.key", "ocid1.compartment", secret_prefix="team-")


class FakeVault(OciClients):
    """Vault and Secrets, as the SDK's clients show them: secrets by their full names, and what went wrong."""

    def __init__(self, **secrets: str):
        super().__init__("")
        self.secrets = {name.replace("_", "-"): text for name, text in secrets.items()}
        self.on_read: Exception | None = None
        self.on_create: Exception | None = None
        self.states: list[str] = []
        self.appears: list[str | None] = []  # what reads find after a create that came second
        self.reads: list[str] = []
        self.creates: list[Any] = []

    def call(self, service: str, client: str, operation: str, *arguments: Any, **options: Any) -> Any:
        match service, client, operation:
            case "secrets", "SecretsClient", "get_secret_bundle_by_name":
                return self._read(*arguments)
            case "vault", "VaultsClient", "create_secret":
                return self._create(*arguments)
            case "vault", "VaultsClient", "list_secrets":
                assert (arguments, options["vault_id"]) == (("ocid1.compartment",), "ocid1.vault")
                assert options["name"].startswith("team-")
                return [SimpleNamespace(lifecycle_state=state) for state in self.states]
        raise AssertionError(f"{service} has no such operation: {operation}")

    def _read(self, name: str, vault: str) -> Any:
        assert vault == "ocid1.vault"
        self.reads.append(name)
        if self.on_read:
            raise self.on_read
        came_second = self.creates and self.appears
        text = self.appears.pop(0) if came_second else self.secrets.get(name)
        if text is None:
            raise Refused(404)
        return bundle(text, f"ocid1.{name}")

    def _create(self, details: Any) -> Any:
        self.creates.append(details)
        if self.on_create:
            raise self.on_create
        if details.secret_name in self.secrets:
            raise Refused(409)
        self.secrets[details.secret_name] = base64.b64decode(details.secret_content.content).decode()
        return SimpleNamespace(id=f"ocid1.{details.secret_name}")


def bundle(text: str | bytes, ocid: str = "ocid1.secret") -> Any:
    raw = text.encode() if isinstance(text, str) else text
    content = SimpleNamespace(content=base64.b64encode(raw).decode())
    return SimpleNamespace(secret_id=ocid, version_number=1, secret_bundle_content=content)


class Clock:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The waits for a secret that is being created, taken down instead of waited for."""
    taken: list[float] = []
    monkeypatch.setattr(time, "sleep", taken.append)
    return taken


def tokens(fake: FakeVault, clock: Clock | None = None) -> TokenVault:
    return TokenVault(Vault(fake, SETTINGS), clock or Clock())


def test_a_token_is_read_once_while_it_is_fresh() -> None:
    fake = FakeVault(team_erp=TOKEN)
    vault = tokens(fake)
    assert [vault.token("erp") for _ in range(3)] == [TOKEN] * 3
    assert fake.reads == ["team-erp"]


def test_a_token_is_read_again_after_a_while_so_that_a_new_version_is_seen(clock: Clock) -> None:
    fake = FakeVault(team_erp=TOKEN)
    vault = tokens(fake, clock)
    vault.token("erp")
    fake.secrets["team-erp"] = OTHER
    clock.now += 2
    assert vault.token("erp") == TOKEN
    clock.now += 2
    assert vault.token("erp") == OTHER


def test_a_name_that_is_not_there_is_looked_up_once_for_a_while(clock: Clock) -> None:
    fake = FakeVault()
    vault = tokens(fake, clock)
    assert [vault.token("erp") for _ in range(3)] == [None] * 3
    assert fake.reads == ["team-erp"]
    fake.secrets["team-erp"] = TOKEN
    clock.now += 60
    assert vault.token("erp") == TOKEN


def test_tokens_of_different_names_are_different() -> None:
    vault = tokens(FakeVault(team_erp=TOKEN, team_crm=OTHER))
    assert (vault.token("erp"), vault.token("crm")) == (TOKEN, OTHER)


@pytest.mark.parametrize("name", ["erp", "team-erp", "..", "-", "x" * 200])
def test_no_name_leads_out_of_the_prefix(name: str) -> None:
    fake = FakeVault(erp=OTHER)
    vault = tokens(fake)
    assert vault.token(name) is None
    vault.claim(name, TOKEN)
    assert set(fake.reads) == {f"team-{name}"}
    assert [details.secret_name for details in fake.creates] == [f"team-{name}"]


@pytest.mark.parametrize("error", [Refused(400), Refused(403), DependencyDown("down")])
def test_a_vault_that_can_not_say_is_down_and_is_asked_again(error: Exception) -> None:
    fake = FakeVault(team_erp=TOKEN)
    vault = tokens(fake)
    fake.on_read = error
    with pytest.raises(DependencyDown):
        vault.token("erp")
    with pytest.raises(DependencyDown):
        vault.claim("erp", TOKEN)
    assert fake.creates == []
    fake.on_read = None
    assert vault.token("erp") == TOKEN


def test_the_first_use_of_a_name_creates_its_secret() -> None:
    fake = FakeVault()
    vault = tokens(fake)
    vault.claim("erp", TOKEN)
    (details,) = fake.creates
    assert (details.compartment_id, details.vault_id, details.key_id) == (
        "ocid1.compartment",
        "ocid1.vault",
        "ocid1.key",
    )
    assert fake.secrets == {"team-erp": TOKEN}
    assert vault.token("erp") == TOKEN
    assert fake.reads == ["team-erp"]  # once, to see that it is not there


def test_a_name_that_was_missing_a_moment_ago_can_be_claimed_and_is_then_known() -> None:
    fake = FakeVault()
    vault = tokens(fake)
    assert vault.token("erp") is None
    vault.claim("erp", TOKEN)
    assert vault.token("erp") == TOKEN


def test_a_name_that_another_process_has_taken_since_is_not_created_again() -> None:
    fake = FakeVault()
    vault = tokens(fake)
    assert vault.token("erp") is None
    fake.secrets["team-erp"] = OTHER
    with pytest.raises(Conflict):
        vault.claim("erp", TOKEN)
    assert fake.creates == []


@pytest.mark.parametrize("token", [TOKEN, "ü", "x" * 8000])
def test_the_same_token_passes_and_costs_no_call_while_it_is_fresh(token: str) -> None:
    fake = FakeVault(team_erp=token)
    vault = tokens(fake)
    for _ in range(3):
        vault.claim("erp", token)
    assert (fake.reads, fake.creates) == (["team-erp"], [])


@pytest.mark.parametrize("token", [OTHER, "", TOKEN + "x", TOKEN[:-1], TOKEN.lower(), "ü"])
def test_another_token_is_refused_with_advice_and_changes_nothing(token: str) -> None:
    fake = FakeVault(team_erp=TOKEN)
    vault = tokens(fake)
    for _ in range(2):
        with pytest.raises(Conflict, match="new name") as caught:
            vault.claim("erp", token)
        assert "s3cret" not in caught.value.detail
    assert (fake.creates, fake.secrets) == ([], {"team-erp": TOKEN})
    vault.claim("erp", TOKEN)


def test_a_new_version_of_a_secret_is_seen_before_its_holder_is_refused() -> None:
    fake = FakeVault(team_erp=TOKEN)
    vault = tokens(fake)
    vault.claim("erp", TOKEN)
    fake.secrets["team-erp"] = OTHER
    vault.claim("erp", OTHER)
    assert vault.token("erp") == OTHER


TAKEN = [Refused(409), Refused(400, "A secret with this name already exists")]


@pytest.mark.parametrize("taken", TAKEN)
@pytest.mark.parametrize("appears", [[TOKEN], [None, TOKEN], [None, None, None, TOKEN]])
def test_two_first_uses_at_once_with_one_token_both_pass(
    taken: Exception, appears: list[str | None], pauses: list[float]
) -> None:
    fake = FakeVault()
    fake.on_create, fake.appears = taken, appears.copy()
    vault = tokens(fake)
    vault.claim("erp", TOKEN)
    assert len(fake.creates) == 1
    assert len(pauses) == len(appears) - 1
    assert vault.token("erp") == TOKEN


@pytest.mark.parametrize("taken", TAKEN)
def test_of_two_first_uses_at_once_with_different_tokens_the_second_is_refused(taken: Exception) -> None:
    fake = FakeVault()
    fake.on_create, fake.appears = taken, [None, OTHER]
    with pytest.raises(Conflict):
        tokens(fake).claim("erp", TOKEN)


@pytest.mark.parametrize("taken", TAKEN)
def test_a_name_that_is_taken_and_stays_unreadable_is_not_waited_for_for_ever(
    taken: Exception, pauses: list[float]
) -> None:
    fake = FakeVault()
    fake.on_create = taken
    with pytest.raises(DependencyDown, match="erp") as caught:
        tokens(fake).claim("erp", TOKEN)
    assert TOKEN not in caught.value.detail
    assert 0 < sum(pauses) < 10


@pytest.mark.parametrize("state", ["SCHEDULING_DELETION", "PENDING_DELETION", "DELETING"])
def test_a_name_whose_secret_is_being_deleted_is_told_at_once(state: str, pauses: list[float]) -> None:
    fake = FakeVault()
    fake.on_create, fake.states = Refused(409), [state]
    with pytest.raises(Conflict, match="scheduled for deletion"):
        tokens(fake).claim("erp", TOKEN)
    assert pauses == []


@pytest.mark.parametrize("states", [["CREATING"], ["FAILED"], []])
def test_a_name_whose_secret_can_not_be_read_is_told_with_its_state(states: list[str]) -> None:
    fake = FakeVault()
    fake.on_create, fake.states = Refused(409), states
    with pytest.raises(DependencyDown, match=states[0] if states else "''"):
        tokens(fake).claim("erp", TOKEN)


def test_the_last_wait_for_a_name_that_is_taken_is_followed_by_a_look(pauses: list[float]) -> None:
    fake = FakeVault()
    fake.on_create = Refused(409)
    with pytest.raises(DependencyDown):
        tokens(fake).claim("erp", TOKEN)
    assert len(fake.reads) == 1 + 1 + len(pauses)  # before the create, after it, and after each wait


@pytest.mark.parametrize("refused", [Refused(400, "bad key"), Refused(403), Refused(404), Refused(413)])
def test_a_vault_that_refuses_to_keep_a_token_is_down(refused: Exception, pauses: list[float]) -> None:
    fake = FakeVault()
    fake.on_create = refused
    with pytest.raises(DependencyDown):
        tokens(fake).claim("erp", TOKEN)
    assert pauses == []


def test_a_token_that_could_not_be_kept_is_not_taken_for_kept() -> None:
    fake = FakeVault()
    vault = tokens(fake)
    fake.on_create = DependencyDown("down")
    with pytest.raises(DependencyDown):
        vault.claim("erp", TOKEN)
    fake.on_create = None
    vault.claim("erp", TOKEN)
    assert fake.secrets == {"team-erp": TOKEN}


class SystemSecrets(OciClients):
    """Secrets by OCID, as the operator names them."""

    def __init__(self, answer: Any):
        super().__init__("")
        self.answer = answer

    def call(self, service: str, client: str, operation: str, *arguments: Any, **options: Any) -> Any:
        asked = (service, client, operation, *arguments)
        assert asked == ("secrets", "SecretsClient", "get_secret_bundle", "ocid1.secret")
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def test_the_operators_own_secret_is_read_by_its_ocid() -> None:
    assert read_secret(SystemSecrets(bundle("pässword")), "ocid1.secret") == "pässword"


@pytest.mark.parametrize("error", [Refused(404), Refused(403), DependencyDown("down")])
def test_without_the_operators_secret_the_service_is_down(error: Exception) -> None:
    with pytest.raises(DependencyDown):
        read_secret(SystemSecrets(error), "ocid1.secret")
