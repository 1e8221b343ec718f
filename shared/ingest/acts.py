"""What callers do to a record that is stored: cancel it, or, if they are operators, edit it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from shared.ingest import validation
from shared.ingest.lookup import Caller, Lookup
from shared.ingest.protocols import AuditLog, ChangesRecords
from shared.ingest.validation import Conditions
from shared.model import json_codec, record, transitions
from shared.model.errors import Conflict, DependencyDown, Fault, Forbidden, Invalid, TooLarge
from shared.model.members import members_of
from shared.model.record import Document
from shared.settings import Settings

EDITABLE = ("targetRestApi", "targetRestApiPayload", "targetRestApiHeaders")
_TRIES = 10


@dataclass(frozen=True)
class Acts:
    """Changes stored records; one instance serves a process's calls.

    A delivery that is on its way goes on: what was sent was sent, and its outcome is written onto the newest
    state of the record.
    """

    settings: Settings
    lookup: Lookup
    records: ChangesRecords
    audit: AuditLog

    def cancel(self, identity: str, caller: Caller) -> dict[str, Any]:
        """End a record that is not finished as `cancelled`, and return its state."""

        def cancelled(document: Document) -> Document:
            return transitions.cancelled(document, caller.name, self.records.now())

        return self._change("cancel", identity, caller, cancelled)

    def edit(self, identity: str, body: bytes, caller: Caller) -> dict[str, Any]:
        """Give a record that is not finished another target, payload or headers, and return its state.

        A member that is null is removed. Raises Invalid if the record would then break a rule of storing.
        """
        if caller.name and not caller.is_operator:  # without authentication everybody is one
            raise Forbidden("Only operators edit records.")
        if len(body) > self.settings.body_limit:
            raise TooLarge(f"The body has {len(body)} bytes; send at most {self.settings.body_limit}.")
        wanted = _wanted(members_of(body))

        def edited(document: Document) -> Document:
            if record.SET_ASIDE in document:
                raise Conflict("This message of a Stream is not a record, so there is nothing to edit.")
            members = self._members(document, wanted)
            changes = {name: members[name] for name in wanted if name in members}
            removed = wanted.keys() - members.keys()
            return transitions.edited(document, changes, removed, caller.name, self.records.now())

        return self._change("edit", identity, caller, edited)

    def _change(
        self, act: str, identity: str, caller: Caller, change: Callable[[Document], Document]
    ) -> dict[str, Any]:
        """Write what `change` makes of a record's newest state."""
        for _ in range(_TRIES):
            stored = self.lookup.find(identity, caller)
            if record.is_finished(stored.document):
                raise Conflict(f"Record {identity} is finished: its status is {stored.document['status']}.")
            after = change(stored.document)
            if after is stored.document:
                return record.public_view(after)
            if self.records.write([(stored, after)])[0]:
                self.audit.add(act, caller.name, self.records.now(), {"record": identity}, {})
                return record.public_view(after)
        raise DependencyDown("This record is being changed by others all the time. Repeat the request later.")

    def _members(self, document: Document, wanted: Mapping[str, Any]) -> dict[str, Any]:
        """Return the members that a record is to have; what is null, and may be absent, is not among them."""
        names = validation.MEMBERS | {"streamKey"}
        members = {name: document[name] for name in names if name in document} | dict(wanted)
        name = document.get("vaultSecretName")
        conditions = Conditions(validation.refusal_by(self.settings), has_token=name is not None)
        read, faults = validation.read_record(members, conditions, "")
        if faults:
            raise Invalid.of(faults, "nothing was changed")
        return read


def _wanted(members: Mapping[str, Any]) -> dict[str, Any]:
    faults = [
        Fault(f"/{json_codec.pointer_token(name)}", f"can't be edited; what can is {', '.join(EDITABLE)}")
        for name in sorted(members.keys() - set(EDITABLE))
    ]
    if not members:
        faults = [Fault("", f"names nothing to change: send any of {', '.join(EDITABLE)}")]
    if faults:
        raise Invalid.of(faults, "nothing was changed")
    return dict(members)
