"""FGD against plain float64 loops written from its formula."""

import math

import pytest
import torch
from conftest import build
from distillers import losses, oblong
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.model import kaiming_init
from test_losses import pair, shapes, softmax
from torch import nn

from mtpd.distill.distiller import Distiller
from mtpd.distill.losses import fgd
from mtpd.distill.losses.fgd import FGD, masks

coordinates = st.floats(0, 1.25, width=32)
images = st.lists(st.tuples(coordinates, coordinates, coordinates, coordinates), max_size=3)


@settings(max_examples=40, deadline=None)
@given(shapes.filter(lambda shape: shape[1] > 1), st.lists(images, min_size=3, max_size=3))
def test_fgd_equals_plain_loops(shape, drawn):
    """Boxes anywhere, on the border, beyond it, of no size, or none at all."""
    s, t = pair(shape)
    n, c, h, w = s.shape
    boxes = [[(min(a, e), min(b, f), max(a, e), max(b, f)) for a, b, e, f in image] for image in drawn[:n]]
    torch.manual_seed(shape[-1])
    loss = FGD([c], alpha=0.3, beta=0.2, gamma=0.1, lambda_=0.05, tau=0.7).double()
    with torch.no_grad():
        for parameter in loss.parameters():
            parameter.uniform_(-1, 1)
    tensors = [torch.tensor(image, dtype=torch.float64).reshape(-1, 4) for image in boxes]
    found = loss([s], [t], tensors)
    front = back = difference = 0.0
    for image in range(n):
        inside, outside = masks_by_cell(boxes[image], h, w)
        places = [attention_over_places(x[image], 0.7) for x in (s, t)]
        channels = [attention_over_channels(x[image], 0.7) for x in (s, t)]
        for k, i, j in torch.cartesian_prod(torch.arange(c), torch.arange(h), torch.arange(w)).tolist():
            error = (
                (t[image, k, i, j] - s[image, k, i, j]).item() ** 2 * places[1][i * w + j] * channels[1][k]
            )
            front += 0.3 * error * inside[i][j] / n
            back += 0.2 * error * outside[i][j] / n
        difference += sum(abs(a - b) for a, b in zip(*places, strict=True))
        difference += sum(abs(a - b) for a, b in zip(*channels, strict=True))
    context = sum(
        (global_context(a, loss.student_context[0]) - global_context(b, loss.teacher_context[0]))
        .square()
        .sum()
        .item()
        for a, b in zip(s, t, strict=True)
    )
    expected = {
        "loss_fgd_front": front,
        "loss_fgd_back": back,
        "loss_fgd_attention": 0.1 * difference / n,
        "loss_fgd_global": 0.05 * context / n,
    }
    assert {k: v.item() for k, v in found.items()} == pytest.approx(expected, rel=1e-6, abs=1e-9)


def masks_by_cell(boxes, h, w):
    """The weights inside and outside, cell by cell, as the authors' ``FeatureLoss`` computes them.

    The area counts the row and column beyond the grid of a box that reaches the lower or right border; a
    slice leaves them out.
    """
    inside = [[0.0] * w for _ in range(h)]
    for left, top, right, bottom in boxes:
        wmin, wmax = math.floor(left * w), math.ceil(right * w)
        hmin, hmax = math.floor(top * h), math.ceil(bottom * h)
        area = 1.0 / (hmax + 1 - hmin) / (wmax + 1 - wmin)
        for row in inside[hmin : hmax + 1]:
            row[wmin : wmax + 1] = [max(value, area) for value in row[wmin : wmax + 1]]
    outside = [[0.0 if value > 0 else 1.0 for value in row] for row in inside]
    empty = sum(map(sum, outside))
    return inside, [[value / empty for value in row] for row in outside] if empty else outside


WHOLE = (0, 0, 1, 1)
BORDERS = {
    "none": [],
    "inside": [(0.3, 0.3, 0.6, 0.5)],
    "left": [(0, 0.3, 0.2, 0.5)],
    "top": [(0.3, 0, 0.5, 0.2)],
    "right": [(0.7, 0.3, 1, 0.5)],
    "bottom": [(0.3, 0.7, 0.5, 1)],
    "lower right corner": [(0.9, 0.9, 1, 1)],
    "beyond right and bottom": [(0.5, 0.5, 1.4, 1.2)],
    "all beyond": [(1.3, 0.2, 1.5, 0.4)],
    "whole": [WHOLE],
    "tiny": [(0.51, 0.51, 0.511, 0.511), (1, 1, 1, 1)],
    "overlapping": [WHOLE, (0.2, 0.2, 0.8, 0.8), (0.4, 0.4, 0.5, 1), (0.4, 0.4, 0.5, 0.9)],
}


@pytest.mark.parametrize("boxes", BORDERS.values(), ids=BORDERS)
def test_masks_are_the_authors(boxes):
    tensor = torch.tensor(boxes, dtype=torch.float64).reshape(-1, 4)
    nothing = torch.zeros(0, 4, dtype=torch.float64)
    front, back = masks([tensor, nothing], torch.zeros(2, 3, 5, 7, dtype=torch.float64))
    inside, outside = zip(masks_by_cell(boxes, 5, 7), masks_by_cell([], 5, 7), strict=True)
    torch.testing.assert_close(front[:, 0], torch.tensor(inside, dtype=torch.float64))
    torch.testing.assert_close(back[:, 0], torch.tensor(outside, dtype=torch.float64))


def test_a_distiller_puts_the_boxes_of_oblong_images_on_their_cells(monkeypatch):
    """Neither images nor boxes are square. The student's levels are 8 x 12, 4 x 6 and 2 x 3 cells."""
    boxes = [[(3.0, 41.0, 61.0, 58.0)], [(5.0, 2.0, 13.0, 37.0), (30.0, 9.0, 69.0, 20.0)]]
    found = []
    monkeypatch.setattr(fgd, "masks", lambda *given: found.append(masks(*given)) or found[-1])
    losses(Distiller(build("r18_w8"), [build("r18_w16")], "fgd", {}).train(), oblong(boxes))
    for cells, level in zip([(8, 12), (4, 6), (2, 3)], found, strict=True):
        relative = [[(a / 96, b / 64, c / 96, d / 64) for a, b, c, d in image] for image in boxes]
        expected = zip(*(masks_by_cell(image, *cells) for image in relative), strict=True)
        for mask, values in zip(level, expected, strict=True):
            torch.testing.assert_close(mask[:, 0], torch.tensor(values))


def test_the_weighing_of_positions_starts_as_the_authors():
    """``kaiming_init(conv_mask, mode="fan_in")`` for student and teacher; the last layer is zero."""
    loss = FGD([4096])
    for block in (loss.student_context[0], loss.teacher_context[0]):
        torch.manual_seed(0)
        theirs = nn.Conv2d(4096, 1, 1)
        kaiming_init(theirs, mode="fan_in")
        assert block.weigh.weight.std().item() == pytest.approx(theirs.weight.std().item(), rel=0.05)
        assert not block.weigh.bias.any()
        assert not block.expand.weight.any()
        spread = (block.weigh.weight / block.weigh.weight.std()).pow(4).mean().item()
        assert spread == pytest.approx(3, abs=0.5)  # a normal distribution's; 1.8 is a uniform one's
    assert not torch.equal(loss.student_context[0].weigh.weight, loss.teacher_context[0].weigh.weight)


def attention_over_places(x, tau):
    c, h, w = x.shape
    means = [sum(abs(x[k, i, j].item()) for k in range(c)) / c for i in range(h) for j in range(w)]
    return [h * w * p for p in softmax([m / tau for m in means])]


def attention_over_channels(x, tau):
    c = x.shape[0]
    means = [x[k].abs().sum().item() / x[k].numel() for k in range(c)]
    return [c * p for p in softmax([m / tau for m in means])]


def global_context(x, block):
    """A GC block on one image, written out."""
    c, h, w = x.shape
    flat = x.reshape(c, h * w)
    scores = [
        (block.weigh.weight[0, :, 0, 0] @ flat[:, p] + block.weigh.bias[0]).item() for p in range(h * w)
    ]
    context = sum(p * flat[:, i] for i, p in enumerate(softmax(scores)))
    hidden = block.squeeze.weight @ context + block.squeeze.bias
    mean = hidden.mean()
    variance = ((hidden - mean) ** 2).mean()
    normed = (hidden - mean) / torch.sqrt(variance + 1e-5) * block.norm.weight + block.norm.bias
    return x + (block.expand.weight @ normed.clamp(min=0) + block.expand.bias)[:, None, None]


AUTHORS = {  # of each kind of student: alpha, beta, gamma, lambda, tau
    "anchor": (1e-3, 5e-4, 5e-4, 5e-6, 0.5),
    "point": (1.6e-3, 8e-4, 8e-4, 8e-6, 0.5),
    "fcos": (1.6e-3, 8e-4, 8e-4, 8e-6, 0.8),
    "two-stage": (5e-5, 2.5e-5, 5e-5, 5e-7, 0.5),
}


@pytest.mark.parametrize("kind", AUTHORS)
def test_fgd_has_the_authors_weights(kind):
    loss = FGD([2], **FGD.defaults(kind, "anchor"))
    assert (loss.alpha, loss.beta, loss.gamma, loss.lambda_, loss.tau) == AUTHORS[kind]
