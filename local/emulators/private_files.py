"""Files that only their owner may read, written so that a crash leaves the old content or the new one."""

import os
import secrets
from pathlib import Path

TEMPORARY_PREFIX = ".writing-"


def private_folder(path: Path) -> Path:
    """Make `path`, and what is missing above it, with mode 0700, and return it.

    A folder that is there already stays as somebody made it.
    """
    if not path.is_dir():
        private_folder(path.parent)
        path.mkdir(mode=0o700, exist_ok=True)
    return path


def create_private_file(path: Path, content: bytes) -> bool:
    """Write a new file of mode 0600; False, and nothing changed, if `path` is there already.

    Of several writers at once, in any number of processes, exactly one gets True: a hard link, unlike a
    rename, fails if its target exists.
    """
    written = _written_beside(path, content)
    try:
        path.hardlink_to(written)
    except FileExistsError:
        return False
    finally:
        written.unlink()
    _sync_folder(path.parent)
    return True


def replace_private_file(path: Path, content: bytes) -> None:
    """Put `content` in place of whatever `path` holds, at once and durably."""
    _written_beside(path, content).replace(path)
    _sync_folder(path.parent)


def _written_beside(path: Path, content: bytes) -> Path:
    temporary = path.parent / f"{TEMPORARY_PREFIX}{secrets.token_hex(8)}"
    descriptor = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    return temporary


def _sync_folder(folder: Path) -> None:
    # A rename or link is durable only once the folder that holds the name is on disk as well.
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
