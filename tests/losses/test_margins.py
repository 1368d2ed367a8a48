"""Margins against their formulas, written out with math.acos in plain Python."""

import math

import pytest
import torch

from starter.losses import margins


def phi_by_formula(cos: float, margin: float) -> float:
    """losses.md F.2, the C1 continuation, one number at a time."""
    angle = math.acos(cos) + margin
    return math.cos(angle) if angle <= math.pi else -2 - math.cos(angle)


def angles(count: int, dtype: torch.dtype) -> torch.Tensor:
    return torch.linspace(0, math.pi, count, dtype=torch.float64).cos().to(dtype)


@pytest.mark.parametrize("margin", [0.0, 0.2, 0.5, 1.5])
def test_arcface_is_the_formula(margin):
    cos = angles(2001, torch.float64)
    expected = [phi_by_formula(c, margin) for c in cos.tolist()]
    torch.testing.assert_close(
        margins.arcface(cos, margin), torch.tensor(expected, dtype=torch.float64)
    )
    cos32 = cos.float()
    expected32 = [phi_by_formula(c, margin) for c in cos32.double().tolist()]
    got = margins.arcface(cos32, margin).double()
    # near 0 and pi the sine of a float32 cosine is itself only good to sqrt(eps) = 3e-4
    torch.testing.assert_close(
        got, torch.tensor(expected32, dtype=torch.float64), atol=1e-6, rtol=0
    )


@pytest.mark.parametrize("margin", [0.1, 0.5, 1.0])
def test_arcface_falls_with_the_angle_without_a_jump(margin):
    count = 20_000
    phi = margins.arcface(angles(count, torch.float64), margin)
    step = phi.diff()
    assert (step < 0).all()
    assert step.abs().max() <= math.pi / (count - 1) * 1.000001  # |d phi / d theta| <= 1
    at_pi_minus_m = torch.tensor([math.pi - margin - 1e-9, math.pi - margin + 1e-9]).double().cos()
    assert margins.arcface(at_pi_minus_m, margin).diff().abs() < 1e-8  # no jump at the seam
    phi32 = margins.arcface(angles(count, torch.float32), margin)
    assert (phi32.diff() <= 2e-7).all()  # never rises by more than a rounding


@pytest.mark.parametrize(
    ("theta", "expected"), [(0.3, -45.9), (1.0, -63.8), (2.0, -38.3), (2.9, -16.4)]
)
def test_arcface_slope_in_the_angle_is_the_table(theta, expected):
    """d logit / d theta at s = 64, m = 0.5: losses.md F.2, last row."""
    angle = torch.tensor([theta], dtype=torch.float64, requires_grad=True)
    (64 * margins.arcface(angle.cos(), 0.5)).sum().backward()
    assert angle.grad.item() == pytest.approx(expected, abs=0.06)


@pytest.mark.parametrize("margin", [0.0, 0.3, 0.5])
def test_arcface_exact_gradient(margin):
    # inside the angles where the slope is not held: from 4.2 degrees on for m = 0.5
    cos = torch.linspace(0.08, math.pi - 0.08, 40, dtype=torch.float64).cos().requires_grad_()
    assert torch.autograd.gradcheck(lambda c: margins.arcface(c, margin), (cos,))


def test_arcface_detached_gradient_is_the_plain_cosines():
    cos = angles(101, torch.float64).requires_grad_()
    phi = margins.arcface(cos, 0.5, "detached")
    torch.testing.assert_close(phi, margins.arcface(cos, 0.5, "exact"), rtol=0, atol=0)
    (grad,) = torch.autograd.grad(phi.sum(), cos)
    torch.testing.assert_close(grad, torch.ones_like(cos), rtol=0, atol=0)


@pytest.mark.parametrize(("margin", "expected"), [(0.0, 1.0), (0.5, margins.MAX_SLOPE)])
def test_arcface_slope_at_the_ends_is_bounded(margin, expected):
    cos = torch.tensor([1.0, 1.0000001, -1.0, -1.0000001], requires_grad=True)
    (grad,) = torch.autograd.grad(margins.arcface(cos, margin).sum(), cos)
    torch.testing.assert_close(grad, torch.full((4,), expected))


def test_cosface():
    cos = angles(11, torch.float64).requires_grad_()
    torch.testing.assert_close(margins.cosface(cos, 0.35), cos - 0.35)


def test_with_target_is_the_one_hot_way():
    generator = torch.Generator().manual_seed(0)
    cos = torch.rand(6, 5, generator=generator, dtype=torch.float64).requires_grad_()
    label = torch.tensor([0, 4, 2, 2, 1, 3])
    one_hot = torch.nn.functional.one_hot(label, 5).double()
    expected = one_hot * (cos - 0.3) ** 3 + (1 - one_hot) * cos
    got = margins.with_target(cos, label, (margins.target_of(cos, label) - 0.3) ** 3)
    torch.testing.assert_close(got, expected, rtol=0, atol=0)
    weight = torch.rand(6, 5, generator=generator, dtype=torch.float64)
    (expected_grad,) = torch.autograd.grad((expected * weight).sum(), cos)
    (grad,) = torch.autograd.grad((got * weight).sum(), cos)
    torch.testing.assert_close(grad, expected_grad)


def test_unit_of_zero_and_of_collinear_rows():
    x = torch.tensor([[0.0, 0.0], [3.0, 4.0], [3e15, 4e15]], requires_grad=True)
    unit = margins.unit(x)
    torch.testing.assert_close(unit, torch.tensor([[0.0, 0.0], [0.6, 0.8], [0.6, 0.8]]))
    (grad,) = torch.autograd.grad(unit.sum(), x)
    assert grad.isfinite().all()
