"""The system's clock."""

from __future__ import annotations

import time


class SystemClock:
    """A `ports.Clock`."""

    def now(self) -> float:
        return time.time()
