"""An Oracle Database in the place of the local one, as DATABASE_DSN, _USER and _PASSWORD name it."""

from collections.abc import Mapping
from pathlib import Path

from local.emulators.oci.secret_store import put_secret

PASSWORD = "DATABASE_PASSWORD"  # noqa: S105 - a name
_SECRET = "database-password"  # noqa: S105 - a name, which no caller can use: it lacks SECRET_PREFIX
_OCID = "DATABASE_PASSWORD_SECRET_OCID"


def settings(environment: Mapping[str, str]) -> dict[str, str]:
    """Return what names the database; nothing if none is named. Raises ValueError if something is missing."""
    dsn = environment.get("DATABASE_DSN", "")
    if not dsn or dsn.startswith("sqlite:") or environment.get(_OCID):
        return {}
    missing = [name for name in ("DATABASE_USER", PASSWORD) if not environment.get(name)]
    if missing:
        raise ValueError(f"DATABASE_DSN names a database: set {' and '.join(missing)}, too.")
    names = ("DATABASE_DSN", "DATABASE_USER", PASSWORD)
    return {name: environment[name] for name in names} | {_OCID: "the local vault's"}


def with_password_kept(home: Path, settings: Mapping[str, str]) -> dict[str, str]:
    """Keep a password among settings in the local vault; return the settings with its secret in its place."""
    kept = {name: value for name, value in settings.items() if name != PASSWORD}
    return kept | ({_OCID: put_secret(home, _SECRET, settings[PASSWORD])} if PASSWORD in settings else {})
