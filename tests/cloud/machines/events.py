"""The events that EC2 and Systems Manager publish; tests may drop, double or delay them."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from ..emulator import Emulator


@dataclass
class Events:
    """Publishes to EventBridge's default bus.

    `duplicate`: each event is published twice. `delay_s`: each is published that much later.
    """

    emulator: Emulator
    duplicate: bool = False
    delay_s: float = 0.0
    published: Counter[str] = field(default_factory=Counter)
    dropped: list[dict[str, Any]] = field(default_factory=list)
    _to_drop: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _late: list[threading.Timer] = field(default_factory=list)

    def drop_next(self, count: int, kind: str) -> None:
        """Lose the next events whose source, detail type, or source and state is `kind`."""
        with self._lock:
            self._to_drop[kind] += count

    def reset(self) -> None:
        """No faults, nothing counted; what is delayed is not published any more."""
        with self._lock:
            late, self._late = self._late, []
            self._to_drop.clear()
            self.published.clear()
            self.dropped.clear()
            self.duplicate = False
            self.delay_s = 0.0
        for timer in late:
            timer.cancel()

    def publish(self, source: str, kind: str, detail: dict[str, Any], resources: list[str]) -> None:
        """Publish one event, as the faults that are set allow."""
        event = {"source": source, "kind": kind, "detail": detail}
        what = f"{source} {detail.get('state') or detail.get('status') or kind}"
        with self._lock:
            for name in (source, kind, what):
                if self._to_drop[name] > 0:
                    self._to_drop[name] -= 1
                    self.dropped.append(event)
                    return
            self.published[what] += 1
        entry = {
            "Time": time.time(),
            "Source": source,
            "DetailType": kind,
            "Detail": json.dumps(detail),
            "Resources": resources,
        }
        for _ in range(2 if self.duplicate else 1):
            if self.delay_s:
                timer = threading.Timer(self.delay_s, self._put, [entry])
                timer.daemon = True
                with self._lock:
                    self._late.append(timer)
                timer.start()
            else:
                self._put(entry)

    def _put(self, entry: dict[str, Any]) -> None:
        answer = self.emulator.client("events").put_events(Entries=[entry])
        if answer["FailedEntryCount"]:
            raise RuntimeError(f"an event was refused: {answer['Entries']}")
