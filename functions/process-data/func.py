"""process-data: delivers what is due (`POST /process`), replays failures (`/process/retry`), and reports."""

from typing import Any

from shared import composition, edge, orders, replies
from shared.errors import NotFound
from shared.page import page


async def handler(ctx: Any, data: Any = None) -> Any:
    """Answer one invocation; the FDK calls this."""
    return await edge.answered_async(ctx, data, _handle)


async def _handle(request: edge.Request) -> replies.Reply:
    delivery, direct = composition.delivery(), request.path is None
    match request.tail_after("process"):
        case [] if request.method == "GET":
            if request.prefers_html():
                return page()
            search = orders.report_search(request.query)
            return replies.ok(await delivery.blocking(composition.report().read, search))
        case []:
            request.expect_method("POST", "GET")
            request.expect_json()
            if direct and (task := orders.task(request.body)):
                return replies.ok(await delivery.blocking(_carried_out, task, request.deadline))
            order = orders.process_order(request.body, delivery.settings, request.deadline, direct=direct)
        case ["retry"]:
            request.expect_method("POST")
            request.expect_json()
            order = orders.retry_order(request.body, delivery.settings, request.deadline)
        case _:
            raise NotFound("There is no such route; there are /process and /process/retry.")
    if order.dry_run:
        return replies.ok({"matchingMessages": await delivery.count(order)})
    return replies.ok((await delivery.run(order)).answer())


def _carried_out(task: orders.Task, deadline: float) -> dict[str, Any]:
    if task.name == orders.PREPARE:
        return composition.preparation().run(deadline, task.admin_password_secret)
    return composition.maintenance().run(deadline, dry_run=task.dry_run)
