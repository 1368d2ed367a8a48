"""One update: accumulation, randomness, precision."""

import copy

import numpy as np
import pytest
import torch

from starter import models
from starter.data.batches import Batch
from starter.losses.objective import build_objective
from starter.recipe.schema import LossTerm
from starter.recipe.schema.train import LearningRateScale, OptimizerSection, StageSection
from starter.train_stage import Model, update
from starter.training import optimizers
from starter.training.learner import Learner
from starter.training.precision import Precision, choose
from starter.training.schedules import ByStep
from starter.training.state import TrainState, stage_seed

ARCFACE = [LossTerm(kind="arcface")]


def plain_sgd(lr):
    return OptimizerSection(lr=lr, momentum=0.0, nesterov=False, weight_decay=0.0)


def make_state(section=None, precision="fp32", neck="linear"):
    torch.manual_seed(0)
    section = section or StageSection(loss=ARCFACE, batch_size=8)
    embedder = models.build(
        "resnet10_small", in_channels=3, image_size=16, embedding=8, neck=neck, drop_path=0.3
    )
    learner = Learner(embedder, build_objective(section.loss, embedding=8, classes=4))
    resolved, problems = optimizers.resolve(section.optimizer)
    assert not problems
    optimizer = optimizers.build_optimizer(learner, resolved, torch.device("cpu"))
    chosen = Precision(precision, "cpu")
    return TrainState(
        learner=learner,
        optimizer=optimizer,
        schedule=ByStep(optimizer, resolved.lr, lambda step: 1 / (1 + step)),
        scaler=chosen.scaler(),
        average=None,
        precision=chosen,
        device=torch.device("cpu"),
        section=section.model_copy(update={"optimizer": resolved}),
        seed=7,
        steps=10,
        per_epoch=10,
        model=Model(learner, chosen),
    )


def batch(count=8):
    rng = np.random.default_rng(0)
    image_BHWC = torch.from_numpy(rng.integers(0, 256, (count, 16, 16, 3), dtype=np.uint8))
    return image_BHWC, torch.arange(count) % 4


def train_step(state, image_BHWC, label_B, step):
    return update(state, Batch(image_BHWC, label_B, torch.arange(len(label_B))), step)


def weights(state):
    return {k: v.clone() for k, v in state.learner.state_dict().items()}


def test_micro_batches_add_up_to_the_whole_batch():
    """With BatchNorm and stochastic depth still, accumulation is the same gradient."""
    results = []
    for micro in (None, 4, 2):
        state = make_state(StageSection(loss=ARCFACE, batch_size=8, micro_batch=micro))
        state.learner.eval()
        losses = train_step(state, *batch(), step=0)
        results.append((weights(state), losses["loss"]))
    for other, loss in results[1:]:
        torch.testing.assert_close(loss, results[0][1])
        for name, value in results[0][0].items():
            torch.testing.assert_close(other[name], value, rtol=1e-4, atol=1e-6)


def test_one_sgd_step_equals_the_formula():
    section = StageSection(
        loss=[LossTerm(kind="softmax")],
        batch_size=8,
        optimizer=OptimizerSection(
            kind="sgd", lr=0.1, momentum=0.0, nesterov=False, weight_decay=0.0
        ),
    )
    state = make_state(section)
    state.learner.eval()
    twin = copy.deepcopy(state.learner)
    image_BHWC, label_B = batch()
    loss, _ = twin.objective(twin.embedder(twin.embedder.prepare(image_BHWC)), label_B)
    loss.backward()
    train_step(state, image_BHWC, label_B, step=0)
    for new, old in zip(state.learner.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(new, old - 0.1 * old.grad, rtol=1e-4, atol=1e-6)


def test_randomness_is_a_function_of_the_step():
    first, again = make_state(), make_state()
    torch.manual_seed(123)
    first_losses = train_step(first, *batch(), step=3)
    torch.manual_seed(456)
    torch.rand(7)
    again_losses = train_step(again, *batch(), step=3)
    assert torch.equal(first_losses["loss"], again_losses["loss"])
    for name, value in weights(first).items():
        assert torch.equal(value, weights(again)[name]), name


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_low_precision_keeps_weights_and_heads_in_float32(precision):
    state = make_state(precision=precision)
    losses = train_step(state, *batch(), step=0)
    assert losses["loss"].dtype == torch.float32 and torch.isfinite(losses["loss"])
    assert all(p.dtype == torch.float32 for p in state.learner.parameters())


def test_clipping_bounds_backbone_and_heads_together():
    section = StageSection(
        loss=ARCFACE,
        batch_size=8,
        clip_grad=1e-3,
        optimizer=OptimizerSection(
            kind="sgd", lr=1.0, momentum=0.0, nesterov=False, weight_decay=0.0
        ),
    )
    state = make_state(section)
    before = [p.detach().clone() for p in state.learner.parameters()]
    train_step(state, *batch(), step=0)
    after = [p.detach() for p in state.learner.parameters()]
    moved = torch.stack([(a - b).norm() for a, b in zip(before, after, strict=True)]).norm()
    assert moved.item() == pytest.approx(1e-3, rel=1e-2)


def test_adaptive_clipping_bounds_the_embedder_and_not_the_heads():
    """Plain descent at rate 1 moves each unit by its gradient: at most 1e-3 of its own norm."""
    section = StageSection(
        loss=ARCFACE,
        batch_size=8,
        agc=1e-3,
        optimizer=OptimizerSection(
            kind="sgd", lr=1.0, momentum=0.0, nesterov=False, weight_decay=0.0
        ),
    )
    state = make_state(section)
    before = weights(state)
    train_step(state, *batch(), step=0)
    for name, parameter in state.learner.named_parameters():
        old, new = before[name], parameter.detach()
        if old.ndim == 1:  # a vector is one unit
            old, new = old[None], new[None]
        moved, size = (new - old).flatten(1).norm(dim=1), old.flatten(1).norm(dim=1)
        far = (moved > 1.01e-3 * size.clamp(min=1e-3) + 1e-6).any()
        assert far == name.startswith("objective."), name


@pytest.mark.filterwarnings("error")
def test_an_update_that_fp16_skips_changes_no_weight_and_delays_no_rate():
    state = make_state(precision="fp16")
    state.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**100)  # every gradient overflows
    before = weights(state)
    train_step(state, *batch(), step=0)
    for name, parameter in state.learner.named_parameters():
        assert torch.equal(parameter, before[name])
    state.scaler = torch.amp.GradScaler("cpu", init_scale=2.0)
    train_step(state, *batch(), step=1)
    assert [g["lr"] for g in state.optimizer.param_groups] == pytest.approx(
        [0.05] * len(state.optimizer.param_groups)
    )
    assert not torch.equal(
        state.learner.objective.terms["arcface"].weight, before["objective.terms.arcface.weight"]
    )


def test_the_first_update_has_the_first_rate_and_parts_their_multiple():
    lr_scale = LearningRateScale(backbone=0.1, head=10)
    section = StageSection(
        loss=ARCFACE,
        batch_size=8,
        optimizer=OptimizerSection(lr=0.2, lr_scale=lr_scale),
    )
    state = make_state(section)
    for step in (0, 4):
        train_step(state, *batch(), step=step)
        rates = {g["part"]: g["lr"] for g in state.optimizer.param_groups}
        base = state.schedule.set(step)
        assert base == pytest.approx(0.2 / (1 + step))
        assert rates == pytest.approx({"backbone": 0.1 * base, "neck": base, "head": 10 * base})


def test_a_frozen_backbone_and_frozen_statistics_stay():
    state = make_state()
    before = weights(state)
    state.learner.set_training(backbone_frozen=True, batchnorm_frozen=False)
    train_step(state, *batch(), step=0)
    after = weights(state)
    changed = {k for k in before if not torch.equal(before[k], after[k])}
    assert changed and not any(k.startswith("embedder.backbone") for k in changed)
    state.learner.set_training(backbone_frozen=False, batchnorm_frozen=True)
    train_step(state, *batch(), step=1)
    final = weights(state)
    changed = {k for k in before if not torch.equal(after[k], final[k])}
    assert not any("running" in k for k in changed)
    assert any(k.startswith("embedder.backbone") for k in changed)


def test_measuring_the_precision_changes_nothing():
    state = make_state()
    before = weights(state)
    embedder = state.learner.embedder
    chosen = choose("auto", torch.device("cpu"), embedder, embedder.prepare(batch()[0]))
    assert chosen in ("bf16", "fp32")
    assert all(torch.equal(before[k], v) for k, v in weights(state).items())
    assert all(p.grad is None for p in embedder.parameters())


def test_stages_have_seeds_of_their_own():
    assert stage_seed(0, "classify") != stage_seed(0, "finetune") != stage_seed(1, "finetune")
