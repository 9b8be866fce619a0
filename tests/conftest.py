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


FIRST_HALF = {
    f"tests/cloud/test_{name}.py"
    for name in ("deploy", "fleet", "generations", "plain_deploy", "store")
}
"""Of the cloud tests, by the time they take."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Spread tests one by one; those that share an emulator, or a browser, stay together.

    The cloud's are two halves of about the same time, an emulator each, the dashboard's a third
    group. The larger a scope the sooner it starts: these, the only ones of more than a test, are
    the first. Whoever asks for another distribution (`--dist`) gets that.
    """
    if config.getvalue("dist") != "load":
        return None
    # Only here is it sure that xdist is installed.
    from xdist.scheduler import LoadScopeScheduling

    class SharedWorkers(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            if nodeid.startswith("tests/browser/"):
                return "browser"
            if not nodeid.startswith("tests/cloud/"):
                return nodeid
            return f"cloud {nodeid.partition('::')[0] in FIRST_HALF}"

    return SharedWorkers(config, log)
