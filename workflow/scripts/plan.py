"""Say what an experiment costs before anything runs: stages, hours, disk, downloads."""

import argparse
import csv
import sys
from pathlib import Path

from mtpd import files
from mtpd.checks import disk
from mtpd.data import coco
from mtpd.experiment import data_specs, input_files
from mtpd.experiment.errors import ConfigError
from mtpd.experiment.folders import EXPERIMENT, REHEARSAL, Layout
from mtpd.experiment.reading import read_file
from mtpd.plan import estimate, estimate_text, graph, speeds

PROJECT = Path(__file__).resolve().parents[2]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", type=Path, help="the experiment file")
    parser.add_argument("--speeds", type=Path, help="CSV file: student, teachers, seconds_per_image, peak_mb")
    parser.add_argument("--gpus", type=int, help="plan for that many, besides 1, 4 and 8")
    parser.add_argument("--out", type=Path, help="Markdown file to write the plan to as well")
    args = parser.parse_args()
    try:
        text = plan_text(args)
    except (ConfigError, OSError) as error:
        sys.exit(str(error))
    print(text, end="")
    if args.out:
        files.write_text(args.out, text)


def plan_text(args):
    experiment = read_file(args.config, PROJECT)
    layout = Layout(experiment.experiment, experiment.dataset.name)
    images = count_images(experiment, layout, "train")
    measured = speeds.of_finished_stages(layout.dataset, images) if images else {}
    measured |= speeds.read(args.speeds) if args.speeds else {}
    sizes = stage_sizes(experiment, layout)
    found = estimate.plan(experiment, layout, graph.known_orders(experiment, layout), images, measured, sizes)
    return estimate_text.text(found, estimate.sources(experiment, layout), args.gpus)


def count_images(experiment, layout, split):
    """Of a split; None if its annotations are not there yet, and no download says how many images it has."""
    if experiment.dataset.generate:
        return getattr(experiment.dataset.generate, split)
    if report := data_specs.import_report(experiment.dataset):
        return report["splits"][split]["images"]
    named = input_files.named_data(experiment)
    annotations = named.get(f"dataset.{split}.annotations")
    if annotations and Path(annotations).exists():
        return coco.count_listed(annotations)
    archive = experiment.dataset.download.get(named.get(f"dataset.{split}.images"))
    return archive.files if archive else None


def stage_sizes(experiment, layout):
    """Bytes that a stage writes, by student: where its parameters were counted, also in a rehearsal."""
    images = count_images(experiment, layout, "val")
    recipes = [recipe.model_dump() for recipe in experiment.recipes.values()]
    sizes = {}
    for begin in (f"{REHEARSAL}/", ""):
        table = Path(EXPERIMENT.format(experiment=f"{begin}{layout.experiment}"), "complexity.csv")
        for row in csv.DictReader(table.open(encoding="utf-8")) if images and table.exists() else ():
            name, numbers = row["detector"], float(row["params_m"]) * 1e6
            metrics = Path(Layout("", f"{begin}{layout.dataset}").detector(name, "metrics.json"))
            masks = not metrics.exists() or "segm" in files.read_json(metrics)
            sizes[name] = disk.stage_bytes(numbers, masks, images, recipes)
    return sizes


if __name__ == "__main__":
    main()
