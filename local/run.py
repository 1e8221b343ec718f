"""`python -m local run`: serves the whole bundle until stopped, as the environment says."""

import asyncio
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from local import oracle_database, stack
from local.emulators.gateway import Callers
from local.home import held
from local.stack import StartError
from shared.model.errors import Misconfigured
from shared.settings import Settings

_DEFAULT_HOME = stack.CHECKOUT / ".datasync"
_DEFAULT_PORT = 8080
_HIGHEST_PORT = 65534  # the sample target takes the next one


@dataclass(frozen=True)
class Options:
    """What the environment says of an instance; a port of 0 takes any free one."""

    home: Path
    port: int
    settings: Mapping[str, str]
    callers: Callers

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> "Options":
        """Read them; StartError says what is wrong."""
        settings = settings_of(environment)
        try:
            settings |= oracle_database.settings(environment)
            Settings.from_config(stack.configuration(_DEFAULT_HOME, "http://127.0.0.1", []) | settings)
            callers = Callers.from_environment(environment)
        except Misconfigured as error:
            raise StartError(error.detail) from error
        except ValueError as error:
            raise StartError(str(error)) from error
        home = Path(environment.get("DATASYNC_HOME") or _DEFAULT_HOME).absolute()
        return cls(home, _port(environment.get("PORT") or str(_DEFAULT_PORT)), settings, callers)


def settings_of(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the settings of the functions that an environment holds."""
    names = (field.name.upper() for field in fields(Settings))
    return {name: environment[name] for name in names if name in environment}


async def main(environment: Mapping[str, str], processes: int) -> int:
    """Serve until cancelled, with at most so many processes of each function; StartError says why not."""
    options = Options.of(environment)
    os.umask(0o077)  # what is written is its owner's alone, also in a home that others may look into
    # The target's port is the next one, so that what is waiting still finds it after a restart.
    target_port = options.port + 1 if options.port else 0
    with held(options.home):
        async with stack.running(
            options.home,
            options.settings,
            port=options.port,
            target_port=target_port,
            processes=processes,
            callers=options.callers,
        ) as running:
            print(
                f"Gateway        {running.url}{_asking(options.callers)}\n"
                f"Sample target  {running.target_url}  (GET / lists what it can do)\n"
                f"OCI services   {running.oci_url}\n"
                f"State, logs    {running.home}\n"
                "Stop with Ctrl-C.",
                flush=True,
            )
            await asyncio.Event().wait()
    return 0


def _port(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text.strip(), re.ASCII) or int(text) > _HIGHEST_PORT:
        raise StartError(f"PORT is {text!r}: it must be a number from 0 (any free port) to {_HIGHEST_PORT}.")
    return int(text)


def _asking(callers: Callers) -> str:
    return f"  (asks for a key in {callers.header})" if callers.keys else ""
