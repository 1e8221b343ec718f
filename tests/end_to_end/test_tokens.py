"""A token stands in Vault and in the request to its target, and nowhere else."""

import base64
import uuid
from pathlib import Path

from tests.end_to_end import bundle as bundles


def test_a_token_is_in_no_log_reply_or_file(home: Path) -> None:
    secret = uuid.uuid4().hex
    token = f"Bearer {secret}"
    replies: list[str] = []
    with bundles.running(home, RETRY_LIMIT="2") as bundle:
        named = {"vaultSecretName": "erp"}
        for path in ("/ok", "/echo/500", "/echo/404", "/hang", "/reset", "/redirect/302", "/big/100000"):
            response = bundle.call("POST", "/store", bundle.record(path, **named), Authorization=token)
            assert response.status_code == 202
            replies.append(response.text)
        broken = bundle.record(**named, targetRestApiOperation="GET", status="x")
        replies.append(bundle.call("POST", "/store", broken, Authorization=token).text)
        replies.append(bundle.call("POST", "/store", bundle.record(), Authorization=token).text)
        other = bundle.call("POST", "/store", bundle.record(**named), Authorization=token + "x")
        assert other.status_code == 409
        replies.append(other.text)
        bundle.fault("secrets", status=500)
        new = bundle.record(vaultSecretName="other")
        replies.append(bundle.call("POST", "/store", new, Authorization=token).text)
        bundle.clear_oci()
        replies += [str(bundle.process()), str(bundle.retry()), str(bundle.call("GET", "/process").json())]
        replies += [str(bundle.state(one["id"])) for one in bundle.documents()]
        assert len([one for one in bundle.received() if one["header"].get("authorization") == token]) > 7
        files = [path for path in home.rglob("*") if path.is_file()]
        assert bundle.database in files
        for form in (secret, base64.b64encode(token.encode()).decode()):
            assert not [reply for reply in replies if form in reply]
            assert not [path for path in files if form.encode() in path.read_bytes()]
