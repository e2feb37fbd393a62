"""YAML files as people write them: they must be UTF-8, and have every key once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from mtpd.experiment.errors import ConfigError


def read(path: Path) -> Any:
    """The content of a YAML file.

    Raises:
        ConfigError: it is not UTF-8, no YAML, or has a key twice.
        OSError: it cannot be read.
    """
    text = _text(path)
    try:
        content = yaml.safe_load(text)
    except (ValueError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: cannot be read as YAML: {error}") from None
    require_unique_keys(path)
    return content


def require_unique_keys(path: Path) -> None:
    """Check a file that others read: of a key that stands twice, they take the last and say nothing.

    Raises:
        ConfigError: it is not UTF-8, or has keys twice, a line for each.
        OSError: it cannot be read.
    """
    try:
        root = yaml.compose(_text(path), yaml.SafeLoader)
    except yaml.YAMLError:
        return  # JSON, which Snakemake reads too, is not always YAML
    if wrong := list(_repeated(root, "", set())):
        raise ConfigError("\n".join(f"{path}: {line}" for line in wrong))


def _text(path: Path) -> str:
    content = path.read_bytes()
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            f"{path}: line {line} is not in UTF-8; save the file as UTF-8. If it is Latin-1: "
            f"iconv -f ISO-8859-1 -t UTF-8 {path} > new.yaml"
        ) from None


def _repeated(node: yaml.Node | None, where: str, seen: set[int]) -> Iterator[str]:
    """A line for each key that stands again in the same mapping, at any depth; anchors are looked at once."""
    if not isinstance(node, yaml.CollectionNode) or id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for number, item in enumerate(node.value):
            yield from _repeated(item, f"{where}{number}.", seen)
        return
    lines: dict[tuple[str, str], int] = {}
    for key, value in node.value:
        name, line = str(key.value), key.start_mark.line + 1
        if first := lines.get((key.tag, name)):
            yield f"{where}{name}: found twice, in lines {first} and {line}; keep one, or rename one"
        lines[key.tag, name] = line
        yield from _repeated(value, f"{where}{name}.", seen)
