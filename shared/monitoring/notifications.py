"""Messages to a topic of OCI Notifications: new failures, summed up, and not too often.

What happened since the last message stands in a note, which all processes share: whoever finds that the
interval is over publishes it, and forgets it only then; the others add to it.
"""

import logging
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from shared.drivers.documents import Content, SmallDocuments
from shared.drivers.oci import OciClients, Refused
from shared.model.errors import DependencyDown
from shared.model.ids import timestamp
from shared.monitoring.call_stats import CallStats
from shared.settings import Settings

log = logging.getLogger(__name__)

_NAME = "notices"
_TOLD_REASONS = 5
_KEPT_REASONS = 30  # between two messages; the rest is counted as others
_OTHERS = "other reasons"
_STUCK = timedelta(minutes=1)  # longer than a message takes to be published


class Notifications:
    """Notifies operators of failures. If that fails, it is logged and has no other effect."""

    def __init__(
        self,
        clients: OciClients,
        notes: SmallDocuments,
        settings: Settings,
        wall: Callable[[], datetime] = lambda: datetime.now(UTC),
    ):
        self._clients = clients
        self._notes = notes
        self._settings = settings
        self._wall = wall

    def notify(self, seen: CallStats, call: str, *, publishing: bool = True) -> None:
        """Publish what is new in a call, and what was held back before; or hold this back as well.

        Without `publishing` it is always held back.
        """
        if not self._settings.notification_topic_ocid:
            return
        news = {"failed": seen.newly_failed, "dead": seen.dead, "calls": 1, "reasons": dict(seen.new)}
        try:
            if seen.new or self._is_held_back(self._notes.read(_NAME)):
                self._publish_when_due(news if seen.new else {}, call, publishing=publishing)
        except (Refused, DependencyDown) as error:
            log.warning("operators could not be notified: %s", error)

    def _is_held_back(self, note: Content) -> bool:
        return bool(note.get("calls")) or self._is_stuck(note)

    def _is_stuck(self, note: Content) -> bool:
        """Return whether a process took the news to publish them, and ended before it recorded that."""
        return "publishing" in note and str(note["last"]) < timestamp(self._wall() - _STUCK)

    def _publish_when_due(self, news: dict[str, Any], call: str, *, publishing: bool) -> None:
        """Take all news out of the document, publish them, then forget them: twice is better than never."""
        now = timestamp(self._wall())
        taken: Content = {}

        def take(note: Content) -> Content:
            taken.clear()
            total = _added(note, news)
            if self._is_stuck(note):
                total = _added(total, note.pop("publishing"))
            waits = {name: note[name] for name in ("last", "publishing") if name in note}
            too_early = note.get("last", "") > timestamp(self._wall() - self._interval)
            if not publishing or too_early or "publishing" in note:
                return total | waits
            taken.update(total)
            return {"last": now, "publishing": total}

        self._notes.change(_NAME, take)
        if not taken:
            return
        try:
            self._publish(_message(taken, call, self._settings.collection))
        except (Refused, DependencyDown):
            self._notes.change(_NAME, lambda note: _added(note, taken) | {"last": note.get("last", "")})
            raise
        self._notes.change(_NAME, _published(now))

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

    def forget(note: Content) -> Content | None:
        if note.get("last") != moment:
            return None
        return {name: value for name, value in note.items() if name != "publishing"}

    return forget


def _added(note: Content, news: dict[str, Any]) -> Content:
    reasons = Counter({reason: int(number) for reason, number in note.get("reasons", {}).items()})
    reasons.update(news.get("reasons", {}))
    kept = Counter(dict(reasons.most_common(_KEPT_REASONS)))
    kept[_OTHERS] += reasons.total() - kept.total()
    total = {name: int(note.get(name, 0)) + int(news.get(name, 0)) for name in ("failed", "dead", "calls")}
    return {**total, "reasons": dict(+kept)}


def _message(total: Content, call: str, collection: str) -> tuple[str, str]:
    """Return title and body: counts, codes and hosts, but no payload or token."""
    reasons: list[tuple[str, int]] = sorted(total["reasons"].items(), key=lambda one: (-one[1], one[0]))
    told = reasons[:_TOLD_REASONS]
    more = len(reasons) - len(told)
    lines = [
        f"{total['failed']} record(s) failed for the first time, and {total['dead']} died, in"
        f" {total['calls']} call(s) since the last message.",
        "",
        *(f"  {number} x {reason}" for reason, number in told),
        *([f"  and {more} more reason(s)"] if more else []),
        "",
        "For details: GET /process on the gateway, in a browser or as JSON, or `datasync status`.",
        f"Collection {collection}; in the log, the last of these calls is {call or 'unnamed'}.",
    ]
    return f"Data Sync: {total['failed']} failed, {total['dead']} dead", "\n".join(lines)
