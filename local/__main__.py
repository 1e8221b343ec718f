"""The command line: `python -m local demo | run | check | status | view | replay | rules`."""

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

from local import check, demo, operate, stack
from local.emulators.gateway import Callers

_DEFAULT_HOME = stack.CHECKOUT / ".datasync"
_DEFAULT_PORT = 8080


def main() -> int:
    """Do what the command line says; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m local", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    show = commands.add_parser("demo", help="send sample records through everything, and show what happened")
    show.set_defaults(run=lambda _: _until_stopped(demo.main()))
    serve = commands.add_parser("run", help="serve until stopped; PORT and DATASYNC_HOME say where")
    serve.set_defaults(run=lambda arguments: _until_stopped(_serve(_home(), arguments.processes)))
    serve.add_argument(
        "--processes", type=int, default=4, metavar="N", help="most of each function (%(default)s)"
    )
    probe = commands.add_parser(
        "check", help="say what an Autonomous Database lacks, and try what is used of it"
    )
    probe.set_defaults(run=lambda arguments: check.main(arguments.dsn, arguments.user))
    probe.add_argument("--dsn", required=True, help="TLS connect string")
    probe.add_argument("--user", default="DATASYNC", help="schema user (%(default)s)")
    operate.add_arguments(commands)
    arguments = parser.parse_args()
    code: int = arguments.run(arguments)
    return code


def _until_stopped(work: Coroutine[Any, Any, int]) -> int:
    """Run `work`; SIGTERM and SIGINT cancel it, so that it stops what it started."""

    async def stoppable() -> int:
        task = asyncio.create_task(work)
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
        with suppress(asyncio.CancelledError):
            return await task
        return 0

    return asyncio.run(stoppable())


def _home() -> Path:
    return Path(os.environ.get("DATASYNC_HOME") or _DEFAULT_HOME).absolute()


async def _serve(home: Path, processes: int) -> int:
    port = int(os.environ.get("PORT") or _DEFAULT_PORT)
    settings = stack.settings_of(os.environ)
    try:
        callers = Callers.from_environment(os.environ)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    try:
        # The target's port is the next one, so that what is waiting still finds it after a restart.
        target_port = port + 1 if port else 0
        async with stack.running(
            home, settings, port=port, target_port=target_port, processes=processes, callers=callers
        ) as running:
            print(
                f"Gateway        {running.url}{_asking(callers)}\n"
                f"Sample target  {running.target_url}  (GET / lists what it can do)\n"
                f"OCI services   {running.oci_url}\n"
                f"State, logs    {running.home}\n"
                "Stop with Ctrl-C.",
                flush=True,
            )
            await asyncio.Event().wait()
    except OSError as error:
        print(f"Ports {port} and {port + 1} must be free: {error.strerror}. Set PORT.", file=sys.stderr)
    return 1


def _asking(callers: Callers) -> str:
    return f"  (asks for a key in {callers.header})" if callers.keys else ""


if __name__ == "__main__":
    sys.exit(main())
