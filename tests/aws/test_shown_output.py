"""Going on in a whole output after a part of it was shown as a stream of lines."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shoal.aws.logs import Shown

LINES = st.lists(st.binary(max_size=20).map(lambda line: line.replace(b"\n", b"x")), max_size=12)


def pieces_of(whole: bytes, size: int) -> list[bytes]:
    return [whole[start : start + size] for start in range(0, len(whole), size)]


def rest_after(shown: bytes, whole: bytes, size: int = 7) -> bytes | None:
    """What is still to be shown."""
    seen = Shown()
    if shown:
        seen.add(shown)
    rest = seen.skip(iter(pieces_of(whole, size)))
    return None if rest is None else b"".join(rest)


@given(LINES, LINES, st.integers(1, 50))
def test_nothing_is_missing_and_nothing_doubled(
    first: list[bytes], second: list[bytes], size: int
) -> None:
    """However the whole is cut, what follows the lines that were shown is all that is left."""
    shown = b"".join(line + b"\n" for line in first)
    whole = shown + b"".join(line + b"\n" for line in second)
    rest = rest_after(shown, whole, size)
    assert rest is not None
    blank = b" \t\r\n"
    assert (shown + rest).translate(None, blank) == whole.translate(None, blank)


def test_lines_go_on_as_they_were_written() -> None:
    """What follows is byte for byte that of the whole."""
    assert rest_after(b"one\ntwo\n", b"one\ntwo\n  three\n\nfour") == b"  three\n\nfour"
    assert rest_after(b"one\n", b"one\r\ntwo\r\n") == b"two\r\n"
    assert rest_after(b"", b"one\n") == b"one\n"
    assert rest_after(b"one\n", b"one\n") == b""


def test_an_output_that_is_not_the_one_shown_is_known_as_such() -> None:
    """A whole that begins otherwise, or is shorter, has no rest."""
    assert rest_after(b"one\n", b"two\nthree\n") is None
    assert rest_after(b"one\ntwo\n", b"one\n") is None
