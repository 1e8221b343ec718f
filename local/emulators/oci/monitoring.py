"""Monitoring (`/20180401/metrics`): posting metric data."""

import re
from collections.abc import Callable
from datetime import datetime, timedelta

from aiohttp import web

from local.emulators.identity import COMPARTMENT_OCID
from local.emulators.oci.journal import Journal
from local.emulators.oci.wire import (
    JsonObject,
    ServiceError,
    as_time,
    invalid,
    json_object,
    required_text,
    utc_now,
)

# The rules are those of PostMetricData and of MetricDataDetails in
# https://docs.oracle.com/iaas/api/#/en/monitoring/20180401/MetricData/PostMetricData
_MAXIMUM_STREAMS = 50
_MAXIMUM_DIMENSIONS = 20
_OLDEST, _NEWEST = timedelta(hours=2), timedelta(minutes=10)
_NAMESPACE = re.compile(r"(?!oci_|oracle_)[A-Za-z][A-Za-z0-9_]*")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9._$-]*")
_DIMENSION_KEY = re.compile(r"[!-~]{1,256}")


class Monitoring:
    """The endpoint; what is posted can be read in the journal."""

    def __init__(self, journal: Journal, clock: Callable[[], datetime] = utc_now):
        self._journal = journal
        self._clock = clock

    def routes(self) -> list[web.RouteDef]:
        """Return the operations, each by its name."""
        return [web.post("/20180401/metrics", self.post, name="monitoring.post_metric_data")]

    async def post(self, request: web.Request) -> web.Response:
        """Keep the valid metrics and name the others; 400 if none is, or an ATOMIC batch is not all valid."""
        body = await json_object(request)
        metrics = body.get("metricData")
        if not isinstance(metrics, list) or not metrics:
            raise ServiceError(400, "MissingParameter", "metricData must be a list of at least one metric")
        if len(metrics) > _MAXIMUM_STREAMS:
            raise invalid(f"metricData holds more than {_MAXIMUM_STREAMS} metric streams")
        kept, failed = [], []
        for metric in metrics:
            try:
                self._check(metric)
                kept.append(metric)
            except ServiceError as error:
                failed.append({"message": error.message, "metricData": metric})
        if failed and (body.get("batchAtomicity") == "ATOMIC" or not kept):
            raise invalid(f"{len(failed)} of the metrics failed: {failed[0]['message']}")
        self._journal.append(kept)
        return web.json_response({"failedMetricsCount": len(failed), "failedMetrics": failed})

    def _check(self, metric: object) -> None:
        if not isinstance(metric, dict):
            raise invalid("A metric is an object")
        if not _NAMESPACE.fullmatch(required_text(metric, "namespace")):
            raise invalid(
                "namespace must begin with a letter, hold only letters, digits and underscores, "
                "and not begin with oci_ or oracle_"
            )
        if not _NAME.fullmatch(required_text(metric, "name")):
            raise invalid("name must begin with a letter and hold only letters, digits and . _ - $")
        if required_text(metric, "compartmentId") != COMPARTMENT_OCID:
            raise invalid("compartmentId was not found, or you may not use it")
        _check_dimensions(metric.get("dimensions"))
        self._check_datapoints(metric)

    def _check_datapoints(self, metric: JsonObject) -> None:
        datapoints = metric.get("datapoints")
        if not isinstance(datapoints, list) or not datapoints:
            raise invalid("datapoints must be a list of at least one data point")
        now = self._clock()
        for point in datapoints:
            if not isinstance(point, dict) or not isinstance(point.get("value"), int | float):
                raise invalid("A data point has a timestamp and a numeric value")
            moment = as_time(point.get("timestamp"), "timestamp")
            if not now - _OLDEST <= moment <= now + _NEWEST:
                raise invalid("timestamp must be at most 2 hours ago and 10 minutes ahead")


def _check_dimensions(dimensions: object) -> None:
    if not isinstance(dimensions, dict) or not 1 <= len(dimensions) <= _MAXIMUM_DIMENSIONS:
        raise invalid(f"dimensions must be 1 to {_MAXIMUM_DIMENSIONS} key-value pairs")
    for key, value in dimensions.items():
        if not _DIMENSION_KEY.fullmatch(key) or not isinstance(value, str) or not 1 <= len(value) <= 512:
            raise invalid("A dimension's key is 1 to 256 printable ASCII characters, its value 1 to 512")
