"""Settings are read once, typed, and every missing or bad one is named."""

from dataclasses import FrozenInstanceError
from ipaddress import ip_network

import pytest

from shared.model.errors import Misconfigured
from shared.model.targets import AllowedTarget
from shared.settings import Settings

REQUIRED = {
    "DATABASE_DSN": "sqlite:records.db",
    "VAULT_OCID": "ocid1.vault",
    "VAULT_KEY_OCID": "ocid1.key",
    "VAULT_COMPARTMENT_OCID": "ocid1.compartment",
}
ORACLE = {
    "DATABASE_DSN": "tcps://db.example.com:1522/db_high",
    "DATABASE_USER": "datasync",
    "DATABASE_PASSWORD_SECRET_OCID": "ocid1.secret",
}


def settings(**config: str) -> Settings:
    return Settings.from_config(REQUIRED | config)


def faults(**config: str) -> list[str]:
    """The names of the settings that are wrong."""
    with pytest.raises(Misconfigured) as caught:
        settings(**config)
    assert all(fault.pointer in caught.value.detail for fault in caught.value.faults)
    assert all(fault.detail for fault in caught.value.faults)
    return [fault.pointer for fault in caught.value.faults]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("collection", "datasync_records"),
        ("secret_prefix", "datasync-"),
        ("allowed_targets", ()),
        ("allowed_networks", ()),
        ("retry_codes", {"408", "425", "429", "500", "502", "503", "504", "unexpectedError"}),
        ("retry_limit", 20),
        ("retry_backoff", (30.0, 6 * 3600.0)),
        ("error_mapping", {}),
        ("messages_per_call", 500),
        ("messages_per_call_max", 10_000),
        ("concurrency", 128),
        ("concurrency_per_target", 32),
        ("target_connect_timeout", 5.0),
        ("target_read_timeout", 30.0),
        ("lease", 60.0),
        ("fan_out", 1),
        ("body_limit", 1024 * 1024),
    ],
)
def test_a_setting_that_is_absent_or_empty_has_the_contracts_default(name: str, value: object) -> None:
    assert getattr(settings(), name) == value
    assert getattr(settings(**{name.upper(): ""}), name) == value
    assert getattr(settings(**{name.upper(): "  "}), name) == value


def test_settings_do_not_change_once_they_are_read() -> None:
    read = settings()
    with pytest.raises(FrozenInstanceError):
        read.retry_limit = 9  # type: ignore[misc]


def test_what_else_stands_in_the_configuration_is_none_of_ours() -> None:
    assert settings(PATH="/usr/bin", FN_FORMAT="http-stream") == settings()


@pytest.mark.parametrize("name", [*REQUIRED])
def test_what_has_no_default_must_be_there(name: str) -> None:
    assert faults(**{name: ""}) == [name]


def test_every_missing_setting_is_named_at_once() -> None:
    with pytest.raises(Misconfigured) as caught:
        Settings.from_config({})
    assert {fault.pointer for fault in caught.value.faults} == set(REQUIRED)


def test_missing_and_bad_settings_are_named_together() -> None:
    broken = {
        "VAULT_OCID": "",
        "COLLECTION": "a b",
        "RETRY_LIMIT": "0",
        "RETRY_BACKOFF": "30s",
        "RETRY_CODES": "503,teapot",
        "BODY_LIMIT": "7MiB",
    }
    assert set(faults(**broken)) == set(broken)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("500ms", 0.5), ("30s", 30.0), ("5m", 300.0), ("6h", 21_600.0), ("1.5s", 1.5), ("0s", 0.0), (" 2s ", 2)],
)
def test_a_duration_is_a_number_and_its_unit(text: str, seconds: float) -> None:
    assert settings(ARCHIVE_AFTER=text).archive_after == seconds


def test_a_delivery_that_no_call_has_the_time_for_is_refused() -> None:
    assert "TARGET_READ_TIMEOUT" in faults(TARGET_READ_TIMEOUT="286s", LEASE="100h")
    assert settings(TARGET_READ_TIMEOUT="285s", LEASE="100h").longest_delivery == 290.0


@pytest.mark.parametrize(
    "text",
    ["5", "s", "5 s", "-5s", "+5s", "1w", "5S", "5s5s", "1e3s", ".5s", "5.s", "0x5s", "infs", "nans"],
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    assert faults(TARGET_CONNECT_TIMEOUT=text) == ["TARGET_CONNECT_TIMEOUT"]


@pytest.mark.parametrize(
    ("text", "bounds"),
    [("1s..2s", (1, 2)), ("500ms .. 1m", (0.5, 60)), ("5s..5s", (5, 5)), ("0s..0s", (0, 0))],
)
def test_a_range_is_two_durations(text: str, bounds: tuple[float, float]) -> None:
    assert settings(RETRY_BACKOFF=text).retry_backoff == bounds


@pytest.mark.parametrize(
    "text", ["30s", "30s..", "..6h", "6h..30s", "1s.2s", "1s...2s", "1s..2s..3s", "1..2"]
)
def test_what_is_no_range_is_refused(text: str) -> None:
    assert faults(RETRY_BACKOFF=text) == ["RETRY_BACKOFF"]


def test_a_backoff_beyond_what_a_date_can_hold_is_refused() -> None:
    assert faults(RETRY_BACKOFF="30s..99999999999h") == ["RETRY_BACKOFF"]


@pytest.mark.parametrize("name", ["RETRY_LIMIT", "CONCURRENCY", "CONCURRENCY_PER_TARGET", "FAN_OUT"])
@pytest.mark.parametrize("text", ["0", "-1", "+1", "1.5", "007", "1e3", "1_000", "many", "1 0", "9" * 10])
def test_a_count_is_a_whole_number_from_1(name: str, text: str) -> None:
    assert faults(**{name: text}) == [name]
    assert getattr(settings(**{name: "12"}), name.lower()) == 12


@pytest.mark.parametrize("text", ["-1", "+1", "1.5", "007", "4001", "many", "9" * 10])
def test_the_limit_of_answers_is_a_whole_number_from_0(text: str) -> None:
    assert faults(ANSWER_LIMIT=text) == ["ANSWER_LIMIT"]
    assert [settings(ANSWER_LIMIT=good).answer_limit for good in ("0", "12", "4000")] == [0, 12, 4000]


@pytest.mark.parametrize(
    ("text", "size"), [("1KiB", 1024), ("512KiB", 524_288), ("6MiB", 6_291_456), ("6144KiB", 6_291_456)]
)
def test_a_size_has_a_unit(text: str, size: int) -> None:
    assert settings(BODY_LIMIT=text).body_limit == size


@pytest.mark.parametrize("text", ["1", "1MB", "1mib", "0MiB", "-1KiB", "1.5MiB", "7MiB", "6145KiB", "1GiB"])
def test_a_size_without_unit_or_over_the_services_limit_is_refused(text: str) -> None:
    assert faults(BODY_LIMIT=text) == ["BODY_LIMIT"]


def test_codes_are_status_codes_and_the_word_for_everything_else() -> None:
    assert settings(RETRY_CODES="404, 503 ,unexpectedError").retry_codes == {"404", "503", "unexpectedError"}


@pytest.mark.parametrize(
    "text", ["50", "5030", "1600", "99", "5xx", "503;504", "503,", ",", "UnexpectedError", "-503"]
)
def test_what_is_no_code_is_refused(text: str) -> None:
    assert faults(RETRY_CODES=text) == ["RETRY_CODES"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("TARGET_CONNECT_TIMEOUT", "{}s"),
        ("RETRY_LIMIT", "1{}"),
        ("BODY_LIMIT", "1{}KiB"),
        ("RETRY_CODES", "50{}"),
    ],
)
def test_digits_of_other_scripts_are_no_digits(name: str, text: str) -> None:
    assert faults(**{name: text.format("\N{ARABIC-INDIC DIGIT THREE}")}) == [name]


def test_an_error_mapping_files_codes_under_streams() -> None:
    text = (
        '[{"responsecode": "503", "stream": "recoverable"}, {"responsecode": 404, "stream": "team-a"},'
        ' {"responsecode": "unexpectedError", "stream": "rest"}]'
    )
    mapping = {"503": "recoverable", "404": "team-a", "unexpectedError": "rest"}
    assert settings(ERROR_MAPPING=text).error_mapping == mapping


@pytest.mark.parametrize(
    "text",
    [
        "503=recoverable",
        '{"503": "recoverable"}',
        '["503"]',
        "[null]",
        '[{"responsecode": "503"}]',
        '[{"stream": "a"}]',
        '[{"responsecode": "1600", "stream": "a"}]',
        '[{"responsecode": true, "stream": "a"}]',
        '[{"responsecode": "503", "stream": ""}]',
        '[{"responsecode": "503", "stream": 7}]',
        '[{"responsecode": "503", "stream": "' + "a" * 257 + '"}]',
        '[{"responsecode": "503", "stream": "a"}',
        "[" * 3000,
    ],
)
def test_what_is_no_error_mapping_is_refused(text: str) -> None:
    assert faults(ERROR_MAPPING=text) == ["ERROR_MAPPING"]


@pytest.mark.parametrize("name", ["orders", "Orders_2", "a" * 100])
def test_a_collection_has_a_plain_name(name: str) -> None:
    assert settings(COLLECTION=name).collection == name


@pytest.mark.parametrize("name", ["2orders", "_orders", "or-ders", "or ders", 'or"ders', "örders", "a" * 101])
def test_a_collection_name_that_would_need_quoting_is_refused(name: str) -> None:
    assert faults(COLLECTION=name) == ["COLLECTION"]


@pytest.mark.parametrize("prefix", ["d", "team-a_.", "a" * 50])
def test_a_secret_prefix_is_made_of_what_secret_names_hold(prefix: str) -> None:
    assert settings(SECRET_PREFIX=prefix).secret_prefix == prefix


@pytest.mark.parametrize("prefix", ["a b", "a/b", "ä", "a" * 51])
def test_a_secret_prefix_that_no_secret_can_have_is_refused(prefix: str) -> None:
    assert faults(SECRET_PREFIX=prefix) == ["SECRET_PREFIX"]


def test_targets_and_networks_are_read_as_lists() -> None:
    read = settings(
        ALLOWED_TARGETS="erp.example.com, http://10.1.0.7:8080", ALLOWED_NETWORKS="10.1.0.0/16, fd00:12::/48"
    )
    assert read.allowed_targets == (
        AllowedTarget("https", "erp.example.com", 443),
        AllowedTarget("http", "10.1.0.7", 8080),
    )
    assert read.allowed_networks == (ip_network("10.1.0.0/16"), ip_network("fd00:12::/48"))


@pytest.mark.parametrize("networks", ["10.1.2.3/16", "10.0.0.0/33", "erp.example.com", "10.0.0.0/8;fd00::/8"])
def test_what_is_no_network_is_refused(networks: str) -> None:
    assert faults(ALLOWED_NETWORKS=networks) == ["ALLOWED_NETWORKS"]


@pytest.mark.parametrize(("lease", "named"), [("5s", []), ("4s", ["LEASE"]), ("0s", ["LEASE"])])
def test_a_lease_may_be_shorter_than_a_delivery_but_not_than_five_seconds(
    lease: str, named: list[str]
) -> None:
    assert set(faults(LEASE=lease, RETRY_LIMIT="0", TARGET_READ_TIMEOUT="4m")) == {"RETRY_LIMIT", *named}


def test_the_default_number_of_records_is_within_the_highest() -> None:
    assert faults(MESSAGES_PER_CALL="100", MESSAGES_PER_CALL_MAX="99") == ["MESSAGES_PER_CALL"]
    assert faults(MESSAGES_PER_CALL_MAX="499") == ["MESSAGES_PER_CALL"]
    assert settings(MESSAGES_PER_CALL="100", MESSAGES_PER_CALL_MAX="100").messages_per_call == 100


def test_an_oracle_database_needs_a_user_and_the_secret_of_its_password() -> None:
    assert settings(**ORACLE).database_user == "datasync"
    assert faults(**ORACLE | {"DATABASE_USER": ""}) == ["DATABASE_USER"]
    assert set(faults(DATABASE_DSN=ORACLE["DATABASE_DSN"])) == ORACLE.keys() - {"DATABASE_DSN"}


def test_the_database_on_one_machine_needs_neither_user_nor_password() -> None:
    assert settings(DATABASE_DSN="sqlite:/tmp/records.db").database_user == ""


@pytest.mark.parametrize(
    ("config", "named"),
    [
        (ORACLE | {"DATABASE_USER": "", "VAULT_OCID": ""}, {"VAULT_OCID", "DATABASE_USER"}),
        ({"RETRY_LIMIT": "0", "LEASE": "1s"}, {"RETRY_LIMIT", "LEASE"}),
        ({"COLLECTION": "a b", "MESSAGES_PER_CALL": "99999"}, {"COLLECTION", "MESSAGES_PER_CALL"}),
    ],
)
def test_contradictions_are_named_together_with_missing_and_bad_settings(
    config: dict[str, str], named: set[str]
) -> None:
    assert set(faults(**config)) == named


def test_a_target_s_entry_with_a_password_is_not_repeated() -> None:
    with pytest.raises(Misconfigured) as caught:
        settings(ALLOWED_TARGETS="user:hunter2@erp.example.com")
    assert "hunter2" not in caught.value.detail
