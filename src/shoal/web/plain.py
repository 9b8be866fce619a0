"""Output of programs as plain text: what is for a terminal left out, the rest made visible."""

from __future__ import annotations

import codecs
import re

HELD_BACK = 4_096
"""Characters of a sequence whose end has not come yet; a longer one is none."""

_SEQUENCE = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor
    r"|[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)"  # OSC and other strings: titles, links
    r"|[ -/]*[0-OQ-WYZ\\`-~])"
)
_BEGUN = re.compile(r"\x1b(?:\[[0-?]*[ -/]*|[\]PX^_][^\x07\x1b]*\x1b?|[ -/]*)?$")
_LINE_END = re.compile(r"\r+\n?")
_INVISIBLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


class PlainText:
    """Turns the bytes of an output into text, piece by piece."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._kept = ""

    def feed(self, piece: bytes, *, is_last: bool = False) -> str:
        """The text of the next piece.

        Args:
            piece: bytes; a character or a sequence may begin in one and end in the next.
            is_last: whether nothing comes after it.
        """
        text = _SEQUENCE.sub("", self._kept + self._decoder.decode(piece, is_last))
        self._kept = ""
        if not is_last and (begun := _BEGUN.search(text[-HELD_BACK:])):
            self._kept = begun[0]
        elif not is_last and text.endswith("\r"):
            self._kept = "\r"
        if self._kept:
            text = text[: -len(self._kept)]
        return _INVISIBLE.sub("�", _LINE_END.sub("\n", text))
