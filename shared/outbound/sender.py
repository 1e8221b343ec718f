"""HTTP requests to targets: what of a record goes out, and whether it may go there."""

from collections.abc import Sequence
from dataclasses import replace

from shared import VERSION
from shared.drivers import logs
from shared.model import targets
from shared.model.answer import Answer, HttpRequest, Terms
from shared.model.headers import header_fault, header_pairs
from shared.model.payload import encoded_payload
from shared.model.record import OPERATIONS, Document
from shared.outbound.client import Client
from shared.outbound.faults import BAD_REQUEST, NoAnswer
from shared.outbound.masking import kept_bytes, masked, text_of
from shared.outbound.signing import HEADERS, signed
from shared.settings import Settings

PRODUCT = f"oci-data-sync/{VERSION}"


class Sender:
    """Sends records; used as an asynchronous context manager, for one call."""

    def __init__(self, settings: Settings, signing_keys: Sequence[bytes] = ()):
        self._settings = settings
        self._signing_keys = signing_keys
        self._client = Client(settings)
        self._kept = kept_bytes(settings.answer_limit)
        self._refusals: dict[tuple[str, str], str | None] = {}

    async def __aenter__(self) -> "Sender":
        await self._client.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.__aexit__()

    async def send(self, document: Document, token: str | None, terms: Terms) -> Answer:
        """Send one record; every outcome is an Answer, none an exception."""
        try:
            request = self._signed(document["id"], _request(document, token))
        except ValueError as error:
            return NoAnswer(BAD_REQUEST, str(error)).answer
        refusal = self._why_not(request.url)
        if refusal:
            return refusal
        return self._with_text(await self._client.deliver(request, terms, self._kept), request, terms)

    async def ask(self, url: str, form: bytes, authorization: str, seconds: float) -> tuple[Answer, bytes]:
        """POST a form, under the same rules; with the beginning of the answer's content."""
        sent = [
            ("Content-Type", "application/x-www-form-urlencoded"),
            ("Accept", "application/json"),
            ("Authorization", authorization),
            ("User-Agent", PRODUCT),
        ]
        refusal = self._why_not(url)
        if refusal:
            return refusal, b""
        return await self._client.ask(HttpRequest("POST", url, sent, form, authorization), seconds)

    def _with_text(self, answer: Answer, request: HttpRequest, terms: Terms) -> Answer:
        """Return an answer with the text that may be kept of it, without the token that was sent."""
        is_wanted = terms.keeps_successes if answer.accepted else terms.keeps_failures
        if not (answer.content and self._kept and (is_wanted or terms.reads_body)):
            return answer
        text = text_of(answer.headers, answer.content[: self._kept], self._kept)
        return replace(answer, said=masked(text, request.credential, self._settings.answer_limit))

    def _signed(self, identity: str, request: HttpRequest) -> HttpRequest:
        if not self._signing_keys:
            return request
        own = [pair for pair in request.headers if pair[0].lower() not in HEADERS]
        return request._replace(headers=own + signed(self._signing_keys, identity, request.body or b""))

    def _why_not(self, url: str) -> Answer | None:
        """Say why a request is not made; None if it may be.

        The URL is checked again: what the operator allows may have changed, and nothing is trusted because
        it stands in the database.
        """
        try:
            refusal = self._refusal(targets.parse_url(url))
        except ValueError as error:
            refusal = f"the URL {error}"
        return NoAnswer(BAD_REQUEST, refusal).answer if refusal else None

    def _refusal(self, url: targets.TargetUrl) -> str | None:
        """Say why a target may not be sent to; checked once for each origin, on which alone it depends."""
        origin = url.scheme, url.origin
        if origin not in self._refusals:
            settings = self._settings
            self._refusals[origin] = targets.refusal(url, settings.allowed_targets, settings.allowed_networks)
        return self._refusals[origin]


def _request(document: Document, token: str | None) -> HttpRequest:
    """Return what goes out; ValueError if the record has what `/store` refuses."""
    for name in ("targetRestApi", "targetRestApiOperation"):
        if name not in document:
            raise ValueError(f"the record has no {name}")
    method = document["targetRestApiOperation"]
    if method not in OPERATIONS:
        raise ValueError(f"the record's operation is none of {', '.join(OPERATIONS)}")
    content = encoded_payload(document)
    return HttpRequest(method, document["targetRestApi"], headers(document, token), content, token or "")


def headers(document: Document, token: str | None) -> list[tuple[str, str]]:
    """Return the headers to send: the record's own, the token, and what the system adds.

    Raises ValueError if the record's are not what `/store` accepts.
    """
    pairs = []
    for place, name, value in header_pairs(document.get("targetRestApiHeaders", [])):
        fault = header_fault(name, value)
        if fault:
            raise ValueError(f"the record's header {place} {fault}")
        pairs.append((name, value))
    own = {name.lower(): value for name, value in pairs}
    pairs = [(name, value) for name, value in pairs if name.lower() != "user-agent"]
    pairs.append(("User-Agent", f"{own['user-agent']} {PRODUCT}" if "user-agent" in own else PRODUCT))
    if "targetRestApiPayload" in document and "content-type" not in own:
        pairs.append(("Content-Type", "application/json"))
    if token is not None:
        pairs.append(("Authorization", token))
    pairs.append(("Idempotency-Key", document["id"]))
    trace = logs.traceparent()
    if trace and "traceparent" not in own:  # the source's own trace continues
        pairs.append(("traceparent", trace))
    return pairs
