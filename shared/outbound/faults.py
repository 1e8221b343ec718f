"""Why no answer came: every reason in its exact words, and what is known of the request."""

import errno
import re
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass

from shared.model.answer import Answer, Cause, Sent
from shared.model.codes import UNEXPECTED_ERROR


@dataclass(frozen=True)
class Fault:
    """A way to end without an answer; `words` may have one place for a detail."""

    words: str
    cause: Cause
    sent: Sent = "no"


# The causes, in model/answer.py, say whom a failure speaks of: the record, this machine, or the target.
BAD_REQUEST = Fault("not sent: {}", "request")
NO_TIME = Fault("not sent: no time is left for it", "time")
FORBIDDEN = Fault("not sent: the host leads to an address that is not public", "request")
EXHAUSTED = Fault("not sent: this machine has no more {}", "machine")

UNRESOLVED = Fault("the target's host name could not be resolved", "name")
UNRESOLVED_IN_TIME = Fault("the target's host name was not resolved within {}", "name")

REFUSED = Fault("the target refused the connection", "connection")
UNREACHABLE = Fault("the target could not be reached", "connection")
UNCONNECTED_IN_TIME = Fault("no connection to the target within {}", "connection")

CERTIFICATE = Fault("the target's certificate is not valid: {}", "connection")
TLS_REFUSED = Fault("the target refused the TLS connection: {}", "connection")
TLS_FAILED = Fault("no TLS connection to the target could be agreed", "connection")
TLS_CLOSED = Fault("the target closed the connection before TLS was agreed", "connection")
TLS_IN_TIME = Fault("no TLS connection to the target within {}", "connection")

NOT_WRITTEN = Fault("the target closed the connection before the request was sent", "connection")
LOST = Fault("the connection to the target was lost before an answer came", "answer", "unknown")
UNANSWERED_IN_TIME = Fault("no answer from the target within {}", "answer", "unknown")
NOT_HTTP = Fault("the target's answer is not HTTP", "answer", "unknown")
LONG_HEAD = Fault("the head of the target's answer is longer than {}", "answer", "unknown")
INFORMATIONAL = Fault("the target sent more than {} informational answers", "answer", "unknown")

_VERIFICATION = {  # [OpenSSL, x509_vfy.h]
    9: "it is not valid yet",
    10: "it has expired",
    18: "it is self-signed",
    19: "its authority is unknown",  # a self-signed one at the top of what the target sent
    20: "its authority is unknown",
    21: "its authority is unknown",
    62: "it is for another host name",
    64: "it is for another address",
}
_REFUSES_CLIENT = re.compile("certificate|unknown ca|access denied|handshake failure")
_EXHAUSTED = {
    errno.EMFILE: "files to open",
    errno.ENFILE: "files to open",
    errno.ENOBUFS: "memory for connections",
    errno.ENOMEM: "memory for connections",
}


class NoAnswer(Exception):
    """A request ended without an answer."""

    def __init__(self, fault: Fault, detail: str = ""):
        super().__init__(fault.words.format(detail))
        self.fault = fault

    @property
    def answer(self) -> Answer:
        """What becomes of the request."""
        fault = self.fault
        return Answer(UNEXPECTED_ERROR, str(self), cause=fault.cause, sent=fault.sent)


def unresolved(error: Exception) -> NoAnswer:
    """Say why a name was not resolved."""
    if isinstance(error, OSError) and not isinstance(error, socket.gaierror):
        return exhausted(error.errno) or NoAnswer(UNRESOLVED)
    return NoAnswer(UNRESOLVED)


def unconnected(errors: Sequence[BaseException]) -> NoAnswer:
    """Say why none of a target's addresses could be connected to."""
    for error in errors:
        fault = error if isinstance(error, NoAnswer) else exhausted(getattr(error, "errno", None))
        if fault:
            return fault
    refused = any(isinstance(error, ConnectionRefusedError) for error in errors)
    return NoAnswer(REFUSED if refused else UNREACHABLE)


def exhausted(number: int | None) -> NoAnswer | None:
    """Say what this machine lacks if `number`, an errno, means that."""
    return NoAnswer(EXHAUSTED, _EXHAUSTED[number]) if number in _EXHAUSTED else None


def without_tls(error: OSError) -> NoAnswer:
    """Say why TLS was not agreed."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return NoAnswer(CERTIFICATE, _VERIFICATION.get(error.verify_code, error.verify_message))
    if isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError):
        return tls_alert(error) or NoAnswer(TLS_FAILED)
    return exhausted(error.errno) or NoAnswer(TLS_CLOSED)


def tls_alert(error: ssl.SSLError) -> NoAnswer | None:
    """Say with which alert the target refused TLS, if `error` is an alert [RFC 8446, section 6.2]."""
    _, alert, name = (error.reason or "").partition("ALERT_")
    return NoAnswer(TLS_REFUSED, name.lower().replace("_", " ")) if alert else None


def lost(error: Exception | None, *, first: bool) -> NoAnswer:
    """Say why a connection ended after the request was sent, without any answer.

    In TLS 1.3 a server checks the client's certificate only after the client regards TLS as agreed: an alert
    about that, on the `first` request of a connection, means that the server has agreed to nothing.
    """
    refusal = tls_alert(error) if first and isinstance(error, ssl.SSLError) else None
    return refusal if refusal and _REFUSES_CLIENT.search(str(refusal)) else NoAnswer(LOST)
