"""What a direct invocation of process-data may ask for besides deliveries."""

from dataclasses import dataclass
from typing import Any

from shared.model.members import MemberReader, boolean, members_of, text

MAINTENANCE = "maintenance"
PREPARE = "prepare"


@dataclass(frozen=True)
class Task:
    """What a direct invocation asks for, other than deliveries: MAINTENANCE or PREPARE."""

    name: str
    dry_run: bool
    admin_password_secret: str
    """OCID of the secret with the password of the database's ADMIN, to PREPARE."""


def task(body: bytes) -> Task | None:
    """Read which task a direct invocation asks for; None if it asks for none, and delivers."""
    members = members_of(body, lenient=True, needed="task")
    if "task" not in members:
        return None
    reader = MemberReader(members)
    name = reader.read("task", _task_name)
    dry_run = reader.read("dryRun", boolean) or False
    secret = reader.read("adminPasswordSecret", text) or ""
    if name == PREPARE and not secret:
        reader.complain("adminPasswordSecret", "is missing: the OCID of the secret of ADMIN's password")
    if name == PREPARE and dry_run:
        reader.complain("dryRun", "is for maintenance only")
    reader.finish()
    return Task(name, dry_run, secret)


def _task_name(value: Any) -> str:
    if value not in (MAINTENANCE, PREPARE):
        raise ValueError(f"must be {MAINTENANCE} or {PREPARE}")
    return str(value)
