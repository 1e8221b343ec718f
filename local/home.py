"""The folder in which a bundle keeps its state: made if it is missing, used by one instance at a time."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from local.emulators.private_files import private_folder
from local.stack import StartError

_LOCK = "lock"


@contextmanager
def held(home: Path) -> Iterator[None]:
    """Keep `home` for this process within `with`; the system lets go of it however the process ends.

    Raises StartError if the folder can't be made or written to, or another instance has it.
    """
    descriptor = _opened(home)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip() or "unknown"
            raise StartError(
                f"{home} is in use by another instance (process {owner}): stop that one, or name another"
                " folder in DATASYNC_HOME."
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _opened(home: Path) -> int:
    try:
        return os.open(private_folder(home) / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    except FileExistsError:
        raise StartError(
            f"{home} can't keep the state, since it is a file or lies under one. Name a folder in"
            " DATASYNC_HOME."
        ) from None
    except OSError as error:
        raise StartError(
            f"{home} can't keep the state: {error.strerror}. Name a folder that you may write to in"
            " DATASYNC_HOME."
        ) from error
