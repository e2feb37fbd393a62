"""The closed-form adaptation cost: its properties, and the same number by other ways."""

import copy

import pandas as pd
import pytest
import torch
from conftest import build
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import conv2d, interpolate

from mtpd.adaptation.cost import cost, measure
from mtpd.adaptation.levels import over_levels
from mtpd.adaptation.moments import Level
from mtpd.data.views import key
from mtpd.detectors import taps


def features(channels, seed=0, images=16, side=6, mixing=None):
    generator = torch.Generator().manual_seed(seed)
    base = torch.randn(images, channels, side, side, generator=generator)
    return base if mixing is None else conv2d(base, mixing[:, :, None, None])


def related(seed=0):
    """Two detectors that see the same scene: 6 and 4 mixed channels of 5 common ones, and noise."""
    generator = torch.Generator().manual_seed(seed)
    scene = features(5, seed)
    mixes = torch.randn(6, 5, generator=generator), torch.randn(4, 5, generator=generator)
    a, b = (conv2d(scene, mix[:, :, None, None]) for mix in mixes)
    return a + 0.8 * torch.randn(a.shape, generator=generator), b + 0.5 * torch.randn(
        b.shape, generator=generator
    )


def measured(source, target):
    half = len(source) // 2
    fit, held_out = Level(), Level()
    fit.add({"source": source[:half], "target": target[:half]})
    held_out.add({"source": source[half:], "target": target[half:]})
    moments = (level.pair("source", "target") for level in (fit, held_out))
    return cost(*moments, source.shape[1]).item()


def by_least_squares(source, target):
    """The cost in float64 from a matrix with a row per position, by ``lstsq``.

    Source and target are lists of images, C x H x W, the first half of them fitted. The ridge is that of the
    least error of generalised cross-validation, computed from residuals and singular values.
    """
    source = [
        interpolate(s[None], t.shape[1:], mode="bilinear", align_corners=False)[0]
        for s, t in zip(source, target, strict=True)
    ]
    x, y = (torch.cat([image.flatten(1).T.double() for image in images]) for images in (source, target))
    x, y = ((z - z.mean(0)) / z.std(0, correction=0) for z in (x, y))
    x = torch.cat([x, torch.ones(len(x), 1, dtype=x.dtype)], 1)
    fitted = sum(image[0].numel() for image in target[: len(target) // 2])
    singular = torch.linalg.svdvals(x[:fitted, :-1] - x[:fitted, :-1].mean(0))
    errors = {}
    for ridge in (10 ** (exponent / 4) for exponent in range(-20, 9)):
        rss = (x[:fitted] @ ridge_map(x[:fitted], y[:fitted], ridge) - y[:fitted]).square().sum()
        free = 1 + sum(value**2 / (value**2 + ridge * fitted) for value in singular.tolist())
        errors[ridge] = rss / (1 - free / fitted) ** 2
    weights = ridge_map(x[:fitted], y[:fitted], min(errors, key=errors.get))
    residual = (x[fitted:] @ weights - y[fitted:]).square().sum()
    return (residual / (y[fitted:] - y[fitted:].mean(0)).square().sum()).item()


def ridge_map(x, y, ridge):
    """Weights of the least squares with the ridge as further rows; the last column, the bias, has none."""
    penalty = (ridge * len(x)) ** 0.5 * torch.eye(x.shape[1], dtype=x.dtype)[:-1]
    extended = torch.cat([x, penalty]), torch.cat([y, y.new_zeros(len(penalty), y.shape[1])])
    return torch.linalg.lstsq(*extended).solution


def test_a_detector_adapts_to_itself_for_nothing():
    a, _ = related()
    assert measured(a, a) == pytest.approx(0, abs=1e-6)


def test_a_linear_image_costs_nothing_and_independent_features_cost_everything():
    a = features(5)
    linear = 3 * conv2d(a, torch.randn(7, 5)[:, :, None, None]) - 2
    assert measured(a, linear) == pytest.approx(0, abs=1e-6)
    assert measured(features(5, 1, images=64), features(5, 2, images=64)) == pytest.approx(1, abs=0.03)


def test_cost_from_a_to_b_differs_from_b_to_a():
    a = features(6)
    part = a[:, :2]
    assert measured(a, part) < 1e-6
    assert measured(part, a) > 0.5


def test_permuting_and_rescaling_channels_changes_nothing():
    a, b = related()
    scale = torch.tensor([1e-2, 5.0, 1.0, 30.0, 0.7, 2.0])[:, None, None]
    shuffled = (a * scale + 4)[:, [3, 1, 0, 5, 2, 4]]
    assert measured(shuffled, b) == pytest.approx(measured(a, b), rel=1e-5)
    assert measured(a, 100 * b.flip(1) - 7) == pytest.approx(measured(a, b), rel=1e-5)


def test_a_channel_that_never_changes_is_left_out():
    a, b = related()
    dead = torch.full_like(a[:, :1], 3.0)
    assert measured(torch.cat([a, dead], 1), b) == pytest.approx(measured(a, b), rel=1e-9)
    assert measured(a, torch.cat([b, dead[: len(b)]], 1)) == pytest.approx(measured(a, b), rel=1e-9)


@settings(max_examples=25, deadline=None)
@given(st.sampled_from([1e-9, 1e9]), st.sampled_from([1e-9, 1.0, 1e9]), st.integers(0, 99))
def test_the_scale_of_a_detectors_features_does_not_change_the_cost(first, second, seed):
    a, b = related(seed)
    expected = measured(a, b)
    assert measured(a * first, b * second) == pytest.approx(expected, rel=1e-5)
    assert measured(a * second, b * first) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("offset", [0.0, 1e3, -3e4])
@pytest.mark.parametrize("seed", range(3))
def test_the_cost_is_that_of_direct_least_squares(offset, seed):
    """Also for channels whose mean is far larger than their spread."""
    a, b = related(seed)
    a, b = a + offset, b * 0.1 - offset / 10
    assert measured(a, b) == pytest.approx(by_least_squares(a, b), abs=1e-4)
    assert measured(b, a) == pytest.approx(by_least_squares(b, a), abs=1e-4)


def test_float32_products_are_enough_for_many_similar_channels():
    """Half of 96 channels differ from the other half by a thousandth: without a ridge, hardly solvable."""
    generator = torch.Generator().manual_seed(0)
    scene = torch.randn(8, 40, 48, 48, generator=generator)
    mixes = (torch.randn(96, 40, 1, 1, generator=generator) for _ in range(2))
    a, b = (conv2d(scene, mix).relu() for mix in mixes)
    a, b = (x + 1e-3 * torch.randn(x.shape, generator=generator) for x in (a, b))
    a[:, 48:] = a[:, :48] + 1e-3 * a[:, 48:]
    assert measured(a, b) == pytest.approx(by_least_squares(a, b), abs=1e-4)


@pytest.mark.parametrize("images", [4, 8, 40])
def test_few_positions_are_not_fitted_too_freely(images):
    """30 channels, and 18 or more positions to fit: the noise of the target must not be learnt."""
    generator = torch.Generator().manual_seed(1)
    a = features(30, 3, images=images, side=3)
    b = conv2d(a, torch.randn(5, 30, 1, 1, generator=generator) / 30**0.5)
    b = b + 2 * torch.randn(b.shape, generator=generator)
    assert measured(a, b) == pytest.approx(by_least_squares(a, b), abs=1e-4)
    assert measured(a, b) < 1.3


def test_the_source_goes_onto_the_targets_grid():
    a = torch.nn.functional.interpolate(features(3, side=3), size=6, mode="bilinear", align_corners=False)
    small = features(3, side=3)
    assert measured(small, a) == pytest.approx(0, abs=1e-6)


def test_a_convolution_trained_by_gradient_descent_reaches_the_same_cost():
    a, b = related(3)
    half = len(a) // 2
    a, b = ((x - x.mean((0, 2, 3), keepdim=True)) / x.std((0, 2, 3), keepdim=True) for x in (a, b))
    torch.manual_seed(0)
    conv = torch.nn.Conv2d(a.shape[1], b.shape[1], 1)
    optimizer = torch.optim.SGD(conv.parameters(), lr=0.2, momentum=0.9)
    for _ in range(2000):
        optimizer.zero_grad()
        (conv(a[:half]) - b[:half]).square().mean().backward()
        optimizer.step()
    with torch.no_grad():
        residual = (conv(a[half:]) - b[half:]).square().sum()
    variance = (b[half:] - b[half:].mean((0, 2, 3), keepdim=True)).square().sum()
    assert measured(a, b) == pytest.approx((residual / variance).item(), rel=0.01)


def probe_images(sizes=((64, 64), (64, 96), (96, 64), (96, 96), (64, 64), (64, 96))):
    """Batches of one image, of several sizes: the grids of the detectors differ from image to image."""
    generator = torch.Generator().manual_seed(0)
    for height, width in sizes:
        coarse = torch.rand(1, 3, height // 8, width // 8, generator=generator)
        sizes = {scale: (round(height * scale), round(width * scale)) for scale in (1, 1.5, 2)}
        images = {scale: interpolate(255 * coarse, size, mode="bilinear") for scale, size in sizes.items()}
        yield {key(scale): [image[0].to(torch.uint8)] for scale, image in images.items()}


def test_probe_images_are_padded_alike_for_all_detectors():
    """To a multiple of 32, which only one of the two asks for."""
    detectors = {"a": build("r18_w8").eval(), "b": build("r18_w16", 1).eval()}
    detectors["b"].data_preprocessor.pad_size_divisor = 1
    sizes = {name: set() for name in detectors}
    for name, detector in detectors.items():
        detector.backbone.register_forward_pre_hook(
            lambda _, inputs, seen=sizes[name]: seen.add(tuple(inputs[0].shape[2:]))
        )
    scales = dict.fromkeys(detectors, 1.0)
    measure(detectors, dict.fromkeys(detectors), scales, probe_images(((56, 80), (64, 96))), half=1)
    probe = (taps.PROBE_SIZE, taps.PROBE_SIZE)
    assert sizes == {"a": {probe, (64, 96)}, "b": {probe, (64, 96)}}


def test_the_costs_of_a_pool_are_those_of_direct_least_squares():
    """Each pair on the target's grid: two detectors share one, the others see larger images."""
    detectors = {
        "a": build("r18_w8").eval(),
        "b": build("r18_w16", 1).eval(),
        "c": build("swin_w32", 2).eval(),
        "d": build("r18_w32", 3).eval(),
    }
    scales = {"a": 1.0, "b": 1.0, "c": 1.5, "d": 2.0}
    modules = dict.fromkeys(detectors)
    costs = measure(detectors, modules, scales, probe_images(), half=3)
    seen = {name: stride_8(detector, scales[name]) for name, detector in detectors.items()}
    found = costs[costs.stride == 8].set_index(["source", "target"])
    assert len(found) == 12
    for (source, target), row in found.iterrows():
        expected = by_least_squares(seen[source], seen[target])
        assert row.cost == pytest.approx(expected, rel=1e-4, abs=1e-4)
        assert row.positions == sum(image[0].numel() for image in seen[target][3:])


@torch.no_grad()
def stride_8(detector, scale):
    """The features of the probe images at stride 8; their sides need no padding."""
    tap = taps.find_taps(detector)[0]
    normalise = copy.deepcopy(detector.data_preprocessor)
    normalise.pad_size_divisor = 1
    images = []
    for batch in probe_images():
        inputs = normalise({"inputs": batch[key(scale)]}, False)["inputs"]
        with taps.recorded(detector, [tap.module]) as outputs:
            detector.extract_feat(inputs)
        images.append(taps.read(outputs, [tap])[0][0])
    return images


def test_a_cost_is_the_mean_over_its_levels():
    rows = [("s", "t", 8, 0.1), ("s", "t", 16, 0.2), ("s", "t", 32, 0.6), ("t", "s", 8, 0.5)]
    table = pd.DataFrame(rows, columns=["source", "target", "stride", "cost"])
    assert over_levels(table) == pytest.approx({("s", "t"): 0.3, ("t", "s"): 0.5})
