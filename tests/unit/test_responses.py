"""Answers as a caller reads them, and nothing in them of what went wrong inside."""

import json
import logging
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from shared.drivers.responses import Response, ok, problem
from shared.model.errors import (
    Conflict,
    DataSyncError,
    DependencyDown,
    Fault,
    Forbidden,
    Invalid,
    MethodNotAllowed,
    Misconfigured,
    NotFound,
    NotJson,
    TooLarge,
    UnsupportedMediaType,
)

SECRET = "s3cret-value"


@pytest.fixture
def logged() -> Iterator[list[logging.LogRecord]]:
    """What the library logs, whether or not it was configured to hand it on."""
    events: list[logging.LogRecord] = []

    class Collecting(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            events.append(record)

    handler, library = Collecting(), logging.getLogger("shared")
    library.addHandler(handler)
    yield events
    library.removeHandler(handler)


def body(reply: Response) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(reply.body)
    return read


def raised(error: Exception) -> Exception:
    """An error as it is caught: with the frames it came through, and one that it followed from."""
    try:
        raise error from KeyError(SECRET)
    except type(error) as caught:
        return caught


def test_a_result_is_json() -> None:
    reply = ok({"amount": Decimal("12.50"), "name": "ü"}, 202)
    assert (reply.status, reply.body) == (202, '{"amount":12.50,"name":"ü"}'.encode())
    assert reply.headers["Content-Type"] == "application/json"
    assert ok([]).status == 200


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (NotJson("why"), 400),
        (Forbidden("why"), 403),
        (NotFound("why"), 404),
        (MethodNotAllowed("GET", ["POST"]), 405),
        (Conflict("why"), 409),
        (TooLarge("why"), 413),
        (UnsupportedMediaType("why"), 415),
        (Invalid("why"), 422),
        (Misconfigured("why"), 500),
        (DependencyDown("why"), 503),
    ],
)
def test_an_error_is_a_problem_with_title_status_and_detail(error: DataSyncError, status: int) -> None:
    reply = problem(error)
    assert reply.status == status
    assert reply.headers["Content-Type"] == "application/problem+json"
    assert body(reply) == {"title": error.title, "status": status, "detail": error.detail}
    assert error.title


def test_errors_have_titles_of_their_own() -> None:
    kinds = (
        NotJson,
        Forbidden,
        NotFound,
        MethodNotAllowed,
        Conflict,
        TooLarge,
        UnsupportedMediaType,
        Invalid,
        DependencyDown,
    )
    assert len({kind.title for kind in kinds}) == len(kinds)


def test_every_fault_is_listed_with_its_pointer() -> None:
    faults = [Fault("/0/targetRestApi", "is missing"), Fault("", "must be an object")]
    assert body(problem(Invalid("2 rules broken", faults)))["errors"] == [
        {"pointer": "/0/targetRestApi", "detail": "is missing"},
        {"pointer": "", "detail": "must be an object"},
    ]


def test_a_refused_method_comes_with_those_that_are_allowed() -> None:
    reply = problem(MethodNotAllowed("DELETE", ["POST", "GET"]))
    assert reply.headers["Allow"] == "POST, GET"
    assert "DELETE" in body(reply)["detail"]


def test_a_dependency_that_is_down_says_when_to_come_back() -> None:
    assert int(problem(DependencyDown("why")).headers["Retry-After"]) > 0
    assert problem(DependencyDown("why", retry_after=17)).headers["Retry-After"] == "17"


def test_other_errors_promise_nothing() -> None:
    assert not {"Retry-After", "Allow"} & problem(Conflict("why")).headers.keys()


@pytest.mark.parametrize("reply", [ok({}), problem(Conflict("why")), problem(ZeroDivisionError())])
def test_no_answer_is_kept_or_guessed_at_on_its_way(reply: Response) -> None:
    assert reply.headers["Cache-Control"] == "no-store"
    assert reply.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    "error", [ValueError(SECRET), OSError(5, SECRET), RuntimeError({"token": SECRET}), KeyError()]
)
def test_of_a_defect_the_caller_reads_nothing_but_that_there_is_one(
    error: Exception, logged: list[logging.LogRecord]
) -> None:
    reply = problem(raised(error))
    assert reply.status == 500
    assert body(reply).keys() == {"title", "status", "detail"}
    told = reply.body.decode() + str(reply.headers)
    assert not any(text in told for text in (SECRET, type(error).__name__, Path(__file__).name, "Traceback"))
    (event,) = logged
    assert event.levelno == logging.ERROR


def test_of_a_defect_the_log_has_type_and_place_and_no_text(logged: list[logging.LogRecord]) -> None:
    problem(raised(ValueError(SECRET)))
    (event,) = logged
    text = logging.Formatter().format(event)  # with the traceback, were there one
    line = raised.__code__.co_firstlineno
    assert "ValueError" in text
    assert any(f"{Path(__file__).name}:{number}" in text for number in range(line, line + 10))
    assert SECRET not in text


def test_a_defect_without_a_traceback_is_logged_too(logged: list[logging.LogRecord]) -> None:
    problem(ValueError(SECRET))
    (event,) = logged
    assert "ValueError" in event.getMessage()


def test_what_a_caller_did_is_no_defect(logged: list[logging.LogRecord]) -> None:
    problem(raised(NotFound("There is no such record.")))
    assert logged == []


def test_an_errors_cause_is_not_told() -> None:
    assert SECRET not in problem(raised(DependencyDown("The database is unavailable."))).body.decode()
