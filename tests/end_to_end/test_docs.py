"""The shell examples in docs/ run, in the order in which they stand, and do what is said beside them."""

import json
import re
import subprocess
import sys

from tests.documents import blocks, column, read, section
from tests.end_to_end.bundle import ROOT, Bundle
from tests.end_to_end.examples import Reader


def test_the_examples_of_the_api_run_as_shown(bundle: Bundle) -> None:
    reader = Reader(bundle)
    answers = [one for block in blocks(read("docs/api.md"), "sh") for one in reader.answers(block)]
    kept, array, first, again, waiting, found, edited, processed, *rest = answers
    dry, replayed, report, failures, policies = rest
    shown_kept = json.loads(blocks(section("docs/api.md", "Storing records"), "json")[0])
    shown_processed = json.loads(blocks(section("docs/api.md", "Delivering"), "json")[0])
    assert kept.keys() == shown_kept.keys()
    assert len(array["records"]) == 2
    assert first == again
    assert (waiting["id"], waiting["status"]) == (kept["id"], "not_processed")
    assert found == {"records": [], "next": None}
    assert [(one["act"], one["changed"]) for one in edited["history"]] == [
        ("edited", ["targetRestApiPayload"])
    ]
    assert failures == {"failures": [], "next": None}
    assert processed.keys() == shown_processed.keys()
    counted = ("processedmessages", "failedMessages", "skippedMessages")
    assert [processed[name] for name in counted] == [shown_processed[name] for name in counted]
    assert dry == {"matchingMessages": 1}
    assert replayed["processedmessages"] == 1
    assert report["counts"]["success"] == 4
    assert (policies["version"], policies["targets"][0]["paused"]) == (1, True)
    assert bundle.state(kept["id"])["status"] == "success"


def test_records_made_for_oracles_samples_are_stored_and_retried(bundle: Bundle) -> None:
    reader = Reader(bundle)
    stored, *retries = blocks(read("docs/from_oracles_sample.md"), "sh")
    records = reader.answers(stored)
    assert [one["status"] for one in records] == ["not_processed"] * 2
    assert bundle.process()["processedmessages"] == 2
    assert [one["header"]["authorization"] for one in bundle.received()] == ["Basic c2FtcGxlOnRva2Vu"] * 2
    assert [json.loads(one["body"])["PO"] for one in bundle.received()] == ["18jan", "19jan"]
    bundle.stored("/flaky/1/of-the-json-sample")
    assert bundle.process()["failedMessages"] == 1
    (answer,) = reader.answers(retries[0])
    assert (answer["processedmessages"], answer["endOfStream"]) == (1, True)
    bundle.stored("/flaky/2/of-the-streaming-sample")
    bundle.process()
    bundle.retry(errormapping=[{"responsecode": "503", "stream": "ocid1.stream.oc1..unavailable"}])
    (answer,) = reader.answers(retries[1])
    assert (answer["processedmessages"], answer["endOfStream"]) == (1, True)
    refused = bundle.call("POST", "/process/retry", {"readPartition": "0"})
    assert refused.status_code == 422


def test_the_operator_s_commands_run_as_shown(bundle: Bundle) -> None:
    reader = Reader(bundle)
    failed = bundle.stored("/flaky/1/orders")
    bundle.process()
    looking, correcting = blocks(section("docs/operating.md", "The command"), "sh")
    assert "1 match" in reader.run(looking)
    assert bundle.state(failed)["status"] == "success"
    reader.identity = bundle.stored("/flaky/1/order", reference="order-4711")
    gone = bundle.stored("/status/404")
    bundle.process()
    reader.run(looking.splitlines()[0] + "\n" + correcting)
    assert [bundle.state(one)["status"] for one in (reader.identity, gone)] == ["success", "cancelled"]
    assert b'"amount":199.9' in bundle.received("/flaky/1/order")[-1]["body"]


def test_every_command_is_described() -> None:
    told = subprocess.run(
        [sys.executable, "-m", "datasync", "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    commands = re.findall(r"^    (\w+)(?: |$)", told, re.MULTILINE)
    assert column(section("docs/operating.md", "The command"), "command") == commands
