"""The command line: `python -m local demo | run | check`."""

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

from local import check, demo, run, stack


def main() -> int:
    """Do what the command line says; the exit code: 1 if it can't be done, 2 if it can't be understood."""
    parser = argparse.ArgumentParser(prog="python -m local", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    show = commands.add_parser("demo", help="send sample records through everything, and show what happened")
    show.set_defaults(run=lambda _: _until_stopped(demo.main(os.environ)))
    serve = commands.add_parser("run", help="serve until stopped; PORT and DATASYNC_HOME say where")
    serve.set_defaults(run=lambda arguments: _until_stopped(run.main(os.environ, arguments.processes)))
    serve.add_argument(
        "--processes", type=_positive, default=4, metavar="N", help="most of each function (%(default)s)"
    )
    probe = commands.add_parser(
        "check", help="say what an Autonomous Database lacks, and try what is used of it"
    )
    probe.set_defaults(run=lambda arguments: check.main(arguments.dsn, arguments.user))
    probe.add_argument("--dsn", required=True, help="TLS connect string")
    probe.add_argument("--user", default="DATASYNC", help="schema user (%(default)s)")
    arguments = parser.parse_args()
    try:
        code: int = arguments.run(arguments)
    except (stack.StartError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
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


def _positive(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError("it must be a whole number from 1")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
