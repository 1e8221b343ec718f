"""Callers' tokens: kept under a name by whoever holds them, read for delivery, known for a few seconds."""

import hmac
import time
from collections.abc import Callable

from shared.model import credentials
from shared.model.errors import Conflict, DependencyDown
from shared.model.record import Proof
from shared.storage.vault import Secret, Vault

PROOF_SECONDS = 3.0
"""How long what was read of a secret is relied upon."""
_WAIT_FOR_ACTIVE = (0.1, 0.2, 0.4, 0.8, 1.6)  # seconds between looks at a secret that is being created


class TokenVault:
    """The tokens of one vault."""

    def __init__(self, vault: Vault, clock: Callable[[], float] = time.monotonic):
        self._vault = vault
        self._clock = clock
        self._cache: dict[str, tuple[Secret | None, float]] = {}

    def secret(self, name: str, *, again: bool = False) -> Secret | None:
        """Return what a secret holds now; None if there is none.

        It is known for a few seconds, unless it is to be read `again`.
        """
        kept, until = self._cache.get(name, (None, 0.0))
        if again or self._clock() >= until:
            kept = self._read(name)
        return kept

    def token(self, name: str) -> str | None:
        """Return the token kept under `name`; None if there is none."""
        kept = self.secret(name)
        return None if kept is None else kept.text

    def claim(self, name: str, token: str) -> Proof:
        """Keep `token` under a new name, or prove by it the right to use a name that is taken.

        Returns the very version of the secret that proved it. Raises Conflict if the name holds another token
        or is on its way out, DependencyDown if Vault can't say.
        """
        kept, until = self._cache.get(name, (None, 0.0))
        if kept is not None and self._clock() < until and _is_proof(token, kept):
            return kept.proof
        kept = self._read(name)
        if kept is None:
            kept = self._vault.create(name, token)
            if kept is None:
                kept = self._made_by_another(name)
            else:
                self._remember(name, kept)
        if not _is_proof(token, kept):
            raise Conflict(
                f"vaultSecretName {name!r} is in use with another token, which may be another source's. Use a"
                " new name for this token."
            )
        return kept.proof

    def _read(self, name: str) -> Secret | None:
        kept = self._vault.current(name)
        self._remember(name, kept)
        return kept

    def _remember(self, name: str, kept: Secret | None) -> None:
        self._cache[name] = (kept, self._clock() + PROOF_SECONDS)

    def _made_by_another(self, name: str) -> Secret:
        """Return a secret that somebody else has made in this moment, as soon as it can be read."""
        for pause in (0.0, *_WAIT_FOR_ACTIVE):
            if pause:
                time.sleep(pause)
            kept = self._read(name)
            if kept is not None:
                return kept
            if self._vault.is_leaving(name):
                raise Conflict(
                    f"The secret of vaultSecretName {name!r} is scheduled for deletion. Use a new name; an"
                    " operator can also cancel the deletion."
                )
        raise DependencyDown(
            f"The secret of vaultSecretName {name!r} can't be read (Vault says {self._vault.state(name)!r});"
            " repeat later, or use a new name."
        )


def _is_proof(token: str, kept: Secret) -> bool:
    """Compare in constant time, so that the answer's delay says nothing about the token that is kept."""
    proof = credentials.proof(kept.text)
    return proof is not None and hmac.compare_digest(proof.encode(), token.encode())
