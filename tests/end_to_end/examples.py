"""Runs the shell examples of a document against a bundle, as a reader would who copies them."""

import json
import subprocess
import sys
from typing import Any

from tests.end_to_end.bundle import ROOT, Bundle

SHOWN_ID = "01a20b76-df29-7055-b3ec-dc7ab6212dc5"  # stands for the id of the first record that is stored


class Reader:
    """Somebody who copies one example after the other, and puts in the id that was answered."""

    def __init__(self, bundle: Bundle):
        self._bundle = bundle
        self.identity = SHOWN_ID

    def run(self, block: str) -> str:
        """Run a block; what it printed. Every command in it must succeed."""
        here = block.replace("http://127.0.0.1:8080", self._bundle.url)
        here = here.replace("http://127.0.0.1:8081", self._bundle.target_url)
        here = here.replace(".venv/bin/datasync", f"'{sys.executable}' -m datasync")
        here = here.replace(SHOWN_ID, self.identity)
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", here],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, (here, done.stdout, done.stderr)
        return done.stdout

    def answers(self, block: str) -> list[dict[str, Any]]:
        """Run a block; the JSON that its commands printed, none of which may be an error."""
        printed, answers = self.run(block).strip(), []
        while printed:
            answer, length = json.JSONDecoder().raw_decode(printed)
            assert "title" not in answer, (block, answer)
            answers.append(answer)
            printed = printed[length:].lstrip()
        if self.identity == SHOWN_ID and "id" in answers[0]:
            self.identity = answers[0]["id"]
        return answers
