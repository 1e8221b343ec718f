"""Notifications (`/20181201/topics/…`): publishing a message to the local topic."""

import time
import uuid
from collections import deque
from collections.abc import Callable

from aiohttp import web

from local.emulators.identity import TOPIC_OCID
from local.emulators.oci.journal import Journal
from local.emulators.oci.wire import (
    ServiceError,
    as_text,
    invalid,
    json_object,
    not_found,
    required_text,
    utc_now,
)

# Limits of PublishMessage: https://docs.oracle.com/iaas/api/#/en/notification/20181201/
_MAXIMUM_BYTES = 64 * 1024
_PER_MINUTE = 60


class Notifications:
    """The endpoint; what is published can be read in the journal."""

    def __init__(self, journal: Journal, clock: Callable[[], float] = time.monotonic):
        self._journal = journal
        self._clock = clock
        self._published: deque[float] = deque(maxlen=_PER_MINUTE)

    def routes(self) -> list[web.RouteDef]:
        """Return the operations, each by its name."""
        path = "/20181201/topics/{id}/messages"
        return [web.post(path, self.publish, name="notifications.publish_message")]

    async def publish(self, request: web.Request) -> web.Response:
        """Keep a message; 429 for more than 60 within a minute."""
        if request.match_info["id"] != TOPIC_OCID:
            raise not_found("The topic")
        if len(await request.read()) > _MAXIMUM_BYTES:
            raise invalid(f"The message is longer than {_MAXIMUM_BYTES} bytes")
        message = await json_object(request)
        body, title = required_text(message, "body"), message.get("title")
        self._take_turn()
        entry = {"messageId": str(uuid.uuid4()), "timeStamp": as_text(utc_now())}
        self._journal.append([{**entry, "topicId": TOPIC_OCID, "title": title, "body": body}])
        return web.json_response(entry, status=202)

    def _take_turn(self) -> None:
        now = self._clock()
        if len(self._published) == _PER_MINUTE and now - self._published[0] < 60:
            raise ServiceError(
                429, "TooManyRequests", f"More than {_PER_MINUTE} messages a minute for this topic"
            )
        self._published.append(now)
