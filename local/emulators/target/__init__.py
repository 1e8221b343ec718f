"""A target REST API that fails on request, for the demo, the tests and the benchmarks.

The first segment of a path says how the target behaves, the next one may give that a number, and whatever
follows is free, so that one target serves as many addresses as a scenario needs:

    /ok/…                   200
    /status/{code}/…        that code, 200 to 599
    /flaky/{times}/…        503 so many times per path and Idempotency-Key, then 200
    /slow/{ms}/…            200 after so many milliseconds
    /hang/…                 no answer, while the caller waits
    /stall/{times}/…        no answer so many times per path and Idempotency-Key, then 200
    /reset/…                the connection is reset (TCP RST) without an answer
    /big/{bytes}/…          200 with a body of that size, its length not announced
    /drip/{ms}/…            200, then one byte of body every so many milliseconds, without end
    /redirect/{code}/…      that code, 300 to 399, pointing to /ok/redirected on this target
    /retry-after/{s}/…      503 with Retry-After
    /limited/{n}/…          200 so many times a second, else 429 with Retry-After
    /throttled/{n}/…        200 so many times a second, else 429
    /auth/{scheme}/…        401 unless the Authorization header has that scheme
    /echo/{code}/…          that code, with all that was received as body, the Authorization header included
    /mirror/{code}/…        that code, with the body that was received

`GET /` lists the same as JSON. What was received can be looked at, unless recording was turned off:

    GET /_received          {"count", "forgotten", "requests": […]}, oldest first; ?prefix= keeps the paths
                            that begin so, ?count leaves the requests out
    DELETE /_received       forgets them
    GET /_duplicates        {"count", "forgotten", "keys": {Idempotency-Key: n}}: requests that came while an
                            earlier one of their key was unanswered, or after one was answered with 2xx

The tokens that it is sent stay in memory, and whoever reaches it can read them: keep it on loopback.
"""

from local.emulators.target.app import create_app

__all__ = ["create_app"]
