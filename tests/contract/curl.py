"""The curl command: what it reads of answers, as a judge of what is to be read."""

import asyncio
import tempfile
from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import urlsplit


class Reading(NamedTuple):
    """What curl made of an answer."""

    status: int | None
    """Final; None where it read none."""
    exit_code: int
    words: str


async def readings(url: str, paths: Sequence[str]) -> list[Reading]:
    """POST to each path once, one after the other; return what was read."""
    read: list[Reading] = []
    while len(read) < len(paths):  # curl ends early after some of its errors
        read += await _run(urlsplit(url).port or 80, paths[len(read) :])
    return read


async def _run(port: int, paths: Sequence[str]) -> list[Reading]:
    """Run curl once; each path has a host of its own, since curl would use a connection for several."""
    with tempfile.NamedTemporaryFile("w", suffix=".curlrc") as config:
        config.write(
            f'silent\nrequest = "POST"\ndata = "{{}}"\nmax-time = 5\nresolve = "*:{port}:127.0.0.1"\n'
        )
        config.write(r'write-out = "%{http_code} %{exitcode} %{errormsg}\n"' + "\n")
        for number, path in enumerate(paths):
            config.write(f'url = "http://host{number}:{port}{path}"\noutput = "/dev/null"\n')
        config.flush()
        command = ("curl", "--disable", "--config", config.name)
        curl = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        output, _ = await curl.communicate()
    return [_reading(line) for line in output.decode("latin-1").splitlines()]


def _reading(line: str) -> Reading:
    code, exit_code, words = line.split(" ", 2)
    final = 200 <= int(code) <= 999 or int(code) == 101  # of HTTP/2 it takes any number
    return Reading(int(code) if final else None, int(exit_code), words)
