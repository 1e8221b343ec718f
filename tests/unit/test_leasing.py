"""What goes on beside a call's deliveries: renewals, and what workers tell each other."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from shared.delivery.leasing import Leasing
from shared.delivery.limits import Limits
from shared.delivery.policy_watch import PolicyWatch
from shared.drivers.database import Database
from shared.model.errors import DependencyDown
from shared.settings import Settings
from shared.storage.leases import LeaseTable

SETTINGS = replace(Settings("sqlite:", "ocid1.vault", "ocid1.key", "ocid1.compartment"), lease=0.4)
ERP, CRM = "erp.example.com:443", "crm.example.com:443"


def lease_table(path: Path) -> LeaseTable:
    database = Database(f"sqlite:{path / 'x.db'}", "", str)
    return LeaseTable(database, database, "records", SETTINGS.lease)


class Hearing(Limits):
    """Limits that tell when they have heard of a rest."""

    def __init__(self, rests: Mapping[str, float] | None = None):
        self.heard = asyncio.Event()
        super().__init__(SETTINGS)
        super().hear_of(rests or {})

    def hear_of(self, rests: Mapping[str, float]) -> None:
        super().hear_of(rests)
        if CRM in rests:
            self.heard.set()


async def heartbeat_until_heard(table: LeaseTable, limits: Hearing) -> None:
    """Run a call's heartbeat until it has heard that a target rests."""
    leasing = Leasing(SETTINGS, None, table, None)  # type: ignore[arg-type] - neither is asked for anything
    lease = table.take(table.snapshot_and_fence(), 8)
    assert lease is not None
    async with asyncio.timeout(60), leasing.heartbeat(lease, limits, PolicyWatch()):
        await limits.heard.wait()
    assert limits.is_unavailable(CRM)


async def test_a_running_call_tells_and_hears_which_targets_rest(tmp_path: Path) -> None:
    table, limits = lease_table(tmp_path), Hearing({ERP: 600.0})
    lease_table(tmp_path).share_rests({CRM: 300.0})
    await heartbeat_until_heard(table, limits)
    told = lease_table(tmp_path).share_rests({})
    assert sorted(told) == [CRM, ERP]


async def test_what_can_not_be_shared_now_is_shared_later(tmp_path: Path) -> None:
    class Failing(LeaseTable):
        failures = 2

        def share_rests(self, rests: Any) -> dict[str, float]:
            if self.failures:
                self.failures -= 1
                raise DependencyDown("away")
            return super().share_rests(rests)

    database = Database(f"sqlite:{tmp_path / 'x.db'}", "", str)
    table, limits = Failing(database, database, "records", SETTINGS.lease), Hearing()
    lease_table(tmp_path).share_rests({CRM: 300.0})
    await heartbeat_until_heard(table, limits)
    assert table.failures == 0
