"""OCI API Gateway on one machine: hands HTTP requests to functions, by `terraform/routes.json`.

    routes   which path and method goes to which function, and who may call it
    callers  who calls: keys with names and roles, and how often each caller may ask
    headers  what a function gets of a client's headers, and what the gateway adds
    app      the checks that a request passes, and the server

It answers as the service documents it ("API Gateway Internal Limits", "Adding Path Parameters and Wildcards
to Route Paths", "Forwarded and host-related headers", "opc-request-id values"), with one difference: its own
errors are problem details (RFC 9457) that hold the service's `code` and `message` too.
"""

from local.emulators.gateway.app import serve
from local.emulators.gateway.callers import Callers
from local.emulators.gateway.routes import ROUTES, Route, load_routes

__all__ = ["ROUTES", "Callers", "Route", "load_routes", "serve"]
