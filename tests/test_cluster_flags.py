"""What jobs ask of Slurm: the flags of ``sbatch``, beside a table written by hand."""

import os
import shutil

import pytest
from conftest import PROJECT
from snakes import as_checked, as_made, changed, snakemake

SBATCH = """#!/bin/sh
printf '%s\\n' "$@" > "$0.$$"
echo no job is taken >&2
exit 1
"""
STAGE = "results/few-shapes/students/student/pkd/swin@1+wide@1/seed0/student.pth"
ORDER = "results/few-shapes/order/student/both/order.json"
COMPLEXITY = "results/tiny/complexity.csv"
EVALUATED = "results/few-shapes/detectors/given/metrics.json"
RULES = ("train_stage", "evaluate", "order_teachers", "measure_complexity")


def with_gpus(folder, finished, count):
    """The tiny experiment on GPUs, and one more detector, whose checkpoint is a file."""

    def change(experiment):
        experiment["compute"] = {"gpus": count, "threads": 16, "mem_mb": 5000, "runtime": 90}
        weights = finished / "results/few-shapes/detectors/wide/weights.pth"
        experiment["detectors"]["given"] = {"config": "config/detectors/r18_w32.py", "file": str(weights)}
        for recipe in experiment["recipes"].values():
            recipe.update(batch_size=8, micro_batch_size=1)

    return changed(folder, "gpus", change)


def submitted(folder, *arguments, config):
    """The flags of each rule's job that concern its resources. The head node has two cores here."""
    bin = folder / "bin"
    bin.mkdir()
    for name, text in (("sbatch", SBATCH), ("sacctmgr", "#!/bin/sh\necho ours\n")):
        (bin / name).write_text(text)
        (bin / name).chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", str(bin), prepend=os.pathsep)
        options = ("--executor", "slurm", "--jobs", "9", "--keep-going", "--rerun-triggers", "mtime")
        site = ("--default-resources", "slurm_account=ours", "slurm_partition=gpu")
        code, said = snakemake(folder, *options, *site, *arguments, config=config)
    assert code != 0
    assert "no job is taken" in said, said
    return dict(_flags(path.read_text().splitlines()) for path in bin.glob("sbatch.*"))


def _flags(words):
    comment = words[words.index("--comment") + 1]
    rule = comment.removeprefix("rule_").partition("_wildcards_")[0]
    kinds = ("--nodes", "--ntasks", "--cpus", "--gpus", "--gres")
    flags = [word for word in words if word.startswith(kinds)]
    flags += [f"{flag} {words[words.index(flag) + 1]}" for flag in ("--mem", "-t")]
    return rule, " ".join(flags)


ON_CPU = "--nodes=1 --ntasks=1 --cpus-per-task=16 --mem 5000 -t 90"
ON_ONE_GPU = "--nodes=1 --cpus-per-task=16 --gpus=1 --mem 5000 -t 90"
ON_EIGHT_GPUS = "--nodes=1 --cpus-per-task=16 --gpus=8 --mem 5000 -t 90"
ON_EIGHT_GPUS_BY_GRES = "--nodes=1 --cpus-per-task=16 --gres=gpu:8 --mem 5000 -t 90"
BY_GRES = ("--set-resources", "train_stage:gres=gpu:8", "train_stage:gpu=0")


@pytest.mark.parametrize(
    ("gpus", "options", "stage", "other"),
    [
        (0, (), ON_CPU, ON_CPU),
        pytest.param(1, (), ON_ONE_GPU, ON_ONE_GPU, marks=pytest.mark.slow),
        (8, (), ON_EIGHT_GPUS, ON_ONE_GPU),
        pytest.param(8, BY_GRES, ON_EIGHT_GPUS_BY_GRES, ON_ONE_GPU, marks=pytest.mark.slow),
    ],
    ids=["cpu", "1 GPU", "8 GPUs", "gres"],
)
def test_jobs_ask_for_the_cores_and_gpus_of_the_experiment(gpus, options, stage, other, finished, tmp_path):
    """Not for as many cores as the head node has, and never for a second node."""
    folder = tmp_path / "here"
    shutil.copytree(finished, folder, symlinks=True)
    config = as_made(folder, as_checked(folder, with_gpus(folder, finished, gpus)))
    for path in (STAGE, ORDER, COMPLEXITY):
        (folder / path).unlink()
    found = submitted(folder, *options, "--", STAGE, ORDER, COMPLEXITY, EVALUATED, config=config)
    assert found == {"train_stage": stage} | dict.fromkeys(RULES[1:], other)


def test_drawing_images_asks_for_no_gpu(finished, tmp_path):
    (tmp_path / "config").symlink_to(PROJECT / "config")
    config = as_checked(tmp_path, with_gpus(tmp_path, finished, 8))
    found = submitted(tmp_path, "--", "results/few-shapes/data/val.json", config=config)
    assert found == {"draw_shapes": "--ntasks=1 --cpus-per-task=1 --mem 1000 -t 30"}
