"""Secret management (`/20180608/secrets`): create, read, list, update, schedule and cancel deletion."""

import base64
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

from aiohttp import web

from local.emulators.identity import COMPARTMENT_OCID, KEY_OCID, VAULT_OCID
from local.emulators.oci.secret_record import Draft, Secret, Version
from local.emulators.oci.secret_store import NameTakenError, SecretStore
from local.emulators.oci.wire import (
    JsonObject,
    ServiceError,
    as_text,
    as_time,
    check_if_match,
    invalid,
    json_object,
    not_found,
    positive_int,
    required_text,
)

_BASE = "/20180608/secrets"
_NAME = re.compile(r"[A-Za-z0-9._-]{1,255}")
_MAXIMUM_CONTENT_BYTES = 25 * 1024
_SHORTEST_DELAY, _LONGEST_DELAY = timedelta(days=1), timedelta(days=30)
_PAGE = 100
_LABELS = ("freeformTags", "definedTags", "metadata")
_CREATED_BY = {"compartmentId", "vaultId", "keyId", "secretName", "secretContent", "description", *_LABELS}
_CHANGED_BY = {"currentVersionNumber", "secretContent", "description", *_LABELS}

Change = Callable[[Secret], Secret]


class Vault:
    """The endpoints over one store."""

    def __init__(self, store: SecretStore):
        self._store = store

    def routes(self) -> list[web.RouteDef]:
        """Return the operations, each by its name."""
        one = f"{_BASE}/{{id}}"
        return [
            web.post(_BASE, self.create, name="vault.create_secret"),
            web.get(_BASE, self.list_secrets, name="vault.list_secrets"),
            web.get(one, self.get, name="vault.get_secret"),
            web.put(one, self.update, name="vault.update_secret"),
            web.get(f"{one}/versions", self.list_versions, name="vault.list_secret_versions"),
            web.get(f"{one}/version/{{number}}", self.get_version, name="vault.get_secret_version"),
            web.post(f"{one}/actions/scheduleDeletion", self.schedule, name="vault.schedule_secret_deletion"),
            web.post(f"{one}/actions/cancelDeletion", self.cancel, name="vault.cancel_secret_deletion"),
        ]

    async def create(self, request: web.Request) -> web.Response:
        """Make a secret; 409 if its name is taken, unless by this very request sent once more."""
        body = await json_object(request)
        _refuse_unknown(body, _CREATED_BY)
        content, version_name, stage = _content(body.get("secretContent"))
        if stage != "CURRENT":
            raise invalid("The first version of a secret is always CURRENT")
        draft = Draft(
            name=_checked_name(required_text(body, "secretName")),
            vault_id=_known(body, "vaultId", VAULT_OCID),
            compartment_id=_known(body, "compartmentId", COMPARTMENT_OCID),
            key_id=_known(body, "keyId", KEY_OCID),
            description=body.get("description"),
            version_name=version_name,
            retry_token=request.headers.get("opc-retry-token"),
            labels={label: body[label] for label in _LABELS if label in body},
        )
        try:
            secret = self._store.create(draft, content)
        except NameTakenError as error:
            secret = error.holder
            if draft.retry_token is None or draft.retry_token != secret.draft.retry_token:
                raise ServiceError(409, "NotAuthorizedOrResourceAlreadyExists", f"{error}") from error
        # The service makes secrets in the background, and says so, however soon they are ready.
        return _answer(secret, _described(secret, "CREATING"))

    async def get(self, request: web.Request) -> web.Response:
        """Answer a secret's description."""
        secret = self._find(request)
        return _answer(secret, self._described_now(secret))

    async def list_secrets(self, request: web.Request) -> web.Response:
        """Answer the compartment's secrets, filtered, sorted and paged."""
        query = request.query
        compartment = required_text(query, "compartmentId")
        state = query.get("lifecycleState", "").upper()
        now = self._store.clock()
        matching = [
            secret
            for secret in self._store.all()
            if secret.draft.compartment_id == compartment
            and query.get("vaultId", secret.draft.vault_id) == secret.draft.vault_id
            and query.get("name", secret.name) == secret.name
            and state in ("", secret.state(now))
        ]
        by_name = query.get("sortBy") == "NAME"
        matching.sort(key=lambda secret: secret.name if by_name else as_text(secret.time_created))
        if query.get("sortOrder", "ASC" if by_name else "DESC") == "DESC":
            matching.reverse()
        page, limit = positive_int(query, "page", 1), positive_int(query, "limit", _PAGE)
        shown = matching[(page - 1) * limit : page * limit]
        headers = {"opc-next-page": str(page + 1)} if page * limit < len(matching) else {}
        return web.json_response([self._described_now(secret) for secret in shown], headers=headers)

    async def update(self, request: web.Request) -> web.Response:
        """Change description or labels, add a version, or make another version the current one."""
        body = await json_object(request)
        _refuse_unknown(body, _CHANGED_BY)
        if "secretContent" in body and "currentVersionNumber" in body:
            raise invalid("Give secretContent or currentVersionNumber, not both")

        def changed(secret: Secret) -> Secret:
            self._require_state(request, secret, "ACTIVE")
            labels = {**secret.draft.labels, **{label: body[label] for label in _LABELS if label in body}}
            description = body.get("description", secret.draft.description)
            secret = replace(secret, draft=replace(secret.draft, labels=labels, description=description))
            if "currentVersionNumber" in body:
                return _promoted(secret, body["currentVersionNumber"])
            return self._with_content(secret, body["secretContent"]) if "secretContent" in body else secret

        secret = self._changed(request, changed)
        return _answer(secret, self._described_now(secret))

    async def list_versions(self, request: web.Request) -> web.Response:
        """Answer a secret's versions, newest first, without their content."""
        secret = self._find(request)
        return web.json_response([_described_version(secret, each) for each in reversed(secret.versions)])

    async def get_version(self, request: web.Request) -> web.Response:
        """Answer one version's description."""
        secret = self._find(request)
        for version in secret.versions:
            if str(version.number) == request.match_info["number"]:
                return _answer(secret, _described_version(secret, version))
        raise not_found("The version of the secret")

    async def schedule(self, request: web.Request) -> web.Response:
        """Delete a secret 1 to 30 days from now; until then it cannot be read, and its name stays taken."""
        body = await json_object(request)
        _refuse_unknown(body, {"timeOfDeletion"})
        now = self._store.clock()
        text = body.get("timeOfDeletion")
        moment = now + _LONGEST_DELAY if text is None else as_time(text, "timeOfDeletion")
        if not _SHORTEST_DELAY <= moment - now <= _LONGEST_DELAY:
            raise invalid("timeOfDeletion must be 1 to 30 days from now")

        def changed(secret: Secret) -> Secret:
            self._require_state(request, secret, "ACTIVE")
            return replace(secret, time_of_deletion=moment)

        return web.Response(headers={"ETag": self._changed(request, changed).etag})

    async def cancel(self, request: web.Request) -> web.Response:
        """Take a scheduled deletion back."""

        def changed(secret: Secret) -> Secret:
            self._require_state(request, secret, "PENDING_DELETION")
            return replace(secret, time_of_deletion=None)

        return web.Response(headers={"ETag": self._changed(request, changed).etag})

    def _find(self, request: web.Request) -> Secret:
        secret = self._store.get(request.match_info["id"])
        if secret is None:
            raise not_found("The secret")
        return secret

    def _changed(self, request: web.Request, change: Change) -> Secret:
        secret = self._store.change(request.match_info["id"], change)
        if secret is None:
            raise not_found("The secret")
        return secret

    def _require_state(self, request: web.Request, secret: Secret, wanted: str) -> None:
        check_if_match(request, secret.etag)
        state = secret.state(self._store.clock())
        if state != wanted:
            raise ServiceError(409, "IncorrectState", f"The secret is {state}; this needs it to be {wanted}")

    def _with_content(self, secret: Secret, details: object) -> Secret:
        content, name, stage = _content(details)
        if name is not None and name in {version.name for version in secret.versions}:
            raise invalid("name already exists")
        return self._store.with_version(secret, content, name, pending=stage == "PENDING")

    def _described_now(self, secret: Secret) -> JsonObject:
        return _described(secret, secret.state(self._store.clock()))


def _refuse_unknown(body: JsonObject, known: set[str]) -> None:
    unknown = sorted(body.keys() - known)
    if unknown:
        raise invalid(f"Not offered here: {', '.join(unknown)}")


def _checked_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise invalid("secretName must be 1 to 255 letters, digits, hyphens, underscores or periods")
    return name


def _known(body: JsonObject, member: str, only: str) -> str:
    if required_text(body, member) != only:
        raise ServiceError(
            400, "RelatedResourceNotAuthorizedOrNotFound", f"{member} was not found, or you may not use it"
        )
    return only


def _content(details: object) -> tuple[bytes, str | None, str]:
    """Return what `secretContent` holds: the content, the version's name, and its stage."""
    if not isinstance(details, dict) or details.get("contentType") != "BASE64":
        raise invalid("secretContent must be an object whose contentType is BASE64")
    stage = details.get("stage", "CURRENT")
    if stage not in ("CURRENT", "PENDING"):
        raise invalid("secretContent.stage must be CURRENT or PENDING")
    try:
        content = base64.b64decode(required_text(details, "content"), validate=True)
    except ValueError as error:
        raise invalid("secretContent.content is not base64") from error
    if len(content) > _MAXIMUM_CONTENT_BYTES:
        raise invalid(f"The secret is longer than {_MAXIMUM_CONTENT_BYTES} bytes")
    return content, details.get("name"), stage


def _promoted(secret: Secret, number: object) -> Secret:
    if number == secret.current:
        return secret
    if number not in [version.number for version in secret.versions]:
        raise invalid("currentVersionNumber is not one of the secret's versions")
    return replace(secret, current=number, previous=secret.current)


def _answer(secret: Secret, body: JsonObject) -> web.Response:
    return web.json_response(body, headers={"ETag": secret.etag})


def _described(secret: Secret, state: str) -> JsonObject:
    draft = secret.draft
    return {
        "id": secret.id,
        "secretName": draft.name,
        "vaultId": draft.vault_id,
        "compartmentId": draft.compartment_id,
        "keyId": draft.key_id,
        "description": draft.description,
        "lifecycleState": state,
        "currentVersionNumber": secret.current,
        "timeCreated": as_text(secret.time_created),
        "timeOfDeletion": as_text(secret.time_of_deletion) if secret.time_of_deletion else None,
        "isAutoGenerationEnabled": False,
        **draft.labels,
    }


def _described_version(secret: Secret, version: Version) -> JsonObject:
    return {
        "secretId": secret.id,
        "versionNumber": version.number,
        "name": version.name,
        "contentType": "BASE64",
        "stages": secret.stages(version),
        "timeCreated": as_text(version.time_created),
        "isContentAutoGenerated": False,
    }
