"""Who the functions are on this machine: local OCIDs, keys, and the resource principal's session token.

In the cloud a function signs its calls to OCI with a session key, and shows a resource principal session
token (RPST): a JWT in which OCI's identity service vouches for that key. Here a second key, kept in the home
folder, takes the identity service's place, so that the local endpoints can tell their own functions from
strangers. The claims are those that the `oci` SDK reads (`oci/auth/signers/ephemeral_resource_principals_
signer.py` and `oci/auth/security_token_container.py`) and the names that OCI gives them.
"""

import base64
import secrets
import time
from datetime import timedelta
from pathlib import Path

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from local.emulators.private_files import create_private_file, private_folder

REGION = "local"
TENANCY_OCID = "ocid1.tenancy.oc1..aaaaaaaadatasynclocaltenancy"
COMPARTMENT_OCID = "ocid1.compartment.oc1..aaaaaaaadatasynclocalcompartment"
VAULT_OCID = "ocid1.vault.oc1.local.aaaaaaaadatasynclocalvault"
KEY_OCID = "ocid1.key.oc1.local.aaaaaaaadatasynclocalkey"
TOPIC_OCID = "ocid1.onstopic.oc1.local.aaaaaaaadatasynclocaltopic"
STORE_DATA_FUNCTION_OCID = "ocid1.fnfunc.oc1.local.aaaaaaaadatasynclocalstoredata"
PROCESS_DATA_FUNCTION_OCID = "ocid1.fnfunc.oc1.local.aaaaaaaadatasynclocalprocessdata"
OBJECT_STORAGE_NAMESPACE = "datasynclocal"

_ALGORITHM = "RS256"
_ISSUER = "authService.oracle.com"
_KEY_BITS = 2048
# A function process keeps the token that it was started with, and `make run` may run for months.
_TOKEN_LIFETIME = timedelta(days=365)


class UnusableKeyError(Exception):
    """A file in the home folder does not hold the key that it should."""


class TokenRefusedError(Exception):
    """The session token was not issued on this machine, has expired, or is no session token at all."""


def new_ocid(kind: str, unique: str = "") -> str:
    """Return a local OCID of that kind (`vaultsecret`, `bucket`, …) that ends in `unique`, or in chance."""
    return f"ocid1.{kind}.oc1.{REGION}.{unique or random_unique()}"


def random_unique(characters: int = 40) -> str:
    """Return lower-case letters and digits (base32), as the last part of an OCID has them."""
    raw = secrets.token_bytes(characters * 5 // 8 + 1)
    return base64.b32encode(raw).decode("ascii").lower()[:characters]


def environment(home: Path, lifetime: timedelta = _TOKEN_LIFETIME) -> dict[str, str]:
    """Return what `oci.auth.signers.get_resource_principals_signer()` reads, with a freshly issued token.

    The keys are made on the first call and kept in `home`, mode 0600.
    """
    private_key = _key(home, "principal")
    return {
        "OCI_RESOURCE_PRINCIPAL_VERSION": "2.2",
        "OCI_RESOURCE_PRINCIPAL_RPST": _issue(home, private_key.public_key(), lifetime),
        "OCI_RESOURCE_PRINCIPAL_PRIVATE_PEM": _pem(private_key).decode("ascii"),
        "OCI_RESOURCE_PRINCIPAL_REGION": REGION,
    }


def issuer_key(home: Path) -> rsa.RSAPublicKey:
    """Return the public half of the key that signs this machine's session tokens."""
    return _key(home, "issuer").public_key()


def session_key(token: str, issuer: rsa.RSAPublicKey) -> rsa.RSAPublicKey:
    """Check a session token and return the key that its bearer signs with; TokenRefusedError says why not."""
    try:
        claims = jwt.decode(
            token, issuer, algorithms=[_ALGORITHM], issuer=_ISSUER, options={"require": ["exp", "jwk"]}
        )
        key = jwt.PyJWK.from_json(claims["jwk"], _ALGORITHM).key
    except jwt.ExpiredSignatureError as error:
        raise TokenRefusedError("The session token has expired") from error
    except (jwt.PyJWTError, TypeError, ValueError) as error:
        raise TokenRefusedError("The session token was not issued by this machine") from error
    if not isinstance(key, rsa.RSAPublicKey):
        raise TokenRefusedError("The session token does not carry an RSA public key")
    return key


def _issue(home: Path, public_key: rsa.RSAPublicKey, lifetime: timedelta) -> str:
    now = int(time.time())
    claims = {
        "iss": _ISSUER,
        "sub": PROCESS_DATA_FUNCTION_OCID,
        "ptype": "resource",
        "res_type": "fnfunc",
        "res_id": PROCESS_DATA_FUNCTION_OCID,
        "res_tenant": TENANCY_OCID,
        "res_compartment": COMPARTMENT_OCID,
        "iat": now,
        "exp": now + int(lifetime.total_seconds()),
        "jwk": jwt.algorithms.RSAAlgorithm.to_jwk(public_key),
    }
    return jwt.encode(claims, _key(home, "issuer"), algorithm=_ALGORITHM)


def _key(home: Path, name: str) -> rsa.RSAPrivateKey:
    path = private_folder(home / "identity") / f"{name}.pem"
    if not path.exists():
        # If two processes start at once, one of them writes its key and both go on with that one.
        create_private_file(path, _pem(rsa.generate_private_key(public_exponent=65537, key_size=_KEY_BITS)))
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (TypeError, ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, rsa.RSAPrivateKey):
        raise UnusableKeyError(f"{path} does not hold an RSA key: remove it, and a new one is made.")
    return key


def _pem(key: rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
