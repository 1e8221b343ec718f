"""Where objects are kept: a folder for each bucket, a file for each object.

A file is named by the SHA-256 of the object's name, so that no name can lead out of its folder, be too long,
or meet another on a disk that ignores case. Its first line is JSON (the name among it), the rest the content:
one file, and so always one whole object.
"""

import base64
import hashlib
import json
import secrets
import threading
from dataclasses import asdict, dataclass, field
from email.utils import formatdate
from pathlib import Path

from local.emulators.private_files import private_folder, replace_private_file

_SUFFIX = ".object"


class PreconditionError(Exception):
    """The object's state is not the one that the writer made a condition of writing."""


@dataclass(frozen=True)
class StoredObject:
    """An object without its content.

    `md5` is base64, `last_modified` an HTTP date, `meta` what the writer said in `opc-meta-*` headers.
    """

    name: str
    size: int
    md5: str
    etag: str
    last_modified: str
    content_type: str
    meta: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Condition:
    """What must hold for a write: the etag that the object has, or that there is no such object yet."""

    if_match: str | None = None
    must_be_new: bool = False

    def check(self, present: StoredObject | None) -> None:
        """Raise PreconditionError if it does not hold."""
        if self.must_be_new and present is not None:
            raise PreconditionError("IfNoneMatchFailed", "The object already exists")
        if self.if_match not in (None, "*") and (present is None or present.etag != self.if_match):
            raise PreconditionError("IfMatchFailed", "The object's etag is not the one in if-match")


class ObjectStore:
    """The buckets and objects under `<home>/objects`; safe across the threads of one process."""

    def __init__(self, home: Path):
        self._root = private_folder(home / "objects")
        self._lock = threading.Lock()

    def create_bucket(self, bucket: str) -> bool:
        """Make a bucket; False if there is one of that name."""
        try:
            (self._root / bucket).mkdir(mode=0o700)
        except FileExistsError:
            return False
        return True

    def has_bucket(self, bucket: str) -> bool:
        """Say whether there is such a bucket."""
        return (self._root / bucket).is_dir()

    def put(
        self, bucket: str, name: str, content: bytes, kind: str, meta: dict[str, str], *, condition: Condition
    ) -> StoredObject:
        """Write an object if its present state meets the condition, else PreconditionError."""
        etag = secrets.token_hex(16)
        stored = StoredObject(name, len(content), md5_of(content), etag, formatdate(usegmt=True), kind, meta)
        header = json.dumps(asdict(stored)).encode("utf-8") + b"\n"
        with self._lock:
            condition.check(self.find(bucket, name))
            replace_private_file(self._path(bucket, name), header + content)
        return stored

    def find(self, bucket: str, name: str) -> StoredObject | None:
        """Return an object's description, None if there is no such object."""
        return _described(self._path(bucket, name))

    def read(self, bucket: str, name: str) -> tuple[StoredObject, bytes] | None:
        """Return an object with its content."""
        try:
            raw = self._path(bucket, name).read_bytes()
        except FileNotFoundError:
            return None
        header, _, content = raw.partition(b"\n")
        return StoredObject(**json.loads(header)), content

    def delete(self, bucket: str, name: str, *, condition: Condition) -> bool:
        """Remove an object that meets the condition; False if there is none."""
        with self._lock:
            condition.check(self.find(bucket, name))
            try:
                self._path(bucket, name).unlink()
            except FileNotFoundError:
                return False
        return True

    def all(self, bucket: str) -> list[StoredObject]:
        """Return a bucket's objects, by name."""
        described = (_described(path) for path in (self._root / bucket).glob(f"*{_SUFFIX}"))
        return sorted((each for each in described if each is not None), key=lambda each: each.name)

    def _path(self, bucket: str, name: str) -> Path:
        return self._root / bucket / (hashlib.sha256(name.encode("utf-8")).hexdigest() + _SUFFIX)


def md5_of(content: bytes) -> str:
    """Return the content's MD5 in base64: the protocol's checksum, which guards nothing here."""
    return base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode("ascii")


def _described(path: Path) -> StoredObject | None:
    try:
        with path.open("rb") as file:
            return StoredObject(**json.loads(file.readline()))
    except FileNotFoundError:
        return None
