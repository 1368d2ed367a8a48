"""Every margin falls with the angle, without a jump, and pulls the right way at every angle."""

import math

import pytest
import torch

from starter import losses
from starter.losses import margins
from starter.losses.margin_heads import MarginHead

D, K, COUNT = 4, 3, 20_000
CASES = [
    ("cosface", {}),
    ("arcface", {}),
    ("arcface", {"margin": 1.5}),
    ("arcface", {"class_margins": {"most": 1.2}}),
    ("combined", {}),
    ("combined", {"m1": 1.4, "m2": 0.5, "m3": 0.3}),
    ("combined", {"m1": 4.0, "m2": 1.5}),
    ("sphereface", {}),
    ("sphereface", {"anneal_from": 0.0, "anneal_to": 0.0}),
    ("sphereface", {"margin": 1.7, "anneal_from": 0.0, "anneal_to": 0.0}),
    ("sphereface", {"margin": 7.3, "anneal_from": 0.0, "anneal_to": 0.0}),
    ("subcenter", {}),
    ("curricularface", {}),
    ("adaface", {}),
    ("adaface", {"margin": 1.2, "h": 50.0}),
    ("magface", {}),
    ("elasticface", {}),
    ("elasticface", {"base": "cosface"}),
    ("sphereface2", {}),
    ("uniface", {}),
]


def angles(dtype=torch.float64):
    return torch.linspace(0, math.pi, COUNT, dtype=torch.float64).cos().to(dtype)


def test_the_cases_are_all_margins():
    margin_kinds = {k for k, loss in losses.LOSSES.items() if issubclass(loss, MarginHead)}
    assert {kind for kind, _ in CASES} == margin_kinds


@pytest.mark.parametrize("length", [0.5, 25.0, 500.0])  # shapes adaface's and magface's margin
@pytest.mark.parametrize(("kind", "options"), CASES, ids=str)
def test_falls_without_a_jump_and_pulls_the_right_way(kind, options, length):
    torch.manual_seed(0)
    counts = torch.tensor([2, 9, 50])
    options = options | {"margin_warmup": 0.5}
    for gradient in ("exact", "detached"):
        term = losses.build(
            kind, embedding=D, classes=K, class_count_K=counts, gradient=gradient, **options
        ).eval()
        label = torch.zeros(COUNT, dtype=torch.long)
        emb = torch.zeros(COUNT, D)
        emb[:, 0] = length
        for progress in (0.2, 1.0):
            cos = angles().requires_grad_()
            phi = term.target(cos, emb.double(), label, progress)
            step = phi.detach().diff()
            assert (step <= 0).all()
            # sphereface2's g is by itself flat to the last digit at pi
            assert (step < 0)[: COUNT - (COUNT // 20 if kind == "sphereface2" else 0)].all()
            assert step.abs().max() <= 8 * math.pi / (COUNT - 1)  # 8: the largest m allowed
            (pull,) = torch.autograd.grad(phi.sum(), cos)
            assert (pull >= 0).all() and pull.isfinite().all()
            assert (pull[1:-1] > 0).all()
            in32 = term.target(angles(torch.float32), emb, label, progress)
            assert (in32.diff() <= 4e-6).all()  # never rises by more than a rounding


@pytest.mark.parametrize("m2", [-1.2, -0.4, 0.0, 0.5, 1.5])
@pytest.mark.parametrize("m1", [1.0, 1.7, 4.0, 7.3])
def test_angular_is_one_less_the_way_along_a_sine(m1, m2):
    """psi(a) = 1 - integral of |sin| from 0 to a: what continuing cos monotonically means."""
    theta = torch.linspace(0, math.pi, 61, dtype=torch.float64)
    got = margins.angular(theta.cos(), m1, m2)
    for angle, value in zip((m1 * theta + m2).tolist(), got.tolist(), strict=True):
        points = 20_001
        grid = torch.linspace(0, angle, points, dtype=torch.float64).sin().abs()
        way = torch.trapezoid(grid, dx=angle / (points - 1)).item()
        assert value == pytest.approx(1 - way, abs=1e-5)


@pytest.mark.parametrize(("m1", "m2"), [(1.0, 0.5), (1.7, 0.0), (4.0, 0.0), (2.5, 0.7)])
def test_angular_slope(m1, m2):
    """Inside the angles where it is not held; for whole m1 and m2 = 0 that is everywhere."""
    low = 0.02 if m2 == 0 and m1 == int(m1) else 0.5
    cos = torch.linspace(low, math.pi - low, 50, dtype=torch.float64).cos().requires_grad_()
    assert torch.autograd.gradcheck(lambda c: margins.angular(c, m1, m2), (cos,))
    ends = torch.tensor([1.0, 1.0000001, -1.0, -1.0000001], requires_grad=True)
    (pull,) = torch.autograd.grad(margins.angular(ends, m1, m2).sum(), ends)
    assert (pull <= max(margins.MAX_SLOPE, m1**2)).all() and (pull > 0).all()


def test_angular_with_arcfaces_margin_is_arcface():
    for cos in (angles(), angles(torch.float32)):
        atol = 1e-12 if cos.dtype == torch.float64 else 1e-6
        torch.testing.assert_close(
            margins.angular(cos, 1.0, 0.5), margins.arcface(cos, 0.5), rtol=0, atol=atol
        )
    margin = torch.full((COUNT,), 0.5, dtype=torch.float64)
    torch.testing.assert_close(
        margins.arcface(angles(), margin), margins.arcface(angles(), 0.5), rtol=0, atol=1e-15
    )


def test_a_margin_with_a_gradient():
    cos = torch.linspace(0.2, 2.9, 20, dtype=torch.float64).cos()
    m2 = torch.linspace(0.1, 1.0, 20, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda m: margins.angular(cos, 1.3, m), (m2,))
    assert not margins.angular(cos, 1.3, m2, "detached").requires_grad
