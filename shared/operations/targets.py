"""What operators say of targets: `/process/targets`, the policies document, with what is live of them."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from shared.drivers.documents import SmallDocuments
from shared.model import json_codec, policies_document
from shared.model.errors import PreconditionFailed, PreconditionRequired
from shared.model.ids import timestamp
from shared.model.lanes import Lane, Policies, host_of
from shared.model.policy import Policy
from shared.model.targets import origin_of
from shared.storage import rates
from shared.storage.leases import LeaseTable
from shared.storage.policies import PolicyStore, Version
from shared.storage.queries import of_host, waiting_of
from shared.storage.records import Records

MOST_HOSTS = 100  # of which the live state is shown
_ETAG = re.compile(r'(?:W/)?"([0-9]{1,9})"')


class Targets:
    """The operators' policies; one instance serves a process."""

    def __init__(
        self, records: Records, leases: LeaseTable, documents: SmallDocuments, policies: PolicyStore
    ):
        self._records = records
        self._leases = leases
        self._documents = documents
        self._policies = policies

    def read(self) -> tuple[dict[str, Any], str]:
        """Return the document with what is live, and its entity tag."""
        newest, now = self._policies.newest(), self._records.now()
        live = self._live(self._policies.policies(), now)
        return {**newest.shown(), "live": live, "time": timestamp(now)}, _tag(newest)

    def write(self, body: bytes, if_match: str | None, caller: str) -> tuple[dict[str, Any], str]:
        """Put another document in the place of the one that `if_match` names. Return it, and its entity tag.

        Raises Invalid with every fault, PreconditionRequired or PreconditionFailed.
        """
        document = json_codec.parse(body)
        policies_document.read(document)
        wanted = _wanted(if_match)

        def matches(number: int) -> None:
            if wanted is not None and wanted != number:
                raise PreconditionFailed(
                    f"The policies are at version {number}, and no longer at the one that If-Match names:"
                    " read them again, and repeat the change."
                )

        kept = {name: one for name, one in document.items() if name not in policies_document.READ_ONLY}
        written = self._policies.write(kept, caller, self._records.now(), matches)
        return written.shown(), _tag(written)

    def history(self) -> dict[str, Any]:
        """Return the versions that are kept, the newest first."""
        return {"versions": [version.shown() for version in self._policies.versions()]}

    def _live(self, policies: Policies, now: datetime) -> list[dict[str, Any]]:
        """Return a line for each policy, and for each host of which none says anything."""
        _, circuits, rests = self._leases.overview(now)
        used = rates.used(self._documents.all(), now)
        named = [host for one in policies.entries if (host := origin_of(one.area.prefix))]
        down = [host_of(name) for name in (*circuits, *rests)]
        failed = self._records.failures_by("datasync.at")
        hosts = dict.fromkeys([*named, *down, *failed, *self._records.hosts_waiting(MOST_HOSTS)])
        shown = sorted([*hosts][: max(MOST_HOSTS, len(named))])
        lanes = [lane for host in shown for lane in policies.lanes_at(host)]
        lines = [
            _of_policy(policy, [lane for lane in lanes if lane.policy is policy], now, used)
            for policy in sorted(policies.entries, key=lambda one: one.name)
        ]
        lines += [{"target": lane.origin, "lanes": [lane]} for lane in lanes if not lane.policy.name]
        return [self._counted(line, circuits, rests) for line in lines]

    def _counted(self, line: dict[str, Any], circuits: list[str], rests: Mapping[str, str]) -> dict[str, Any]:
        lanes: list[Lane] = line.pop("lanes")
        names = [lane.name for lane in lanes]
        return {
            **line,
            "restingUntil": max((rests[name] for name in names if name in rests), default=None),
            "circuitOpen": any(name in circuits for name in names),
            "waiting": sum(self._records.count(waiting_of(lane)) for lane in lanes),
            "failed": sum(self._records.count(of_host(lane)) for lane in lanes),
        }


def _of_policy(policy: Policy, lanes: list[Lane], now: datetime, used: Mapping[str, int]) -> dict[str, Any]:
    is_paused = policy.is_paused(now)
    line: dict[str, Any] = {
        "name": policy.name,
        "paused": is_paused,
        "pausedUntil": policy.shown_until() if is_paused else None,
        "lanes": lanes,
    }
    if policy.rate is not None:
        line["rateUsed"] = used.get(policy.name, 0)
    return line


def _wanted(if_match: str | None) -> int | None:
    """Return the version that a request replaces; None if any."""
    text = (if_match or "").strip()
    if not text:
        raise PreconditionRequired(
            "Say which version you replace: send If-Match with the ETag that GET /process/targets gave."
        )
    if text == "*":
        return None
    match = _ETAG.fullmatch(text)
    if match is None:
        raise PreconditionFailed("If-Match is not an ETag that GET /process/targets gave.")
    return int(match[1])


def _tag(version: Version) -> str:
    return f'"{version.number}"'
