"""The output of a job as it comes, in bounded memory: its end first, then what is new."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

from shoal.client import Client
from shoal.client_ports import Log
from shoal.core.job import Job, Status, Token
from shoal.web.plain import PlainText

SHOWN_BYTES = 256 << 10
"""Of an output that is there already, and of what comes between two looks."""


class News(NamedTuple):
    """What a look at an output has brought.

    Args:
        kind: `start`, of the output of an attempt; `more` of it; `end` when no more can come.
        token: of the attempt, as text.
        text: what to show.
        cut: whether something before it was left out.
    """

    kind: str
    token: str
    text: str
    cut: bool


class Follower:
    """Follows the output of a job from attempt to attempt, or that of one attempt.

    Args:
        job_id: of the job.
        token: of the attempt; None follows the last one, and the next one after it.
    """

    def __init__(self, job_id: str, token: Token | None) -> None:
        self._job_id = job_id
        self._wanted = token
        self._token: Token | None = None
        self._log: Log | None = None
        self._plain = PlainText()

    def look(self, client: Client) -> list[News]:
        """What is new. The last of it is `end` when nothing more can come.

        Raises:
            JobNotFound: there is no such job, or was no such attempt.
        """
        job = client.job(self._job_id)
        token = self._wanted or job.token
        news = []
        if token != self._token:
            if self._token is not None:  # what the one before has said last
                news += self._read(client, job, self._token, over=True)
                self.close()
            self._token, self._plain = token, PlainText()
            news.append(self._first(client, job, token))
        news += self._read(client, job, token, over=_is_over(job, token))
        if job.status.is_final or (self._wanted is not None and _is_over(job, token)):
            news.append(News("end", str(token), "", False))
        return news

    def close(self) -> None:
        """Let go of the output."""
        if self._log is not None:
            self._log.close()
            self._log = None

    def _first(self, client: Client, job: Job, token: Token) -> News:
        self._log = client.log(job, token)
        text, cut = self._text(over=_is_over(job, token))
        return News("start", str(token), text, cut)

    def _read(self, client: Client, job: Job, token: Token, *, over: bool) -> list[News]:
        if self._log is None:
            self._log = client.log(job, token)
        text, cut = self._text(over=over)
        return [News("more", str(token), text, cut)] if text else []

    def _text(self, *, over: bool) -> tuple[str, bool]:
        """The end of what is new, and whether that is not all of it; then it begins with a line."""
        if self._log is None:
            return "", False
        is_cut = self._log.leave_out(SHOWN_BYTES)
        found, cut_now = last_bytes(self._log.read(over=over), SHOWN_BYTES)
        if cut := is_cut or cut_now:
            self._plain = PlainText()
            found = found[found.find(b"\n", 0, -1) + 1 :]
        return self._plain.feed(found), cut


def _is_over(job: Job, token: Token) -> bool:
    return job.token != token or job.status is not Status.STARTED


def last_bytes(pieces: Iterable[bytes], size_bytes: int) -> tuple[bytes, bool]:
    """The end of what comes in pieces, and whether it was cut."""
    kept: deque[bytes] = deque()
    total = 0
    cut = False
    for piece in pieces:
        kept.append(piece)
        total += len(piece)
        while total - len(kept[0]) >= size_bytes:
            total -= len(kept.popleft())
            cut = True
    found = b"".join(kept)
    if len(found) > size_bytes:
        found, cut = found[-size_bytes:], True
    return found, cut
