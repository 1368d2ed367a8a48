"""How one stage trains: from stored images to saved weights, top to bottom. Change the loop here.

What is built or measured once is one call; its module is in the imports. Whatever only listens
(progress, metrics.jsonl, the report, trackers) is a hook: `starter/hooks`.

Shapes: B images of an update, b of a micro-batch, H W pixels, C channels, D embedding, K classes.
"""

import contextlib

import numpy as np
import torch
from timm.utils.agc import adaptive_clip_grad
from torch import nn

from starter import distributed
from starter.data.augment.mix import mix_batch
from starter.data.batches import Batch, TrainBatches
from starter.errors import Interrupted
from starter.hooks import Hooks
from starter.inference.embed import embed_options
from starter.inference.evaluate import Evaluation, evaluate
from starter.inference.initialise import initialise_heads
from starter.losses import Target
from starter.metrics import better, less_is_better, monitored
from starter.recipe.schema.data import MixSection
from starter.training import checkpoint
from starter.training.build import (
    build_batches,
    build_learner,
    no_exchange,
    parallel,
    settle_precision,
    synchronise_batchnorm,
)
from starter.training.initialise import start_from
from starter.training.learner import AveragedWeights, Learner
from starter.training.memory import with_micro_batch
from starter.training.minutes import with_length
from starter.training.optimizers import build_optimizer
from starter.training.precision import Precision
from starter.training.resume import resume, save
from starter.training.schedules import build_schedule
from starter.training.state import StageJob, TrainState, seed_update, stage_seed


def train_stage(job: StageJob, hooks: Hooks) -> Evaluation:
    """Trains the stage to its end, from its last checkpoint where there is one.

    Returns:
        The evaluation of its best checkpoint.
    Raises:
        Interrupted: `hooks.stop` gave a reason; a checkpoint was written.
        UserError: the data, the recipe or the run cannot go on; nothing is lost.
    """
    # Every image was decoded once, to uint8 of this stage's size; batches are rows of that array.
    image_NHWC = job.pack()
    with contextlib.closing(build_batches(job, image_NHWC)) as batches:
        state = prepare(job, image_NHWC, batches)
        with hooks.listening(state, resume(job, state)):
            while not state.done:
                train_epoch(job, state, batches, hooks)
                end_epoch(job, state, image_NHWC, hooks)
            # What counts is the best checkpoint, which need not be the last.
            best = checkpoint.find(job.folder, "best")
            assert best is not None
            state.evaluated.load_state_dict(best.weights())
            evaluation = evaluate_now(job, state, image_NHWC)
            hooks.end(state, evaluation)
    return evaluation


def prepare(job: StageJob, image_NHWC: np.ndarray, batches: TrainBatches) -> TrainState:
    """The stage before its first update: the network, its losses, and what changes them."""
    section, per_epoch = job.section, batches.batches_per_epoch
    # Weights are drawn from (seed, stage); a parent's take their place where they fit.
    classes = job.catalog.classes
    learner = build_learner(job.recipe, job.name, len(classes), job.image_size, job.class_count_K)
    begun = checkpoint.find(job.folder, "last") is not None
    new_heads = start_from(learner, job.parent, classes) if job.parent and not begun else []
    learner.to(job.device)
    # bf16 where the hardware has it, fp16 with loss scaling on older GPUs, else float32.
    precision = settle_precision(job, learner, image_NHWC)
    # A head that no parent had begins at the mean embeddings of its classes.
    initialise_heads(learner, new_heads, job.catalog, image_NHWC, embed_options(job, precision))
    distributed.share_weights(learner)
    if section.sync_batchnorm:
        synchronise_batchnorm(learner.embedder, job)
    steps = (section.epochs or 1) * per_epoch  # of `minutes`: not known yet
    optimizer = build_optimizer(learner, section.optimizer, job.device)
    lr = section.optimizer.lr
    state = TrainState(
        learner=learner,
        optimizer=optimizer,
        schedule=build_schedule(section.schedule, optimizer, lr, per_epoch, steps),
        scaler=precision.scaler(),
        average=AveragedWeights(learner, section.ema) if section.ema else None,
        precision=precision,
        device=job.device,
        section=section,
        seed=stage_seed(job.recipe.seed, job.name),
        steps=steps,
        per_epoch=per_epoch,
    )
    if section.compile:
        learner.embedder.compile()
    state.model = Model(learner, precision)
    # Measured on updates that leave no trace, and kept in the stage's folder for a resume.
    with_micro_batch(job, state, batches, update)
    with_length(job, state, batches, update, lambda: evaluate_now(job, state, image_NHWC))
    return state


class Model(nn.Module):
    """Embedder and losses in one forward, so that DistributedDataParallel sees all of it."""

    def __init__(self, learner: Learner, precision: Precision):
        super().__init__()
        self.learner, self.precision = learner, precision

    def forward(
        self, image_BCHW: torch.Tensor, target: Target, progress: float
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """(loss, each term's own loss): only the embedder runs in low precision."""
        with self.precision.autocast():
            emb_BD = self.learner.embedder(image_BCHW)
        return self.learner.objective(emb_BD, target, progress)


def train_epoch(job: StageJob, state: TrainState, batches: TrainBatches, hooks: Hooks) -> None:
    """The updates of one epoch, or what is left of it after a resume."""
    epoch, first = divmod(state.step, state.per_epoch)
    thaws = round(state.section.freeze.backbone * state.per_epoch)
    begins = state.step
    for batch in hooks.timed(state, batches.epoch(epoch, first)):
        if state.step in (begins, thaws):
            ready_for_training(state, batch)
        losses = update(state, batch, state.step)
        state.step += 1
        state.images += len(batch.label_B) * distributed.world_size()
        hooks.after_update(state, batch, losses)
        if state.step % state.per_epoch == 0:
            break
        # A checkpoint inside an epoch, where it is time for one or somebody wants to stop.
        reason = hooks.stop()
        if reason or state.step % (job.section.checkpoint_steps or state.steps) == 0:
            share_buffers(state)
            keep(job, state, hooks, None)
        if reason:
            raise Interrupted(f"{reason}: stopped after update {state.step} of {state.steps}")


def ready_for_training(state: TrainState, batch: Batch) -> None:
    """Training mode, with the parts held still that the stage freezes; wrapped for several
    processes, each of which takes its slice of a batch."""
    learner, frozen = state.learner, state.backbone_frozen
    learner.set_training(backbone_frozen=frozen, batchnorm_frozen=state.section.freeze.batchnorm)
    if distributed.world_size() == 1 or frozen == state.wrapped_frozen:
        return
    model, size = Model(learner, state.precision), state.section.micro_batch or len(batch.label_B)

    def loss_of_some() -> torch.Tensor:
        image_bCHW = learner.embedder.prepare(batch.image_BHWC[:size].to(state.device))
        return model(image_bCHW, Target(batch.label_B[:size].to(state.device)), 0.0)[0]

    state.model = parallel(model, state, loss_of_some)
    state.wrapped_frozen = frozen


def update(state: TrainState, batch: Batch, step: int) -> dict[str, torch.Tensor]:
    """Update number `step`, 0-based; returns each term's loss, detached, on the device.

    Randomness is a function of (seed, stage, step, micro-batch, rank), so a resume repeats it.
    """
    section, learner, progress = state.section, state.learner, step / state.steps
    state.learning_rate = state.schedule.set(step)
    size = section.micro_batch or len(batch.label_B)
    parts = list(zip(batch.image_BHWC.split(size), batch.label_B.split(size), strict=True))
    losses: dict[str, torch.Tensor] = {}
    for i, (image_bHWC, label_b) in enumerate(parts):
        generator = seed_update(state.seed, step, i, distributed.rank())
        # uint8 on its way to the device, normalised there.
        image_bCHW = learner.embedder.prepare(image_bHWC.to(state.device, non_blocking=True))
        label_b = label_b.to(state.device, non_blocking=True)
        image_bCHW, target = mix(image_bCHW, label_b, section.mix, generator)
        # Gradients add up to the whole batch's mean; processes exchange them with the last part.
        share = len(label_b) / len(batch.label_B)
        with contextlib.nullcontext() if i + 1 == len(parts) else no_exchange(state.model):
            loss, terms = state.model(image_bCHW, target, progress)
            state.scaler.scale(loss * share).backward()
        for name, value in {**terms, "loss": loss.detach()}.items():
            losses[name] = losses[name] + value * share if name in losses else value * share
    # fp16 skips the step where a gradient overflowed; otherwise the scaler does nothing.
    state.scaler.unscale_(state.optimizer)
    if section.clip_grad:
        nn.utils.clip_grad_norm_(learner.parameters(), section.clip_grad)
    if section.agc:
        adaptive_clip_grad(learner.embedder.parameters(), section.agc)
    state.scaler.step(state.optimizer)
    scale = state.scaler.get_scale() if state.schedule.counts_updates else 0.0
    state.scaler.update()
    if state.schedule.counts_updates:  # reading the loss scale waits for the device
        state.schedule.after_update(applied=state.scaler.get_scale() >= scale)
    state.optimizer.zero_grad(set_to_none=True)
    if state.average:
        state.average.update(learner, step)
    return losses


def mix(
    image_BCHW: torch.Tensor, label_B: torch.Tensor, section: MixSection, generator: torch.Generator
) -> tuple[torch.Tensor, Target]:
    """Mixup or cutmix of a batch with itself; the target then has two labels and a share."""
    if not section.on:
        return image_BCHW, Target(label_B)
    image_BCHW, other_B, share_B = mix_batch(
        image_BCHW,
        mixup=section.mixup,
        cutmix=section.cutmix,
        probability=section.probability,
        generator=generator,
    )
    return image_BCHW, Target(label_B, label_B[other_B], share_B)


def end_epoch(job: StageJob, state: TrainState, image_NHWC: np.ndarray, hooks: Hooks) -> None:
    """Evaluates, keeps the best, saves."""
    share_buffers(state)
    epoch, evaluation = state.step // state.per_epoch, None
    if state.step == state.steps or epoch % job.section.evaluate_every == 0:
        evaluation = evaluate_now(job, state, image_NHWC)
        name, value = monitored(evaluation.metrics, job.section.monitor)
        state.schedule.after_evaluation(value, less_is_better=less_is_better(name))
        if better(value, state.best_value, name):
            state.best_step, state.best_value, state.waited = state.step, value, 0
        elif value is not None:
            state.waited += 1
    if state.best_value is None:  # nothing to measure by, or not yet: the latest is the best
        state.best_step = state.step
    hooks.end_epoch(state, evaluation)
    keep(job, state, hooks, evaluation)
    reason = hooks.stop()
    if reason and not state.done:
        raise Interrupted(f"{reason}: stopped after update {state.step} of {state.steps}")


def keep(job: StageJob, state: TrainState, hooks: Hooks, evaluation: Evaluation | None) -> None:
    """Writes a checkpoint, its buffers shared; the clock does not count it."""
    with hooks.clock.paused():
        save(job, state, hooks.state_dict(), evaluation.metrics if evaluation else {})


def share_buffers(state: TrainState) -> None:
    """BatchNorm's statistics are each process's own while it trains; rank 0's are evaluated."""
    distributed.share_buffers(state.learner.embedder)
    if state.average:
        distributed.share_buffers(state.average.module.embedder)


def evaluate_now(job: StageJob, state: TrainState, image_NHWC: np.ndarray) -> Evaluation:
    """Margin-free, of the averaged weights where `ema` is on."""
    options = embed_options(job, state.precision)
    return evaluate(state.evaluated, job.catalog, image_NHWC, options, job.section.monitor)
