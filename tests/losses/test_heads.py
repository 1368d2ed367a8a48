"""Classification heads against plain Python loops, and their behaviour at the edges."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from starter import losses
from starter.losses import heads, margin_heads

B, D, K = 7, 6, 5
OPTIONS = {
    "softmax": {"label_smoothing": 0.1},
    "normface": {"scale": 12.0, "label_smoothing": 0.1},
    "cosface": {"scale": 20.0, "margin": 0.3},
    "arcface": {"scale": 20.0, "margin": 0.5},
}
COSINE = ["normface", "cosface", "arcface"]


def make(kind, seed=0, **options):
    torch.manual_seed(seed)
    return losses.build(kind, embedding=D, classes=K, **(OPTIONS[kind] | options)).double()


def batch(seed=1):
    generator = torch.Generator().manual_seed(seed)
    emb = torch.randn(B, D, generator=generator, dtype=torch.float64)
    return emb, torch.randint(K, (B,), generator=generator)


def dot(a, b):
    return sum(x * y for x, y in zip(a, b, strict=True))


def logits_by_loop(kind, term, emb, label, with_margin):
    rows = []
    for x, y in zip(emb.tolist(), label.tolist(), strict=True):
        row = []
        for k, w in enumerate(term.weight.tolist()):
            if kind == "softmax":
                row.append(dot(x, w) + term.bias[k].item())
                continue
            cos = dot(x, w) / math.sqrt(dot(x, x) * dot(w, w))
            if k == y and with_margin and kind == "cosface":
                cos -= 0.3
            if k == y and with_margin and kind == "arcface":
                angle = math.acos(cos) + 0.5
                cos = math.cos(angle) if angle <= math.pi else -2 - math.cos(angle)
            row.append(OPTIONS[kind]["scale"] * cos)
        rows.append(row)
    return rows


def cross_entropy_by_loop(row, label, smoothing):
    log_sum = math.log(sum(math.exp(z) for z in row))
    q = [smoothing / len(row) + (1 - smoothing) * (k == label) for k in range(len(row))]
    return -sum(q_k * (z - log_sum) for q_k, z in zip(q, row, strict=True))


@pytest.mark.parametrize("kind", OPTIONS)
def test_loss_and_logits_are_the_formula(kind):
    term, (emb, label) = make(kind), batch()
    if kind == "softmax":
        nn.init.normal_(term.bias)
    rows = logits_by_loop(kind, term, emb, label, with_margin=True)
    smoothing = OPTIONS[kind].get("label_smoothing", 0.0)
    each = [
        cross_entropy_by_loop(r, y, smoothing) for r, y in zip(rows, label.tolist(), strict=True)
    ]
    assert term(emb, label).item() == pytest.approx(sum(each) / B, rel=1e-9)
    free = logits_by_loop(kind, term, emb, label, with_margin=False)
    torch.testing.assert_close(term.logits(emb), torch.tensor(free, dtype=torch.float64))
    assert term.cosine is (kind != "softmax")
    assert term.weight.shape == (K, D)


@pytest.mark.parametrize("kind", OPTIONS)
def test_gradients(kind):
    term, (emb, label) = make(kind), batch()
    assert torch.autograd.gradcheck(  # in float64
        lambda e, *p: torch.func.functional_call(
            term, dict(zip(dict(term.named_parameters()), p, strict=True)), (e, label)
        ),
        (emb.requires_grad_(), *term.parameters()),
    )


def test_arcface_past_pi_minus_m_pulls_the_right_way():
    """The pull of the exact, unguarded form there is away from the class (F.2)."""
    term = make("arcface")
    emb = (-term.weight[:1] + 0.05 * torch.randn(1, D, dtype=torch.float64)).detach()
    emb.requires_grad_()
    term(emb, torch.tensor([0])).backward()
    closer = emb - 1e-4 * emb.grad
    assert term.cosines(closer)[0, 0] > term.cosines(emb)[0, 0]


def test_arcface_detached_pulls_as_cosface():
    """Equal value to exact; its gradient is that of a constant shift of the target cosine."""
    term, (emb, label) = make("arcface", gradient="detached"), batch()
    exact = make("arcface")
    emb.requires_grad_()
    loss = term(emb, label)
    assert loss.item() == exact(emb, label).item()
    cos = term.cosines(emb)
    target = cos.gather(1, label[:, None])
    angle = target.detach().acos() + 0.5
    phi = torch.where(angle <= math.pi, angle.cos(), -2 - angle.cos())
    by_shift = cos.scatter(1, label[:, None], target + (phi - target.detach()))
    expected = torch.autograd.grad(F.cross_entropy(20 * by_shift, label), emb)
    torch.testing.assert_close(torch.autograd.grad(loss, emb), expected)


@pytest.mark.parametrize("kind", ["cosface", "arcface"])
def test_margin_warm_up(kind):
    emb, label = batch()
    warm = make(kind, margin_warmup=0.25)
    full = make(kind)
    plain = make("normface", scale=20.0, label_smoothing=0.0)
    assert warm(emb, label, 0.0).item() == pytest.approx(plain(emb, label).item(), rel=1e-12)
    half = make(kind, margin=OPTIONS[kind]["margin"] / 2)
    assert warm(emb, label, 0.125).item() == pytest.approx(half(emb, label).item(), rel=1e-12)
    assert warm(emb, label, 0.25).item() == full(emb, label).item()
    assert warm(emb, label).item() == full(emb, label, 0.0).item() == full(emb, label).item()


def test_smoothing_is_torchs():
    term, (emb, label) = make("softmax"), batch()
    expected = F.cross_entropy(F.linear(emb, term.weight, term.bias), label, label_smoothing=0.1)
    torch.testing.assert_close(term(emb, label), expected)


@pytest.mark.parametrize("kind", ["softmax", "normface"])
def test_mixed_targets(kind):
    term, (emb, label) = make(kind), batch()
    other = label.roll(1)
    share = torch.linspace(0, 1, B)
    expected = 0.0
    for i in range(B):
        own, second = (term(emb[i : i + 1], y[i : i + 1]).item() for y in (label, other))
        expected += (share[i].item() * own + (1 - share[i].item()) * second) / B
    assert term(emb, losses.Target(label, other, share)).item() == pytest.approx(expected, rel=1e-6)
    same = term(emb, losses.Target(label, label, share))
    torch.testing.assert_close(same, term(emb, label))


@pytest.mark.parametrize("kind", ["cosface", "arcface"])
def test_margins_refuse_mixed_targets(kind):
    emb, label = batch()
    with pytest.raises(AssertionError):
        make(kind)(emb, losses.Target(label, label, torch.ones(B)))


@pytest.mark.parametrize("bad", [-1, K])
@pytest.mark.parametrize("kind", OPTIONS)
def test_labels_out_of_range_are_errors(kind, bad):
    emb, label = batch()
    label[2] = bad
    with pytest.raises((IndexError, RuntimeError)):
        make(kind)(emb, label)


def hard_cases(weight):
    """Collinear, opposite, zero, tiny and huge embeddings for label 0, in weight's precision."""
    w = weight[0].detach()
    noise = torch.randn_like(w)
    return torch.stack(
        [w, 3 * w, 1e4 * w, -w, -7 * w, 0 * w, 1e-20 * w, 1e15 * noise, w + 1e-7 * noise]
    )


@pytest.mark.parametrize("dtype", [None, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("kind", OPTIONS)
def test_finite_at_the_edges(kind, dtype):
    for seed in range(30):
        term = make(kind, seed).float()
        emb = hard_cases(term.weight).requires_grad_()
        label = torch.zeros(len(emb), dtype=torch.long)
        with torch.autocast("cpu", dtype or torch.bfloat16, enabled=dtype is not None):
            loss = term(emb, label)
            logits = term.logits(emb)
        assert loss.dtype == logits.dtype == torch.float32
        loss.backward()
        for tensor in (loss, logits, emb.grad, *(p.grad for p in term.parameters())):
            assert tensor.isfinite().all()


@pytest.mark.parametrize("kind", OPTIONS)
def test_autocast_changes_nothing(kind):
    term, (emb, label) = make(kind).float(), batch()
    emb = emb.float()
    expected = term(emb, label)
    with torch.autocast("cpu", torch.bfloat16):
        assert term(emb, label).item() == expected.item()
        half = term(emb.bfloat16(), label)  # a backbone without a neck gives bf16
    torch.testing.assert_close(half, term(emb.bfloat16().float(), label))


@pytest.mark.parametrize("kind", OPTIONS)
def test_class_means_make_a_working_head(kind):
    """Clustered embeddings with an offset: the nearest mean is the answer from step 0."""
    torch.manual_seed(3)
    centre = torch.randn(K, D, dtype=torch.float64)
    offset = 1.0 if kind == "softmax" else 0.0
    label = torch.arange(K).repeat(20)
    emb = (centre + offset)[label] + 0.05 * torch.randn(20 * K, D, dtype=torch.float64)
    mean = torch.stack([emb[label == k].mean(0) for k in range(K)])
    term = make(kind)
    term.init_from_means(mean)
    assert (term.logits(emb).argmax(1) == label).all()
    if kind == "softmax":
        nearest = torch.cdist(emb, mean).square() / -2
        difference = term.logits(emb) - term.logits(emb).mean(1, keepdim=True)
        expected = nearest - nearest.mean(1, keepdim=True)
        ratio = difference / expected  # one factor g for all
        torch.testing.assert_close(ratio, ratio[:1, :1].expand_as(ratio))
        gap = term.logits(mean).diagonal()[:, None] - term.logits(mean)
        assert gap.sum().item() / (K * (K - 1)) == pytest.approx(math.log(9 * (K - 1)))


@pytest.mark.parametrize("kind", OPTIONS)
def test_classes_without_a_mean_keep_their_start(kind):
    term = make(kind).float()
    before = term.weight.detach().clone()
    mean = torch.randn(K, D)
    mean[3] = torch.nan
    term.init_from_means(mean)
    assert torch.equal(term.weight[3], before[3])
    assert term.weight.isfinite().all()
    assert not torch.equal(term.weight[2], before[2])
    if kind != "softmax":
        torch.testing.assert_close(term.weight.norm(dim=1)[[0, 1, 2, 4]], torch.ones(4))


@pytest.mark.parametrize("kind", COSINE)
def test_expected_loss_at_the_start(kind):
    """losses.md F.4: ln C + s^2 / 2D + s m (CosFace) or s sin m (ArcFace), within 2 %."""
    torch.manual_seed(0)
    classes, dim, scale = 1000, 256, 30.0
    margin = {"normface": 0.0, "cosface": 0.35, "arcface": math.sin(0.5)}[kind]
    options = {"cosface": {"margin": 0.35}, "arcface": {"margin": 0.5}}.get(kind, {})
    term = losses.build(kind, embedding=dim, classes=classes, scale=scale, **options)
    loss = term(torch.randn(512, dim), torch.randint(classes, (512,)))
    expected = math.log(classes) + scale**2 / (2 * dim) + scale * margin
    assert loss.item() == pytest.approx(expected, rel=0.02)


def test_heads_share_their_base():
    assert issubclass(margin_heads.ArcFace, heads.CosineHead)
