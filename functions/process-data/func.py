"""process-data: delivers what is due (`POST /process`), replays failures (`/process/retry`), and reports."""

import time
from dataclasses import replace
from typing import Any

from shared import app
from shared.delivery.requests import process_request, retry_request
from shared.drivers import fdk, responses, threads
from shared.drivers.request import Request
from shared.drivers.responses import Response
from shared.model.errors import NotFound
from shared.operations import page, search, tasks

_NO_ROUTE = "There is no such route; the routes are /process, /process/retry and /process/targets."


async def handler(ctx: Any, data: Any = None) -> Any:
    """Answer one invocation; the FDK calls this."""
    return await fdk.respond_async(ctx, data, _handle)


async def _handle(request: Request) -> Response:
    service, direct = app.delivery(), request.is_direct
    match request.segments_after("process"):
        case [] if request.method == "GET" and request.prefers_html():
            return page.page()
        case [] if request.method == "GET":
            query = search.report_query(request.query)
            return responses.ok(await threads.OPERATIONS.run(app.report().read, query))
        case []:
            request.expect_method("POST", "GET")
            if direct and (task := tasks.task(request.body)):
                return await threads.OPERATIONS.run(app.run_task, task, request.deadline)
            wanted = process_request(request.body, service.settings, request.deadline, direct=direct)
        case ["retry"]:
            request.expect_method("POST")
            begun_at = time.monotonic()  # before what may take long, as reading the policies
            policies = await threads.DATABASE.run(service.policies.policies)
            wanted = retry_request(request.body, service.settings, request.deadline, policies.entries)
            wanted = replace(wanted, begun_at=begun_at)
        case ["targets", *rest]:
            return await threads.OPERATIONS.run(_targets, request, rest)
        case _:
            raise NotFound(_NO_ROUTE)
    if wanted.dry_run:
        return responses.ok({"matchingMessages": await service.count(wanted)})
    return responses.ok((await service.run(wanted)).answer())


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
        case ["history"]:
            request.expect_method("GET")
            return responses.ok(targets.history())
        case _:
            raise NotFound(_NO_ROUTE)
    return responses.ok(document, headers={"ETag": tag})
