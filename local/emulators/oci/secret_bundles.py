"""Secret retrieval (`/20190301/secretbundles`): reading a secret's content."""

import base64

from aiohttp import web

from local.emulators.oci.secret_record import Secret, Version
from local.emulators.oci.secret_store import SecretStore
from local.emulators.oci.wire import JsonObject, as_text, invalid, not_found, positive_int, required_text

_BASE = "/20190301/secretbundles"
_SELECTORS = ("versionNumber", "secretVersionName", "stage")


class SecretBundles:
    """The endpoints over one store."""

    def __init__(self, store: SecretStore):
        self._store = store

    def routes(self) -> list[web.RouteDef]:
        """Return the operations, each by its name."""
        return [
            web.post(f"{_BASE}/actions/getByName", self.by_name, name="secrets.get_secret_bundle_by_name"),
            web.get(f"{_BASE}/{{id}}", self.by_id, name="secrets.get_secret_bundle"),
            web.get(f"{_BASE}/{{id}}/versions", self.versions, name="secrets.list_secret_bundle_versions"),
        ]

    async def by_name(self, request: web.Request) -> web.Response:
        """Answer the content of the secret of this name in this vault."""
        name = required_text(request.query, "secretName")
        secret = self._store.by_name(required_text(request.query, "vaultId"), name)
        return self._bundle(request, secret)

    async def by_id(self, request: web.Request) -> web.Response:
        """Answer the content of the secret with this OCID."""
        return self._bundle(request, self._store.get(request.match_info["id"]))

    async def versions(self, request: web.Request) -> web.Response:
        """Answer what versions there are, without their content."""
        secret = self._readable(self._store.get(request.match_info["id"]))
        return web.json_response([_described(secret, version) for version in reversed(secret.versions)])

    def _bundle(self, request: web.Request, found: Secret | None) -> web.Response:
        secret = self._readable(found)
        version = _selected(secret, request)
        content = base64.b64encode(self._store.content(secret, version)).decode("ascii")
        body = {
            **_described(secret, version),
            "secretBundleContent": {"contentType": "BASE64", "content": content},
            "metadata": secret.draft.labels.get("metadata"),
        }
        return web.json_response(body, headers={"ETag": secret.etag})

    def _readable(self, secret: Secret | None) -> Secret:
        # A secret that is being created or waits for its deletion has no bundle: the service answers as if
        # there were none, not with a conflict (seen in external-secrets issue 6771 for the latter).
        if secret is None or secret.state(self._store.clock()) != "ACTIVE":
            raise not_found("The secret")
        return secret


def _selected(secret: Secret, request: web.Request) -> Version:
    given = [name for name in _SELECTORS if name in request.query]
    if len(given) > 1:
        raise invalid(f"Give only one of {', '.join(given)}")
    number = positive_int(request.query, "versionNumber", secret.current)
    name, stage = request.query.get("secretVersionName"), request.query.get("stage")
    for version in reversed(secret.versions):
        if name is not None:
            fits = version.name == name
        elif stage is not None:
            fits = stage in secret.stages(version)
        else:
            fits = version.number == number
        if fits:
            return version
    raise not_found("The version of the secret")


def _described(secret: Secret, version: Version) -> JsonObject:
    return {
        "secretId": secret.id,
        "timeCreated": as_text(version.time_created),
        "versionNumber": version.number,
        "versionName": version.name,
        "stages": secret.stages(version),
    }
