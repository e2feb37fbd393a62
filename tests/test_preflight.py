"""What a stage says at its start: its numbers against plain autograd, and that it changes nothing."""

import copy
import functools
import json
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from conftest import build, progressive_stage, spec, weights
from mmengine.hooks import Hook
from mmengine.model import BaseModel

from mtpd.datasets import shapes
from mtpd.detectors import checkpoints, configs
from mtpd.distill.distiller import Distiller
from mtpd.job import failures, preflight_text
from mtpd.job.errors import NoDistillationError, StoppedEarly
from mtpd.training import preflight
from mtpd.training import stage as stages
from mtpd.training.stage import train


def run(stage, folder):
    train(stage, folder / "out", folder / "work", str(folder / "said"))


def found(folder):
    (path,) = (folder / "work").glob(f"*/{preflight_text.FILE}")
    return json.loads(path.read_text())


def log(folder):
    """Of the last start."""
    return max((folder / "work").glob("*/*/*.log")).read_text()


@pytest.fixture
def first_batch(monkeypatch):
    """What the first batch of a run meets: inputs, samples, the teacher's inputs, student and adaptors."""
    seen = []
    original = Distiller.forward

    def spy(self, inputs, data_samples=None, mode="tensor", teacher_inputs=()):
        if mode == "loss" and not seen:
            seen.extend(copy.deepcopy([inputs, data_samples, teacher_inputs, self.student, self.links]))
        return original(self, inputs, data_samples, mode, teacher_inputs)

    monkeypatch.setattr(Distiller, "forward", spy)
    return seen


def features_of(detector, call):
    """The result of a call, and the outputs of the detector's FPN convolutions during it."""
    outputs = {}
    for number, level in enumerate(detector.neck.fpn_convs):
        level.conv.register_forward_hook(lambda _m, _i, output, n=number: outputs.update({n: output}))
    return call(), [outputs[number] for number in sorted(outputs)]


def normalised(level):
    """Each channel with mean 0 and standard deviation 1 over images and positions."""
    channels = level.transpose(0, 1).flatten(1)
    centred = channels - channels.mean(1, keepdim=True)
    return centred / (centred.square().mean(1, keepdim=True).sqrt() + 1e-6)


@pytest.mark.parametrize("micro_batch", [None, 2])
def test_losses_and_gradient_are_those_of_autograd(micro_batch, first_batch, dataset, teacher, tmp_path):
    """PKD with weight 4: half the mean squared difference of normalised features, summed over levels."""
    run(progressive_stage(dataset, teacher, epochs=1, micro_batch_size=micro_batch), tmp_path)
    inputs, samples, (taught_inputs,), student, (link,) = first_batch
    master = build("swin_w32").eval()
    master.load_state_dict(checkpoints.read_weights(teacher))
    with torch.no_grad():
        _, theirs = features_of(master, lambda: master.extract_feat(taught_inputs))
    losses, ours = features_of(student, lambda: student.loss(inputs, samples))
    distilled = sum(
        4 * 0.5 * (normalised(adapt(own)) - normalised(other)).square().mean()
        for adapt, own, other in zip(link.adaptors, ours, theirs, strict=True)
    )
    gradient = torch.cat([part.flatten() for part in torch.autograd.grad(distilled, ours)])
    detection = sum(float(sum(term)) for term in losses.values())
    said = found(tmp_path)
    assert said["detection_loss"] == pytest.approx(detection, rel=1e-4)
    assert said["distillation_loss"] == pytest.approx(float(distilled), rel=1e-4)
    assert said["gradient"] == pytest.approx(float(gradient.norm()), rel=1e-4)


def test_the_log_says_what_the_stage_starts_from(dataset, teacher, tmp_path):
    """The teacher is copied to a folder where the workflow has measured its AP."""
    given = tmp_path / "weights.pth"
    given.write_bytes(Path(teacher).read_bytes())
    (tmp_path / "metrics.json").write_text(json.dumps({"bbox": {"AP": 33.84}}))
    run(progressive_stage(dataset, str(given), epochs=1), tmp_path)
    student, master = build("r18_w8").state_dict(), build("swin_w32").state_dict()
    same = [n for n in student if not n.startswith("backbone.") and student[n].shape == master[n].shape]
    share = sum(student[n].numel() for n in same) / sum(tensor.numel() for tensor in student.values())
    begin = f"preflight: student: {len(student)} tensors, initialised as its config says; {len(same)} of them"
    assert f"{begin} ({share:.0%} of the weights) inherited from {given}\n" in log(tmp_path)
    begin = f"preflight: teacher {given}: AP 33.8, {len(master)} tensors loaded; levels"
    assert f"{begin} (stride, channels), student -> teacher: 8, 64 -> 8, 64; 16, " in log(tmp_path)
    assert "preflight: first batch: detection loss " in log(tmp_path)
    assert "teacher: AP 33.8; inherited " in preflight_text.in_short(found(tmp_path))


def test_a_stage_without_a_teacher_says_so(dataset, tmp_path):
    run(progressive_stage(dataset, None, teachers=(), teacher_weights=(), epochs=1), tmp_path)
    assert "preflight: no teacher\n" in log(tmp_path)
    assert preflight_text.in_short(found(tmp_path)) == "no teacher"


def test_a_stage_that_inherits_without_a_teacher_says_so(dataset, teacher, tmp_path):
    run(
        progressive_stage(
            dataset,
            teacher,
            teachers=(),
            teacher_weights=(),
            epochs=1,
            inherits=spec("swin_w32"),
            inherited_weights=teacher,
        ),
        tmp_path,
    )
    assert re.fullmatch(r"no teacher; inherited [1-9]\d?%", preflight_text.in_short(found(tmp_path)))


@pytest.mark.parametrize(("modules", "measured"), [(None, True), (("layer3", "layer4"), False)])
def test_a_student_with_activation_checkpointing_is_trained(modules, measured, dataset, tmp_path):
    """torch refuses a gradient through a checkpointed block, which lies between two taps of the backbone."""
    taps = modules and [f"backbone.{name}" for name in modules]
    its = {**spec("r18_w8"), "taps": taps}
    own = {**its, "overrides": {"model.backbone.with_cp": True}}
    config = configs.load_config(its["config"], {}, shapes.CLASSES)
    checkpoints.save_student(tmp_path / "its.pth", build("r18_w8", seed=1), config, shapes.CLASSES, {})
    weights = (str(tmp_path / "its.pth"),)
    run(progressive_stage(dataset, None, student=own, teachers=(its,), teacher_weights=weights), tmp_path)
    assert found(tmp_path)["distillation_loss"] > 0
    assert ("its gradient not measured (with_cp)" in log(tmp_path)) != measured


@pytest.mark.parametrize(
    ("weight", "told"), [(1.0, []), (200.0, ["first batch: warning: distillation loss 200"])]
)
def test_a_loss_that_dominates_is_told_at_the_first_batch(weight, told, tmp_path):
    feature = torch.ones(1, requires_grad=True)
    model = SimpleNamespace(parse_losses=functools.partial(BaseModel.parse_losses, None))
    student = {"tensors": 1, "parent": None, "inherits": None, "inherited": 0, "inherited_share": 0.0}
    said = []
    looking = preflight.Preflight(model, {"student": student, "teachers": []}, tmp_path, said.append)
    looking._look({"loss_cls": torch.ones(1), "distill_loss_pkd": weight * feature}, [feature])
    assert [line[: len(told[0])] for line in said] == told


@pytest.mark.parametrize("slope", [1e-7, 0.5, 3.0, 3000.0])
def test_gradients_in_half_precision_are_neither_zero_nor_infinite(slope):
    feature = torch.ones(4, dtype=torch.float16, requires_grad=True)
    norm = preflight.gradient_norm((feature.float() * slope).sum(), [feature])
    assert norm == pytest.approx(2 * slope, rel=1e-3)


class Nothing(Hook):
    """Takes the place of the preflight."""

    def __init__(self, *_):
        pass


@pytest.mark.parametrize(("loss", "precision"), [("mgd", "float32"), ("pkd", "bfloat16")])
def test_weights_are_bit_identical_without_it(loss, precision, dataset, teacher, tmp_path, monkeypatch):
    """MGD draws random masks."""
    stage = progressive_stage(dataset, teacher, loss=loss, precision=precision, epochs=1)
    run(stage, tmp_path / "with")
    monkeypatch.setattr(stages, "Preflight", Nothing)
    run(stage, tmp_path / "without")
    assert found(tmp_path / "with")["gradient"] > 0
    assert not list((tmp_path / "without").glob(f"work/*/{preflight_text.FILE}"))
    ours, theirs = weights(tmp_path / "with"), weights(tmp_path / "without")
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_a_resumed_stage_says_what_its_first_batch_said(dataset, teacher, tmp_path, monkeypatch):
    stage = progressive_stage(dataset, teacher)
    with monkeypatch.context() as patch:
        patch.setenv("SLURM_JOB_END_TIME", "1")
        with pytest.raises(StoppedEarly):
            run(stage, tmp_path)
    before, first_log = found(tmp_path), log(tmp_path)
    run(stage, tmp_path)
    assert found(tmp_path) == before
    resumed_log = log(tmp_path).removeprefix(first_log)  # both starts write to one file if within a second
    line = preflight_text.first_batch(before)
    assert f"preflight, when the stage began: {line}" in resumed_log
    assert "preflight: " not in resumed_log


def broken(teacher, folder):
    """A teacher whose features are not finite."""
    tensors = checkpoints.read_weights(teacher)
    for name, tensor in tensors.items():
        if name.startswith("neck."):
            tensor.fill_(float("nan"))
    torch.save({"state_dict": tensors}, folder / "broken.pth")
    return str(folder / "broken.pth")


def test_a_distillation_that_teaches_nothing_is_a_final_failure(dataset, teacher, tmp_path):
    none = progressive_stage(dataset, teacher)
    none.recipe["loss"]["options"]["weight"] = 0.0
    with pytest.raises(NoDistillationError, match=r"distillation loss 0, its gradient 0 with respect to"):
        run(none, tmp_path / "zero")
    given = progressive_stage(dataset, teacher, teacher_weights=(broken(teacher, tmp_path),))
    with pytest.raises(NoDistillationError, match=r"distillation loss nan, its gradient nan .* checkpoint"):
        run(given, tmp_path / "nan")
    for name in ("zero", "nan"):
        said = (tmp_path / name / "work" / failures.FINAL).read_text()
        assert said.startswith("NoDistillationError: first batch: detection loss ")
        assert not list((tmp_path / name).glob("work/*/*.pth"))
