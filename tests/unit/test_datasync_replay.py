"""`datasync replay` walks through the failed records in the agreed way, and ends in every case."""

import io
import json
from typing import Any

import pytest
import responses

from tests.unit.datasync_deployment import RETRY, URL, bodies, deployment, interrupt, run

__all__ = ["deployment"]  # a fixture


def counted(mock: responses.RequestsMock, number: int) -> None:
    mock.post(RETRY, json={"matchingMessages": number})


def answered(
    mock: responses.RequestsMock,
    offset: Any,
    ok: int = 0,
    failed: int = 0,
    skipped: int = 0,
    *,
    end: bool = False,
) -> None:
    answer = {
        "lastReadOffset": offset,
        "processedmessages": ok,
        "failedMessages": failed,
        "skippedMessages": skipped,
        "endOfStream": end,
    }
    mock.post(RETRY, json=answer)


def reported(mock: responses.RequestsMock, *failures: dict[str, Any], more: str | None = None) -> None:
    report = {"time": "2026-11-24T12:00:00.000000Z", "latestFailures": failures, "failuresNext": more}
    mock.get(f"{URL}/process", json=report)


def failure(identity: str = "id-1", *, dead: bool = False, due: str = "13") -> dict[str, Any]:
    state = {"dead": True} if dead else {"nextAttemptDate": f"2026-11-24T{due}:00:00.000000Z"}
    return {"id": identity, **state}


def test_replay_counts_first_then_walks_to_the_end_passing_each_offset_back(deployment, capsys):
    counted(deployment, 5)
    answered(deployment, "id-2", ok=2)
    answered(deployment, "id-4", ok=2)
    answered(deployment, "id-5", ok=1, end=True)
    assert run("replay") == 0
    assert bodies(deployment) == [
        {"readAfterOffset": "-1", "dryRun": True, "breakdown": True},
        {"readAfterOffset": "-1"},
        {"readAfterOffset": "id-2"},
        {"readAfterOffset": "id-4"},
    ]
    output = capsys.readouterr()
    assert output.out == "5 matched: 5 delivered, 0 failed again, 0 skipped\n"
    assert "5/5" in output.err


def test_every_filter_goes_with_the_count_and_with_every_call(deployment):
    counted(deployment, 1)
    answered(deployment, "id-9", ok=1, end=True)
    options = "--codes 503,unexpectedError --stream recoverable --from 2026-11-01T00:00:00Z --limit 4"
    more = "--to 2026-11-02T00:00:00Z --target https://erp.example.com/ --key key1 --batch 50 --after id-1"
    named = "--reference r --secret v"
    flags = ("--force", "--adopt-token")
    assert run("replay", *options.split(), *more.split(), *named.split(), *flags) == 0
    filters = {
        "retryCodes": "503,unexpectedError",
        "streamOCIDToRetry": "recoverable",
        "from": "2026-11-01T00:00:00Z",
        "to": "2026-11-02T00:00:00Z",
        "targetRestApi": "https://erp.example.com/",
        "streamKey": "key1",
        "reference": "r",
        "vaultSecretName": "v",
        "retryLimit": 4,
        "force": True,
        "adoptToken": True,
        "noOfMessagesToProcess": 50,
        "readAfterOffset": "id-1",
    }
    assert bodies(deployment) == [{**filters, "dryRun": True, "breakdown": True}, filters]


def test_a_dry_run_only_counts(deployment, capsys):
    counted(deployment, 7)
    assert run("replay", "--dry-run") == 0
    assert [body["dryRun"] for body in bodies(deployment)] == [True]
    assert capsys.readouterr().out == "7 match\n"


OF_WHAT = {"matchingMessages": 9, "byCode": {"404": 2, "503": 7}, "byTarget": {"erp:443": 9}}
IN_WORDS = "9 match: 7 with 503, 2 with 404; 9 at erp:443"


def at_a_terminal(monkeypatch: pytest.MonkeyPatch, typed: str) -> None:
    """Let somebody sit there who types something."""
    stdin = io.StringIO(typed)
    stdin.isatty = lambda: True
    monkeypatch.setattr("sys.stdin", stdin)


def test_a_dry_run_tells_of_what_by_code_and_target(deployment, capsys):
    deployment.post(RETRY, json=OF_WHAT)
    assert run("replay", "--dry-run") == 0
    deployment.post(RETRY, json=OF_WHAT)
    assert run("replay", "--dry-run", "--json") == 0
    words, content = capsys.readouterr().out.splitlines()
    assert words == IN_WORDS
    assert json.loads(content) == OF_WHAT


def test_of_many_codes_and_targets_the_most_frequent_are_told(deployment, capsys):
    codes = {str(number): number for number in range(401, 408)}
    deployment.post(
        RETRY, json={"matchingMessages": 9, "byCode": codes, "byTarget": {"\x1b[31ma": 1, "b": "x"}}
    )
    assert run("replay", "--dry-run") == 0
    assert capsys.readouterr().out == (
        "9 match: 407 with 407, 406 with 406, 405 with 405, 404 with 404, 403 with 403, 803 with others; "
        "1 at  [31ma\n"
    )


@pytest.mark.parametrize("typed", ["n\n", "\n", ""])
@pytest.mark.parametrize("as_json", [(), ("--json",)])
def test_at_a_terminal_more_than_one_is_replayed_only_after_a_yes(
    deployment, capsys, monkeypatch, typed, as_json
):
    at_a_terminal(monkeypatch, typed)
    deployment.post(RETRY, json=OF_WHAT)
    assert run("replay", *as_json) == 1
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith(f"{IN_WORDS}. Replay them? [y/N] ")
    assert "Nothing was changed" in output.err


@pytest.mark.parametrize(
    ("typed", "matching", "options"), [("y\n", 9, ()), ("n\n", 9, ("--yes",)), ("n\n", 1, ())]
)
def test_a_yes_an_option_or_a_single_record_is_enough(
    deployment, capsys, monkeypatch, typed, matching, options
):
    at_a_terminal(monkeypatch, typed)
    deployment.post(RETRY, json={**OF_WHAT, "matchingMessages": matching})
    answered(deployment, "id-9", ok=matching, end=True)
    assert run("replay", *options) == 0
    assert f"{matching} delivered" in capsys.readouterr().out


def test_where_nobody_can_be_asked_it_tells_what_matches_and_goes_on(deployment, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    deployment.post(RETRY, json=OF_WHAT)
    answered(deployment, "id-9", ok=7, failed=1, skipped=1, end=True)
    assert run("replay") == 1
    output = capsys.readouterr()
    assert output.out == "9 matched: 7 delivered, 1 failed again, 1 skipped\n"
    assert output.err.startswith(f"{IN_WORDS}\n")


@pytest.mark.parametrize("dry_run", [(), ("--dry-run",)])
@pytest.mark.parametrize(
    ("failures", "words"),
    [
        ([], "0 match"),
        ([failure()] * 3, "0 match, 3 wait for their backoff: use --force"),
        ([failure()], "0 match, 1 waits for its backoff: use --force"),
        ([failure(dead=True)] * 2, "0 match, 2 are dead: use --force"),
        (
            [failure(), failure(), failure(dead=True)],
            "0 match, 2 wait for their backoff and 1 is dead: use --force",
        ),
        ([failure(due="11")], "0 match"),  # due, and kept out by a filter
    ],
)
def test_if_nothing_matches_it_says_what_only_force_would_replay(
    deployment, capsys, dry_run, failures, words
):
    counted(deployment, 0)
    reported(deployment, *failures)
    assert run("replay", *dry_run) == 0
    assert capsys.readouterr().out == f"{words}\n"


def test_what_waits_is_looked_for_with_the_same_filters(deployment, capsys):
    counted(deployment, 0)
    reported(deployment, failure("id-1"), failure("id-2"), failure("id-3"), more="behind")
    assert run("replay", "--codes", "503", "--key", "a b", "--limit", "7", "--after", "id-1") == 0
    assert deployment.calls[1].request.params == {"retryCodes": "503", "streamKey": "a b"}
    assert "at least 2 wait" in capsys.readouterr().out


@pytest.mark.parametrize("option", ["--force", "--adopt-token"])
def test_if_force_would_change_nothing_it_is_not_advised(deployment, capsys, option):
    counted(deployment, 0)
    assert run("replay", option) == 0
    assert capsys.readouterr().out == "0 match\n"


@pytest.mark.parametrize("result", [{"ok": 1, "failed": 1}, {"ok": 1, "skipped": 1}])
def test_exit_code_1_if_a_record_was_not_delivered(deployment, result):
    counted(deployment, 2)
    answered(deployment, "id-2", **result, end=True)
    assert run("replay") == 1


def test_replay_prints_its_result_as_json_and_nothing_beside(deployment, capsys):
    counted(deployment, 2)
    answered(deployment, "id-2", ok=1, failed=1, end=True)
    run("replay", "--json")
    output = capsys.readouterr()
    assert json.loads(output.out) == {
        "matchingMessages": 2,
        "succeeded": 1,
        "failed": 1,
        "skipped": 0,
        "lastReadOffset": "id-2",
        "endOfStream": True,
    }
    assert output.err == ""


def test_as_json_a_replay_of_nothing_and_a_count_have_the_same_members(deployment, capsys):
    counted(deployment, 0)
    assert run("replay", "--json") == 0
    counted(deployment, 3)
    assert run("replay", "--json", "--dry-run") == 0
    nothing, count = map(json.loads, capsys.readouterr().out.splitlines())
    assert (nothing["matchingMessages"], nothing["succeeded"], nothing["endOfStream"]) == (0, 0, True)
    assert count == {"matchingMessages": 3, "byCode": {}, "byTarget": {}}


@pytest.mark.parametrize("offset", [-1, "-1", "id-1", "id-0"])
def test_a_walk_that_neither_moves_on_nor_delivers_is_stopped(deployment, capsys, offset):
    counted(deployment, 3)
    answered(deployment, "id-1", failed=1)
    answered(deployment, offset, failed=1)
    assert run("replay") == 1
    complaint = capsys.readouterr().err
    assert "neither moved on nor" in complaint
    assert "--after id-1" in complaint


def test_a_call_that_handled_nothing_but_moved_on_does_not_stop_the_walk(deployment):
    counted(deployment, 2)
    answered(deployment, "id-1", skipped=0)
    answered(deployment, "id-2", ok=2, end=True)
    assert run("replay") == 0


def test_an_offset_of_minus_one_does_not_start_the_walk_again(deployment):
    counted(deployment, 3)
    answered(deployment, "id-1", ok=1)
    answered(deployment, -1, ok=1)
    answered(deployment, "id-3", ok=1, end=True)
    assert run("replay") == 0
    assert [body["readAfterOffset"] for body in bodies(deployment)] == ["-1", "-1", "id-1", "id-1"]


def test_an_error_in_the_middle_says_what_was_done_and_how_to_go_on(deployment, capsys):
    counted(deployment, 4)
    answered(deployment, "id-2", ok=2)
    deployment.post(RETRY, status=500, json={"title": "Internal error"})
    assert run("replay") == 1
    output = capsys.readouterr()
    assert "2 delivered" in output.out
    assert "Internal error" in output.err
    assert "--after id-2" in output.err


@pytest.mark.parametrize(
    ("batches", "advice"), [(0, "run the same command again"), (1, "run the same command with --after id-2")]
)
def test_ctrl_c_says_what_was_done_and_how_to_go_on(deployment, capsys, batches, advice):
    counted(deployment, 4)
    for _ in range(batches):
        answered(deployment, "id-2", ok=2)
    deployment.add_callback("POST", RETRY, interrupt)
    assert run("replay") == 130
    output = capsys.readouterr()
    assert f"4 matched: {2 * batches} delivered" in output.out
    assert "may still finish" in output.err
    assert advice in output.err


def test_ctrl_c_while_counting_has_nothing_to_go_on_from(deployment, capsys):
    deployment.add_callback("POST", RETRY, interrupt)
    assert run("replay") == 130
    assert capsys.readouterr().err == "Interrupted.\n"
