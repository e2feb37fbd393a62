"""Whatever a rehearsal reports says so: its numbers look like results, but mean nothing."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure

from mtpd.experiment.folders import is_rehearsal

WORDS = "Rehearsal: a few generated images, one epoch a stage. These numbers mean nothing."
COLOUR = "#D55E00"


def stamped(path: str | Path, text: str) -> str:
    """A Markdown or LaTeX text, beginning with the stamp if a rehearsal writes it to this path.

    Of CSV files, the folder says it: programs read them.
    """
    stamps = {".md": f"**{WORDS}**\n\n", ".tex": f"\\textbf{{{WORDS}}}\\par\n"}
    return (stamps.get(Path(path).suffix, "") if is_rehearsal(path) else "") + text


def stamp(figure: Figure, path: str | Path) -> None:
    """Write the stamp across a figure, and above its title, if a rehearsal saves it to this path."""
    if not is_rehearsal(path):
        return
    title = "\n".join(filter(None, [WORDS, figure.get_suptitle()]))
    figure.suptitle(title, fontsize="medium", color=COLOUR)
    size = 9 * min(figure.get_size_inches())
    figure.text(0.5, 0.5, "rehearsal", fontsize=size, alpha=0.3, rotation=20, color=COLOUR, ha="center")
