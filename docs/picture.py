"""Draws the README's picture: `shoal demo | python docs/picture.py` writes docs/demo.svg."""

import io
import re
import sys
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

WIDTH = 124
FIRST_LINES = 6
COLOURS = {
    r"\bSuccessful\b|\bsuccessful\b|\bconfirmed\b": "green",
    r"\bFailed\b|\bfailed\b": "red",
    r"\bStarted\b": "yellow",
    r"\bQueued\b|\bqueued\b": "cyan",
    r"\binterrupted\b|\bSIGKILL\b": "magenta",
    r"^\S.*$": "bold",
}


def main() -> None:
    """Read the demo's output and draw its beginning and its end."""
    lines = sys.stdin.read().splitlines()
    report = lines.index("Jobs")
    end = lines.index("Where it lies")
    story = [line for line in lines[:report] if line.strip()]
    killed = next(n for n, line in enumerate(story) if "SIGKILL" in line)
    shown = [*story[:FIRST_LINES], "   ...", *story[killed : killed + 4], "   ..."]
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True)
    for line in ["$ shoal demo", *shown, "", *lines[report:end], lines[-1]]:
        text = Text(line, overflow="ellipsis", no_wrap=True)
        for pattern, colour in COLOURS.items():
            text.highlight_regex(re.compile(pattern), colour)
        console.print(text)
    svg = console.export_svg(title="shoal demo", theme=MONOKAI)
    # The picture uses the reader's own fonts: nothing is loaded from elsewhere.
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
    (Path(__file__).parent / "demo.svg").write_text(svg.replace("Fira Code", "monospace"))


if __name__ == "__main__":
    main()
