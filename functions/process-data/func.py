"""process-data: delivers what is due (`POST /process`), replays failures (`/process/retry`), and reports."""

import functools
import os
from typing import Any

from shared import edge, replies
from shared.archive import Archive
from shared.composition import parts
from shared.delivery import Delivery
from shared.errors import NotFound
from shared.fan_out import FanOut
from shared.leases import LeaseTable
from shared.maintenance import Maintenance
from shared.metrics import Metrics
from shared.notices import Notices
from shared.orders import maintenance_order, process_order, report_conditions, retry_order
from shared.page import page
from shared.report import Report
from shared.signing import SigningKeys


async def handler(ctx: Any, data: Any = None) -> Any:
    """Answer one invocation; the FDK calls this."""
    return await edge.answered_async(ctx, data, _handle)


async def _handle(request: edge.Request) -> replies.Reply:
    delivery = _delivery()
    match request.tail_after("process"):
        case [] if request.method == "GET":
            if request.prefers_html():
                return page()
            conditions = report_conditions(request.query)
            return replies.ok(await delivery.blocking(_report().read, conditions))
        case []:
            request.expect_method("POST", "GET")
            request.expect_json()
            direct = request.path is None
            dry_run = maintenance_order(request.body) if direct else None
            if dry_run is not None:
                work = functools.partial(_maintenance().run, request.deadline, dry_run=dry_run)
                return replies.ok(await delivery.blocking(work))
            order = process_order(request.body, delivery.settings, request.deadline, direct=direct)
        case ["retry"]:
            request.expect_method("POST")
            request.expect_json()
            order = retry_order(request.body, delivery.settings, request.deadline)
        case _:
            raise NotFound("There is no such route; there are /process and /process/retry.")
    if order.dry_run:
        return replies.ok({"matchingMessages": await delivery.count(order)})
    return replies.ok((await delivery.run(order)).answer())


@functools.cache
def _delivery() -> Delivery:
    made = parts()
    leases = LeaseTable(made.database, made.settings.collection, made.settings.lease)
    fan_out = FanOut(made.clients, os.environ.get("FN_FN_ID", ""))
    metrics = Metrics(made.clients, made.settings)
    notices = Notices(made.clients, made.notes, made.settings)
    signing = SigningKeys(made.clients, made.settings)
    return Delivery(made.settings, made.records, made.vault, leases, fan_out, metrics, notices, signing)


def _maintenance() -> Maintenance:
    made, leases = parts(), _delivery().leases
    archive = Archive(made.clients, made.settings.archive_bucket)
    return Maintenance(made.settings, made.records, leases, made.notes, made.vault, archive)


@functools.cache
def _report() -> Report:
    made, delivery = parts(), _delivery()
    return Report(made.records, delivery.leases, made.notes, with_payloads=made.settings.show_payloads)
