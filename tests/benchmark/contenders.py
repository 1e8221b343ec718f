"""What is compared with the bundle. Run as `python -m tests.benchmark.contenders NAME JSON`; prints JSON.

floor       aiohttp alone: the same requests, as many in flight, nothing stored
client      the library's own client alone, in the same way
sequential  the pattern of the known samples: for each record its token from Vault, one POST without a
            session, one replace
"""

import asyncio
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

PAYLOAD = b'{"orderid":"18jan"}'


async def floor(job: dict[str, Any]) -> float:
    """Send so many requests with aiohttp, bounded in all and per target; seconds that it took."""
    import aiohttp

    in_all = asyncio.Semaphore(job["concurrency"])
    per_target = [asyncio.Semaphore(job["per_target"]) for _ in job["targets"]]
    headers = {"Content-Type": "application/json", "Idempotency-Key": "01a20bc0-3b2c-7f96-aeff-224c51bc516a"}

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def send(number: int) -> None:
            place = number % len(per_target)
            async with (
                per_target[place],
                in_all,
                session.post(job["targets"][place] + job["path"], data=PAYLOAD, headers=headers) as response,
            ):
                await response.read()

        started = time.perf_counter()
        await asyncio.gather(*(send(number) for number in range(job["records"])))
        return time.perf_counter() - started


async def client(job: dict[str, Any]) -> float:
    """Send so many requests with the library's client; seconds that it took."""
    from shared.model.answer import HttpRequest, Terms
    from shared.outbound.client import Client
    from shared.settings import Settings

    in_all = asyncio.Semaphore(job["concurrency"])
    per_target = [asyncio.Semaphore(job["per_target"]) for _ in job["targets"]]
    headers = [
        ("Content-Type", "application/json"),
        ("Idempotency-Key", "01a20bc0-3b2c-7f96-aeff-224c51bc516a"),
    ]
    required = dict.fromkeys(("VAULT_OCID", "VAULT_KEY_OCID", "VAULT_COMPARTMENT_OCID"), "x")
    terms = Terms(35.0, connect=5.0, read=30.0)
    config = required | {"DATABASE_DSN": "sqlite:x", "ALLOWED_NETWORKS": "127.0.0.0/8"}

    async with Client(Settings.from_config(config)) as made:

        async def send(number: int) -> None:
            place = number % len(per_target)
            url = job["targets"][place] + job["path"]
            async with per_target[place], in_all:
                answer = await made.deliver(HttpRequest("POST", url, headers, PAYLOAD), terms)
                assert answer.accepted, answer

        started = time.perf_counter()
        await asyncio.gather(*(send(number) for number in range(job["records"])))
        return time.perf_counter() - started


def sequential(job: dict[str, Any]) -> float:
    """Find, look up the token, post, replace: one record after the other; seconds that it took."""
    import base64

    import oci
    import requests

    import local.emulators.soda
    from local.emulators import identity

    home = Path(job["home"])
    os.environ |= identity.environment(home)
    secrets = oci.secrets.SecretsClient(
        {},
        service_endpoint=job["oci_url"],
        signer=oci.auth.signers.get_resource_principals_signer(),
        retry_strategy=oci.retry.NoneRetryStrategy(),
    )
    with local.emulators.soda.connect(home / "datasync.db") as connection:
        connection.autocommit = True
        collection = connection.getSodaDatabase().createCollection("sequential")
        for number in range(job["records"]):
            place = job["targets"][number % len(job["targets"])]
            collection.insertOne({"status": "not_processed", "url": place + job["path"], "payload": "18jan"})
        started = time.perf_counter()
        for found in collection.find().filter({"status": "not_processed"}).getDocuments():
            record = found.getContent()
            secret = secrets.get_secret_bundle_by_name("datasync-bench", identity.VAULT_OCID)
            token = base64.b64decode(secret.data.secret_bundle_content.content).decode()
            answer = requests.post(record["url"], PAYLOAD, headers={"Authorization": token}, timeout=30)
            del record["_id"]
            record |= {"status": "success", "status_code": answer.status_code}
            collection.find().key(found.key).replaceOne(record)
        return time.perf_counter() - started


def main() -> None:
    """Run one contender."""
    name, job = sys.argv[1], json.loads(sys.argv[2])
    if name == "sequential":
        before = time.process_time()
        seconds = sequential(job)
    else:
        run = {"floor": floor, "client": client}[name]
        asyncio.run(run(job | {"records": 1}))  # imports and the like
        before = time.process_time()
        seconds = asyncio.run(run(job))
    print(json.dumps({"seconds": seconds, "cpu": time.process_time() - before}))


if __name__ == "__main__":
    main()
