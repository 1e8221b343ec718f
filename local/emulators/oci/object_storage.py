"""Object Storage (`/n/…`): the buckets and objects that archiving needs."""

import asyncio
import re
from dataclasses import asdict

from aiohttp import web

from local.emulators.identity import COMPARTMENT_OCID, OBJECT_STORAGE_NAMESPACE
from local.emulators.oci.object_store import Condition, ObjectStore, PreconditionError, StoredObject, md5_of
from local.emulators.oci.wire import (
    JsonObject,
    ServiceError,
    invalid,
    json_object,
    positive_int,
    required_text,
)

# PutObject's body is not part of its signature: the service takes uploads of any size as a stream.
PUT_OBJECT = "object_storage.put_object"
_BUCKET = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9._-]{1,256}")
_MAXIMUM_NAME_BYTES = 1024
_PAGE = 1000
_META = "opc-meta-"
_FIELDS = ("name", "size", "md5", "etag")


class ObjectStorage:
    """The endpoints over one store."""

    def __init__(self, store: ObjectStore):
        self._store = store

    def routes(self) -> list[web.RouteDef]:
        """Return the operations, each by its name."""
        buckets = "/n/{namespace}/b"
        bucket = f"{buckets}/{{bucket}}"
        item = f"{bucket}/o/{{object:.+}}"
        return [
            web.get("/n", self.namespace, name="object_storage.get_namespace"),
            web.get("/n/", self.namespace, name="object_storage.get_namespace_slash"),
            web.post(buckets, self.create_bucket, name="object_storage.create_bucket"),
            web.get(bucket, self.get_bucket, name="object_storage.get_bucket", allow_head=False),
            web.head(bucket, self.get_bucket, name="object_storage.head_bucket"),
            web.get(f"{bucket}/o", self.list_objects, name="object_storage.list_objects", allow_head=False),
            web.put(item, self.put, name=PUT_OBJECT),
            web.get(item, self.get, name="object_storage.get_object", allow_head=False),
            web.head(item, self.get, name="object_storage.head_object"),
            web.delete(item, self.delete, name="object_storage.delete_object"),
        ]

    async def namespace(self, _request: web.Request) -> web.Response:
        """Answer the tenancy's namespace."""
        return web.json_response(OBJECT_STORAGE_NAMESPACE)

    async def create_bucket(self, request: web.Request) -> web.Response:
        """Make a bucket; 409 if there is one of that name."""
        _check_namespace(request)
        body = await json_object(request)
        name = required_text(body, "name")
        if not _BUCKET.fullmatch(name):
            raise ServiceError(400, "InvalidBucketName", "A bucket's name is 1 to 256 of A-Z a-z 0-9 . _ -")
        if required_text(body, "compartmentId") != COMPARTMENT_OCID:
            raise ServiceError(404, "CompartmentNotFound", "The compartment was not found")
        if not self._store.create_bucket(name):
            raise ServiceError(409, "BucketAlreadyExists", f"The bucket {name} already exists")
        return web.json_response(_described_bucket(name), headers={"ETag": name})

    async def get_bucket(self, request: web.Request) -> web.Response:
        """Answer a bucket's description."""
        bucket = self._bucket(request)
        return web.json_response(_described_bucket(bucket), headers={"ETag": bucket})

    async def list_objects(self, request: web.Request) -> web.Response:
        """Answer the names of a bucket's objects, and the `fields` asked for, in pages by name."""
        bucket, query = self._bucket(request), request.query
        refused = sorted(query.keys() - {"prefix", "start", "limit", "fields"})
        if refused:
            raise invalid(f"Not offered here: {', '.join(refused)}")
        fields = ["name", *filter(None, query.get("fields", "").split(","))]
        if not set(_FIELDS) >= set(fields):
            raise invalid(f"fields may be {', '.join(_FIELDS)}")
        limit = positive_int(query, "limit", _PAGE)
        prefix, start = query.get("prefix", ""), query.get("start", "")
        found = await asyncio.to_thread(self._store.all, bucket)
        matching = [each for each in found if each.name.startswith(prefix) and each.name >= start]
        objects = [_shown(each, fields) for each in matching[:limit]]
        following = matching[limit].name if len(matching) > limit else None
        return web.json_response({"objects": objects, "prefixes": [], "nextStartWith": following})

    async def put(self, request: web.Request) -> web.Response:
        """Write an object; `if-none-match: *` only if there is none, `if-match` only over that etag."""
        bucket, name, content = self._bucket(request), _object_name(request), await request.read()
        condition = _condition(request)
        _check_md5(request, content)
        meta = {key.lower(): text for key, text in request.headers.items() if key.lower().startswith(_META)}
        kind = request.headers.get("Content-Type", "application/octet-stream")
        try:
            stored = await asyncio.to_thread(
                self._store.put, bucket, name, content, kind, meta, condition=condition
            )
        except PreconditionError as error:
            raise ServiceError(412, *error.args) from error
        headers = {"ETag": stored.etag, "opc-content-md5": stored.md5, "Last-Modified": stored.last_modified}
        return web.Response(headers=headers)

    async def get(self, request: web.Request) -> web.Response:
        """Answer an object, or for HEAD its description alone."""
        bucket, name = self._bucket(request), _object_name(request)
        found = await asyncio.to_thread(self._store.read, bucket, name)
        if found is None:
            raise _no_object()
        stored, content = found
        headers = {
            "ETag": stored.etag,
            "Content-MD5": stored.md5,
            "Last-Modified": stored.last_modified,
            "Content-Type": stored.content_type,
            **stored.meta,
        }
        return web.Response(body=content, headers=headers)

    async def delete(self, request: web.Request) -> web.Response:
        """Remove an object."""
        bucket, name, condition = self._bucket(request), _object_name(request), _condition(request)
        try:
            deleted = await asyncio.to_thread(self._store.delete, bucket, name, condition=condition)
        except PreconditionError as error:
            raise ServiceError(412, *error.args) from error
        if not deleted:
            raise _no_object()
        return web.Response(status=204)

    def _bucket(self, request: web.Request) -> str:
        _check_namespace(request)
        bucket = request.match_info["bucket"]
        if not _BUCKET.fullmatch(bucket) or not self._store.has_bucket(bucket):
            raise ServiceError(404, "BucketNotFound", "The bucket was not found, or you may not see it")
        return bucket


def _check_namespace(request: web.Request) -> None:
    if request.match_info["namespace"] != OBJECT_STORAGE_NAMESPACE:
        raise ServiceError(404, "NamespaceNotFound", "The namespace was not found, or you may not see it")


def _object_name(request: web.Request) -> str:
    name = request.match_info["object"]
    if len(name.encode("utf-8", "surrogateescape")) > _MAXIMUM_NAME_BYTES or re.search(r"[\0\r\n]", name):
        raise ServiceError(
            400, "InvalidObjectName", "An object's name is 1 to 1024 bytes without line ends or NUL"
        )
    return name


def _condition(request: web.Request) -> Condition:
    none_match = request.headers.get("If-None-Match")
    if none_match not in (None, "*"):
        raise invalid("if-none-match can only be *")
    return Condition(request.headers.get("If-Match"), must_be_new=none_match == "*")


def _check_md5(request: web.Request, content: bytes) -> None:
    if request.headers.get("Content-MD5") not in (None, md5_of(content)):
        raise ServiceError(400, "UnmatchedContentMD5", "The content does not have the MD5 in Content-MD5")


def _no_object() -> ServiceError:
    return ServiceError(404, "ObjectNotFound", "The object was not found, or you may not see it")


def _described_bucket(name: str) -> JsonObject:
    return {
        "namespace": OBJECT_STORAGE_NAMESPACE,
        "name": name,
        "compartmentId": COMPARTMENT_OCID,
        "publicAccessType": "NoPublicAccess",
        "storageTier": "Standard",
        "etag": name,
    }


def _shown(stored: StoredObject, fields: list[str]) -> JsonObject:
    values = asdict(stored)
    return {field: values[field] for field in fields}
