"""Traces are taken over from the platform, and go on to the targets."""

import re
from types import SimpleNamespace

import pytest
from fdk.context import TracingContext

from shared.drivers import logs
from shared.model import record
from shared.outbound import sender

DOCUMENT = record.new({"targetRestApi": "https://a.example.com/", "targetRestApiOperation": "DELETE"})


def begin(trace_id: str, *, enabled: bool = True, sampled: int = 1) -> None:
    trace = TracingContext(enabled, "https://apm.example.com", trace_id, "1" * 16, "2" * 16, sampled, 0)
    logs.begin_trace(SimpleNamespace(TracingContext=lambda: trace))


def sent(**members: object) -> list[str]:
    headers = sender.headers(DOCUMENT | members, None)
    return [value for name, value in headers if name.lower() == "traceparent"]


@pytest.mark.parametrize("sampled", [0, 1])
def test_a_target_is_told_of_the_trace(sampled: int) -> None:
    begin("463ac35c9f6413ad", sampled=sampled)
    (first,), (second,) = sent(), sent()
    assert re.fullmatch(f"00-0{{16}}463ac35c9f6413ad-[0-9a-f]{{16}}-0{sampled}", first)
    assert first != second  # each request is a span of its own
    begin("4BF92F3577B34DA6A3CE929D0E0E4736")
    assert sent()[0].startswith("00-4bf92f3577b34da6a3ce929d0e0e4736-")


def test_a_sources_own_trace_goes_on() -> None:
    begin("463ac35c9f6413ad")
    own = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    assert sent(targetRestApiHeaders={"Traceparent": own}) == [own]


@pytest.mark.parametrize(
    "trace_id", ["", "0" * 16, "463ac35c", "463ac35c9f6413aZ", "463ac35c9f6413ad\r\nX: y"]
)
def test_what_is_no_trace_is_not_passed_on(trace_id: str) -> None:
    begin(trace_id)
    assert sent() == []


def test_where_the_application_does_not_trace_nothing_is_sent() -> None:
    begin("463ac35c9f6413ad", enabled=False)
    assert sent() == []
