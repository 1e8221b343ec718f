"""The target as a process of its own: prints `{"url": …}` once it listens, and serves until stopped."""

import argparse
import json
import socket
import ssl
from pathlib import Path

from aiohttp import web

from local.emulators.target.app import create_app

BACKLOG = 1024  # connections waiting to be accepted
SECONDS_TO_STOP = 1.0


def main() -> None:
    """Serve until SIGINT or SIGTERM."""
    args = _arguments()
    listener = socket.create_server((args.host, args.port), backlog=BACKLOG)
    scheme = "https" if args.certificate else "http"
    print(json.dumps({"url": f"{scheme}://{args.host}:{listener.getsockname()[1]}"}), flush=True)
    web.run_app(
        create_app(recording=args.recording),
        sock=listener,
        ssl_context=_tls(args.certificate, args.key) if args.certificate else None,
        print=None,
        access_log=None,
        backlog=BACKLOG,
        shutdown_timeout=SECONDS_TO_STOP,
        handler_cancellation=True,
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m local.emulators.target", description="A target that fails on request."
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one (%(default)s)")
    parser.add_argument("--certificate", type=Path, help="serve HTTPS with this PEM file")
    parser.add_argument("--key", type=Path, help="its private key, unless the certificate's file has it")
    parser.add_argument(
        "--no-recording", dest="recording", action="store_false", help="keep nothing of what is received"
    )
    args = parser.parse_args()
    if args.key and not args.certificate:
        parser.error("--key goes with --certificate")
    return args


def _tls(certificate: Path, key: Path | None) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    return context


if __name__ == "__main__":
    main()
