"""Requests made up after `openapi.yaml`, by schemathesis, against a running bundle."""

import subprocess
import sys
from pathlib import Path

import yaml

from tests.end_to_end.bundle import ROOT, Bundle

SOURCE, OPERATOR = "source-6e1f0a9b8c7d", "operator-1a2b3c4d5e6f"
SETTINGS = {"API_KEYS": f"source/mobile:{SOURCE},operator/ops:{OPERATOR}"}
"""What the bundle is started with."""

# A well-formed record may still be refused, for a header's name or a token that is not the name's; and
# any body for a NUL or a number that the database can't keep.
_CONFIG = """
headers = {{ "X-API-Key" = "{operator}" }}
checks.negative_data_rejection.expected-statuses = [
  400, 401, 403, 404, 405, 409, 412, 413, 415, 422, 428, 431
]

[[operations]]
include-operation-id = "store"
headers = {{ "X-API-Key" = "{source}" }}
checks.positive_data_acceptance.enabled = false

[[operations]]
include-operation-id = ["process", "retry"]
checks.positive_data_acceptance.expected-statuses = [200, 413, 422]

[[operations]]
include-operation-id = "putTargets"
checks.missing_required_header.expected-statuses = [401, 403, 428]
checks.positive_data_acceptance.expected-statuses = [200, 409, 412, 413, 422, 431]

# OpenAPI can't say that exactly one of three parameters is given.
[[operations]]
include-operation-id = "search"
checks.positive_data_acceptance.expected-statuses = [200, 422, 431]

[[operations]]
include-operation-id = "edit"
checks.positive_data_acceptance.expected-statuses = [200, 404, 409, 413, 422, 431]

# What is cancelled can still be looked at.
[[operations]]
include-operation-id = ["state", "cancel", "edit"]
checks.use_after_free.enabled = false

[[operations]]
include-operation-id = "state"
checks.positive_data_acceptance.expected-statuses = [200, 404, 431]
"""


def run(bundle: Bundle, folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run schemathesis with these options; exit code 0 where the bundle did as it is described."""
    description = yaml.safe_load((ROOT / "openapi.yaml").read_text())
    targets = [f"{bundle.target_url}/{path}" for path in ("ok", "status/404", "flaky/1", "echo/500", "reset")]
    message = description["components"]["schemas"]["Message"]["properties"]
    message["targetRestApi"] = {"enum": [*targets, "https://unlisted.example.com/"]}
    (folder / "openapi.yaml").write_text(yaml.safe_dump(description))
    (folder / "schemathesis.toml").write_text(_CONFIG.format(source=SOURCE, operator=OPERATOR))
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(folder / "schemathesis.toml")]
    return subprocess.run(
        [*command, "run", str(folder / "openapi.yaml"), "--url", bundle.url, "--no-color", *options],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
