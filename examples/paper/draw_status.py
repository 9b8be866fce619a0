"""Draw what a command printed: `shoal status | python3 draw_status.py TITLE PICTURE.SVG`."""

import io
import re
import sys
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

COLOURS = {r"\bSuccessful\b|\bconfirmed\b": "green", r"\bFailed\b": "red", r"^job .*$": "bold"}


def main(title: str, picture: Path) -> None:
    """Draw standard input as a terminal."""
    lines = [f"$ {title}", *sys.stdin.read().rstrip().splitlines()]
    width = max(map(len, lines)) + 1
    console = Console(record=True, width=width, file=io.StringIO(), force_terminal=True)
    for line in lines:
        text = Text(line, no_wrap=True)
        for pattern, colour in COLOURS.items():
            text.highlight_regex(re.compile(pattern), colour)
        console.print(text)
    svg = console.export_svg(title=title, theme=MONOKAI, unique_id="status")
    # The picture uses the reader's own fonts: nothing is loaded from elsewhere.
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
    picture.write_text(svg.replace("Fira Code", "monospace"), encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("draw_status.py: usage: shoal status | python3 draw_status.py TITLE PICTURE.SVG")
    main(sys.argv[1], Path(sys.argv[2]))
