"""What an import put right and left out: by kind, with counts and a few examples."""

from __future__ import annotations

from collections.abc import Iterable

NAMED = 3  # examples of each kind; the rest is counted


class ImportStopped(ValueError):
    """A data set means two things, or too much of it cannot be used; ``stops`` has a text for each reason."""

    def __init__(self, stops: Iterable[str]):
        self.stops = list(stops)
        super().__init__("\n".join(self.stops))


class Changes:
    """The changes of one split.

    Attributes:
        where: the split, or what else the texts begin with.
        right, left: what was put right and left out: counts and examples by kind.
        notes: what else is worth knowing.
        stops: why this split cannot be imported.
        totals: images and objects that the source lists.
    """

    def __init__(self, where: str):
        self.where = where
        self.right: dict[str, dict] = {}
        self.left: dict[str, dict] = {}
        self.notes: list[str] = []
        self.stops: list[str] = []
        self.totals = {"images": 0, "objects": 0}
        self._lost = {"images": 0, "objects": 0}

    def put_right(self, kind: str, example: object) -> None:
        _count(self.right, kind, example)

    def leave_out(self, what: str, kind: str, example: object) -> None:
        """Count one of the ``images`` or ``objects`` as left out."""
        _count(self.left, f"{what}: {kind}", example)
        self._lost[what] += 1

    def note(self, text: str) -> None:
        self.notes.append(text)

    def stop(self, text: str) -> None:
        self.stops.append(f"{self.where}: {text}")

    def check_share(self, allowed: float) -> None:
        """Stop if more than this share of the images or of the objects was left out."""
        for what, lost in self._lost.items():
            total = self.totals[what]
            if lost > allowed * total:
                kinds = "; ".join(line for line in _lines(self.left) if line.startswith(what))
                self.stop(
                    f"{lost} of {total} {what} cannot be used, more than the allowed share of {allowed:g}"
                    f" ({kinds}); correct them, or raise dataset.allowed_share"
                )

    def lines(self) -> list[str]:
        """All changes as text, a line for each kind."""
        found = [f"put right: {line}" for line in _lines(self.right)]
        found += [f"left out: {line}" for line in _lines(self.left)]
        return [f"{self.where}: {line}" for line in found + self.notes]

    def summary(self) -> dict:
        """The changes as a dictionary, for a JSON file."""
        return {"listed": self.totals, "put_right": self.right, "left_out": self.left, "notes": self.notes}

    def refuse_changes(self) -> None:
        """Stop at every change, as ``strict`` asks for."""
        for line in _lines(self.right) + _lines(self.left):
            self.stop(f"{line}; dataset.strict accepts no change")


def _count(kinds: dict[str, dict], kind: str, example: object) -> None:
    entry = kinds.setdefault(kind, {"count": 0, "examples": []})
    entry["count"] += 1
    if len(entry["examples"]) < NAMED:
        entry["examples"].append(str(example))


def _lines(kinds: dict[str, dict]) -> list[str]:
    return [f"{kind}: {entry['count']} ({', '.join(entry['examples'])})" for kind, entry in kinds.items()]
