"""`datasync edit` changes what was given and nothing else, and keeps a payload as it was written."""

import io
from pathlib import Path

import pytest

from tests.unit.datasync_deployment import URL, bodies, deployment, run

__all__ = ["deployment"]  # a fixture


def test_what_is_given_is_sent_and_nothing_else(deployment, tmp_path):
    payload = tmp_path / "payload.json"
    payload.write_text('{"a": "ä"}', encoding="utf-8")
    headers = ("--target-header", "X-A: 1", "--target-header", "X-B:", "--target-header", "X-A:2")
    cases = [
        (("--target", "https://erp.example.com/"), {"targetRestApi": "https://erp.example.com/"}),
        (("--target", ""), {"targetRestApi": ""}),  # which the deployment refuses
        (("--payload", str(payload)), {"targetRestApiPayload": {"a": "ä"}}),
        (
            headers,
            {
                "targetRestApiHeaders": [
                    {"key": "X-A", "value": "1"},
                    {"key": "X-B", "value": ""},
                    {"key": "X-A", "value": "2"},
                ]
            },
        ),
    ]
    for options, _ in cases:
        deployment.patch(f"{URL}/store/7", json={"id": "7"})
        assert run("edit", "7", *options) == 0
    deployment.patch(f"{URL}/store/7", json={"id": "7"})
    assert run("edit", "7", *(one for options, _ in cases[2:] for one in options)) == 0
    assert bodies(deployment) == [*(body for _, body in cases), cases[2][1] | cases[3][1]]
    assert {call.request.headers["Content-Type"] for call in deployment.calls} == {"application/json"}


@pytest.mark.parametrize("written", ["1.10", "12345678901234567890.123456789", "null", ' {"n": 1e2}\n'])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_a_payload_is_sent_as_it_was_written(deployment, monkeypatch, written, mark):
    deployment.patch(f"{URL}/store/7", json={"id": "7"})
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(mark + written.encode())))
    assert run("edit", "7", "--payload", "-") == 0
    expected = f'{{"targetRestApiPayload": {written.strip()}}}'
    assert deployment.calls[0].request.body.decode() == expected


@pytest.mark.parametrize("content", ["{", '1, "streamKey": 2', "", "[" * 100_000, "\xff"])
def test_a_payload_that_is_not_one_json_value_is_not_sent(deployment, capsys, tmp_path, content):
    file = tmp_path / "payload.json"
    file.write_bytes(content.encode("latin-1"))
    assert run("edit", "7", "--payload", str(file)) == 2
    assert "one JSON value" in capsys.readouterr().err


def test_a_file_that_is_not_there_is_named(deployment, capsys, tmp_path: Path):
    assert run("edit", "7", "--payload", str(tmp_path / "none.json")) == 2
    assert "none.json" in capsys.readouterr().err


def test_an_edit_of_nothing_says_what_can_be_given(deployment, capsys):
    assert run("edit", "7") == 2
    assert "--target-header" in capsys.readouterr().err


def test_a_header_without_a_colon_is_refused_and_not_repeated(deployment, capsys):
    with pytest.raises(SystemExit) as ended:
        run("edit", "7", "--target-header", "s3cret")
    assert ended.value.code == 2
    complaint = capsys.readouterr().err
    assert "'Name: value'" in complaint
    assert "s3cret" not in complaint


def test_what_the_deployment_is_sent_stays_apart_from_what_the_target_is_sent(deployment):
    deployment.patch(f"{URL}/store/7", json={"id": "7"})
    assert run("edit", "7", "--header", "X-Gateway: secret", "--target-header", "X-A: 1") == 0
    assert deployment.calls[0].request.headers["X-Gateway"] == "secret"
    assert bodies(deployment) == [{"targetRestApiHeaders": [{"key": "X-A", "value": "1"}]}]


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ({"id": "7", "dead": True}, "Changed targetRestApi. Send it with: datasync replay --id 7\n"),
        ({"id": "7"}, "Changed targetRestApi. It is sent when it is due.\n"),
    ],
)
def test_it_says_what_happens_next(deployment, capsys, state, words):
    deployment.patch(f"{URL}/store/7", json=state)
    assert run("edit", "7", "--target", "https://erp.example.com/") == 0
    assert capsys.readouterr().out == words


def test_what_is_wrong_is_said_where_it_is(deployment, capsys):
    errors = [{"pointer": "/targetRestApi", "detail": "must be https"}]
    deployment.patch(f"{URL}/store/a%2Fb", status=422, json={"title": "Validation failed", "errors": errors})
    assert run("edit", "a/b", "--target", "http://erp.example.com/") == 1
    assert "at /targetRestApi: must be https" in capsys.readouterr().err
