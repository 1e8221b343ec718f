"""The operator's command as a process of its own, with a deployment in its environment."""

import os
import subprocess
import sys

from tests.end_to_end.bundle import ROOT


def started(url: str, *arguments: str, key: str = "") -> subprocess.Popen[str]:
    """Start `datasync` with the deployment in its environment."""
    return subprocess.Popen(
        [sys.executable, "-m", "datasync", *arguments],
        cwd=ROOT,
        env=os.environ | {"DATASYNC_URL": url, "DATASYNC_API_KEY": key, "PYTHONUNBUFFERED": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def datasync(url: str, *arguments: str, key: str = "", said: str = "") -> subprocess.CompletedProcess[str]:
    """Run `datasync` to its end; `said` is what it reads, from no terminal."""
    with started(url, *arguments, key=key) as process:
        out, err = process.communicate(said, timeout=300)
    return subprocess.CompletedProcess(arguments, process.returncode, out, err)
