"""Serves the endpoints alone: `python -m local.emulators.oci HOME [PORT]` prints the URL when ready."""

import argparse
from pathlib import Path

from aiohttp import web

from local.emulators.oci.app import create_app


def main() -> None:
    """Serve on the loopback interface until stopped."""
    parser = argparse.ArgumentParser(prog="python -m local.emulators.oci", description=__doc__)
    parser.add_argument("home", type=Path, help="folder for keys, secrets and objects")
    parser.add_argument("port", type=int, nargs="?", default=0, help="0, the default, takes a free port")
    arguments = parser.parse_args()
    web.run_app(create_app(arguments.home), host="127.0.0.1", port=arguments.port)


if __name__ == "__main__":
    main()
