"""Callers' tokens: proven when a record is stored, and read, in the very version that was proven, to send it.

What Vault said a moment ago is good enough to let somebody pass. Nobody is refused without asking it again.
"""

import hmac
import re
import time
from collections.abc import Collection, Iterable

from shared.model import credentials, record
from shared.model.codes import TOKEN_CHANGED, UNEXPECTED_ERROR
from shared.model.errors import Conflict, DependencyDown, Fault, Invalid
from shared.model.record import Document, Proof
from shared.storage.readings import Readings
from shared.storage.vault import Secret, Vault

MOST_NEW = 20
"""New names in one request."""
_WAIT_FOR_ACTIVE = (0.1, 0.2, 0.4, 0.8, 1.6)  # seconds between looks at a secret that is being created
_NEVER = Proof("", 0)  # a version that no secret has
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")  # not in a header's value [RFC 9110, section 5.5]


class NoToken(Exception):
    """A record can't be sent for want of its token: the code and the reason with which it fails."""

    code = UNEXPECTED_ERROR

    def __init__(self, reason: str):
        super().__init__(reason)
        self.reason = reason


class TokenChanged(NoToken):
    """The secret has another current version than the one that the record's token was proven with."""

    code = TOKEN_CHANGED


class TokenVault:
    """The tokens of one vault, usable from several threads; only an operator creates `reserved` names."""

    def __init__(self, vault: Vault, readings: Readings, reserved: Collection[str] = ()):
        self._vault = vault
        self._readings = readings
        self._reserved = frozenset(reserved)
        self._refusals: dict[tuple[str, Proof | None], tuple[NoToken, float]] = {}

    def claim_all(self, names: Iterable[str], token: str) -> dict[str, Proof]:
        """Prove by `token` the right to use existing names, and keep it under new ones.

        Returns which version of which secret each name was proven with. Raises Conflict if a name has another
        token, is about to be deleted, or is reserved; Invalid if more than MOST_NEW are new; DependencyDown
        if Vault does not answer. No secret is created unless every existing name is proven.
        """
        proofs: dict[str, Proof] = {}
        new: list[str] = []
        for name in names:
            proof = self._proven(name, token)
            if proof is not None:
                proofs[name] = proof
            elif name in self._reserved:
                raise Conflict(
                    f"vaultSecretName {name!r} is reserved for a secret of the operator's. Use a new name."
                )
            elif len(new) == MOST_NEW:
                fault = Fault(
                    "", f"has more than {MOST_NEW} vaultSecretNames that are new; use fewer at once"
                )
                raise Invalid.of([fault], "nothing was stored")
            else:
                new.append(name)
        return proofs | {name: self._created(name, token) for name in new}

    def for_record(self, document: Document, *, adopt: bool = False, since: float = 0.0) -> Secret | None:
        """Return the secret to send a record with, in the version that it is bound to; None if it names none.

        With `adopt` the current version is returned whatever the record is bound to. What was read before
        `since` (monotonic seconds) is read again, for example because a target has refused it. Raises
        TokenChanged, NoToken if the secret can't be sent, and DependencyDown if Vault does not answer.
        """
        name = document.get("vaultSecretName")
        if name is None:
            return None
        known = self.at_hand(document, adopt=adopt, since=since)
        if known is not None:
            return known
        bound, reading = self._bound(document, adopt), self._readings.read(name)
        try:
            return _usable(name, reading.secret, bound)
        except NoToken as refusal:
            self._remember(refusal, name, bound, reading.at)
            raise

    def at_hand(self, document: Document, *, adopt: bool = False, since: float = 0.0) -> Secret | None:
        """Return or raise what `for_record` would if that takes no call to Vault; None if it does."""
        name = document.get("vaultSecretName")
        if name is None:
            return None
        bound, reading = self._bound(document, adopt), self._readings.remembered(name, since)
        if reading and reading.secret and bound in (None, reading.secret.proof):
            return _usable(name, reading.secret, bound)
        refusal, at = self._refusals.get((name, bound), (None, 0.0))
        if refusal is not None and self._readings.is_fresh(at, since):
            raise refusal
        return None

    def _proven(self, name: str, token: str) -> Proof | None:
        """Return the version that has `token`, None if there is no secret; Conflict if it has another."""
        reading = self._readings.remembered(name)
        kept = reading.secret if reading else None
        if kept is None or not _is_proof(token, kept):
            kept = self._readings.read(name).secret
        if kept is None:
            return None
        if not _is_proof(token, kept):
            raise Conflict(
                f"vaultSecretName {name!r} is in use with another token, perhaps another source's. Use a new"
                " name for this token."
            )
        return kept.proof

    def _created(self, name: str, token: str) -> Proof:
        at = self._readings.now()
        created = self._vault.create(name, token)
        if created is None:
            return self._created_by_another(name, token)
        self._readings.keep(name, created, at)
        return created.proof

    def _created_by_another(self, name: str, token: str) -> Proof:
        """Return the proof by a secret that another process has just created, once it can be read."""
        for pause in (0.0, *_WAIT_FOR_ACTIVE):
            if pause:
                time.sleep(pause)
            proof = self._proven(name, token)
            if proof is not None:
                return proof
            if self._vault.is_leaving(name):
                raise Conflict(
                    f"The secret of vaultSecretName {name!r} is scheduled for deletion. Use a new name; an"
                    " operator can also cancel the deletion."
                )
        raise DependencyDown(
            f"The secret of vaultSecretName {name!r} can't be read (Vault says {self._vault.state(name)!r})."
            " Repeat the request later, or use a new name."
        )

    def _bound(self, document: Document, adopt: bool) -> Proof | None:
        """Return the version that a record is bound to; None if any will do, as of a reserved secret.

        A record without a proof of another name is bound to a version that no secret has.
        """
        if adopt or document["vaultSecretName"] in self._reserved:
            return None
        return record.proof(document) or _NEVER

    def _remember(self, refusal: NoToken, name: str, bound: Proof | None, at: float) -> None:
        """Remember a refusal for other records with the same binding, which is older than Vault's answer."""
        fresh = {key: one for key, one in self._refusals.items() if self._readings.is_fresh(one[1])}
        self._refusals = fresh | {(name, bound): (refusal, at)}


def _usable(name: str, kept: Secret | None, bound: Proof | None) -> Secret:
    if kept is None:
        raise NoToken(f"the vault has no readable secret for vaultSecretName {name!r}")
    if bound not in (None, kept.proof):
        raise TokenChanged(
            f"vaultSecretName {name!r} has another token than this record was stored with; an operator who"
            " has looked at its target can replay it with adoptToken"
        )
    if not kept.text:
        raise NoToken(f"the secret of vaultSecretName {name!r} is empty, not UTF-8, or not for callers")
    if not credentials.describes_client(kept.text) and _CONTROL.search(kept.text):
        raise NoToken(f"the secret of vaultSecretName {name!r} has a control character in it")
    return kept


def _is_proof(token: str, kept: Secret) -> bool:
    """Compare in constant time, so that the answer's delay says nothing about the kept token."""
    proof = credentials.proof(kept.text) or ""
    return hmac.compare_digest(proof.encode(), token.encode()) and bool(token)
