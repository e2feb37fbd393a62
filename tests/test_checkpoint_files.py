"""Checkpoint files as others write them (Runner, numpy 1, old torch): data is read, objects are skipped."""

import sys
import types

import numpy as np
import pytest
import torch
from mmengine.config import Config, ConfigDict
from mmengine.logging import HistoryBuffer
from mmengine.model import BaseModel
from mmengine.runner import Runner

from mtpd.detectors import checkpoints

CLASSES = ("disc", "square")


class Model(BaseModel):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(2, 1)

    def forward(self, inputs, mode):
        return {"loss": self.layer(inputs).mean()}


def of_a_runner(path):
    """A real checkpoint of mmengine, with the logs of training in message_hub."""
    runner = Runner(
        Model(),
        work_dir=str(path.parent / "work"),
        train_dataloader={
            "dataset": [{"inputs": torch.zeros(2)}] * 4,
            "sampler": {"type": "DefaultSampler", "shuffle": False},
            "batch_size": 2,
            "collate_fn": {"type": "default_collate"},
        },
        train_cfg={"by_epoch": True, "max_epochs": 1},
        optim_wrapper={"optimizer": {"type": "SGD", "lr": 0.1, "momentum": 0.9}},
        experiment_name=path.parent.name,
    )
    runner.train()
    runner.save_checkpoint(str(path.parent), path.name, meta={"dataset_meta": {"classes": CLASSES}})
    assert "loss" in str(torch.load(path, weights_only=False)["message_hub"]["log_scalars"])


def content(**more):
    return {"state_dict": Model().state_dict(), "meta": {"dataset_meta": {"CLASSES": CLASSES}}, **more}


def of_numpy_1(path):
    """Torch's own pickle of arrays, under the names that numpy 1 gave its functions."""
    old = types.ModuleType("numpy.core.multiarray")
    logs = {"array": np.arange(3.0), "scalar": np.float64(0.5)}
    with pytest.MonkeyPatch.context() as patch:
        for name in ("_reconstruct", "scalar"):
            function = getattr(np._core.multiarray, name)
            setattr(old, name, function)
            patch.setattr(function, "__module__", "numpy.core.multiarray", raising=False)
        patch.setitem(sys.modules, "numpy.core.multiarray", old)
        torch.save(content(logs=logs), path)


def of_old_torch(path):
    torch.save(content(), path, _use_new_zipfile_serialization=False)


def with_configs(path):
    meta = {
        "dataset_meta": ConfigDict(CLASSES=CLASSES),
        "config": Config({"model": {"type": "RetinaNet"}}),
    }
    torch.save(content(meta=meta), path)


@pytest.mark.parametrize("write", [of_a_runner, of_numpy_1, of_old_torch, with_configs])
def test_a_file_of_others_is_read(write, tmp_path):
    write(tmp_path / "zoo.pth")
    assert checkpoints.classes_of_checkpoint(tmp_path / "zoo.pth") == CLASSES
    model = Model()
    checkpoints.load_weights(model, tmp_path / "zoo.pth")
    saved = torch.load(tmp_path / "zoo.pth", weights_only=False)["state_dict"]
    torch.testing.assert_close(model.layer.weight.data, saved["layer.weight"], rtol=0, atol=0)


def test_arrays_of_numpy_1_keep_their_values(tmp_path):
    of_numpy_1(tmp_path / "zoo.pth")
    assert b"numpy.core.multiarray\n_reconstruct" in (tmp_path / "zoo.pth").read_bytes()
    logs = checkpoints.read_checkpoint(tmp_path / "zoo.pth")["logs"]
    np.testing.assert_array_equal(logs["array"], np.arange(3.0))
    assert logs["scalar"] == 0.5


def test_logs_and_their_methods_are_skipped(tmp_path):
    of_a_runner(tmp_path / "zoo.pth")
    (log,) = set(
        map(type, checkpoints.read_checkpoint(tmp_path / "zoo.pth")["message_hub"]["log_scalars"].values())
    )
    assert log is checkpoints.Skipped


@pytest.mark.parametrize(
    "value",
    [HistoryBuffer([1.0], [1]), HistoryBuffer([1.0], [1]).min, Config({"a": 1}), ConfigDict(a=1), 1.0],
)
def test_nothing_stands_in_for_a_tensor(value, tmp_path):
    weights = Model().state_dict()
    weights["layer.bias"] = value
    for number, file in enumerate(({"state_dict": weights}, weights)):
        torch.save(file, tmp_path / f"{number}.pth")
        with pytest.raises(
            checkpoints.CheckpointError, match=rf"{number}\.pth: refused.* no tensors: layer\.bias"
        ):
            checkpoints.load_weights(Model(), tmp_path / f"{number}.pth")
    with pytest.raises(checkpoints.CheckpointError, match="no tensors"):
        checkpoints.CheckpointLoader.load_checkpoint(str(tmp_path / "0.pth"))
    torch.save({"state_dict": value}, tmp_path / "all.pth")
    with pytest.raises(checkpoints.CheckpointError, match=r"all\.pth: refused"):
        checkpoints.read_weights(tmp_path / "all.pth")


class Call:
    """Unpickling it calls a function."""

    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


def test_getattr_is_skipped_and_gives_nothing(tmp_path):
    torch.save(content(extra=Call(getattr, "text", "upper")), tmp_path / "evil.pth")
    assert type(checkpoints.read_checkpoint(tmp_path / "evil.pth")["extra"]) is checkpoints.Skipped


@pytest.mark.parametrize("function", [HistoryBuffer.min, Config.fromfile, "".upper], ids=lambda f: f.__name__)
def test_what_getattr_gave_cannot_be_called(function, tmp_path):
    torch.save(content(extra=Call(function, "text")), tmp_path / "evil.pth")
    with pytest.raises(checkpoints.CheckpointError, match=r"evil\.pth: refused"):
        checkpoints.read_checkpoint(tmp_path / "evil.pth")


def test_what_is_no_dictionary_is_refused(tmp_path):
    torch.save([torch.zeros(1)], tmp_path / "list.pth")
    with pytest.raises(checkpoints.CheckpointError, match=r"list\.pth: refused"):
        checkpoints.read_weights(tmp_path / "list.pth")
