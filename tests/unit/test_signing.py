"""Signatures are those of Standard Webhooks, as its own library verifies them."""

import base64
import time

import pytest
import standardwebhooks

from shared.model.errors import Misconfigured
from shared.outbound import signing

OLD, NEW = (f"whsec_{base64.b64encode(bytes([one]) * 32).decode()}" for one in (1, 2))
SHORT = "whsec_" + base64.b64encode(b"x" * 23).decode()
BODY = b'{"orderid": "18jan"}'


def test_the_specifications_example_is_signed_alike() -> None:
    """The test vector of the specification's reference implementations."""
    key = signing.parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    headers = dict(signing.signed(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", b'{"test": 2432232314}', 1614265330))
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize("target_has", [OLD, NEW])
def test_while_one_key_replaces_another_targets_with_either_accept(target_has: str) -> None:
    headers = dict(signing.signed(signing.parse(f"{NEW} {OLD}"), "an-id", BODY))
    assert standardwebhooks.Webhook(target_has).verify(BODY, headers) == {"orderid": "18jan"}


def test_another_body_key_or_time_is_refused() -> None:
    target = standardwebhooks.Webhook(NEW)
    good = signing.signed(signing.parse(NEW), "an-id", BODY)
    late = signing.signed(signing.parse(NEW), "an-id", BODY, time.time() - 600)
    for body, headers in (
        (BODY + b" ", good),
        (BODY, late),
        (BODY, signing.signed(signing.parse(OLD), "i", BODY)),
    ):
        with pytest.raises(standardwebhooks.WebhookVerificationError):
            target.verify(body, dict(headers))


@pytest.mark.parametrize(
    "text", ["", "  ", "whsec_", "whsec_!!!!", "whsec_" + base64.b64encode(b"x" * 23).decode()]
)
def test_what_is_no_key_is_refused_and_not_quoted(text: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        signing.parse(text)
    assert "SIGNING_SECRET_OCID" in str(caught.value)
    assert SHORT not in str(caught.value)
