"""What all tests share: how Hypothesis searches, and readable asserts in the conformance suite."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

pytest.register_assert_rewrite("shoal.testing")

# The same examples in every run, so that a red test is never luck. To look for new ones:
# pytest --hypothesis-profile=explore
settings.register_profile(
    "same",
    derandomize=True,
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("explore", deadline=None, max_examples=2000)
settings.load_profile("same")
