"""Cards of published detectors: what they are, how they were trained, what they reach."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from mtpd import files
from mtpd.report import tables


def cards(spec: dict, published: dict[str, tuple[Path, dict]]) -> str:
    """A Markdown page with a table and a section for each detector.

    Args:
        spec: of ``mtpd.experiment.cards.publish``.
        published: by detector, the published file and the metrics of the detector it was made from.
    """
    lines = [
        {"detector": name, **tables.shown(found["bbox"]), "MB": path.stat().st_size / 1e6}
        for name, (path, found) in published.items()
    ]
    table = pd.DataFrame(lines).sort_values("AP")[["detector", "AP", "AP50", "AP75", "APs", "APm", "MB"]]
    sections = [_section(name, spec, *published[name]) for name in table["detector"]]
    return "\n".join(
        [f"# Detectors of the experiment `{spec['experiment']}`\n", tables.as_markdown(table), *sections]
    )


def _section(name: str, spec: dict, path: Path, found: dict) -> str:
    detector = spec["detectors"][name]
    return f"""## {name}

- config: {config(detector)}
- data: `{spec["dataset"]["name"]}`, {spec["data"]}; classes: those of the data set
- training: {detector["training"]}
- AP {found["bbox"]["AP"]:.1f} on {found["images"]} validation images, before the conversion to half precision
- file: `{path.name}`, SHA-256 `{files.sha256(path)}`
- versions: {versions(found["versions"])}
"""


def versions(found: dict[str, str]) -> str:
    return ", ".join(f"{package} {version}" for package, version in found.items())


def config(detector: dict) -> str:
    """A detector's config, with its overrides if it has some."""
    overrides = f", overrides {detector['overrides']}" if detector["overrides"] else ""
    return f"`{detector['config']}`{overrides}"
