"""Focal and binary cross-entropy against torchvision's and timm's, and where they begin."""

import math

import pytest
import torch
import torch.nn.functional as F
from timm.loss import BinaryCrossEntropy
from torchvision.ops import sigmoid_focal_loss

from starter import losses
from starter.losses import Target

B, D, K = 9, 6, 5


def make(kind, classes=K, **options):
    torch.manual_seed(0)
    term = losses.build(kind, embedding=D, classes=classes, **options).double()
    torch.nn.init.normal_(term.bias)
    return term


def batch(classes=K):
    generator = torch.Generator().manual_seed(1)
    emb_BD = 3 * torch.randn(B, D, generator=generator, dtype=torch.float64)
    return emb_BD, torch.randint(classes, (B,), generator=generator)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_focal_of_two_classes_is_torchvisions_of_their_difference(gamma):
    emb_BD, label_B = batch(2)
    count_K = torch.tensor([30, 10])  # balanced: weights 2/3 and 2, alpha of class 1 is 3/4
    for options, alpha, factor in (
        ({}, -1, 1.0),
        ({"alpha": "balanced", "class_count_K": count_K}, 0.75, 8 / 3),
    ):
        term = make("focal", 2, gamma=gamma, **options)
        z_B2 = term.logits(emb_BD)
        theirs = sigmoid_focal_loss(
            z_B2[:, 1] - z_B2[:, 0], label_B.double(), alpha, gamma, reduction="mean"
        )
        assert term(emb_BD, label_B).item() == pytest.approx(factor * theirs.item(), rel=1e-6)


def test_focal_with_gamma_0_is_softmax():
    emb_BD, label_B = batch()
    plain, focal = make("softmax"), make("focal", gamma=0.0)
    assert focal(emb_BD, label_B).item() == pytest.approx(plain(emb_BD, label_B).item(), rel=1e-12)


@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_a_sure_image_keeps_its_digits_in_float32(gamma):
    """z = (20, 0): 1 - p_y is 2.06e-9, which float32 rounds to 0, and its power's slope to inf."""
    term = make("focal", 2, gamma=gamma).float()
    z_B2 = torch.tensor([[20.0, 0.0]], requires_grad=True)
    loss = term.each(z_B2, torch.tensor([0])).sum()
    loss.backward()
    q = 1 / (1 + math.exp(20))
    assert loss.item() == pytest.approx(q**gamma * -math.log1p(-q), rel=1e-4, abs=0)
    assert z_B2.grad.isfinite().all()


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("summed", [True, False])
def test_bce_is_timms_with_sum_classes_and_a_kth_of_it_timms_default(smoothing, summed):
    emb_BD, label_B = batch()
    term = make("bce", label_smoothing=smoothing)
    theirs = BinaryCrossEntropy(smoothing=smoothing, sum_classes=summed)
    wanted = theirs(term.logits(emb_BD), label_B).item()
    assert term(emb_BD, label_B).item() / (1 if summed else K) == pytest.approx(wanted, rel=1e-9)


@pytest.mark.parametrize(("kind", "options"), [("bce", {"label_smoothing": 0.1}), ("focal", {})])
def test_a_mixed_image_has_a_share_of_both_losses(kind, options):
    emb_BD, label_B = batch()
    term, other_B = make(kind, **options), label_B.roll(1)
    share_B = torch.linspace(0, 1, B)
    wanted = 0.0
    for i in range(B):
        for label, share in ((label_B[i], share_B[i]), (other_B[i], 1 - share_B[i])):
            wanted += share.item() * term(emb_BD[i : i + 1], label[None]).item() / B
    got = term(emb_BD, Target(label_B, other_B, share_B)).item()
    assert got == pytest.approx(wanted, rel=1e-6)


def test_bce_of_a_mixed_batch_is_that_of_mixed_targets():
    """As timm has it: one question a class, whose answer is a share."""
    emb_BD, label_B = batch()
    term, other_B, share_B = make("bce"), label_B.roll(1), torch.linspace(0, 1, B).double()
    first_BK, second_BK = F.one_hot(label_B, K), F.one_hot(other_B, K)
    t_BK = share_B[:, None] * first_BK + (1 - share_B[:, None]) * second_BK
    wanted = BinaryCrossEntropy(smoothing=0.0, sum_classes=True)(term.logits(emb_BD), t_BK)
    got = term(emb_BD, Target(label_B, other_B, share_B))
    assert got.item() == pytest.approx(wanted.item(), rel=1e-9)


def test_bce_begins_where_each_class_has_its_share():
    torch.manual_seed(0)
    term = losses.build("bce", embedding=D, classes=100)
    at_rest = term(torch.zeros(4, D), torch.arange(4)).item()
    assert at_rest == pytest.approx(math.log(100) - 99 * math.log1p(-0.01), rel=1e-5)
    term.init_from_means(torch.eye(100, D) + torch.randn(100, D))
    assert term.bias.mean().item() == pytest.approx(-math.log(99), rel=1e-5)
