"""Bad input, by real Snakemake: it stops before any job, says where and what, and leaves results alone."""

import json
import shutil

import pytest
import torch
import yaml
from conftest import PROJECT, build
from PIL import Image
from snakes import snakemake

from mtpd import detectors
from mtpd.data import shapes

EXPERIMENT = {
    "experiment": "own",
    "dataset": {
        "name": "mine",
        "train": {"annotations": "data/train.json", "images": "data/train"},
        "val": {"annotations": "data/val.json", "images": "data/val"},
        "scale": [64, 64],
    },
    "detectors": {
        "student": {"config": "config/detectors/r18_w8.py", "train": {"recipe": "alone", "epochs": 1}},
        "swin": {"config": "config/detectors/swin_w32.py", "file": "swin.pth"},
    },
    "students": ["student"],
    "pools": {"all": ["swin"]},
    "recipes": {
        "alone": {"optimizer": {"type": "AdamW", "lr": 1e-3}},
        "pkd": {"optimizer": {"type": "AdamW", "lr": 1e-3}, "loss": {"name": "pkd"}},
    },
    "arms": {"direct": {"recipe": "pkd", "policy": "bgs", "pool": "all", "epochs": 1}},
}


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """Good input: data, a teacher's checkpoint, and a result that must stay."""
    folder = tmp_path_factory.mktemp("template")
    for split, images in (("train", 4), ("val", 2)):
        (folder / "data" / split).mkdir(parents=True)
        coco = shapes.generate(folder / "data" / split, split, images, 64, 0)
        shapes.write(coco, folder / f"data/{split}.json")
    config = detectors.load_config(str(PROJECT / "config/detectors/swin_w32.py"), {}, shapes.CLASSES)
    detectors.save_student(folder / "swin.pth", build("swin_w32"), config, shapes.CLASSES, {})
    (folder / "config").symlink_to(PROJECT / "config")
    result = folder / "results/own/tables/main.csv"
    result.parent.mkdir(parents=True)
    result.write_text("an earlier result")
    return folder


@pytest.fixture
def folder(template, tmp_path):
    return shutil.copytree(template, tmp_path / "own", symlinks=True)


@pytest.fixture
def experiment():
    return json.loads(json.dumps(EXPERIMENT))


def refused(folder, experiment):
    """What Snakemake says of it, having run nothing."""
    (folder / "own.yaml").write_text(yaml.safe_dump(experiment, sort_keys=False))
    code, said = snakemake(folder, config=folder / "own.yaml")
    assert code != 0, said
    assert "Traceback" not in said
    assert not (folder / "logs").exists(), said
    assert not (folder / "work/mine").exists()
    assert (folder / "results/own/tables/main.csv").read_text() == "an earlier result"
    assert [path.name for path in (folder / "results").iterdir()] == ["own"]
    return said


def test_the_good_input_is_planned(folder, experiment):
    (folder / "own.yaml").write_text(yaml.safe_dump(experiment))
    code, said = snakemake(folder, "-n", config=folder / "own.yaml")
    assert code == 0, said


# The experiment file: a key to change (None: take it away), its new value, and what is said.
GONE = object()
KEYS = [
    ("experiment", GONE, "experiment: missing"),
    ("experiment", "../elsewhere", "experiment: found '../elsewhere'"),
    ("experimnt", "x", "experimnt: unknown key; did you mean 'experiment'?"),
    ("dataset.name", "a/b", "dataset.name: found 'a/b'"),
    ("dataset.train", GONE, "dataset: give either 'generate' or both of 'train' and 'val'"),
    ("dataset.train.annotations", "data/none.json", "dataset.train.annotations: no such file or folder: data/none.json"),
    ("dataset.val.images", "data/none", "dataset.val.images: no such file or folder: data/none"),
    ("dataset.scale", [0, 64], "dataset.scale.0: found 0"),
    ("dataset.flip", 2, "dataset.flip: found 2"),
    ("detectors", {}, "students: found 'student'"),
    ("detectors.swin.config", "none.py", "detectors.swin.config: no such file or folder: none.py"),
    ("detectors.swin.config", "https://host/evil.py", "detectors.swin.config: found 'https://host/evil.py'"),
    ("detectors.swin.file", "none.pth", "detectors.swin.file: no such file or folder: none.pth"),
    ("detectors.swin.train", {"recipe": "alone", "epochs": 1}, "detectors.swin: give exactly one of"),
    ("detectors.swin", {"config": "mmdet::x.py", "url": "http://h/x.pth"}, "detectors.swin: 'url' needs 'sha256'"),
    ("detectors.swin", {"config": "mmdet::x.py", "url": "http://h", "sha256": "xyz"}, "detectors.swin.sha256: found"),
    ("detectors.student.train.recipe", "alnoe", "detectors.student.train.recipe: found 'alnoe', did you mean 'alone'?"),
    ("detectors.student.train.epochs", 0, "detectors.student.train.epochs: found 0"),
    ("students", [], "students: found []"),
    ("students", ["studnet"], "students: found 'studnet', did you mean 'student'?"),
    ("students", ["student", "student"], "students: found one twice"),
    ("pools.all", [], "pools.all: found []"),
    ("pools.all", ["swim"], "pools.all: found 'swim', did you mean 'swin'?"),
    ("pools.all", ["student"], "pools.all: expected a teacher other than the student"),
    ("recipes.pkd.loss.name", "pdk", "recipes.pkd.loss.name: found 'pdk'"),
    ("recipes.pkd.loss.options", {"wieght": 3}, "recipes.pkd.loss: options: pkd has no 'wieght'; did you mean 'weight'?"),
    ("recipes.pkd.loss.options", {"weight": -1}, "recipes.pkd.loss.options.weight: found -1"),
    ("recipes.pkd.optimiser", {}, "recipes.pkd.optimiser: unknown key; did you mean 'optimizer'?"),
    ("recipes.pkd.optimizer", {"lr": 0.1}, "recipes.pkd: optimizer: expected 'type'"),
    ("recipes.pkd.optimizer.lr", "fast", "recipes.pkd: optimizer.lr: found 'fast'"),
    ("recipes.pkd.batch_size", 0, "recipes.pkd.batch_size: found 0"),
    ("recipes.pkd.precision", "float16", "recipes.pkd.precision: float16 needs compute.gpus"),
    ("recipes.pkd.schedule.milestones", [2], "recipes.pkd.schedule.milestones.0: found 2"),
    ("recipes.alone.start", "student", "detectors.student.train.recipe: found one whose start is 'student'"),
    ("recipes.pkd.loss", GONE, "arms.direct: recipe 'pkd' has no loss to distill with"),
    ("arms", {}, "arms: found {}"),
    ("arms.direct.policy", "bsg", "arms.direct.policy: found 'bsg'"),
    ("arms.direct.chain", "swin@1", "arms.direct: 'chain' goes without 'policy', 'pool' and 'epochs'"),
    ("arms.direct", {"recipe": "pkd", "chain": "swin@1++"}, "arms.direct: 'swin@1++' is not a chain"),
    ("arms.direct", {"recipe": "pkd", "chain": "../swin@1"}, "arms.direct: '../swin@1' is not a chain"),
    ("arms.direct", {"recipe": "pkd", "chain": "swn@1"}, "arms.direct.chain: found 'swn', did you mean 'swin'?"),
    ("arms.direct.epochs", GONE, "arms.direct: give 'chain', or all of 'policy', 'pool' and 'epochs'"),
    ("arms.direct.seeds", [0, 0], "arms.direct.seeds: found one twice"),
    ("seeds", [-1], "seeds.0: found -1"),
    ("seeds", "all", "seeds: found 'all'"),
    ("compute.gpus", -1, "compute.gpus: found -1"),
    ("order.max_teachers", 0, "order.max_teachers: found 0"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("key", "value", "words"), KEYS, ids=[f"{key}={str(value)[:20]}" for key, value, _ in KEYS]
)
def test_a_wrong_key_is_named(key, value, words, folder, experiment):
    *parents, last = key.split(".")
    node = experiment
    for name in parents:
        node = node.setdefault(name, {})
    if value is GONE:
        del node[last]
    else:
        node[last] = value
    said = refused(folder, experiment)
    assert f"own.yaml: {words}" in said, said


def test_more_stages_than_epochs_are_refused(folder, experiment):
    experiment["detectors"]["other"] = experiment["detectors"]["swin"]
    experiment["pools"]["all"] = ["swin", "other"]
    assert "arms.direct.epochs: found 1; expected one for each of up to 2 stages" in refused(
        folder, experiment
    )


def test_a_config_that_is_no_python_is_refused(folder, experiment):
    (folder / "mine.py").write_text("model = dict(")
    experiment["detectors"]["student"]["config"] = "mine.py"
    assert "mine.py: cannot be read as an mmdet config" in refused(folder, experiment)


def test_a_file_that_is_no_yaml_is_refused(folder):
    (folder / "own.yaml").write_text("experiment: [")
    code, said = snakemake(folder, config=folder / "own.yaml")
    assert code != 0
    assert "Config file is not valid JSON or YAML" in said  # Snakemake's own words


def with_annotations(split, change):
    def spoil(folder, experiment):
        path = folder / f"data/{split}.json"
        coco = json.loads(path.read_text())
        change(coco)
        path.write_text(json.dumps(coco))

    return spoil


def annotation(**values):
    return with_annotations("train", lambda coco: coco["annotations"][0].update(values))


def image(change):
    def spoil(folder, experiment):
        change(folder / "data/train/train_000001.png")

    return spoil


def text(content):
    return lambda folder, experiment: (folder / "data/train.json").write_text(content)


def checkpoint(change):
    """The teacher's file, changed or replaced by what ``change`` returns."""

    def spoil(folder, experiment):
        content = torch.load(folder / "swin.pth", weights_only=True)
        torch.save(change(content) or content, folder / "swin.pth")

    return spoil


def without_a_bias(content):
    del content["state_dict"]["neck.lateral_convs.0.conv.bias"]


def setting(key, value):
    def spoil(folder, experiment):
        *parents, last = key.split(".")
        node = experiment
        for name in parents:
            node = node.setdefault(name, {})
        node[last] = value

    return spoil


def masked_student(folder, experiment):
    experiment["detectors"]["student"]["config"] = "mmdet::mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py"
    annotation(segmentation=[])(folder, experiment)


def no_common_stride(folder, experiment):
    experiment["detectors"]["student"]["taps"] = ["backbone.conv1"]


DATA = {
    "not-json": (text("{"), "data/train.json: not a JSON file"),
    "a-list": (text("[]"), "data/train.json: expected a COCO object with images, annotations and categories, found: list"),
    "no-categories": (with_annotations("train", lambda c: c.pop("categories")), "data/train.json: expected lists, missing: categories"),
    "empty-split": (with_annotations("val", lambda c: c.update(images=[], annotations=[])), "data/val.json: expected images, found: an empty split"),
    "image-twice": (with_annotations("train", lambda c: c["images"].append(c["images"][0])), "ids of images that stand twice: 1"),
    "id-no-number": (annotation(id="first"), "annotations' id of another type than COCO's: number 0 ('first')"),
    "id-zero": (annotation(id=0), "ids of annotations must be 1 or more, found: 0"),
    "category-twice": (with_annotations("train", lambda c: c["categories"][1].update(name="disc")), "categories that stand twice: disc"),
    "unknown-category": (annotation(category_id=99), "objects of unknown categories: annotation 1 (category 99)"),
    "unknown-image": (annotation(image_id=99), "objects of images that are not listed: annotation 1 (image 99)"),
    "box-nan": (annotation(bbox=[1, 1, float("nan"), 5]), "boxes must be four finite numbers (x, y, width, height): annotation 1 ([1, 1, nan, 5])"),
    "box-of-three": (annotation(bbox=[1, 1, 5]), "boxes must be four finite numbers"),
    "box-empty": (annotation(bbox=[5, 5, 0, 3]), "boxes empty or outside their image (correct them, or set dataset.skip_bad_boxes): annotation 1"),
    "box-outside": (annotation(bbox=[70, 5, 9, 9]), "boxes empty or outside their image"),
    "no-area": (with_annotations("train", lambda c: c["annotations"][0].pop("area")), "annotations without area: number 0"),
    "no-segmentation": (masked_student, "objects without the segmentation that a mask head needs: annotation 1"),
    "image-missing": (image(lambda path: path.unlink()), "images missing: data/train/train_000001.png"),
    "image-broken": (image(lambda path: path.write_bytes(b"no image")), "images that cannot be read: data/train/train_000001.png"),
    "image-of-other-size": (image(lambda path: Image.new("RGB", (60, 64)).save(path)), "data/train/train_000001.png (60x64, not 64x64)"),
    "strange-category": (with_annotations("val", lambda c: c["categories"][0].update(name="zebra")), "data/val.json: categories that the training split does not have: zebra"),
    "checkpoint-of-another": (checkpoint(lambda c: {"state_dict": build("r18_w16").state_dict()}), "swin.pth: does not fit its detector"),
    "tensor-missing": (checkpoint(without_a_bias), "1 missing (neck.lateral_convs.0.conv.bias)"),
    "tensor-misshapen": (checkpoint(lambda c: c["state_dict"].update({"neck.lateral_convs.0.conv.bias": torch.zeros(3)})), "1 misshapen (neck.lateral_convs.0.conv.bias)"),
    "other-classes": (checkpoint(lambda c: c["meta"]["dataset_meta"].update(classes=tuple("uvwxyz"))), "swin.pth: none of its classes is the data set's: u, v, w"),
    "no-checkpoint": (lambda folder, _: (folder / "swin.pth").write_text("hello"), "swin.pth: refused, not a plain checkpoint"),
    "half-a-checkpoint": (lambda folder, _: (folder / "swin.pth").write_bytes((folder / "swin.pth").read_bytes()[:9999]), "swin.pth: refused, not a plain checkpoint"),
    "no-such-mmdet-config": (setting("detectors.swin.config", "mmdet::swin/none.py"), "detectors.swin: mmdet::swin/none.py: FileNotFoundError"),
    "wrong-override": (setting("detectors.student.overrides", {"model.backbone.dpth": 18}), "detectors.student: config/detectors/r18_w8.py: TypeError"),
    "unknown-optimiser": (setting("recipes.pkd.optimizer.type", "Adaam"), "recipes.pkd.optimizer.type: found 'Adaam'; did you mean 'Adam'?"),
    "wrong-optimiser-argument": (setting("recipes.pkd.optimizer.momentun", 0.9), "recipes.pkd.optimizer: TypeError"),
    "unknown-tap": (setting("detectors.swin.taps", ["neck.nothing"]), "detectors.swin: taps: the detector has no module 'neck.nothing'"),
    "no-common-stride": (no_common_stride, "detectors.student and swin: student and teacher share no stride: [2] and [8, 16, 32]"),
}  # fmt: skip


@pytest.mark.parametrize("case", DATA)
def test_what_a_job_would_stumble_over_is_found_first(case, folder, experiment):
    spoil, words = DATA[case]
    spoil(folder, experiment)
    said = refused(folder, experiment)
    assert "Nothing was run" in said
    assert words in said, said


def test_boxes_that_may_be_skipped_are_let_pass(folder, experiment):
    annotation(bbox=[5, 5, 0, 3])(folder, experiment)
    setting("dataset.skip_bad_boxes", True)(folder, experiment)
    setting("detectors.swin.overrides", {"model.backbone.dpth": 18})(
        folder, experiment
    )  # something must stop it
    said = refused(folder, experiment)
    assert "boxes empty" not in said
    assert "detectors.swin" in said


def test_a_disk_too_small_is_told(folder, experiment):
    experiment["seeds"] = list(range(200_000))
    assert "free: make room" in refused(folder, experiment)


def test_everything_wrong_is_told_at_once(folder, experiment):
    for split in ("train", "val"):
        with_annotations(split, lambda c: c["annotations"][0].update(bbox=[0, 0, 0, 0]))(folder, experiment)
    image(lambda path: path.unlink())(folder, experiment)
    said = refused(folder, experiment)
    assert said.count("boxes empty") == 2
    assert "images missing" in said
