"""Contract section 1: batches of a Stream's messages, as Connector Hub sends them to store-data."""

import base64
import json
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import oci
import pytest

from local.emulators import identity
from local.emulators.oci.journal import Journal
from local.emulators.oci.secret_store import put_secret
from tests.contract.test_oci_signatures import signer
from tests.end_to_end import bundle as bundles
from tests.end_to_end.bundle import Bundle

STREAM = "orders"


@pytest.fixture(autouse=True)
def stream_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """What another test has stored of a stream would not be stored again."""
    monkeypatch.setattr(f"{__name__}.STREAM", f"orders-{uuid.uuid4().hex}")


def message(value: Any, offset: int = 0, key: str | None = None, **members: Any) -> dict[str, Any]:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return {
        "stream": STREAM,
        "partition": "0",
        "key": None if key is None else base64.b64encode(key.encode()).decode(),
        "value": base64.b64encode(raw).decode(),
        "offset": offset,
        "timestamp": 1790000000000,
        **members,
    }


def content(bundle: Bundle, path: str = "/ok", **members: Any) -> dict[str, Any]:
    inner: dict[str, Any] = bundle.record(path)["streamMessage"]
    return inner | members


def invoked(bundle: Bundle, batch: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Invoke store-data as Connector Hub does; the records of its answer."""
    client = oci.functions.FunctionsInvokeClient(
        {}, service_endpoint=bundle.oci_url, signer=signer(bundle.home)
    )
    response = client.invoke_function(
        identity.STORE_DATA_FUNCTION_OCID, invoke_function_body=json.dumps(batch)
    )
    records: list[dict[str, Any]] = response.data.json()["records"]
    return records


def test_each_message_is_a_record(bundle: Bundle) -> None:
    kept = invoked(bundle, [message(content(bundle), 1, "key1"), message(content(bundle), 2)])
    assert [bundle.state(one["id"]).get("streamKey") for one in kept] == ["key1", None]
    bundle.process()
    assert [bundle.state(one["id"])["status"] for one in kept] == ["success", "success"]


def test_a_message_that_comes_again_is_stored_once(bundle: Bundle) -> None:
    first = invoked(bundle, [message(content(bundle), number) for number in (1, 2)])
    again = invoked(bundle, [message(content(bundle), number) for number in (2, 3, 3)])
    assert again[0]["id"] == first[1]["id"]
    assert len(again) == 2
    assert len(bundle.documents()) == 3
    others = [message(content(bundle), 1, stream="other"), message(content(bundle), 1, partition="1")]
    invoked(bundle, others)
    assert len(bundle.documents()) == 5


def test_batches_that_race_store_each_message_once(bundle: Bundle) -> None:
    for start in range(0, 100, 20):
        batches = [
            [message(content(bundle), number) for number in range(start + one, start + 10 + one)]
            for one in range(8)
        ]
        before = len(bundle.documents())
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda batch: invoked(bundle, batch), batches))
        assert len(bundle.documents()) == before + 17


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ({"value": "no base64!"}, "not base64"),
        ({"value": 7}, "can't be read"),
        ({"value": base64.b64encode(b"{").decode()}, "not JSON"),
        ({"value": base64.b64encode(b"[]").decode()}, "must be an object"),
        ({"value": base64.b64encode(b"{}").decode()}, "/streamMessage/targetRestApi is missing"),
        ({"key": base64.b64encode(b"\xff").decode()}, "not UTF-8"),
    ],
)
def test_a_message_that_is_no_record_is_set_aside(bundle: Bundle, bad: dict[str, Any], reason: str) -> None:
    kept = invoked(bundle, [message(content(bundle), 1), message(content(bundle), 2) | bad])
    state = bundle.state(kept[1]["id"])
    assert (state["status"], state["status_code"], state["dead"]) == ("failed", "invalid", True)
    assert reason in state["failure_reason"]
    assert "setAside" not in state
    assert bundle.process()["processedmessages"] == 1
    assert bundle.retry(force=True) | {"lastReadOffset": ""} == {
        "lastReadOffset": "",
        "processedmessages": 0,
        "failedMessages": 0,
        "skippedMessages": 0,
        "endOfStream": True,
    }
    report = bundle.call("GET", "/process").json()
    assert report["counts"] == {
        "not_processed": 0,
        "success": 1,
        "filtered": 0,
        "cancelled": 0,
        "failed": 1,
        "dead": 1,
        "held": 0,
    }
    assert report["failed"]["byCode"] == {"invalid": 1}


def test_messages_that_are_set_aside_are_told_by_the_next_call(tmp_path: Path) -> None:
    with bundles.running(tmp_path / "home", NOTIFICATION_TOPIC_OCID=identity.TOPIC_OCID) as bundle:
        batch = [message({"targetRestApi": "nowhere"}, offset) for offset in (1, 2)]
        for _ in range(2):  # the Hub repeats what it got no answer for: no news
            invoked(bundle, batch)
        bundle.process()
        (told,) = Journal(next(bundle.home.rglob("messages.jsonl"))).entries()
        assert told["title"] == "Data Sync: 2 failed, 2 dead"
        assert "2 x invalid messages of a Stream" in told["body"]


def test_messages_may_name_only_the_secrets_that_the_operator_lists(tmp_path: Path) -> None:
    with bundles.target() as url:
        settings = {"ALLOWED_TARGETS": url, "CONNECTOR_HUB_SECRETS": "erp, crm"}
        with bundles.running(tmp_path, **settings) as bundle:
            for name in ("erp", "other"):
                put_secret(tmp_path, f"datasync-{name}", f"Bearer {name}")
            inner = {
                "targetRestApi": f"{url}/ok",
                "targetRestApiOperation": "POST",
                "targetRestApiPayload": 1,
            }
            batch = [
                message(inner | {"vaultSecretName": name}, offset)
                for offset, name in enumerate(("erp", "other"))
            ]
            assert bundle.call("POST", "/store", batch).status_code == 422
            kept = invoked(bundle, batch)
            bundle.process()
            states = [bundle.state(one["id"]) for one in kept]
            assert [state["status_code"] for state in states] == [200, "invalid"]
            assert "pass that token" in states[1]["failure_reason"]
