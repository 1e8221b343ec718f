"""The operator's commands: `status`, `view` and `replay` against any deployment, and `rules try`.

Exit codes: 0 all is well; 1 not every matching record succeeded; 2 the deployment could not be asked.
"""

import argparse

from local.operate import commands, rules
from local.operate.commands import run


def add_arguments(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add all of them to a command line."""
    commands.add_arguments(subparsers)
    rules.add_arguments(subparsers)


__all__ = ["add_arguments", "run"]
