"""Fonts for names in any script: matplotlib's own has Latin, Greek and Cyrillic letters, and few others."""

from __future__ import annotations

from pathlib import Path

import matplotlib
from matplotlib import font_manager
from matplotlib.ft2font import FT2Font

OWN = Path(matplotlib.get_data_path(), "fonts/ttf/DejaVuSans.ttf")
# Beginnings of file names, best first. Other fonts of the system come after these.
PREFERRED = (
    "notosanscjk", "sourcehansans", "notosans", "wqy", "droidsansfallback", "pingfang", "hiragino", "msyh",
    "ipagp", "ipag", "takao", "vlgothic", "msgothic", "yugoth", "nanumgothic", "malgun", "applesdgothic",
)  # fmt: skip


def best(text: str) -> Path:
    """The installed font that has the most characters of a text; ``OWN`` if it has them all."""
    if not _without(text, OWN):
        return OWN
    return min([OWN, *_installed()], key=lambda path: len(_without(text, path)))


def families(text: str) -> list[str]:
    """Names of fonts that together have a text, as matplotlib's ``font.family`` takes them; ``OWN`` first."""
    paths, left = [OWN], _without(text, OWN)
    while left and (still := _without(left, path := best(left))) != left:
        paths, left = [*paths, path], still
    for path in paths[1:]:
        font_manager.fontManager.addfont(path)  # its cache does not know fonts that are new
    return [FT2Font(path).family_name for path in paths]


def warning(text: str) -> str:
    """A line if no installed font has some characters of a text, so that pictures show boxes for them."""
    left = text
    for path in (OWN, *_installed()):
        left = left and _without(left, path)
    if not left:
        return ""
    return (
        f"no installed font has {left}: pictures show boxes in their place; install one, like Debian's "
        "fonts-noto-cjk (Chinese, Japanese, Korean) or fonts-noto (other scripts)"
    )


def _without(text: str, path: Path) -> str:
    """The characters that a font does not have, each once."""
    try:
        font = FT2Font(path)
    except RuntimeError:  # a damaged file, or no font
        return text
    found = dict.fromkeys(char for char in text if char.isprintable() and not char.isspace())
    return "".join(char for char in found if not (font.scalable and font.get_char_index(ord(char))))


def _installed() -> list[Path]:
    return sorted(map(Path, font_manager.findSystemFonts()), key=_rank)


def _rank(path: Path) -> tuple:
    name = path.stem.lower().replace("-", "").replace(" ", "")
    place = next((i for i, start in enumerate(PREFERRED) if name.startswith(start)), len(PREFERRED))
    return place, "regular" not in name, name
