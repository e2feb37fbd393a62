"""Taps: the places where the features of a detector are read, one per level, with stride and channels."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass

import torch
from mmdet.models.necks import FPN
from torch import Tensor, nn
from torch.nn.functional import interpolate

PROBE_SIZE = 256


@dataclass(frozen=True)
class Tap:
    """One level of features: the module whose output it is, and which of its outputs if there are several."""

    module: str
    index: int | None
    stride: int
    channels: int


def find_taps(detector: nn.Module, modules: list[str] | None = None) -> list[Tap]:
    """Find the taps of a detector, finest level first.

    With an FPN, they are the outputs of ``neck.fpn_convs.{i}.conv``, as in the paper (a max-pooled P6 has no
    convolution, so no tap). With any other neck, they are its outputs: necks derived from FPN, like
    DetectoRS's, process the outputs of these convolutions further. Strides are found by a forward pass.

    Args:
        detector: an mmdet detector.
        modules: names of modules to read instead.

    Raises:
        ValueError: there is no neck, no module of that name, its output is no map of features, or two of
            them have the same stride (levels are paired by stride).
    """
    known = dict(detector.named_modules())
    if modules is None:
        if "neck" not in known:
            raise ValueError("the detector has no neck: name the modules to read in the detector's 'taps'")
        convs = detector.neck.fpn_convs if type(detector.neck) is FPN else ()
        modules = [f"neck.fpn_convs.{i}.conv" for i in range(len(convs))] or ["neck"]
    if missing := [name for name in modules if name not in known]:
        raise ValueError(f"taps: the detector has no module {missing[0]!r}")
    taps = _measure(detector, modules)
    by_stride: dict[int, Tap] = {}
    for tap in taps:
        other = by_stride.setdefault(tap.stride, tap)
        if other is not tap:
            raise ValueError(
                f"taps: {other.module!r} and {tap.module!r} both have stride {tap.stride}: levels are paired "
                "by stride, so name one module of each stride"
            )
    return taps


def _measure(detector: nn.Module, modules: list[str]) -> list[Tap]:
    device = next(detector.parameters()).device
    was_training = detector.training
    detector.eval()
    with torch.no_grad(), recorded(detector, modules) as outputs:
        detector.extract_feat(torch.zeros(1, 3, PROBE_SIZE, PROBE_SIZE, device=device))
    detector.train(was_training)
    taps = []
    for name in modules:
        output = outputs.get(name, ())
        levels = [(None, output)] if isinstance(output, Tensor) else list(enumerate(output))
        if not levels or any(not isinstance(level, Tensor) or level.ndim != 4 for _, level in levels):
            raise ValueError(
                f"taps: {name!r} gives no features in the form N x C x H x W when the detector runs backbone "
                "and neck: choose another module"
            )
        taps += [Tap(name, i, PROBE_SIZE // level.shape[-1], level.shape[1]) for i, level in levels]
    return taps


@contextmanager
def recorded(detector: nn.Module, modules):
    """Inside the block: the output of the last call of each named module, by name."""
    outputs: dict[str, Tensor] = {}

    def keep(name):
        def hook(_module, _inputs, output):
            outputs[name] = output

        return hook

    handles = [detector.get_submodule(name).register_forward_hook(keep(name)) for name in modules]
    try:
        yield outputs
    finally:
        for handle in handles:
            handle.remove()


def read(outputs: dict[str, Tensor], taps: list[Tap]) -> list[Tensor]:
    return [outputs[t.module] if t.index is None else outputs[t.module][t.index] for t in taps]


def on_grid(source: Tensor, target: Tensor) -> Tensor:
    """Features (N x C x H x W), resized bilinearly where the target's height or width differs."""
    if source.shape[2:] == target.shape[2:]:
        return source
    return interpolate(source, target.shape[2:], mode="bilinear", align_corners=False)


def pair_by_stride(student: list[Tap], teacher: list[Tap]) -> list[tuple[Tap, Tap]]:
    """The levels that both have, paired.

    Raises:
        ValueError: they have no stride in common.
    """
    by_stride = {tap.stride: tap for tap in teacher}
    pairs = [(tap, by_stride[tap.stride]) for tap in student if tap.stride in by_stride]
    if not pairs:
        found = [tap.stride for tap in student], sorted(by_stride)
        raise ValueError(f"student and teacher share no stride: {found[0]} and {found[1]}")
    return pairs
