"""Which jobs run again when a key of a finished experiment changes: exactly those that depend on it.

The table is written by hand. The tiny experiment has the demo's keys and fewer epochs.
"""

import pytest
from snakes import changed, planned

COMPARISON = {"write_comparison": 1}
REPORT = {"write_tables": 1, "plot_stages": 1, **COMPARISON}
NEW_ROWS = {"list_rows": 1, **REPORT}
# Where costs are measured again, the chain of `direct` is not known before: its stage is not planned yet.
ORDER = {"order_teachers": 1, "plot_costs": 1, **NEW_ROWS}
DISTILLED = {"train_stage": 3, **NEW_ROWS}  # direct, and progressive in two stages
RETRAINED = {"train_stage": 5, "take_trained": 3, **ORDER}
ONE_DETECTOR = {"take_trained": 1, **ORDER}
NOTHING = {}

CHANGES = [
    ("experiment", "other", {"measure_complexity": 1, "plot_costs": 1, **NEW_ROWS}),
    ("dataset.name", "others", {"draw_shapes": 2, "measure_complexity": 1, **RETRAINED}),
    ("dataset.generate.train", 13, {"draw_shapes": 1, "measure_complexity": 1, **RETRAINED}),
    ("dataset.generate.val", 7, {"draw_shapes": 1, **RETRAINED}),
    ("dataset.generate.size", 72, {"draw_shapes": 2, "measure_complexity": 1, **RETRAINED}),
    ("dataset.generate.seed", 1, {"draw_shapes": 2, "measure_complexity": 1, **RETRAINED}),
    ("dataset.scale", [64, 72], {"measure_complexity": 1, **RETRAINED}),
    ("dataset.flip", 0.4, RETRAINED),
    ("dataset.skip_empty_images", False, RETRAINED),
    ("dataset.min_image_side", 33, RETRAINED),
    (
        "dataset.evaluator",
        "faster-coco-eval",
        RETRAINED,
    ),  # scored again; nothing trains, see mtpd.training.stage
    # The student's own training, and progressive's two stages.
    (
        "detectors.student.overrides",
        {"model.test_cfg.max_per_img": 40},
        {"train_stage": 3, "measure_complexity": 1, **ONE_DETECTOR},
    ),
    # Swin's own training, and progressive's two stages.
    (
        "detectors.swin.overrides",
        {"model.test_cfg.max_per_img": 40},
        {"train_stage": 3, "measure_complexity": 1, **ONE_DETECTOR},
    ),
    (
        "detectors.wide.taps",
        ["neck.fpn_convs.0.conv"],
        {"train_stage": 1, **ORDER},
    ),  # progressive's second stage
    # Its own training, and progressive's second stage.
    (
        "detectors.wide.config",
        "config/detectors/r18_w16.py",
        {"train_stage": 2, "measure_complexity": 1, **ONE_DETECTOR},
    ),
    ("detectors.wide.image_scale", 1.5, {"train_stage": 2, "measure_complexity": 1, **ONE_DETECTOR}),
    ("detectors.wide.train.epochs", 1, {"train_stage": 2, **ONE_DETECTOR}),
    ("detectors.wide.train.seed", 1, {"train_stage": 2, **ONE_DETECTOR}),
    ("detectors.wide.train.recipe", "pkd", {"train_stage": 2, **ONE_DETECTOR}),
    ("detectors.student.train.epochs", 2, {"train_stage": 1, **ONE_DETECTOR}),
    ("detectors.student.train.seed", 1, {"train_stage": 1, **ONE_DETECTOR}),
    ("order.probe_images", 8, ORDER),
    ("order.max_teachers", 1, ORDER),
    ("order.seed", 1, ORDER),
    ("recipes.alone.batch_size", 2, RETRAINED),
    ("recipes.alone.optimizer.lr", 2e-3, RETRAINED),
    ("recipes.pkd.loss.options.weight", 5, DISTILLED),
    ("recipes.pkd.loss.name", "feature-matching", DISTILLED),
    ("recipes.pkd.loss.adaptors", "always", DISTILLED),
    ("recipes.pkd.batch_size", 2, DISTILLED),
    ("recipes.pkd.optimizer.lr", 2e-3, DISTILLED),
    ("recipes.pkd.optimizer.type", "Adam", DISTILLED),
    ("recipes.pkd.schedule.kind", "step", DISTILLED),
    ("recipes.pkd.schedule.gamma", 0.2, DISTILLED),
    ("recipes.pkd.schedule.milestones", [0.5], DISTILLED),
    ("recipes.pkd.schedule.warmup_iters", 2, DISTILLED),
    ("recipes.pkd.clip_grad", 5, DISTILLED),
    ("recipes.pkd.inherit", "none", DISTILLED),
    ("recipes.pkd.start", "student", DISTILLED),
    ("recipes.pkd.micro_batch_size", 1, DISTILLED),
    ("recipes.pkd.paramwise", {"norm_decay_mult": 0}, DISTILLED),
    ("recipes.pkd.scales", [[64, 64], [96, 96]], DISTILLED),
    ("recipes.pkd.precision", "bfloat16", DISTILLED),
    ("recipes.pkd.tf32", False, DISTILLED),
    ("recipes.pkd.tf32", True, NOTHING),
    ("recipes.pkd.validate_every", 2, DISTILLED),
    ("arms.no-teacher.chain", "none@2", {"train_stage": 1, **NEW_ROWS}),
    ("arms.progressive.chain", "swin@1+wide@2", {"train_stage": 1, **NEW_ROWS}),
    ("arms.progressive.against", ["no-teacher"], COMPARISON),
    (
        "arms.progressive.paper",
        "retinanet_r50-mgd-convolutional",
        {"write_paper": 1, **NEW_ROWS},
    ),
    ("arms.progressive.seeds", [0, 1], {"train_stage": 2, **NEW_ROWS}),
    # The order is measured; of the two orders, the first stage of one is trained already.
    (
        "arms.pairs",
        {"recipe": "pkd", "policy": "pairs", "pool": "both", "epochs": 2},
        {
            "train_stage": 2,
            "list_rows": 1,
            "write_tables": 1,
            "plot_stages": 1,
            **COMPARISON,
            "rank_orders": 1,
        },
    ),
    ("arms.direct.epochs", 3, {"train_stage": 1, **NEW_ROWS}),
    ("seeds", [0, 1], {"train_stage": 4, **NEW_ROWS}),
    ("trackers", [], NOTHING),
    ("compute.threads", 2, NOTHING),
    ("compute.workers", 2, NOTHING),
    ("compute.mem_mb", 8000, NOTHING),
    ("compute.runtime", 99, NOTHING),
    ("compute.gpus", 1, {"measure_complexity": 1, "write_tables": 1}),
]


def setting(key, value):
    def change(experiment):
        *parents, last = key.split(".")
        node = experiment
        for name in parents:
            node = node.setdefault(name, {})
        node[last] = value

    return change


@pytest.mark.parametrize(("key", "value", "jobs"), CHANGES, ids=[key for key, _, _ in CHANGES])
def test_a_changed_key_reruns_what_depends_on_it(key, value, jobs, finished, tmp_path):
    assert planned(finished, changed(tmp_path, "changed", setting(key, value))) == jobs


def test_keys_in_another_order_rerun_nothing(finished, tmp_path):
    def backwards(node):
        if isinstance(node, dict):
            for key in reversed(list(node)):  # but arms, whose order is that of the table's rows
                node[key] = node.pop(key) if key == "arms" else backwards(node.pop(key))
        return node

    assert planned(finished, changed(tmp_path, "backwards", backwards)) == {}
