"""process-data: delivers what is due (`POST /process`), replays failures (`/process/retry`), and reports."""

from typing import Any

from shared import app
from shared.delivery import requests
from shared.drivers import fdk, responses
from shared.drivers.responses import Response
from shared.model.errors import NotFound
from shared.operations.page import page


async def handler(ctx: Any, data: Any = None) -> Any:
    """Answer one invocation; the FDK calls this."""
    return await fdk.respond_async(ctx, data, _handle)


async def _handle(request: fdk.Request) -> Response:
    delivery, direct = app.delivery(), request.path is None
    match request.segments_after("process"):
        case [] if request.method == "GET":
            if request.prefers_html():
                return page()
            search = requests.report_query(request.query)
            return responses.ok(await delivery.blocking(app.report().read, search))
        case []:
            request.expect_method("POST", "GET")
            request.expect_json()
            if direct and (task := requests.task(request.body)):
                return responses.ok(await delivery.blocking(_carried_out, task, request.deadline))
            order = requests.process_request(request.body, delivery.settings, request.deadline, direct=direct)
        case ["retry"]:
            request.expect_method("POST")
            request.expect_json()
            order = requests.retry_request(request.body, delivery.settings, request.deadline)
        case _:
            raise NotFound("There is no such route; the routes are /process and /process/retry.")
    if order.dry_run:
        return responses.ok({"matchingMessages": await delivery.count(order)})
    return responses.ok((await delivery.run(order)).answer())


def _carried_out(task: requests.Task, deadline: float) -> dict[str, Any]:
    if task.name == requests.PREPARE:
        return app.preparation().run(deadline, task.admin_password_secret)
    return app.maintenance().run(deadline, dry_run=task.dry_run)
