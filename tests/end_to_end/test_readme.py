"""The README's four calls do what it says, on a bundle with the settings that `make run` has."""

import json
from pathlib import Path

from tests.documents import blocks, read, section
from tests.end_to_end.bundle import running
from tests.end_to_end.examples import Reader
from tests.end_to_end.test_openapi import fits


def test_the_readme_s_calls_run_as_shown(tmp_path: Path) -> None:
    using = section("README.md", "Using it")
    with running(tmp_path / "home", RETRY_BACKOFF="30s..6h") as bundle:
        reader = Reader(bundle)
        store, process, retry, state = (reader.answers(block)[0] for block in blocks(using, "sh"))
    stored, processed = (json.loads(block) for block in blocks(using, "json"))
    assert store.keys() == stored.keys()
    assert process == processed | {"lastReadOffset": store["id"]}
    assert (retry["processedmessages"], retry["failedMessages"]) == (1, 0)
    assert (state["id"], state["status"], state["retry_attempts"]) == (store["id"], "success", 1)
    assert [attempt["code"] for attempt in state["attempts"]] == [503, 200]
    assert fits(state, "State")


def test_the_readme_begins_with_what_a_newcomer_types() -> None:
    first = blocks(section("README.md", "Quick start"), "text")[0].splitlines()
    assert [line.split("  ")[0] for line in first[1:]] == ["make demo", "make test"]
    assert len(blocks(read("README.md"), "mermaid")) == 2
