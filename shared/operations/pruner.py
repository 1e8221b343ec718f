"""The pruner: schedules the deletion of tokens that nothing has used for a long time.

A token's last use is the newest record that was stored with it. Records leave the database for the archive
long before their token is idle, so the archiver records the uses that go with them in the lease's memory.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Protocol

from shared.drivers.oci import Refused
from shared.model.ids import timestamp
from shared.model.record import Document
from shared.operations.maintenance import Done, Run
from shared.settings import Settings
from shared.storage.readings import FRESH_SECONDS
from shared.storage.vault import KeptSecret

log = logging.getLogger(__name__)

_USES = "lastUses"  # in the lease's memory: names, each with the time of its last use
_SINCE = "usesNotedSince"  # what was used before, and archived, is not known
_NEVER = "9999"  # later than every time
_SECOND_LOOK_SECONDS = FRESH_SECONDS + 2.0  # a store may be under way whose proof came out of the cache


class Records(Protocol):
    """What is asked of the records."""

    def names_secret(self, name: str, since: datetime, /) -> bool:
        """Tell whether an unfinished record needs a token, or one was stored with it since a time."""


class Vault(Protocol):
    """What is asked of the vault."""

    def kept(self) -> list[KeptSecret]:
        """Return the secrets that store-data has made."""

    def schedule_deletion(self, secret: KeptSecret, /) -> None:
        """Schedule a deletion, as far ahead as Vault allows."""

    def cancel_deletion(self, secret: KeptSecret, /) -> None:
        """Keep a secret after all."""


class Pruner:
    """Prunes tokens that were not used for SECRETS_UNUSED_AFTER."""

    def __init__(self, settings: Settings, records: Records, vault: Vault):
        self._after = timedelta(seconds=settings.secrets_unused_after)
        self._records = records
        self._vault = vault

    def count(self, run: Run) -> Done:
        """Count the tokens whose deletion would be scheduled."""
        return Done(secretsDeleted=sum(self._is_idle(secret, run) for secret in self._vault.kept()))

    def run(self, run: Run) -> Iterator[Done]:
        """Schedule deletions, and cancel those whose tokens were used in that moment.

        A deletion that an operator cancels is not scheduled again before SECRETS_UNUSED_AFTER has passed.
        """
        if _SINCE not in run.lease.memory():
            run.lease.remember(**{_SINCE: timestamp(run.now)})
        scheduled: list[KeptSecret] = []
        for secret in self._vault.kept():
            if not run.goes_on():
                yield Done(endOfWork=False)
                break
            if self._is_idle(secret, run) and self._changed(self._vault.schedule_deletion, secret):
                scheduled.append(secret)
        if not scheduled:
            return
        run.sleep(_SECOND_LOOK_SECONDS)
        used = [one for one in scheduled if self._records.names_secret(one.name, run.now - self._after)]
        cancelled = sum(self._changed(self._vault.cancel_deletion, one) for one in used)
        yield Done(secretsDeleted=len(scheduled) - cancelled)
        self._remember(run, scheduled)

    def _is_idle(self, secret: KeptSecret, run: Run) -> bool:
        """Tell whether nothing needs a token, or was stored with it for a long time, as far as is known."""
        memory, since = run.lease.memory(), run.now - self._after
        known = [
            memory.get(_SINCE, _NEVER),
            memory.get(_USES, {}).get(secret.name, ""),
            timestamp(secret.created),
        ]
        is_old = not secret.is_leaving and max(known) < timestamp(since)
        return is_old and not self._records.names_secret(secret.name, since)

    def _changed(self, change: Callable[[KeptSecret], None], secret: KeptSecret) -> bool:
        try:
            change(secret)
        except Refused as error:  # somebody else has changed it meanwhile
            log.warning("Vault refused (%s) to change a secret; it is left as it is", error.status)
            return False
        return True

    def _remember(self, run: Run, scheduled: Iterable[KeptSecret]) -> None:
        """Remember when deletions were scheduled, and forget uses that are too old to matter."""
        uses, oldest = run.lease.memory().get(_USES, {}), timestamp(run.now - self._after)
        kept = {name: moment for name, moment in uses.items() if moment >= oldest}
        run.lease.remember(**{_USES: kept | {one.name: timestamp(run.now) for one in scheduled}})


def with_uses(memory: Mapping[str, Any], documents: Iterable[Document]) -> dict[str, dict[str, str]]:
    """Return the members of the lease's memory that record the uses of secrets by these records."""
    uses = dict(memory.get(_USES, {}))
    for document in documents:
        name = document.get("vaultSecretName")
        if name:
            uses[name] = max(uses.get(name, ""), document["createdDate"])
    return {_USES: uses} if uses else {}
