"""FGD against plain float64 loops written from its formula."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_losses import pair, shapes, softmax

from mtpd.distill.losses.fgd import FGD

coordinates = st.floats(0, 1, width=32)
images = st.lists(st.tuples(coordinates, coordinates, coordinates, coordinates), max_size=3)


@settings(max_examples=40, deadline=None)
@given(shapes.filter(lambda shape: shape[1] > 1), st.lists(images, min_size=3, max_size=3))
def test_fgd_equals_plain_loops(shape, drawn):
    """Boxes anywhere, on the border, of no size, or none at all."""
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
    """The weights inside and outside, cell by cell."""
    inside = [[0.0] * w for _ in range(h)]
    for left, top, right, bottom in boxes:
        rows = range(math.floor(top * h), min(math.ceil(bottom * h), h - 1) + 1)
        columns = range(math.floor(left * w), min(math.ceil(right * w), w - 1) + 1)
        for i in rows:
            for j in columns:
                inside[i][j] = max(inside[i][j], 1 / (len(rows) * len(columns)))
    empty = sum(value == 0 for row in inside for value in row)
    return inside, [[1 / empty if value == 0 else 0.0 for value in row] for row in inside]


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
