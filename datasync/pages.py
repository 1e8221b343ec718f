"""Lists that a deployment answers page by page."""

from collections.abc import Iterator, Mapping
from typing import Any

from datasync.deployment import Deployment, DeploymentError

MOST = 100  # records of a page

Record = dict[str, Any]


def records_in(content: object) -> list[Record]:
    """The objects in a list, whatever else a deployment may answer."""
    return [one for one in content if isinstance(one, dict)] if isinstance(content, list) else []


def records_of(
    deployment: Deployment, path: str, member: str, query: Mapping[str, str], size: int = MOST
) -> Iterator[Record]:
    """Yield the records of a list in its order, `size` of them from each call. Raises DeploymentError."""
    asked = {**query, "limit": str(min(size, MOST))}
    while True:
        page = deployment.get(path, having=member, query=asked)
        yield from records_in(page[member])
        following = page.get("next")
        if following is None:
            return
        if str(following) == asked.get("after"):
            raise DeploymentError(
                f"GET {path}: the list goes on where it has been, and has no end.\nRun the command again."
            )
        asked["after"] = str(following)
