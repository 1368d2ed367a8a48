"""What losses remember: saved, moved by training alone, and the same on every process."""

import copy
import threading

import pytest
import torch

from starter import distributed, losses
from starter.losses import center, subcenter
from starter.recipe.schema import LossTerm

D, K = 6, 5
STATE = {
    "sphereface": {"updates"},
    "subcenter": {"wins_KC"},
    "curricularface": {"t"},
    "adaface": {"mean", "std"},
    "adacos": {"scale"},
    "center": {"center_KD"},
}


def make(kind, **options):
    torch.manual_seed(0)
    return losses.build(kind, embedding=D, classes=K, **options)


def batches(count, size=8):
    generator = torch.Generator().manual_seed(1)
    return [
        (
            3 * torch.randn(size, D, generator=generator),
            torch.randint(K, (size,), generator=generator),
        )
        for _ in range(count)
    ]


@pytest.mark.parametrize("kind", STATE)
def test_state_is_saved_and_continues(kind):
    whole, first = make(kind), make(kind)
    data = batches(6)
    expected = [whole(*b).item() for b in data]
    for b in data[:3]:
        first(*b)
    state = copy.deepcopy(first.state_dict())
    assert STATE[kind] <= set(state)
    second = make(kind)
    second.load_state_dict(state)
    assert [second(*b).item() for b in data[3:]] == expected[3:]
    unlike = make(kind)  # and it matters
    assert [unlike(*b).item() for b in data[3:]] != expected[3:] or kind == "subcenter"


@pytest.mark.parametrize("kind", STATE)
def test_evaluation_moves_nothing(kind):
    term = make(kind)
    term(*batches(1)[0])
    before = copy.deepcopy(term.state_dict())
    term.eval()
    for b in batches(3):
        term(*b)
    assert all(torch.equal(before[k], v) for k, v in term.state_dict().items())
    term.train()
    term(*batches(1)[0])
    assert any(not torch.equal(before[k], v) for k, v in term.state_dict().items())


def test_class_margins_and_weights_are_buffers_that_a_checkpoint_overrides():
    counts = torch.tensor([1, 2, 3, 4, 50])
    known = make("arcface", class_margins={}, class_count_K=counts)
    section = LossTerm(kind="arcface", class_margins={})
    unknown = losses.build_objective([section], embedding=D, classes=K).terms["arcface"]
    assert not torch.equal(known.margin_K, unknown.margin_K)
    unknown.load_state_dict(known.state_dict())
    assert torch.equal(known.margin_K, unknown.margin_K)
    assert "margin_K" not in make("arcface").state_dict()
    assert "class_weight_K" not in make("softmax").state_dict()


def test_balanced_classes_keep_the_plain_margin():
    term = make("arcface", class_margins={}, class_count_K=torch.full((K,), 9))
    assert torch.equal(term.margin_K, torch.full((K,), 0.5))


def test_class_margins_of_the_winners():
    """Happywhale 2022's 1st place: 0.27126 n^-0.364399 + 0.05."""
    options = {"least": 0.05, "most": 0.32126, "power": 0.364399, "spread": False}
    counts = torch.tensor([1, 10, 100, 1, 1])
    margin_K = make("arcface", class_margins=options, class_count_K=counts).margin_K
    torch.testing.assert_close(
        margin_K[:3], torch.tensor([0.32126, 0.16722, 0.10064]), atol=2e-5, rtol=0
    )


def two_modes():
    """Class 0 in two groups, 3 to 1, and its term trained on them."""
    torch.manual_seed(0)
    term = make("subcenter", centers=2, clean_degrees=60.0, clean_from=0.5)
    axes = torch.eye(D)
    with torch.no_grad():
        term.weight[0, 0], term.weight[0, 1] = axes[0], axes[1]
    emb = axes[[1, 1, 1, 0]] + 0.05 * torch.randn(4, D)
    label = torch.zeros(4, dtype=torch.long)
    term(emb, label, 0.0)
    return term, emb, label


def test_cleaning_drops_what_is_far_from_the_dominant_centre():
    term, emb, label = two_modes()
    assert term.far(emb, label, 60.0).tolist() == [False, False, False, True]
    assert term.far(emb, label, 120.0).sum() == 0
    emb.requires_grad_()
    (early,) = torch.autograd.grad(term(emb, label, 0.4), emb)
    (late,) = torch.autograd.grad(term(emb, label, 0.5), emb)
    assert early[3].abs().sum() > 0 and (late[3] == 0).all() and late[0].abs().sum() > 0
    far = emb.detach()[[3, 3]].requires_grad_()
    loss = term(far, label[:2], 1.0)  # nothing is left
    loss.backward()
    assert loss.item() == 0.0 and (far.grad == 0).all()


def test_one_centre_of_several():
    term, _, _ = two_modes()
    single = term.class_vectors()
    assert single.shape == (K, D)
    torch.testing.assert_close(single[0], torch.eye(D)[1])
    assert torch.equal(single, subcenter.dominant(term.weight, term.wins_KC))


def test_centres_that_start_from_means_differ():
    term = make("subcenter")
    mean = torch.randn(K, D)
    mean[2] = torch.nan
    before = term.weight.detach().clone()
    term.init_from_means(mean)
    unit = torch.nn.functional.normalize(mean, dim=1)
    torch.testing.assert_close(term.weight[0, 0], unit[0])
    cos = torch.nn.functional.cosine_similarity(term.weight[0], unit[:1])
    assert (cos[1:] > 0.6).all() and (cos[1:] < 0.999).all()
    assert torch.equal(term.weight[2], before[2])


def test_centres_are_no_parameters():
    assert isinstance(make("center"), center.Center) and not list(make("center").parameters())


class TwoProcesses:
    """torch.distributed for two threads that each play a process."""

    def __init__(self):
        self.barrier, self.given = threading.Barrier(2), {}

    def is_available(self):
        return True

    is_initialized = is_available

    def get_world_size(self):
        return 2

    def all_reduce(self, x):
        self.given[threading.get_ident()] = x.clone()
        self.barrier.wait(timeout=20)
        x.copy_(sum(self.given.values()))
        self.barrier.wait(timeout=20)


@pytest.mark.parametrize("kind", STATE)
def test_state_is_the_same_on_every_process(kind, monkeypatch):
    two = TwoProcesses()
    monkeypatch.setattr(distributed, "_dist", lambda: two)
    monkeypatch.setattr(distributed, "world_size", two.get_world_size)
    terms, data = [make(kind), make(kind)], batches(6)
    work = [
        threading.Thread(target=lambda rank=rank: [terms[rank](*b) for b in data[rank::2]])
        for rank in (0, 1)
    ]
    for thread in work:
        thread.start()
    for thread in work:
        thread.join(timeout=30)
    for (name, a), b in zip(terms[0].named_buffers(), terms[1].buffers(), strict=True):
        assert torch.equal(a, b), name
    if kind in ("center", "subcenter"):  # sums: as of one process with both batches
        monkeypatch.undo()
        alone = make(kind)
        for mine, other in zip(data[::2], data[1::2], strict=True):
            alone(*(torch.cat(pair) for pair in zip(mine, other, strict=True)))
        torch.testing.assert_close(next(alone.buffers()), next(terms[0].buffers()))
