"""Orphaned records: those that a dead worker may have been sending, and wrote no outcome of."""

import logging
from collections.abc import Iterator

from shared.delivery.policy_watch import PolicyWatch
from shared.drivers import clock, threads
from shared.model import record, transitions
from shared.model.codes import UNEXPECTED_ERROR
from shared.model.record import Document
from shared.settings import Settings
from shared.storage.leases import Attempts
from shared.storage.records import Records, Stored

log = logging.getLogger(__name__)

_PAGE = 256

Change = tuple[Document, Document]


async def rescue(
    records: Records, settings: Settings, orphaned: Attempts, policies: PolicyWatch
) -> list[Change]:
    """Write an interrupted attempt on each orphaned record, and return what was written, before and after.

    Whoever does this at the same time finds the attempts changed, or the version, and writes nothing.
    """
    written: list[Change] = []
    identities = list(orphaned)
    for start in range(0, len(identities), _PAGE):
        found = await threads.DATABASE.run(records.with_ids, identities[start : start + _PAGE])
        changes = list(_changes(found, settings, orphaned, policies))
        if changes:
            log.warning("%d records were in flight when their worker ended", len(changes))
            done = await threads.DATABASE.run(records.write, changes)
            pairs = zip(changes, done, strict=True)
            written += [(before.document, after) for (before, after), is_done in pairs if is_done]
    return written


def _changes(
    found: list[Stored], settings: Settings, orphaned: Attempts, policies: PolicyWatch
) -> Iterator[tuple[Stored, Document]]:
    stream = settings.retry_policy().error_stream(UNEXPECTED_ERROR)
    for stored in found:
        document = stored.document
        may_be_sent = record.is_unfinished(document) or document["status"] == record.CANCELLED
        if may_be_sent and record.tries(document) == orphaned[document["id"]]:
            policy = policies.policy(document)
            limit = policy.retry_limit or settings.retry_limit
            after = transitions.interrupted(document, stream, limit, clock.now(), holds=policy.holds_unknown)
            yield stored, after
