"""Checkpoints are data: a file that would run code is refused at every door, and its code does not run."""

import contextlib
import os
import pickle
import shutil
import tarfile

import pytest
import torch
from conftest import build, progressive_stage, spec
from mmengine.config import Config
from mmengine.runner import checkpoint as tables
from mmengine.runner.checkpoint import CheckpointLoader, load_from_http

from mtpd.detectors import checkpoints
from mtpd.evaluation import evaluate
from mtpd.fetch import FetchError
from mtpd.training import history
from mtpd.training.stage import train


class Intruder:
    """Unpickling it makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def checkpoint(**more):
    return {"state_dict": build("swin_w32").state_dict(), "meta": {}, **more}


def as_zip(path, intruder):
    torch.save(checkpoint(extra=intruder), path)


def in_meta(path, intruder):
    torch.save(checkpoint(meta={"cfg": {"deep": [intruder]}}), path)


def in_optimizer(path, intruder):
    torch.save(checkpoint(optimizer={"state": {0: {"exp_avg": intruder}}, "param_groups": []}), path)


def in_message_hub(path, intruder):
    torch.save(checkpoint(message_hub={"runtime_info": {"loop": intruder}, "log_scalars": {}}), path)


def in_weights(path, intruder):
    content = checkpoint()
    content["state_dict"]["neck.lateral_convs.0.conv.bias"] = intruder
    torch.save(content, path)


def as_resume_file(path, intruder):
    """All that mmengine resumes from, and a schedule with a passenger."""
    meta = {"epoch": 1, "iter": 3, "seed": 0}
    torch.save(checkpoint(meta=meta, optimizer={}, message_hub={}, param_schedulers=[intruder]), path)


def as_legacy_file(path, intruder):
    torch.save(checkpoint(extra=intruder), path, _use_new_zipfile_serialization=False)


def as_tar(path, intruder):
    member = path.with_name("pickle")
    member.write_bytes(pickle.dumps(intruder))
    with tarfile.open(path, "w") as archive:
        for name in ("sys_info", "pickle", "storages", "tensors"):
            archive.add(member, arcname=name)


def as_bare_pickle(path, intruder):
    path.write_bytes(pickle.dumps({"state_dict": {}, "extra": intruder}))


FILES = (
    as_zip,
    in_meta,
    in_optimizer,
    in_message_hub,
    in_weights,
    as_resume_file,
    as_legacy_file,
    as_tar,
    as_bare_pickle,
)


@pytest.fixture(params=FILES, ids=lambda make: make.__name__)
def hostile(request, tmp_path):
    folder = tmp_path / "hostile"
    folder.mkdir()
    request.param(folder / "hostile.pth", Intruder(tmp_path / "intruder-was-here"))
    yield folder / "hostile.pth"
    assert not (tmp_path / "intruder-was-here").exists()


def test_unsafe_loading_would_run_the_code(tmp_path):
    """Read without care, they do make the file."""
    for number, make in enumerate(FILES):
        if make is as_tar:  # torch refuses these itself, whatever it is told
            continue
        traces = tmp_path / f"trace-{number}"
        make(tmp_path / "hostile.pth", Intruder(traces))
        with contextlib.suppress(RuntimeError):  # a bare pickle is found to be no checkpoint once it has run
            torch.load(tmp_path / "hostile.pth", weights_only=False)
        assert traces.exists(), make.__name__


def as_teacher(path, dataset, tmp_path):
    stage = progressive_stage(dataset, str(path))
    train(stage, tmp_path / "out", tmp_path / "work", str(tmp_path / "said"))


def as_start_of_a_chain(path, dataset, tmp_path):
    stage = progressive_stage(dataset, None, teachers=(), teacher_weights=(), parent=str(path))
    train(stage, tmp_path / "out", tmp_path / "work", str(tmp_path / "said"))


def as_scored_detector(path, dataset, tmp_path):
    evaluate.evaluate(dataset, spec("swin_w32"), str(path), tmp_path / "work")


def unsafe(path, map_location=None, logger=None):
    """As mmengine reads without this project's patches."""
    return torch.load(path, map_location, weights_only=False)


def through_mmengines_own_reader(path, dataset, tmp_path):
    CheckpointLoader.register_scheme(prefixes="", loader=unsafe, force=True)
    build("r18_w8")  # whatever builds a detector makes reading safe
    CheckpointLoader.load_checkpoint(str(path))


def through_mmengines_reader_of_local_names(path, dataset, tmp_path):
    """What ``openmmlab://`` names that stand for local files go through."""
    tables._safe_torch_load = unsafe
    build("r18_w8")
    tables._safe_torch_load(str(path), map_location="cpu")


DOORS = (
    as_teacher,
    as_start_of_a_chain,
    as_scored_detector,
    through_mmengines_own_reader,
    through_mmengines_reader_of_local_names,
)


@pytest.mark.parametrize("door", DOORS)
def test_a_checkpoint_with_code_is_refused_by_every_reader(door, hostile, dataset, tmp_path):
    with pytest.raises(checkpoints.CheckpointError, match=r"hostile\.pth: refused"):
        door(hostile, dataset, tmp_path)
    assert not (tmp_path / "out").exists()


@pytest.fixture(scope="module")
def interrupted(dataset, teacher, tmp_path_factory):
    """The work folder of a stage that stopped after its first epoch."""
    folder = tmp_path_factory.mktemp("interrupted")

    def stop(self, runner, metrics=None):
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(history.History, "after_val_epoch", stop)
        with pytest.raises(KeyboardInterrupt):
            train(progressive_stage(dataset, teacher, validate_every=1), folder / "out", folder / "work")
    return folder / "work"


def test_it_is_refused_as_state_to_resume_from(hostile, interrupted, dataset, teacher, tmp_path):
    """A zip file is refused; what is no zip file is none of ours, counts as damaged, and is never read."""
    work = shutil.copytree(interrupted, tmp_path / "work")
    (state,) = work.glob("*/iter_*.pth")
    shutil.copy(hostile, state)
    stage = progressive_stage(dataset, teacher, validate_every=1)
    try:
        train(stage, tmp_path / "out", work, str(tmp_path / "said"))
    except checkpoints.CheckpointError as error:
        assert "iter_000000003.pth: refused" in str(error)
        assert not (tmp_path / "out").exists()
    else:
        assert "is damaged" in (tmp_path / "said").read_text()


def test_pretrained_backbones_are_fetched_with_their_hash_and_read_as_data(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "resnet-01234567.pth"
    torch.save({"weight": torch.zeros(1)}, path)
    with pytest.raises(FetchError, match="expected 01234567: not the expected file"):
        load_from_http(f"file://{path}")
    plain = tmp_path / "resnet.pth"
    torch.save(Intruder(tmp_path / "intruder-was-here"), plain)
    with pytest.raises(checkpoints.CheckpointError, match="refused"):
        load_from_http(f"file://{plain}")
    assert not (tmp_path / "intruder-was-here").exists()


def test_a_config_within_a_checkpoint_does_not_run(tmp_path):
    """When mmengine resumes, it runs ``meta["config"]`` as Python, if it is there."""
    trace = tmp_path / "intruder-was-here"
    config = f"import os\nos.mkdir({str(trace)!r})\n"
    torch.save(checkpoint(meta={"config": config, "epoch": 1}), tmp_path / "state.pth")
    found = CheckpointLoader.load_checkpoint(str(tmp_path / "state.pth"))
    assert found["meta"] == {"epoch": 1}
    assert not trace.exists()
    with contextlib.suppress(Exception):
        Config.fromstring(config, ".py")
    assert trace.exists()  # so it would have run


def test_an_empty_file_is_refused_by_its_name(tmp_path):
    path = tmp_path / "empty.pth"
    path.touch()
    with pytest.raises(checkpoints.CheckpointError, match=r"empty\.pth: refused"):
        checkpoints.read_checkpoint(path)
