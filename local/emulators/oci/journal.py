"""Bounded files in which an operator can see what was published: one JSON object a line, newest last."""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from local.emulators.private_files import private_folder

_MAXIMUM_BYTES = 4 * 1024 * 1024


class Journal:
    """Appends to `path`; when it is full it becomes `<path>.1`, and what was there before is dropped."""

    def __init__(self, path: Path, maximum_bytes: int = _MAXIMUM_BYTES):
        private_folder(path.parent)
        self._path = path
        self._older = path.with_name(f"{path.name}.1")
        self._maximum_bytes = maximum_bytes

    def append(self, entries: Iterable[dict[str, Any]]) -> None:
        """Add entries at the end, all of them or, if there are none, nothing."""
        lines = "".join(f"{json.dumps(entry)}\n" for entry in entries).encode("utf-8")
        if not lines:
            return
        descriptor = os.open(self._path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
        with os.fdopen(descriptor, "ab") as file:
            file.write(lines)
            full = file.tell() >= self._maximum_bytes
        if full:
            self._path.replace(self._older)

    def entries(self) -> list[dict[str, Any]]:
        """Return all that is kept, oldest first; a line cut short by a crash is left out."""
        kept = []
        for path in (self._older, self._path):
            if path.exists():
                for line in path.read_text("utf-8").splitlines():
                    try:
                        kept.append(json.loads(line))
                    except ValueError:
                        continue
        return kept
