"""Messages to a topic of OCI Notifications: new failures, summed up, and not too often.

What happened since the last message is kept in a document that all processes share: whoever finds that the
interval is over publishes it, and forgets it only then; the others add to it.
"""

import logging
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from shared.drivers import clock
from shared.drivers.documents import Content, SmallDocuments
from shared.drivers.oci import OciClients, Refused
from shared.model.errors import DependencyDown
from shared.model.ids import timestamp
from shared.monitoring.call_stats import CallStats
from shared.settings import Settings

log = logging.getLogger(__name__)

_NAME = "notices"  # as it has always stood in the database
_LISTED_REASONS = 5
_KEPT_REASONS = 30  # between two messages; the rest is counted as others
_OTHERS = "other reasons"
_STUCK = timedelta(minutes=1)  # longer than a message takes to be published


class Notifications:
    """Notifies operators of failures. If that fails, it is logged and has no other effect."""

    def __init__(
        self,
        clients: OciClients,
        documents: SmallDocuments,
        settings: Settings,
        wall: Callable[[], datetime] = clock.now,
    ):
        self._clients = clients
        self._documents = documents
        self._settings = settings
        self._wall = wall

    def notify(self, stats: CallStats, call: str, *, publishing: bool = True) -> None:
        """Publish what is new in a call, and what was held back before; or hold this back as well.

        Without `publishing` it is always held back.
        """
        if not self._settings.notification_topic_ocid:
            return
        news = {"failed": stats.newly_failed, "dead": stats.dead, "calls": 1, "reasons": dict(stats.new)}
        try:
            if stats.new or self._is_held_back(self._documents.read(_NAME)):
                self._publish_when_due(news if stats.new else {}, call, publishing=publishing)
        except (Refused, DependencyDown) as error:
            log.warning("operators could not be notified: %s", error)

    def _is_held_back(self, document: Content) -> bool:
        return bool(document.get("calls")) or self._is_stuck(document)

    def _is_stuck(self, document: Content) -> bool:
        """Return whether a process took the news to publish them, and ended before it recorded that."""
        return "publishing" in document and str(document["last"]) < timestamp(self._wall() - _STUCK)

    def _publish_when_due(self, news: dict[str, Any], call: str, *, publishing: bool) -> None:
        """Take all news out of the document, publish them, then forget them: twice is better than never."""
        now = timestamp(self._wall())
        taken: Content = {}

        def take(document: Content) -> Content:
            taken.clear()
            total = _added(document, news)
            if self._is_stuck(document):
                total = _added(total, document.pop("publishing"))
            waits = {name: document[name] for name in ("last", "publishing") if name in document}
            too_early = document.get("last", "") > timestamp(self._wall() - self._interval)
            if not publishing or too_early or "publishing" in document:
                return total | waits
            taken.update(total)
            return {"last": now, "publishing": total}

        self._documents.change(_NAME, take)
        if not taken:
            return
        try:
            self._publish(_message(taken, call, self._settings.collection))
        except (Refused, DependencyDown):
            self._documents.change(
                _NAME, lambda document: _added(document, taken) | {"last": document.get("last", "")}
            )
            raise
        self._documents.change(_NAME, _published(now))

    @property
    def _interval(self) -> timedelta:
        return timedelta(seconds=self._settings.notification_interval)

    def _publish(self, message: tuple[str, str]) -> None:
        from oci.ons.models import MessageDetails

        title, body = message
        self._clients.call(
            "ons",
            "NotificationDataPlaneClient",
            "publish_message",
            self._settings.notification_topic_ocid,
            MessageDetails(title=title, body=body),
        )


def _published(moment: str) -> Callable[[Content], Content | None]:
    """Forget what was taken at that moment, unless another process has taken it in the meantime."""

    def forget(document: Content) -> Content | None:
        if document.get("last") != moment:
            return None
        return {name: value for name, value in document.items() if name != "publishing"}

    return forget


def _added(document: Content, news: dict[str, Any]) -> Content:
    reasons = Counter({reason: int(number) for reason, number in document.get("reasons", {}).items()})
    reasons.update(news.get("reasons", {}))
    kept = Counter(dict(reasons.most_common(_KEPT_REASONS)))
    kept[_OTHERS] += reasons.total() - kept.total()
    total = {
        name: int(document.get(name, 0)) + int(news.get(name, 0)) for name in ("failed", "dead", "calls")
    }
    return {**total, "reasons": dict(+kept)}


def _message(total: Content, call: str, collection: str) -> tuple[str, str]:
    """Return title and body: counts, codes and hosts, but no payload or token."""
    reasons: list[tuple[str, int]] = sorted(total["reasons"].items(), key=lambda one: (-one[1], one[0]))
    listed = reasons[:_LISTED_REASONS]
    more = len(reasons) - len(listed)
    lines = [
        f"{total['failed']} record(s) failed for the first time, and {total['dead']} died, in"
        f" {total['calls']} call(s) since the last message.",
        "",
        *(f"  {number} x {reason}" for reason, number in listed),
        *([f"  and {more} more reason(s)"] if more else []),
        "",
        "For details: GET /process on the gateway, in a browser or as JSON, or `datasync status`.",
        f"Collection {collection}; in the log, the last of these calls is {call or 'unnamed'}.",
    ]
    return f"Data Sync: {total['failed']} failed, {total['dead']} dead", "\n".join(lines)
