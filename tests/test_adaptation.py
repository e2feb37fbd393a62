"""The closed-form adaptation cost: its properties, and the same number by gradient descent."""

import pytest
import torch
from torch.nn.functional import conv2d

from mtpd.adaptation.cost import Moments, cost


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


def measured(source, target, ridge=1e-4):
    half = len(source) // 2
    fit, held_out = Moments(), Moments()
    fit.add(source[:half], target[:half])
    held_out.add(source[half:], target[half:])
    return cost(fit, held_out, source.shape[1], ridge)


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


def test_moments_of_batches_equal_moments_of_all_images():
    a, b = related()
    whole, parts = Moments(), Moments()
    whole.add(a, b)
    for image in range(len(a)):
        parts.add(a[image : image + 1], b[image : image + 1])
    assert parts.count == whole.count
    torch.testing.assert_close(parts.products, whole.products)


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
