"""README and docs/ are held to the code: tables, names, links, figures."""

import json
import re
import tomllib
from collections.abc import Iterator
from dataclasses import fields
from http import HTTPStatus

import pytest
import yaml

from shared.delivery.summary import Summary
from shared.drivers import logs
from shared.model import json_codec, policies_document
from shared.model.errors import DataSyncError
from shared.model.record import SYSTEM_MEMBERS
from shared.monitoring.metrics import METRICS
from shared.monitoring.notifications import _message
from shared.settings import Settings
from tests import documents
from tests.documents import ROOT, column, read, section, table

NAMES = [str(path.relative_to(ROOT)) for path in documents.PATHS]
OPENAPI = yaml.safe_load(read("openapi.yaml"))  # which tests/end_to_end/test_openapi.py holds to the code
SCHEMAS = OPENAPI["components"]["schemas"]
HIDDEN = {"_id", "setAside", "datasync"}  # members of a record that nobody is shown
RETRY = [*SCHEMAS["RetryRequest"]["properties"]]


def test_the_readme_has_at_most_1500_words() -> None:
    assert len(read("README.md").split()) <= 1500


def test_the_readme_draws_every_state_of_a_record() -> None:
    (drawn,) = (block for block in documents.blocks(read("README.md"), "mermaid") if "stateDiagram" in block)
    for status in SCHEMAS["Status"]["enum"]:
        assert re.search(rf"\b{status}\b", drawn), status


@pytest.mark.parametrize("name", NAMES)
def test_every_relative_link_leads_somewhere(name: str) -> None:
    for link in documents.links(name):
        path, _, fragment = link.partition("#")
        target = (ROOT / name).parent / path if path else ROOT / name
        assert target.exists(), link
        if fragment:
            assert fragment in documents.anchors(str(target.resolve().relative_to(ROOT))), link


@pytest.mark.parametrize("name", NAMES)
def test_every_file_that_is_named_exists(name: str) -> None:
    known = "shared|local|datasync|terraform|tests|functions|docs"
    for path in re.findall(rf"`((?:{known})/[\w./-]*)`", read(name)):
        assert (ROOT / path).exists() or path == "terraform/terraform.tfvars", path  # the reader's own


@pytest.mark.parametrize("name", NAMES)
def test_every_target_of_make_that_is_named_exists(name: str) -> None:
    targets = set(re.findall(r"^([a-z-]+):.*## ", read("Makefile"), re.MULTILINE))
    text = read(name)
    named = re.findall(r"`make ([a-z-]+)", text)
    for block in documents.blocks(text, "text") + documents.blocks(text, "sh"):
        named += re.findall(r"^make ([a-z-]+)", block, re.MULTILINE)
    assert set(named) <= targets


@pytest.mark.parametrize("name", NAMES)
def test_every_setting_that_is_named_exists(name: str) -> None:
    known = {one.name.upper() for one in fields(Settings)}
    prefixes = "|".join({one.split("_")[0] for one in known})
    named = set(re.findall(rf"`((?:{prefixes})_[A-Z_]+)`", read(name)))
    assert named <= known | {"DATABASE_DSN", "DATABASE_PASSWORD", "DATASYNC_HOME"}


def test_json_that_is_shown_is_json() -> None:
    for name in NAMES:
        for block in documents.blocks(read(name), "json"):
            json.loads(block)


# docs/settings.md


def test_the_settings_table_is_that_of_the_code() -> None:
    declared = [
        [f"`{one.name.upper()}`", _default(one.metadata["default"]), one.metadata["meaning"]]
        for one in fields(Settings)
    ]
    assert table(read("docs/settings.md"), "setting") == declared


def _default(text: str | None) -> str:
    return {None: "required", "": "none"}.get(text, f"`{text}`")


# docs/api.md


def test_the_routes_are_those_that_are_deployed() -> None:
    shown = [
        (route.strip("`"), function, callers)
        for route, function, callers, _ in table(read("docs/api.md"), "route")
    ]
    routes = json.loads(read("terraform/routes.json"))["routes"]
    deployed = [
        (f"{method} {one['path']}", one["function"], ", ".join(one["callers"]))
        for one in routes
        for method in one["methods"]
    ]
    assert sorted(shown) == sorted(deployed)


def test_the_members_of_a_record_are_those_that_are_checked() -> None:
    shown = column(section("docs/api.md", "Storing records"), "member")
    assert set(shown) == {"streamKey", *SCHEMAS["Message"]["properties"]}


def test_the_members_of_a_state_are_those_that_the_system_writes() -> None:
    shown = column(section("docs/api.md", "Reading a record's state"), "member")
    assert set(shown) == SYSTEM_MEMBERS - HIDDEN


def test_the_members_of_an_answer_are_those_of_the_code() -> None:
    assert column(section("docs/api.md", "Delivering"), "member") == [*Summary().answer()]


def test_the_members_of_a_retry_are_those_that_are_read() -> None:
    assert set(column(section("docs/api.md", "Replaying"), "member")) == {*RETRY}


def test_the_table_of_errors_is_that_of_the_code_and_the_gateway() -> None:
    shown = {(int(row[0]), row[1]) for row in table(section("docs/api.md", "Errors"), "status")}
    own = {(one.status, one.title) for one in _errors(DataSyncError)}
    statuses = {
        int(code)
        for methods in OPENAPI["paths"].values()
        for operation in methods.values()
        for code in operation["responses"]
        if code >= "400"
    }
    gateways = statuses - {status for status, _ in own}
    assert shown == own | {(code, HTTPStatus(code).phrase) for code in gateways}


def _errors(kind: type[DataSyncError]) -> Iterator[type[DataSyncError]]:
    """The kinds of errors that are raised: those without kinds of their own, and the root for defects."""
    children = kind.__subclasses__()
    if kind is DataSyncError or not [one for one in children if one.__module__ == DataSyncError.__module__]:
        yield kind
    for one in children:
        if one.__module__ == DataSyncError.__module__:
            yield from _errors(one)


def test_the_examples_of_the_documents_fit_the_description_of_errors() -> None:
    titles = {one.title for one in _errors(DataSyncError)}
    for name, response in OPENAPI["components"]["responses"].items():
        example = response["content"]["application/problem+json"].get("example")
        if example and "code" not in example:  # those of the gateway have a code
            assert example["title"] in titles, name


# docs/targets.md


def test_the_members_of_a_policy_are_those_that_are_read() -> None:
    assert column(section("docs/targets.md", "Policies"), "member") == [*policies_document.MEMBERS]


def test_the_policy_that_is_shown_does_what_is_shown() -> None:
    shown, sample, result = documents.blocks(section("docs/targets.md", "Policies"), "json")
    (policy,) = policies_document.read(json_codec.parse(shown.encode()))
    changed = policy.applied(json_codec.parse(sample.encode()))
    assert changed is not None
    assert json.loads(result) == {"policy": policy.name, "sent": json.loads(json_codec.dump(changed))}


def test_every_recipe_is_a_document_that_is_accepted() -> None:
    recipes = documents.blocks(section("docs/targets.md", "Recipes"), "json")
    names = [one.name for recipe in recipes for one in policies_document.read(json.loads(recipe))]
    assert names == ["erp", "crm", "soap", "fusion", "fusion imports", "ords"]


# docs/operating.md


def test_the_metrics_and_log_members_are_those_of_the_code() -> None:
    text = read("docs/operating.md")
    assert _meanings(table(text, "metric")) == METRICS
    assert _meanings(table(section("docs/operating.md", "Logs"), "member")) == logs.LINE | logs.EVENT


def _meanings(rows: list[list[str]]) -> dict[str, str]:
    return {name.strip("`"): meaning for name, meaning in rows}


def test_a_notification_is_shown_as_it_is() -> None:
    news = {
        "failed": 3,
        "dead": 1,
        "calls": 2,
        "reasons": {"404 at erp.example.com:443": 1, "503 at erp.example.com:443": 2},
    }
    title, body = _message(news, "01KB3R6PQK1BT0G58ZJ0013X5V", "datasync_records")
    (shown,) = documents.blocks(section("docs/operating.md", "Notifications"), "text")
    assert shown == f"{title}\n\n{body}\n"


def test_the_alarms_are_those_that_are_deployed() -> None:
    text = read("terraform/observability.tf")
    made = re.findall(r'^    "([a-z-]+)" = \{.*?severity += "(\w+)"\n\s+body += "(.*?)"\n', text, re.M | re.S)
    assert len(made) == len(re.findall(r"severity += \"", text))
    shown = table(section("docs/operating.md", "Alarms"), "alarm")
    assert [(name.strip("`"), severity, body) for name, severity, body in shown] == made


# docs/from_oracles_sample.md


def test_what_oracles_samples_are_mapped_to_exists() -> None:
    routes = {route for route, *_ in table(read("docs/api.md"), "route")}
    settings = {one.name.upper() for one in fields(Settings)}
    for title, first, known in (
        ("Routes", "sample", {route.strip("`") for route in routes}),
        ("Processing and retrying", "sample", {*RETRY}),
        ("Processing and retrying", "answer of the sample", {*Summary().answer()}),
        ("Records", "sample", {*SCHEMAS["State"]["properties"]}),
        ("Settings and resources", "sample", settings),
    ):
        rows = table(section("docs/from_oracles_sample.md", title), first)
        named = {name for row in rows for name in re.findall(r"`([^`]+)`", row[1])}
        assert named, title
        assert named <= known, title


# docs/performance.md


def test_the_figures_of_deliveries_are_the_last_ones() -> None:
    results = json.loads(read("tests/benchmark/results/results.json"))["delivering"]
    latencies = sorted({one["latency_ms"] for one in results})
    measured = [
        [
            f"{one['per_second']:,.0f}; {one['cpu_per_1000']:.2f}"
            for latency in latencies
            for one in results
            if (one["contender"], one["latency_ms"]) == (contender, latency)
        ]
        for contender in dict.fromkeys(one["contender"] for one in results)
    ]
    rows = table(section("docs/performance.md", "Delivery"), "deliveries per second; CPU seconds per 1,000")
    assert sorted(row[1:] for row in rows) == sorted(measured)


# docs/decisions.md


def test_every_dependency_has_a_reason() -> None:
    project = tomllib.loads(read("pyproject.toml"))["project"]
    declared = [*project["dependencies"]]
    for extra in project["optional-dependencies"].values():
        declared += extra
    reasons = section("docs/decisions.md", "Dependencies")
    stubs = re.compile(r"types-")
    assert [one for one in declared if not stubs.match(one) and f"`{one}`" not in reasons] == []
