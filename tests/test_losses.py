"""Every loss against plain float64 loops written from its formula."""

import math
import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mtpd.distill import losses
from mtpd.distill.losses import LOSSES, loss_class
from mtpd.distill.losses.cwd import CWD
from mtpd.distill.losses.feature_matching import FeatureMatching
from mtpd.distill.losses.mgd import MGD
from mtpd.distill.losses.pkd import PKD

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
def test_levels_are_summed_and_each_has_its_own_learnt_parts(name):
    """Two levels of other sizes and channels against a loss of one level for each, with the same weights."""
    levels = [pair((2, 3, 3, 2, 7)), pair((2, 4, 5, 6, 8))]
    both = LOSSES[name]([3, 4]).double()
    torch.manual_seed(1)
    for parameter in both.parameters():
        torch.nn.init.uniform_(parameter, -1, 1)
    alone = [LOSSES[name]([channels]).double() for channels in (3, 4)]
    for level, loss in enumerate(alone):
        own = {
            re.sub(rf"^(\w+)\.{level}\.", r"\1.0.", key): value
            for key, value in both.state_dict().items()
            if re.match(rf"\w+\.{level}\.", key)
        }
        loss.load_state_dict(own)
    torch.manual_seed(2)  # of the positions that MGD hides
    each = [loss([s], [t], BOXES) for loss, (s, t) in zip(alone, levels, strict=True)]
    torch.manual_seed(2)
    found = both(*map(list, zip(*levels, strict=True)), BOXES)
    for part, value in found.items():
        assert value.item() == pytest.approx(sum(one[part].item() for one in each), rel=1e-9), part


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_reach_the_student_and_are_right(name):
    s, t = pair((2, 3, 3, 2, 7))
    loss = LOSSES[name]([3]).double()

    def value(x):
        torch.manual_seed(0)
        return sum(loss([x], [t], BOXES).values())

    assert torch.autograd.gradcheck(value, s.requires_grad_())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", LOSSES)
def test_finite_in_half_precision_for_large_features(name, dtype):
    s, t = (1000 * torch.randn(2, 4, 5, 5).to(dtype) for _ in range(2))
    loss = LOSSES[name]([4]).to(dtype)
    assert torch.isfinite(sum(loss([s], [t], BOXES).values()))


def test_a_file_that_imports_another_loss_keeps_its_own(tmp_path, monkeypatch):
    """The other one stands first among the file's names, and has ``defaults``, too."""
    text = "from mtpd.distill.losses.pkd import PKD\n\n\nclass Sharper(PKD):\n    pass\n\n\nLOSS = Sharper\n"
    (tmp_path / "built_on_another.py").write_text(text)
    monkeypatch.setattr(losses, "__path__", [*losses.__path__, str(tmp_path)])
    found = loss_class("built-on-another")
    assert found.__name__ == "Sharper"
    assert issubclass(found, PKD)
