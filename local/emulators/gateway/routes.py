"""Which requests go to which function: the routes that Terraform deploys."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from local.emulators.functions import Reply, problem

ROUTES = Path(__file__).resolve().parents[3] / "terraform" / "routes.json"

_PATH = re.compile(r"/|(/([A-Za-z0-9$_.+!*',()~:@-]+|\{[A-Za-z0-9_]+\}))+")
_PARAMETER = re.compile(r"\{[A-Za-z0-9_]+\}")


@dataclass(frozen=True)
class Route:
    """Requests with one of `methods` on a path go to `function`; `pattern` matches the whole path.

    `callers` are the roles of those who may call it.
    """

    pattern: re.Pattern[str]
    methods: tuple[str, ...]
    function: str
    callers: tuple[str, ...]


def load_routes(path: Path = ROUTES) -> tuple[Route, ...]:
    """Read the routes that Terraform deploys.

    Raises:
        ValueError: a path does not consist of segments and `{parameters}`.
    """
    deployment = json.loads(path.read_text())
    prefix = deployment["path_prefix"].rstrip("/")
    return tuple(
        Route(
            _pattern(prefix, route["path"]),
            tuple(route["methods"]),
            route["function"],
            tuple(route["callers"]),
        )
        for route in deployment["routes"]
    )


def find(routes: Sequence[Route], method: str, path: str) -> Route | Reply:
    """Return the route of a request, or the answer that there is none: 404, or 405 for another method."""
    matching = [route for route in routes if route.pattern.fullmatch(path)]
    if not matching:
        return problem(404, "NotFound", f"No route matches the path {path}.")
    for route in matching:
        if method in route.methods:
            return route
    allowed = ", ".join(sorted({name for route in matching for name in route.methods}))
    return problem(
        405,
        "MethodNotAllowed",
        f"This path does not answer to {method}; use {allowed}.",
        [("Allow", allowed)],
    )


def _pattern(prefix: str, path: str) -> re.Pattern[str]:
    if not _PATH.fullmatch(path):
        raise ValueError(f"Route path {path!r}: write segments and {{parameters}}, such as /store/{{id}}")
    literals = _PARAMETER.split(path)
    return re.compile(re.escape(prefix) + "[^/]+".join(re.escape(literal) for literal in literals))
