"""The gateway's routes are those that Terraform deploys."""

import json

import pytest

from local.emulators import gateway


def test_the_routes_that_terraform_deploys_can_be_read():
    routes = {
        (route.pattern.pattern, route.methods): (route.function, route.callers)
        for route in gateway.load_routes()
    }
    assert routes == {
        ("/store", ("POST",)): ("store-data", ("source",)),
        ("/store", ("GET",)): ("store-data", ("source", "operator")),
        ("/store/[^/]+", ("GET",)): ("store-data", ("source", "operator")),
        ("/store/[^/]+", ("DELETE",)): ("store-data", ("source", "operator")),
        ("/store/[^/]+", ("PATCH",)): ("store-data", ("operator",)),
        ("/process", ("GET",)): ("process-data", ("operator",)),
        ("/process", ("POST",)): ("process-data", ("operator",)),
        ("/process/retry", ("POST",)): ("process-data", ("operator",)),
        ("/process/failures", ("GET",)): ("process-data", ("operator",)),
        ("/process/history", ("GET",)): ("process-data", ("operator",)),
        ("/process/targets", ("GET",)): ("process-data", ("operator",)),
        ("/process/targets", ("PUT",)): ("process-data", ("operator",)),
        ("/process/targets/history", ("GET",)): ("process-data", ("operator",)),
    }


@pytest.mark.parametrize("path", ["store", "/store/", "/store/{id*}", "/store/{a-b}", "/a//b", "/a b"])
def test_a_route_path_of_another_form_is_refused(tmp_path, path):
    routes = {"path_prefix": "/", "routes": [{"path": path, "methods": ["GET"], "function": "echo"}]}
    file = tmp_path / "routes.json"
    file.write_text(json.dumps(routes))
    with pytest.raises(ValueError, match="Route path"):
        gateway.load_routes(file)
