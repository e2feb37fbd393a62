"""Sums over positions of the features of all detectors, batch by batch."""

import torch
from test_adaptation import related
from torch.utils.flop_counter import FlopCounterMode

from mtpd.adaptation.moments import Level


def test_moments_of_batches_equal_moments_of_all_images():
    a, b = related()
    whole, parts = Level(), Level()
    whole.add({"a": a, "b": b})
    for image in range(len(a)):
        parts.add({"a": a[image : image + 1], "b": b[image : image + 1]})
    once, added = whole.pair("a", "b"), parts.pair("a", "b")
    assert added.count == once.count
    torch.testing.assert_close(added.mean, once.mean, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(added.centred(once.mean), once.centred(once.mean), rtol=1e-5, atol=1e-6)


def test_the_order_of_the_detectors_does_not_matter():
    a, b = related()
    level, back = Level(), Level()
    level.add({"a": a, "b": b})
    back.add({"b": b, "a": a})
    mean = level.pair("b", "a").mean
    swapped = back.pair("b", "a").centred(mean)
    torch.testing.assert_close(swapped, level.pair("b", "a").centred(mean), rtol=1e-5, atol=1e-6)


def pool(channels, grid, detectors=6, **options):
    return {str(number): torch.zeros(1, channels, *grid, **options) for number in range(detectors)}


def test_a_product_is_computed_once_for_two_detectors_that_share_a_grid():
    """Against a product of the channels of both for each of 30 ordered pairs."""
    counter = FlopCounterMode(display=False)
    with counter:
        Level().add(pool(8, (10, 12)))
    assert counter.get_total_flops() == 21 * 2 * 8 * 8 * 120
    assert counter.get_total_flops() < 30 * 2 * 16 * 16 * 120 / 5


def test_the_moments_of_six_detectors_at_cocos_size_need_little_memory():
    """Five levels, 256 channels, 1333x800, both halves; tensors on ``meta`` have sizes but no memory."""
    held = 0
    for grid in [(100, 168), (50, 84), (25, 42), (13, 21), (7, 11)]:
        level = Level()
        level.add(pool(256, grid, device="meta"))
        sums = [*level.shift.values(), *level.totals.values(), *level.products.values()]
        held += 2 * sum(tensor.numel() * tensor.element_size() for tensor in sums)
    assert held < 120e6
