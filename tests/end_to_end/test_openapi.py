"""`openapi.yaml` describes what is there: the routes, the documents' examples, and whatever is asked."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml

from local.emulators import gateway
from shared.delivery import requests
from shared.ingest import validation
from shared.model import record
from tests.documents import blocks, read
from tests.end_to_end import bundle as bundles
from tests.end_to_end.bundle import ROOT, Bundle
from tests.fuzz import described

DESCRIPTION: dict[str, Any] = yaml.safe_load((ROOT / "openapi.yaml").read_text())
SCHEMAS = DESCRIPTION["components"]["schemas"]


def fits(value: Any, name: str) -> bool:
    schema = {"$ref": f"#/components/schemas/{name}", "components": DESCRIPTION["components"]}
    return bool(jsonschema_rs.Draft202012Validator(schema).is_valid(value))


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in DESCRIPTION["paths"].items():
        for method, operation in methods.items():
            yield path, method.upper(), operation


def test_it_describes_the_routes_that_terraform_deploys() -> None:
    routes = json.loads(gateway.ROUTES.read_text())["routes"]
    deployed = {(one["path"], *one["methods"], *one["callers"], one["description"]) for one in routes}
    described_ = {
        (path, method, *operation["x-callers"], operation["summary"])
        for path, method, operation in operations()
    }
    assert described_ == deployed


def test_its_members_are_those_of_the_code() -> None:
    assert SCHEMAS["Message"]["properties"].keys() == validation.MEMBERS
    assert set(SCHEMAS["OwnMember"]["not"]["enum"]) == record.SYSTEM_MEMBERS - record.OVERWRITTEN_MEMBERS
    assert SCHEMAS["Message"]["properties"]["targetRestApiOperation"]["enum"] == [*record.OPERATIONS]
    assert SCHEMAS["RetryRequest"]["properties"].keys() == set(requests.RETRY_MEMBERS)


def test_its_examples_fit_its_schemas() -> None:
    seen = 0
    for _, _, operation in operations():
        answers = [_resolved(one) for one in operation["responses"].values()]
        for content in (one.get("content", {}) for one in [operation.get("requestBody", {}), *answers]):
            for media in content.values():
                name = media["schema"].get("$ref", "").rpartition("/")[2]
                shown = [one["value"] for one in media.get("examples", {}).values()]
                for example in shown + ([media["example"]] if "example" in media else []):
                    seen += 1
                    assert fits(example, name), (name, example)
    assert seen > 30


def _resolved(response: dict[str, Any]) -> dict[str, Any]:
    name = response.get("$ref", "").rpartition("/")[2]
    answer: dict[str, Any] = DESCRIPTION["components"]["responses"][name] if name else response
    return answer


def test_what_the_documents_show_fits_it() -> None:
    text = read("README.md") + read("docs/api.md")
    calls = "\n".join(blocks(text, "sh")).replace("\\\n", "").replace("  curl", "curl")
    bodies = re.findall(r"^curl .*?/(store|process|process/retry) .*?-d '(.*?)'$", calls, re.M | re.S)
    names = {"store": "StoreRequest", "process": "ProcessRequest", "process/retry": "RetryRequest"}
    assert len(bodies) >= 9
    for path, body in bodies:
        value = json.loads(body.replace("http://127.0.0.1", "https://erp.example.com"))
        assert fits(value, names[path]), body
    for block in blocks(text, "json"):
        assert fits(json.loads(block), "Stored") or fits(json.loads(block), "Processed"), block


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bundle]:
    with bundles.running(tmp_path_factory.mktemp("described"), **described.SETTINGS) as bundle:
        yield bundle


def test_whatever_is_asked_is_answered_as_described(guarded: Bundle, tmp_path: Path) -> None:
    done = described.run(guarded, tmp_path, "-n", "25", "--generation-deterministic")
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr
    assert "Tested: 13" in done.stdout
    assert "a defect" not in guarded.logs()
