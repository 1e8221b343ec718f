"""What a call to `/process` or `/process/retry` asks for: its body, checked, as a DeliveryRequest."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from shared.model.codes import INVALID, TOKEN_CHANGED, error_mapping, status_codes
from shared.model.history import Act
from shared.model.members import MemberReader, boolean, members_of, offset, whole_number
from shared.model.policy import Policy
from shared.model.retry import RetryPolicy
from shared.settings import Settings
from shared.storage.failure_queries import FAILURE_MEMBERS, failure_query
from shared.storage.queries import DUE, FAILED, NOW, REPLAY, Query

_NUMBER = "noOfMessagesToProcess"
_OF_ONE_CALL = (_NUMBER, "readAfterOffset", "dryRun", "breakdown")
_MOST_IDS = 100
_LONGEST_ID = 64  # characters
RETRY_MEMBERS = (
    *(_NUMBER, "readAfterOffset", "ids", "retryCodes", "retryLimit", "errormapping"),
    *(*FAILURE_MEMBERS, "adoptToken", "force", "dryRun", "breakdown"),
)


@dataclass(frozen=True)
class DeliveryRequest:
    """What one call is to do: which records, how many, under which rules, until when (monotonic seconds)."""

    query: Query
    limit: int
    policy: RetryPolicy
    deadline: float
    dry_run: bool = False
    breakdown: bool = False
    """Whether a dry run counts by code and target, too."""
    fanned_out: bool = False
    adopt_token: bool = False
    """Send with a secret's current version what was proven with an earlier one."""
    replayed: Act | None = None
    """What is noted on each record's history: of a replay of records that were named."""
    filter: Mapping[str, Any] = field(default_factory=dict)
    """What it says of the records to replay, which all calls of one walk have in common."""
    begun_at: float = field(default_factory=time.monotonic, compare=False)
    """When the call began, in the same seconds."""

    @property
    def is_walk(self) -> bool:
        """Whether it goes through failed records in the order of their ids, whoever owns which partition."""
        return self.query.order != DUE


def process_request(
    body: bytes, settings: Settings, deadline: float, *, direct: bool = False
) -> DeliveryRequest:
    """Read the body of `/process`: none, `{}`, or a bound on the number of records.

    Invoked directly, the body may be anything, such as the message of an alarm that serves as a clock;
    `fannedOut` says that another invocation started this one.
    """
    reader = MemberReader(members_of(body, lenient=direct, needed=_NUMBER))
    limit = _limit(reader, settings)
    fanned_out = direct and reader.read("fannedOut", boolean) is True
    reader.finish()
    return DeliveryRequest(
        Query(DUE, before=NOW), limit, settings.retry_policy(), deadline, fanned_out=fanned_out
    )


def retry_request(
    body: bytes, settings: Settings, deadline: float, policies: Sequence[Policy] = (), caller: str = ""
) -> DeliveryRequest:
    """Read the body of `/process/retry`: which failed records to replay, and under which rules.

    A code that is worth retrying, or a limit, by any of the policies is so here: what is not, is dead.
    """
    members = members_of(body)
    reader = MemberReader(members)
    reader.refuse_unknown(RETRY_MEMBERS)
    limit = _limit(reader, settings)
    adopt = reader.read("adoptToken", boolean) or False
    query = _retry_query(reader, settings, policies, frozenset((TOKEN_CHANGED,)) if adopt else None)
    streams = reader.read("errormapping", error_mapping)
    dry_run = reader.read("dryRun", boolean) or False
    breakdown = reader.read("breakdown", boolean) or False
    reader.finish()
    replayed = None if query.ids is None else Act("replayed", caller)
    policy = settings.retry_policy(streams)
    return DeliveryRequest(
        *(query, limit, policy, deadline, dry_run, breakdown),
        adopt_token=adopt,
        replayed=replayed,
        filter={name: value for name, value in members.items() if name not in _OF_ONE_CALL},
    )


def _retry_query(
    reader: MemberReader, settings: Settings, policies: Sequence[Policy], usual: frozenset[str] | None
) -> Query:
    """Select failed records by id. Dead ones are among them only if it names ids or codes, or forces.

    `usual` are the codes of a request that names none, if not the setting's.
    """
    codes = reader.read("retryCodes", status_codes) or usual
    limits = (settings.retry_limit, *(one.retry_limit for one in policies if one.retry_limit))
    limit = reader.read("retryLimit", whole_number) or max(limits)
    retried = settings.retry_codes.union(*(one.retry_codes for one in policies if one.retry_codes))
    force = reader.read("force", boolean) or False
    named = reader.read("ids", _ids)
    # What is no record can't be sent.
    conditions: list[Mapping[str, Any]] = [{"datasync.code": {"$ne": INVALID}}]
    chosen = failure_query(reader, codes or (None if force or named else retried))
    if not force:
        conditions.append({"datasync.attempts": {"$lt": limit}})
        is_due = {"datasync.due": {"$lt": NOW}}
        # An index that serves what is due would select nearly all; none serves this `$or`.
        conditions.append({"$or": [is_due, {"dead": True}]})
        if not (codes or named):
            conditions.append({"dead": {"$ne": True}})
    conditions += chosen.narrowing
    after = max(reader.read("readAfterOffset", offset) or "-1", chosen.after)
    if named:  # of which there are few: what else is asked for only narrows
        conditions += [{path: value} for path, value in chosen.indexed.items()]
        return Query(FAILED, after, chosen.before, conditions, ids=named)
    order = chosen.place if codes or force or chosen.indexed else REPLAY
    return Query(order, after, chosen.before, conditions, chosen.indexed)


def _ids(value: Any) -> frozenset[str]:
    """Read the ids of a request."""
    if not isinstance(value, list) or not 1 <= len(value) <= _MOST_IDS:
        raise ValueError(f"must be a list of 1 to {_MOST_IDS} ids")
    for one in value:
        if not isinstance(one, str) or not 0 < len(one) <= _LONGEST_ID or not one.isascii():
            raise ValueError("must contain ids as /store has answered them")
    return frozenset(value)


def _limit(reader: MemberReader, settings: Settings) -> int:
    """Return how many records the call may handle."""
    wanted: int | None = reader.read(_NUMBER, whole_number)
    if wanted is None:
        return settings.messages_per_call
    if wanted > settings.messages_per_call_max:
        reader.complain(_NUMBER, f"must be at most {settings.messages_per_call_max}")
    return wanted
