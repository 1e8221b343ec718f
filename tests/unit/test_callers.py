"""Keys, roles and rates: what the gateway asks of callers where an operator says so."""

import json

import pytest

from local.emulators.functions import Reply
from local.emulators.gateway.callers import ROLES, Caller, Callers

MOBILE, OPS = "m0bile-m0bile-m0bile", "0ps:0ps/0ps=0ps+0ps"
KEYS = f"source/mobile:{MOBILE}, operator/ops:{OPS}"


class Clock:
    def __init__(self) -> None:
        self.now = 50.0

    def __call__(self) -> float:
        return self.now


def callers(**environment: str) -> Callers:
    return Callers.from_environment(environment)


def status(callers: Callers, key: str | None, *roles: str, address: str = "192.0.2.1") -> int:
    headers = {} if key is None else {callers.header: key}
    admitted = callers.admit(headers, address, roles or ROLES)
    return admitted.status if isinstance(admitted, Reply) else 200


def test_without_keys_everybody_may_call_and_nobody_has_a_name() -> None:
    assert callers().admit({}, "192.0.2.1", ("operator",)) == Caller()


def test_a_key_has_a_name_and_a_role() -> None:
    known = callers(API_KEYS=KEYS)
    assert known.admit({"X-API-Key": MOBILE}, "192.0.2.1", ROLES) == Caller("mobile", "source")
    assert known.admit({"X-API-Key": OPS}, "192.0.2.1", ROLES) == Caller("ops", "operator")


@pytest.mark.parametrize(
    "key", [None, "", "m0bile-m0bile-m0bilE", MOBILE[:-1], MOBILE + "x", "Basic " + MOBILE, "é"]
)
def test_a_key_that_nobody_has_is_asked_for(key: str | None) -> None:
    assert status(callers(API_KEYS=KEYS), key) == 401


def test_a_role_opens_the_routes_that_are_for_it() -> None:
    known = callers(API_KEYS=KEYS)
    assert [status(known, key, "source") for key in (MOBILE, OPS)] == [200, 403]
    assert [status(known, key, "operator") for key in (MOBILE, OPS)] == [403, 200]
    assert [status(known, key, *ROLES) for key in (MOBILE, OPS)] == [200, 200]
    assert status(known, f"Bearer {MOBILE}", "source") == 200


def test_the_header_can_be_another_one_but_the_target_s() -> None:
    assert callers(API_KEY_HEADER="X-Caller").header == "X-Caller"
    for header in ("authorization", "X Caller", "X-A:"):
        with pytest.raises(ValueError, match="API_KEY_HEADER"):
            callers(API_KEY_HEADER=header)


@pytest.mark.parametrize(
    "entry",
    [
        f"guest/mobile:{MOBILE}",
        f"mobile:{MOBILE}",
        f"source/:{MOBILE}",
        "source/mobile:short",
        "source/mobile",
        f"source/mobile:{MOBILE} {MOBILE}",
    ],
)
def test_a_bad_entry_is_named_by_its_place_and_not_by_its_key(entry: str) -> None:
    with pytest.raises(ValueError, match="API_KEYS: entry 2 must be") as error:
        callers(API_KEYS=f"source/other:{OPS},{entry}")
    assert MOBILE not in str(error.value)


def test_one_key_has_one_owner() -> None:
    with pytest.raises(ValueError, match="entry 2 has a key that another caller has"):
        callers(API_KEYS=f"source/mobile:{MOBILE},operator/ops:{MOBILE}")


def test_one_name_has_one_role() -> None:
    """Both keys stand for one caller: what belongs to a source would be an operator's."""
    with pytest.raises(ValueError, match="entry 2 names mobile, which has another role above"):
        callers(API_KEYS=f"source/mobile:{MOBILE},operator/mobile:{OPS}")
    assert len(callers(API_KEYS=f"source/mobile:{MOBILE},source/mobile:{OPS}").keys) == 2


@pytest.mark.parametrize("rate", ["0", "0.000", "-1", "many", "1e3", "inf"])
def test_a_rate_is_a_number_of_requests_per_second(rate: str) -> None:
    with pytest.raises(ValueError, match="RATE_LIMIT"):
        callers(RATE_LIMIT=rate)


def test_each_caller_has_a_rate_of_its_own() -> None:
    limited = callers(API_KEYS=KEYS, RATE_LIMIT="3")
    limited.clock = clock = Clock()
    assert [status(limited, MOBILE, address=f"192.0.2.{n}") for n in range(5)] == [200] * 3 + [429] * 2
    assert status(limited, OPS) == 200
    clock.now += 1 / 3
    assert [status(limited, MOBILE) for _ in range(2)] == [200, 429]
    clock.now += 100
    assert [status(limited, MOBILE) for _ in range(4)] == [200] * 3 + [429]


def test_who_tries_keys_is_slowed_down_by_address() -> None:
    limited = callers(API_KEYS=KEYS, RATE_LIMIT="2")
    limited.clock = Clock()
    assert [status(limited, f"{n}" * 20) for n in range(4)] == [401, 401, 429, 429]
    assert status(limited, "x" * 20, address="192.0.2.9") == 401
    assert status(limited, MOBILE) == 200


def test_who_is_too_fast_is_told_when_to_come_back() -> None:
    limited = callers(RATE_LIMIT="0.1")
    limited.clock = Clock()
    assert limited.admit({}, "192.0.2.1", ROLES) == Caller()
    refusal = limited.admit({}, "192.0.2.1", ROLES)
    assert isinstance(refusal, Reply)
    assert (refusal.status, refusal.header("Retry-After")) == (429, "10")
    assert json.loads(refusal.body)["detail"] == "More than 0.1 requests per second; repeat it later."
