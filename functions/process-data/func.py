"""process-data: delivers what is due (`POST /process`), replays failures (`/process/retry`), and reports."""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from shared import app
from shared.delivery.requests import process_request, retry_request
from shared.drivers import fdk, responses, threads
from shared.drivers.request import Request
from shared.drivers.responses import Response
from shared.model.errors import NotFound
from shared.operations import page, tasks

_NO_ROUTE = (
    "There is no such route; the routes are /process, and below it retry, failures, history and targets."
)


async def handler(ctx: Any, data: Any = None) -> Any:
    """Answer one invocation; the FDK calls this."""
    return await fdk.respond_async(ctx, data, _handle)


async def _handle(request: Request) -> Response:
    match request.segments_after("process"):
        case [] if request.method == "GET" and request.prefers_html():
            return page.page()
        case [] if request.method == "GET":
            return await _look(app.report().read, request)
        case []:
            request.expect_method("POST", "GET")
            return await _process(request)
        case ["retry"]:
            request.expect_method("POST")
            return await _retry(request)
        case ["failures"]:
            request.expect_method("GET")
            return await _look(app.report().failures, request)
        case ["history"]:
            request.expect_method("GET")
            return responses.ok({"history": await threads.OPERATIONS.run(app.audit().entries)})
        case ["targets", *rest]:
            return await threads.OPERATIONS.run(_targets, request, rest)
        case _:
            raise NotFound(_NO_ROUTE)


async def _look(read: Callable[[Mapping[str, str]], dict[str, Any]], request: Request) -> Response:
    """Answer what operators look at."""
    return responses.ok(await threads.OPERATIONS.run(read, request.query))


async def _process(request: Request) -> Response:
    service, direct = app.delivery(), request.is_direct
    if direct and (task := tasks.task(request.body)):
        return await threads.OPERATIONS.run(app.run_task, task, request.deadline)
    wanted = process_request(request.body, service.settings, request.deadline, direct=direct)
    return responses.ok((await service.run(wanted)).answer())


async def _retry(request: Request) -> Response:
    service = app.delivery()
    begun_at = time.monotonic()  # before what may take long, as reading the policies
    policies = await threads.DATABASE.run(service.policies.policies)
    wanted = retry_request(
        *(request.body, service.settings, request.deadline, policies.entries, request.caller)
    )
    if wanted.dry_run:
        return responses.ok((await service.preview(wanted)).answer())
    summary = await service.run(replace(wanted, begun_at=begun_at))
    said = {"filter": wanted.filter}
    await threads.OPERATIONS.run(app.note, "replay", request.caller, said, summary.counts())
    return responses.ok(summary.answer())


def _targets(request: Request, rest: list[str]) -> Response:
    """Answer what operators say of targets, or ask."""
    targets = app.targets()
    match rest:
        case [] if request.method == "GET":
            document, tag = targets.read()
        case []:
            request.expect_method("PUT", "GET")
            if_match = request.headers.get("if-match")
            document, tag = targets.write(request.body, if_match, request.caller)
            app.note("targets", request.caller, {"version": document["version"]})
        case ["history"]:
            request.expect_method("GET")
            return responses.ok(targets.history())
        case _:
            raise NotFound(_NO_ROUTE)
    return responses.ok(document, headers={"ETag": tag})
