"""The archive: objects of compressed JSON lines in an Object Storage bucket, each put as a whole."""

import gzip
from collections.abc import Sequence

from shared.drivers.oci import OciClients, Refused
from shared.model import json_codec
from shared.model.errors import DependencyDown
from shared.model.record import Document

_LEVEL = 6


class Archive:
    """Puts batches of records into one bucket."""

    def __init__(self, clients: OciClients, bucket: str):
        self._clients = clients
        self._bucket = bucket
        self._namespace = ""

    def put(self, name: str, documents: Sequence[Document]) -> None:
        """Put records under a name, one a line; the same records make the same object, byte for byte.

        Raises DependencyDown where it may not be there.
        """
        lines = b"".join(json_codec.dump(document) + b"\n" for document in documents)
        content = gzip.compress(lines, _LEVEL, mtime=0)
        try:
            self._call("put_object", self._in_namespace(), self._bucket, name, content)
        except Refused as error:
            raise DependencyDown(
                f"Object Storage refused ({error.status}) to keep an archive; the operator checks"
                " ARCHIVE_BUCKET and the policies. Nothing was deleted."
            ) from None

    def _in_namespace(self) -> str:
        if not self._namespace:
            self._namespace = str(self._call("get_namespace"))
        return self._namespace

    def _call(self, operation: str, *arguments: object) -> object:
        return self._clients.call("object_storage", "ObjectStorageClient", operation, *arguments)
