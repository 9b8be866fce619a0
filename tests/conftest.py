"""What all tests share: how Hypothesis searches, and who runs what under xdist."""

from __future__ import annotations

from typing import Any

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


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Spread tests one by one; the cloud tests, which share an emulator, go to one worker.

    The larger a scope the sooner it starts: the cloud's, the only one of more than a test, is the
    first. Whoever asks for another distribution (`--dist`) gets that.
    """
    if config.getvalue("dist") != "load":
        return None
    # Only here is it sure that xdist is installed.
    from xdist.scheduler import LoadScopeScheduling

    class OneCloudWorker(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            return "tests/cloud" if nodeid.startswith("tests/cloud/") else nodeid

    return OneCloudWorker(config, log)
