"""How much made-up input is tried: the same few hundred in `make test`, thousands a round in `make fuzz`."""

import os

from hypothesis import HealthCheck, settings

settings.register_profile("same", derandomize=True, max_examples=300, deadline=None, database=None)
settings.register_profile(
    "other", max_examples=5000, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile(os.environ.get("FUZZ", "same"))
