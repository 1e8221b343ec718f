"""Objects through the real SDK: write, read, list, delete, conditions, and names that try to get out."""

import contextlib
import hashlib
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import oci.exceptions
import pytest
from oci.object_storage import ObjectStorageClient
from oci.object_storage.models import CreateBucketDetails

from local.emulators.identity import COMPARTMENT_OCID, OBJECT_STORAGE_NAMESPACE
from tests.contract.oci_server import refused, serving

SPACE, BUCKET = OBJECT_STORAGE_NAMESPACE, "archive"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("objects") / "home"


@pytest.fixture(scope="module")
def served(home: Path) -> Iterator[Any]:
    with serving(home) as server:
        client = server.client(ObjectStorageClient)
        client.create_bucket(SPACE, CreateBucketDetails(name=BUCKET, compartment_id=COMPARTMENT_OCID))
        yield client


@pytest.fixture
def storage(served: Any) -> Any:
    """A client of a bucket that is empty."""
    for name in names(served):
        served.delete_object(SPACE, BUCKET, name)
    return served


def names(storage: Any, **filters: Any) -> list[str]:
    return [each.name for each in storage.list_objects(SPACE, BUCKET, **filters).data.objects]


def test_an_object_is_written_read_described_and_deleted(storage: Any) -> None:
    content = b"line 1\nline 2\n\x00\xff"
    md5 = b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()
    put = storage.put_object(
        SPACE,
        BUCKET,
        "2026/11/ä b.ndjson",
        content,
        content_type="application/x-ndjson",
        opc_meta={"rows": "2"},
    )
    assert put.headers["opc-content-md5"] == md5
    got = storage.get_object(SPACE, BUCKET, "2026/11/ä b.ndjson")
    assert got.data.content == content
    assert got.headers["etag"] == put.headers["etag"]
    assert got.headers["content-type"] == "application/x-ndjson"
    assert got.headers["opc-meta-rows"] == "2"
    head = storage.head_object(SPACE, BUCKET, "2026/11/ä b.ndjson")
    assert head.headers["content-length"] == str(len(content))
    storage.delete_object(SPACE, BUCKET, "2026/11/ä b.ndjson")
    with refused(404, "ObjectNotFound"):
        storage.get_object(SPACE, BUCKET, "2026/11/ä b.ndjson")
    with refused(404, "ObjectNotFound"):
        storage.delete_object(SPACE, BUCKET, "2026/11/ä b.ndjson")


def test_a_streamed_upload_is_written(storage: Any, tmp_path: Path) -> None:
    source = tmp_path / "big"
    source.write_bytes(b"0123456789" * 200_000)
    with source.open("rb") as stream:
        storage.put_object(SPACE, BUCKET, "big", stream)
    assert storage.get_object(SPACE, BUCKET, "big").data.content == source.read_bytes()


def test_namespace_and_buckets_are_answered(storage: Any) -> None:
    assert storage.get_namespace().data == SPACE
    assert storage.get_bucket(SPACE, BUCKET).data.compartment_id == COMPARTMENT_OCID
    assert storage.head_bucket(SPACE, BUCKET).status == 200
    with refused(404, "BucketNotFound"):
        storage.get_bucket(SPACE, "other")
    with refused(404, "NamespaceNotFound"):
        storage.get_bucket("elsewhere", BUCKET)
    with refused(409, "BucketAlreadyExists"):
        storage.create_bucket(SPACE, CreateBucketDetails(name=BUCKET, compartment_id=COMPARTMENT_OCID))


def test_an_object_that_must_be_new_is_not_written_over_another(storage: Any) -> None:
    storage.put_object(SPACE, BUCKET, "once", b"first", if_none_match="*")
    with refused(412, "IfNoneMatchFailed"):
        storage.put_object(SPACE, BUCKET, "once", b"second", if_none_match="*")
    assert storage.get_object(SPACE, BUCKET, "once").data.content == b"first"


def test_an_object_is_replaced_only_over_the_etag_that_was_read(storage: Any) -> None:
    etag = storage.put_object(SPACE, BUCKET, "shared", b"first").headers["etag"]
    storage.put_object(SPACE, BUCKET, "shared", b"second", if_match=etag)
    with refused(412, "IfMatchFailed"):
        storage.put_object(SPACE, BUCKET, "shared", b"third", if_match=etag)
    with refused(412, "IfMatchFailed"):
        storage.delete_object(SPACE, BUCKET, "shared", if_match=etag)
    assert storage.get_object(SPACE, BUCKET, "shared").data.content == b"second"


def test_content_that_does_not_have_the_md5_it_claims_is_not_written(storage: Any) -> None:
    with refused(400, "UnmatchedContentMD5"):
        storage.put_object(SPACE, BUCKET, "damaged", b"x", content_md5=b64encode(b"0" * 16).decode())
    assert names(storage) == []


def test_objects_are_listed_by_prefix_in_pages_with_the_fields_asked_for(storage: Any) -> None:
    for name in ("a/2", "a/1", "b/1", "a/3"):
        storage.put_object(SPACE, BUCKET, name, name.encode())
    assert names(storage, prefix="a/") == ["a/1", "a/2", "a/3"]
    page = storage.list_objects(SPACE, BUCKET, prefix="a/", limit=2, fields="name,size").data
    assert [(each.name, each.size) for each in page.objects] == [("a/1", 3), ("a/2", 3)]
    assert names(storage, prefix="a/", start=page.next_start_with) == ["a/3"]
    with refused(400, "InvalidParameter"):
        storage.list_objects(SPACE, BUCKET, delimiter="/")


@pytest.mark.parametrize(
    "name", ["../../escaped", "..", ".", "/etc/escaped", "a/../../../escaped", "%2e%2e%2fescaped", "x" * 1024]
)
def test_no_name_leads_out_of_the_bucket(storage: Any, home: Path, name: str) -> None:
    before = set(home.parent.rglob("*"))
    # Refused is as good as kept inside: dots and slashes at the edge of a path may already end elsewhere.
    with contextlib.suppress(oci.exceptions.ServiceError):
        storage.put_object(SPACE, BUCKET, name, b"x")
        assert name in names(storage)
    new = set(home.parent.rglob("*")) - before
    assert all(path.parent == home / "objects" / BUCKET for path in new)


@pytest.mark.parametrize("bucket", ["..", ".", "a b", "a%2fb", ""])
def test_no_bucket_is_made_outside_the_store(storage: Any, home: Path, bucket: str) -> None:
    before = set(home.parent.rglob("*"))
    with pytest.raises(oci.exceptions.ServiceError) as caught:
        storage.create_bucket(SPACE, CreateBucketDetails(name=bucket, compartment_id=COMPARTMENT_OCID))
    assert caught.value.status == 400
    assert set(home.parent.rglob("*")) == before


def test_objects_survive_a_restart(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        client = server.client(ObjectStorageClient)
        client.create_bucket(SPACE, CreateBucketDetails(name=BUCKET, compartment_id=COMPARTMENT_OCID))
        client.put_object(SPACE, BUCKET, "kept", b"kept")
    with serving(tmp_path) as server:
        assert server.client(ObjectStorageClient).get_object(SPACE, BUCKET, "kept").data.content == b"kept"
