"""The entry point: reads the command line, runs the command, and turns what ends it early into words.

Exit codes: 0 it worked; 1 it did not, or not for every record; 2 the command line is wrong; 130 Ctrl-C.
"""

import io
import os
import sys
from collections.abc import Sequence

FAILED, INTERRUPTED = 1, 130  # 130 is 128 + SIGINT, as shells have it


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says, or `arguments` if given; returns the exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a character that the terminal lacks must not end a command
            stream.reconfigure(errors="backslashreplace")
    try:
        code = _run(arguments)
        sys.stdout.flush()
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # `datasync status | head -1`: the reader has left
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nor may the flush at exit complain
        return FAILED
    return code


def _run(given: Sequence[str] | None) -> int:
    from datasync.arguments import parser  # loads the rest: Ctrl-C meanwhile is caught, too
    from datasync.deployment import DeploymentError
    from datasync.output import complain

    arguments = parser().parse_args(given)
    try:
        code: int = arguments.run(arguments)
    except DeploymentError as error:
        complain(str(error))
        return FAILED
    return code


if __name__ == "__main__":
    sys.exit(main())
