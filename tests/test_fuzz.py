"""Whatever is written into chains, experiments and annotations means itself, or is refused."""

import copy
import json
import tempfile
from pathlib import Path

import yaml
from conftest import PROJECT
from hypothesis import given, settings
from hypothesis import strategies as st
from mmdet.datasets import CocoDataset
from pycocotools.coco import COCO

from mtpd.data import coco
from mtpd.datasets import shapes
from mtpd.datasets.changes import ImportStopped
from mtpd.datasets.importing import import_dataset
from mtpd.experiment import chains, rows
from mtpd.experiment.errors import ConfigError
from mtpd.experiment.reading import load_experiment

FILES = [PROJECT / "config/config.yaml", *sorted((PROJECT / "config/examples").glob("*.yaml"))]
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-3, 10**20)
    | st.floats()
    | st.sampled_from(
        ["", "none", "..", "../x", "a/b", "a~b@2", "r18w8", "swin32@4+swin32@4", "pkd", "bgs", "\n"]
    )
    | st.text(max_size=5)
)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)


@given(st.text(alphabet="ab1@+~.-_/ \nnoe", max_size=20) | st.text(max_size=20))
def test_a_text_is_a_chain_or_is_refused(text):
    try:
        chain = chains.parse(text)
    except ValueError as error:
        assert repr(text) in str(error) or "twice" in str(error)
    else:
        assert str(chain) == text
        assert "/" not in text


def places(node, path=()):
    """The path of every value in a nest of dicts and lists."""
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, child in children:
        yield (*path, key)
        yield from places(child, (*path, key))


@st.composite
def spoilt(draw, originals):
    """One of some nests, with up to three values changed, added or taken away."""
    content = copy.deepcopy(draw(st.sampled_from(originals)))
    for _ in range(draw(st.integers(1, 3))):
        *parents, last = draw(st.sampled_from(list(places(content))))
        node = content
        for key in parents:
            node = node[key]
        what = draw(st.sampled_from(["change", "take", "add"]))
        if what == "take":
            del node[last]
        elif what == "add" and isinstance(node, dict):
            node[draw(st.text(max_size=8))] = draw(ANYTHING)
        else:
            node[last] = draw(ANYTHING)
        if not content:
            break
    return content


EXPERIMENTS = [json.loads(json.dumps(yaml.safe_load(path.read_text()))) for path in FILES]


@settings(max_examples=400, deadline=None)
@given(spoilt(EXPERIMENTS))
def test_an_experiment_means_itself_or_is_refused_with_its_keys(content):
    try:
        experiment = load_experiment(content, "my.yaml")
    except ConfigError as error:
        assert str(error).startswith("my.yaml: ")
        assert len(str(error)) > len("my.yaml: ")
    else:
        again = load_experiment(json.loads(experiment.model_dump_json(exclude_none=True)))
        assert again == experiment
        for arm in experiment.arms:
            for student in rows.students(experiment, arm):
                assert rows.longest_chain(experiment, arm, student) > 0


IMAGES = Path(tempfile.mkdtemp())
COCO_FILE = shapes.generate(IMAGES, "val", 3, 64, 1)


@settings(max_examples=50, deadline=None)
@given(content=spoilt([COCO_FILE]))
def test_annotations_are_imported_for_mmdet_and_pycocotools_or_stop(content, tmp_path_factory):
    folder = tmp_path_factory.mktemp("fuzzed")
    path = folder / "given.json"
    path.write_text(json.dumps(content))
    split = {"annotations": str(path), "images": str(IMAGES)}
    try:
        import_dataset({"train": split, "val_fraction": 0.3, "allowed_share": 1}, folder / "data", list)
    except ImportStopped as stopped:
        assert all(stop.startswith(("train: ", "data set: ")) for stop in stopped.stops)
        return
    for name in ("train", "val"):
        written = str(folder / f"data/{name}.json")
        dataset = CocoDataset(
            ann_file=written,
            data_prefix={"img": str(IMAGES)},
            metainfo={"classes": coco.classes_of(written)},
            pipeline=[],
        )
        assert len(dataset) == len(COCO(written).imgs)
