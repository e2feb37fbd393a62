"""Mutants: one changed expression each, and the tests that must fail with it.

``python tests/mutants.py [word ...]`` applies each (or those whose file or text has one of the words) in a
temporary copy of the project, runs its tests, and names the survivors.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

PROJECT = Path(__file__).parents[1]
LEFT_OUT = shutil.ignore_patterns(".*", "__pycache__", "results", "work", "logs", "build", "benchmarks")

# File below src/mtpd, the text, what replaces it, and pytest's arguments.
MUTANTS = [
    ("distill/losses/fgd.py", "self.beta * (weighted * back)", "self.beta * (weighted * front)", "test_fgd.py"),
    ("distill/losses/fgd.py", "(last_column + 1 - first_column)", "(last_column - first_column)", "test_fgd.py"),
    ("distill/losses/mgd.py", ">= self.mask_ratio", "< self.mask_ratio", "test_losses.py"),
    ("distill/losses/cwd.py", "return self.tau**2 *", "return self.tau *", "test_losses.py"),
    ("distill/losses/pkd.py", "correction=0", "correction=1", "test_losses.py"),
    ("distill/losses/precision.py", "return x.to(torch.promote_types(x.dtype, torch.float32))", "return x", "test_losses.py"),
    ("distill/distiller.py", "[shape[3], shape[2], shape[3], shape[2]]", "[shape[2], shape[3], shape[2], shape[3]]", "test_distiller.py -k boxes"),
    ("distill/distiller.py", "+ value / len(self.links)", "+ value", "test_distiller.py -k two_teachers"),
    ("distill/distiller.py", '"where-needed" and own == theirs', '"where-needed"', "test_adaptors.py"),
    ("distill/distiller.py", 'kind == "from-identity" and own == theirs', "own == theirs", "test_adaptors.py"),
    ("distill/distiller.py", "view.scale == 1 and _same_images", "_same_images", "test_distiller.py -k scale"),
    ("distill/distiller.py", ".eval().requires_grad_(False)", ".requires_grad_(False)", "test_distiller.py -k frozen"),
    ("adaptation/cost.py", "(1 + kept.sum(1)) / count", "kept.sum(1) / count", "test_adaptation.py"),
    ("adaptation/cost.py", "_blocks(held_out, fit.mean, inverse", "_blocks(held_out, held_out.mean, inverse", "test_adaptation.py"),
    ("adaptation/cost.py", "index < half", "index <= half", "test_adaptation.py"),
    ("adaptation/moments.py", "if target in owners]", "if source in owners]", "test_adaptation.py test_moments.py"),
    ("adaptation/levels.py", '["cost"].mean()', '["cost"].max()', "test_adaptation.py test_plots.py"),
    ("adaptation/probe.py", 'default_rng(settings["seed"])', "default_rng(0)", "test_keys_count.py -k costs"),
    ("adaptation/probe.py", 'min(settings["probe_images"], len(images))', "len(images)", "test_keys_count.py -k costs"),
    ("training/steps.py", "width < height for", "width > height for", "test_steps.py -k grouped"),
    ("training/steps.py", "mixed(self.seed, self.epochs_before + self.epoch)", "mixed(self.seed, self.epoch)", "test_steps.py -k later"),
    ("training/steps.py", "torch.stack(table).mean(0)", "torch.stack(table).sum(0)", "test_steps.py -k averaged"),
    ("training/randomness.py", ', results["sample_idx"])', ")", "test_steps.py -k flips"),
    ("training/schedules.py", '"total_steps": epochs,', '"total_steps": epochs + 1,', "test_schedules.py"),
    ("training/schedules.py", '"gamma": settings["gamma"]', '"gamma": 0.1', "test_keys_count.py -k schedule"),
    ("training/schedules.py", '"end": settings["warmup_iters"]', '"end": settings["warmup_iters"] + 1', "test_schedules.py"),
    ("training/schedules.py", "* epochs + Fraction(1, 2))", "* epochs)", "test_schedules.py"),
    ("training/optimisation.py", 'recipe["clip_grad"]', "35", "test_keys_count.py -k clip_grad"),
    ("training/optimisation.py", '"accumulative_counts": passes', '"accumulative_counts": 1', "test_steps.py -k one_step"),
    ("data/pipelines.py", 'dataset["skip_empty_images"]', "True", "test_keys_count.py -k skip_empty_images"),
    ("data/pipelines.py", 'dataset["min_image_side"]', "32", "test_keys_count.py -k min_image_side"),
    ("data/resizing.py", "return max(1, width), max(1, height)", "return max(1, height), max(1, width)", "test_resizing.py"),
    ("data/views.py", "(0, right, 0, bottom)", "(0, bottom, 0, right)", "test_views.py -k padding"),
    ("experiment/policies.py", "if t not in order and ap[student] < ap[t] < ap[target]", "if t not in order and ap[t] < ap[target]", "test_orders.py"),
    ("experiment/policies.py", "costs[student, target] <= costs[candidate, target]", "costs[student, target] < costs[candidate, target]", "test_orders.py"),
    ("experiment/chains.py", "(i >= len(teachers) - rest)", "(i < rest)", "test_chains.py test_rows.py"),
    ("experiment/rows.py", "experiment.arms[arm].seeds or experiment.seeds", "experiment.seeds", "test_rows.py test_keys_count.py -k rows"),
    ("experiment/rows.py", '{"strongest": 1, "pairs": 2}', '{"strongest": 1}', "test_rows.py"),
    ("experiment/input_files.py", ', "test": dataset.test}', "}", "test_tested_tables.py -k files"),
    ("report/tables.py", "_seed_rows(rows, test_split.METRICS)", '_seed_rows(rows, "metrics.json")', "test_tested_tables.py"),
    ("report/comparison.py", "_numbers(on_test)", "_numbers(comparisons)", "test_tested_tables.py"),
    ("datasets/importing.py", 'all(item["iscrowd"] for item in content["annotations"])', 'not content["annotations"]', "test_datasets_splitting.py -k crowds"),
    ("experiment/specs.py", '"always" if stages.parent else "where-needed"', '"always"', "test_adaptors.py test_rows.py"),
    ("experiment/specs.py", 'settings.inherit != "each" and (', "(", "test_rows.py"),
    ("evaluation/metrics.py", "boxes[:, 2:] - boxes[:, :2]", "boxes[:, 2:]", "test_metrics.py"),
    ("evaluation/metrics.py", "self.category_ids[label]", "label + 1", "test_metrics.py"),
    ("evaluation/samples.py", "corners[:, 2:] += corners[:, :2]", "corners[:, 2:] += corners[:, 1::-1]", "test_samples.py"),
    ("evaluation/analysis.py", "own[best] >= LEAST_IOU", "own[best] > 0", "test_analysis.py"),
    ("checks/stage_lengths.py", "warmup >= iterations", "warmup > iterations", "test_schedules.py"),
    ("detectors/initial.py", "numbers.reshape(each, count).T", "numbers.reshape(count, each)", "test_initial.py -k rows"),
    ("detectors/initial.py", "[(len(classes), len(names))] * background[0]", "[]", "test_initial.py -k rows"),
    ("detectors/initial.py", "own[name].copy_(values)", "pass", "test_initial.py -k other"),
    ("detectors/initial.py", "if class_rows else []", "", "test_initial.py -k other"),
    ("detectors/initial.py", "LEAST_SHARE * total", "0", "test_initial.py -k backbone"),
    ("training/settings.py", '{"initial": initial} if initial else {}', "{}", "test_fingerprint.py"),
    ("training/stage.py", "if stage.parent or stage.initial or not", "if stage.parent or not", "test_initial_stages.py -k inherits"),
    ("experiment/specs.py", 'and experiment.recipes[recipe].start != "student"', "", "test_initial_workflow.py -k anew"),
    ("experiment/backbones.py", "    if detector.initial:", "    if False:", "test_initial_workflow.py -k anew"),
    ("detectors/inherit.py", 'head[2] == "0"', 'head[2] == "1"', "test_families.py -k cascade"),
    ("detectors/inherit.py", "weight.repeat(len(own[name]) // len(weight), *[1] * (weight.dim() - 1))", "weight.repeat_interleave(len(own[name]) // len(weight), 0)", "test_families.py -k cascade"),
    ("detectors/taps.py", '[f"neck.fpn_convs.{i}', '[f"neck.lateral_convs.{i}', "test_taps.py"),
    ("detectors/taps.py", "align_corners=False", "align_corners=True", "test_adaptation.py test_moments.py"),
]  # fmt: skip


def main(words):
    chosen = [one for one in MUTANTS if not words or any(word in " ".join(one[:3]) for word in words)]
    survivors = []
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, "copy")
        shutil.copytree(PROJECT, copy, ignore=LEFT_OUT)
        for number, mutant in enumerate(chosen, 1):
            killed = is_killed(copy, *mutant)
            print(
                f"{number}/{len(chosen)} {'killed' if killed else 'SURVIVED'}: {described(mutant)}",
                flush=True,
            )
            survivors += [mutant] * (not killed)
    print(f"{len(survivors)} of {len(chosen)} survived", *map(described, survivors), sep="\n")
    return bool(survivors)


def described(mutant):
    file, old, new, tests = mutant
    return f"{file}: {old} -> {new} ({tests})"


def is_killed(copy, file, old, new, tests):
    """Whether one of the tests fails in this copy of the project with the changed text."""
    path = copy / "src/mtpd" / file
    original = path.read_text(encoding="utf-8")
    if original.count(old) != 1:
        raise SystemExit(f"{file}: found {original.count(old)} times {old!r}, expected once: correct MUTANTS")
    path.write_text(original.replace(old, new), encoding="utf-8")
    try:
        status = run_tests(copy, tests)
    finally:
        path.write_text(original, encoding="utf-8")
    if status not in (0, 1):  # 1: a test failed
        raise SystemExit(f"pytest ended with {status}: {described((file, old, new, tests))}")
    return status == 1


def run_tests(copy, tests):
    """Exit status of pytest."""
    names = [f"tests/{word}" if word.endswith(".py") else word for word in tests.split()]
    command = [sys.executable, "-B", "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *names]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    variables = {**os.environ, "PYTHONPATH": str(copy / "src"), "PATH": path}
    return subprocess.run(command, cwd=copy, env=variables, capture_output=True).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
