"""Maintenance killed with -9 at each of its steps: the next run completes it."""

import json
import time
from collections import Counter
from pathlib import Path

import oci
import pytest

from tests.end_to_end.bundle import SHORT_LEASE, TOKEN, Bundle, eventually, running
from tests.faults.trial import PROGRAM

STEPS = (
    "as the lease of maintenance was taken",
    "while expiring",
    "before the batch is noted",
    "after the batch is noted",
    "after the put",
    "before the second put",
    "mid-delete",
    "after the put of the dead",
    "after the delete",
    "while archiving the dead",
    "before a secret goes",
    "after a secret went",
    "before the lease of maintenance is released",
)


@pytest.mark.parametrize("step", STEPS)
def test_maintenance_dies_at_a_step(tmp_path: Path, step: str) -> None:
    home, settings = tmp_path / "home", {"RETRY_LIMIT": "1", "EXPIRE_AFTER": "1s", **SHORT_LEASE}
    with running(home, **settings) as bundle:
        bundle.maintain()  # from now on it is known which tokens are used
        ids = [
            bundle.stored(path, TOKEN, vaultSecretName="idle") for path in ["/ok"] * 5 + ["/status/404"] * 3
        ]
        bundle.process()
        ids.append(bundle.stored("/ok/expired"))
    killed = tmp_path / "killed"
    faults = json.dumps({"KILL_AT": step, "KILLED": str(killed)})
    old = {"ARCHIVE_AFTER": "1s", "SECRETS_UNUSED_AFTER": "1s" if "secret" in step else "0s"}
    with running(home, program=PROGRAM, FAULTS=faults, **settings, **old) as bundle:
        time.sleep(1)  # everything gets old
        with pytest.raises(oci.exceptions.ServiceError):
            bundle.maintain()
        assert killed.exists()
        eventually(lambda: completed(bundle), pause=0.5)
        kept = Counter(record["id"] for records in bundle.archived().values() for record in records)
        assert kept == Counter(ids)
        assert set(bundle.call("GET", "/process").json()["counts"].values()) == {0}


def completed(bundle: Bundle) -> bool:
    """Run maintenance; tell whether it has nothing left to do."""
    answer = bundle.maintain()
    return bool(answer["endOfWork"]) and not bundle.documents()
