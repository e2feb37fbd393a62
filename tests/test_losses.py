"""Every loss against plain float64 loops written from its formula."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mtpd.losses import LOSSES
from mtpd.losses.cwd import CWD
from mtpd.losses.feature_matching import FeatureMatching
from mtpd.losses.fgd import FGD
from mtpd.losses.mgd import MGD
from mtpd.losses.pkd import PKD

shapes = st.tuples(
    st.integers(1, 3), st.integers(1, 4), st.integers(1, 5), st.integers(1, 5), st.integers(0, 999)
)

BOXES = [torch.tensor([[0.1, 0.2, 0.7, 0.6]], dtype=torch.float64), torch.zeros(0, 4, dtype=torch.float64)]


def pair(shape):
    n, c, h, w, seed = shape
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(n, c, h, w, generator=generator, dtype=torch.float64) * 3 + 1 for _ in range(2))


def cells(x):
    return [(n, c, i, j) for n, c, i, j in torch.cartesian_prod(*map(torch.arange, x.shape)).tolist()]


@settings(max_examples=30, deadline=None)
@given(shapes)
def test_feature_matching_is_the_mean_squared_error(shape):
    s, t = pair(shape)
    expected = sum((s[i].item() - t[i].item()) ** 2 for i in cells(s)) / s.numel()
    found = FeatureMatching([s.shape[1]] * 2, weight=3.0)([s, s], [t, t])["loss_feature_matching"]
    assert found.item() == pytest.approx(2 * 3.0 * expected, rel=1e-6)


@settings(max_examples=30, deadline=None)
@given(shapes.filter(lambda shape: shape[0] * shape[2] * shape[3] > 1))
def test_pkd_is_one_minus_the_correlation_of_channels(shape):
    s, t = pair(shape)
    total = 0.0
    for channel in range(s.shape[1]):
        a, b = s[:, channel].flatten().tolist(), t[:, channel].flatten().tolist()
        mean_a, mean_b = sum(a) / len(a), sum(b) / len(b)
        sd_a = math.sqrt(sum((x - mean_a) ** 2 for x in a) / len(a)) + 1e-6
        sd_b = math.sqrt(sum((x - mean_b) ** 2 for x in b) / len(b)) + 1e-6
        pairs = zip(a, b, strict=True)
        total += sum(((x - mean_a) / sd_a - (y - mean_b) / sd_b) ** 2 for x, y in pairs) / len(a)
    expected = 4.0 * 0.5 * total / s.shape[1]
    found = PKD([s.shape[1]], weight=4.0)([s], [t])["loss_pkd"]
    assert found.item() == pytest.approx(expected, rel=1e-6)


@settings(max_examples=20, deadline=None)
@given(shapes)
def test_mgd_hides_positions_and_sums_the_error_of_what_it_generates(shape):
    s, t = pair(shape)
    n, channels, height, width = s.shape
    torch.manual_seed(shape[-1])
    loss = MGD([channels], alpha=0.01, mask_ratio=0.5).double()
    torch.manual_seed(1)
    mask = (torch.rand(n, 1, height, width) >= 0.5).double()
    torch.manual_seed(1)
    found = loss([s], [t])["loss_mgd"]
    first, _, second = loss.generators[0]
    hidden = [conv3x3(image, first).clamp(min=0) for image in s * mask]
    error = sum(
        ((conv3x3(image, second) - target) ** 2).sum().item() for image, target in zip(hidden, t, strict=True)
    )
    assert found.item() == pytest.approx(0.01 * error / n, rel=1e-6)


def conv3x3(image, layer):
    """A padded 3x3 convolution of a C x H x W image, position by position."""
    _, height, width = image.shape
    out = torch.zeros(layer.out_channels, height, width, dtype=torch.float64)
    for k, i, j in torch.cartesian_prod(*map(torch.arange, out.shape)).tolist():
        total = layer.bias[k].item()
        for di in (-1, 0, 1):
            for dj in (-1, 0, 1):
                if 0 <= i + di < height and 0 <= j + dj < width:
                    total += (layer.weight[k, :, di + 1, dj + 1] * image[:, i + di, j + dj]).sum().item()
        out[k, i, j] = total
    return out


def test_mgd_weight_on_the_mean_does_not_depend_on_the_size():
    loss = MGD([2], alpha_mean=1.0, mask_ratio=1.0)
    with torch.no_grad():
        for parameter in loss.parameters():
            parameter.zero_()
        values = [
            loss([torch.ones(1, 2, side, side)], [torch.full((1, 2, side, side), 3.0)])["loss_mgd"].item()
            for side in (1, 4, 9)
        ]
    assert values == pytest.approx([9.0, 9.0, 9.0])


@settings(max_examples=30, deadline=None)
@given(shapes)
def test_cwd_is_the_divergence_of_each_channels_softmax_over_positions(shape):
    s, t = pair(shape)
    n, c = s.shape[:2]
    tau, total = 2.0, 0.0
    for image in range(n):
        for channel in range(c):
            p_s, p_t = (softmax([v / tau for v in x[image, channel].flatten().tolist()]) for x in (s, t))
            total += sum(b * math.log(b / a) for a, b in zip(p_s, p_t, strict=True))
    found = CWD([c], weight=5.0, tau=tau)([s], [t])["loss_cwd"]
    assert found.item() == pytest.approx(5.0 * tau**2 * total / (n * c), rel=1e-6, abs=1e-12)


def softmax(values):
    powers = [math.exp(v - max(values)) for v in values]
    return [p / sum(powers) for p in powers]


coordinates = st.floats(0, 1, width=32)
images = st.lists(st.tuples(coordinates, coordinates, coordinates, coordinates), max_size=3)


@settings(max_examples=40, deadline=None)
@given(shapes.filter(lambda shape: shape[1] > 1), st.lists(images, min_size=3, max_size=3))
def test_fgd_is_its_formula(shape, drawn):
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
def test_fgds_weights_are_its_authors(kind):
    loss = FGD([2], **FGD.defaults(kind, "anchor"))
    assert (loss.alpha, loss.beta, loss.gamma, loss.lambda_, loss.tau) == AUTHORS[kind]


@pytest.mark.parametrize(
    ("student", "teacher", "mgd", "cwd", "pkd"),
    [
        ("anchor", "anchor", (2e-5, 0.65), 10, 10),
        ("anchor", "two-stage", (2e-5, 0.65), 10, 6),
        ("two-stage", "two-stage", (5e-7, 0.45), 5, 6),
    ],
)
def test_weights_are_the_authors(student, teacher, mgd, cwd, pkd):
    found = MGD([2], **MGD.defaults(student, teacher))
    assert (found.alpha, found.mask_ratio) == mgd
    assert CWD([2], **CWD.defaults(student, teacher)).weight == cwd
    assert PKD([2], **PKD.defaults(student, teacher)).weight == pkd


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_reach_the_student_and_are_right(name):
    s, t = pair((2, 3, 3, 2, 7))
    loss = LOSSES[name]([3]).double()

    def value(x):
        torch.manual_seed(0)
        return sum(loss([x], [t], BOXES).values())

    assert torch.autograd.gradcheck(value, s.requires_grad_())


@pytest.mark.parametrize("name", LOSSES)
def test_finite_in_bfloat16_for_large_features(name):
    s, t = (1000 * torch.randn(2, 4, 5, 5, dtype=torch.bfloat16) for _ in range(2))
    loss = LOSSES[name]([4]).bfloat16()
    assert torch.isfinite(sum(loss([s], [t], BOXES).values()))
