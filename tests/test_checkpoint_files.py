"""Checkpoint files as others write them (Runner, numpy 1, old torch): data is read, objects are skipped."""

import sys
import types

import numpy as np
import pytest
import torch
from mmengine.config import Config, ConfigDict
from mmengine.logging import HistoryBuffer
from mmengine.model import BaseModel, ExponentialMovingAverage
from mmengine.runner import CheckpointLoader, Runner

from mtpd.detectors import checkpoints, patches, reading

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
    assert log is reading.Skipped


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
    patches.apply()
    with pytest.raises(checkpoints.CheckpointError, match="no tensors"):
        CheckpointLoader.load_checkpoint(str(tmp_path / "0.pth"))
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
    assert type(checkpoints.read_checkpoint(tmp_path / "evil.pth")["extra"]) is reading.Skipped


@pytest.mark.parametrize("function", [HistoryBuffer.min, Config.fromfile, "".upper], ids=lambda f: f.__name__)
def test_what_getattr_gave_cannot_be_called(function, tmp_path):
    torch.save(content(extra=Call(function, "text")), tmp_path / "evil.pth")
    with pytest.raises(checkpoints.CheckpointError, match=r"evil\.pth: refused"):
        checkpoints.read_checkpoint(tmp_path / "evil.pth")


def test_what_is_no_dictionary_is_refused(tmp_path):
    torch.save([torch.zeros(1)], tmp_path / "list.pth")
    with pytest.raises(checkpoints.CheckpointError, match=r"list\.pth: refused"):
        checkpoints.read_weights(tmp_path / "list.pth")


def loaded(path):
    """A model with the weights of the file, and what was said."""
    model, said = Model(), []
    checkpoints.load_weights(model, path, said.append)
    return model.state_dict(), said


def same(first, second):
    return first.keys() == second.keys() and all(map(torch.equal, first.values(), second.values()))


@pytest.mark.parametrize(
    "prefix", ["module.", "_orig_mod.", "model.", "architecture.", "student.", "module._orig_mod."]
)
def test_a_prefix_of_all_names_is_left_out_and_said(prefix, tmp_path):
    expected = Model().state_dict()
    torch.save({"state_dict": {prefix + name: value for name, value in expected.items()}}, tmp_path / "x.pth")
    found, said = loaded(tmp_path / "x.pth")
    assert same(found, expected)
    assert said == [
        f"{tmp_path}/x.pth: 2 tensors are read without {prefix!r}, with which all names in the file begin"
    ]


def test_names_that_fit_keep_what_they_begin_with(tmp_path):
    """All names of this model begin with ``layer.``."""
    of_old_torch(tmp_path / "x.pth")
    assert loaded(tmp_path / "x.pth")[1] == []


def test_names_that_begin_differently_are_refused(tmp_path):
    weight, bias = Model().state_dict().values()
    torch.save({"architecture.layer.weight": weight, "teacher.layer.bias": bias}, tmp_path / "x.pth")
    words = r"does not fit its detector: 2 missing \(layer\.weight, layer\.bias\); 2 unexpected"
    with pytest.raises(checkpoints.CheckpointError, match=words):
        loaded(tmp_path / "x.pth")


def test_what_does_not_fit_without_the_prefix_is_named_without_it(tmp_path):
    torch.save({"module.layer.weight": torch.zeros(1, 2)}, tmp_path / "x.pth")
    words = r"without 'module\.', with which all names in the file begin: 1 missing \(layer\.bias\)$"
    with pytest.raises(checkpoints.CheckpointError, match=words):
        loaded(tmp_path / "x.pth")


def test_versions_of_modules_are_found_without_the_prefix(tmp_path):
    wrapped = torch.nn.ModuleDict({"module": Model()})
    wrapped["module"].norm = torch.nn.BatchNorm2d(2)  # has version 2
    torch.save({"state_dict": wrapped.state_dict()}, tmp_path / "x.pth")
    model, versions = Model(), []
    model.norm = torch.nn.BatchNorm2d(2)
    model.norm.register_load_state_dict_pre_hook(lambda *given: versions.append(given[3].get("version")))
    checkpoints.load_weights(model, tmp_path / "x.pth")
    assert versions[-1] == 2


def averaged(model):
    """The weights as mmengine's hook saves their averages: beside a counter, as ``module.``."""
    found = ExponentialMovingAverage(model).state_dict()
    assert "steps" in found and "module.layer.bias" in found
    return found


@pytest.mark.parametrize("name", ["model", "ema_state_dict"])
def test_the_only_weights_of_a_file_are_found_and_said(name, tmp_path):
    model = Model()
    weights = averaged(model) if name == "ema_state_dict" else model.state_dict()
    torch.save({name: weights, "epoch": 3, "optimizer": {"state": {}}, "meta": {}}, tmp_path / "x.pth")
    found, said = loaded(tmp_path / "x.pth")
    assert same(found, model.state_dict())
    assert said[0] == f"{tmp_path}/x.pth: the weights are taken from {name!r}"
    assert len(said) == (2 if name == "ema_state_dict" else 1)


def test_state_dict_is_taken_and_not_the_other_weights_beside_it(tmp_path):
    model = Model()
    torch.save({"ema_state_dict": averaged(Model()), "state_dict": model.state_dict()}, tmp_path / "x.pth")
    found, said = loaded(tmp_path / "x.pth")
    assert same(found, model.state_dict())
    assert said == [
        f"{tmp_path}/x.pth: the weights of 'state_dict' are taken, as in mmdet, not those of 'ema_state_dict'"
    ]


def test_one_of_two_sets_of_weights_is_not_guessed(tmp_path):
    torch.save({"model": Model().state_dict(), "ema_state_dict": averaged(Model())}, tmp_path / "x.pth")
    words = r"x\.pth: refused: weights under 'model', 'ema_state_dict', and none under 'state_dict'"
    with pytest.raises(checkpoints.CheckpointError, match=words):
        loaded(tmp_path / "x.pth")
