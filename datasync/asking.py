"""The question before something changes. It stands on standard error, beside what a program may read."""

import sys

from datasync.output import printable


def agrees(question: str) -> bool:
    """Ask; whoever can't answer does not agree."""
    print(f"{printable(question)} [y/N] ", end="", file=sys.stderr, flush=True)
    answer = sys.stdin.readline()
    if not answer.endswith("\n"):
        print(file=sys.stderr)
    return answer.strip().lower() in ("y", "yes")
