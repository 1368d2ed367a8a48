"""One update, the same path for every precision.

Shapes: B images of an update, b images of a micro-batch, H W pixels, C channels, D embedding.
"""

import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from timm.utils.agc import adaptive_clip_grad

from starter import distributed
from starter.data.augment.mix import mix_batch
from starter.losses import Target
from starter.recipe.schema import StageSection
from starter.recipe.schema.data import MixSection
from starter.training.ema import AveragedWeights
from starter.training.learner import Learner
from starter.training.precision import Precision
from starter.training.schedules import Schedule


@dataclass
class Setup:
    """Everything an update needs, built once per stage."""

    learner: Learner
    forward: Callable[[torch.Tensor], torch.Tensor]  # the embedder, compiled or not
    optimizer: torch.optim.Optimizer
    schedule: Schedule
    scaler: torch.amp.GradScaler
    average: AveragedWeights | None
    precision: Precision
    device: torch.device
    section: StageSection
    seed: int
    steps: int  # updates in the whole stage

    @property
    def evaluated(self) -> Learner:
        """The weights that evaluation, checkpoints and later stages use."""
        return self.average.module if self.average else self.learner


def stage_seed(seed: int, stage: str) -> int:
    """A seed of the stage's own, so that two stages do not see the same order and masks."""
    return int(np.random.SeedSequence([seed, zlib.crc32(stage.encode())]).generate_state(1)[0])


def train_step(setup: Setup, image_BHWC: torch.Tensor, label_B: torch.Tensor, step: int) -> dict:
    """Update number `step` (0-based); returns each term's loss, detached, on the device.

    Gradients of micro-batches add up to the mean over the whole batch, whose slice for this process
    is given. Randomness in the model and in mixing is a function of (seed, step, micro-batch,
    process) alone, so a resumed run repeats it.
    """
    section, learner = setup.section, setup.learner
    assert section.micro_batch != "auto"  # a number by now
    micro = section.micro_batch or len(label_B)
    losses: dict[str, torch.Tensor] = {}
    setup.schedule.set(step)
    for i, (image_bHWC, label_b) in enumerate(
        zip(image_BHWC.split(micro), label_B.split(micro), strict=True)
    ):
        generator = _seed_device(setup.seed, step, i, distributed.rank())
        image_bCHW = learner.embedder.prepare(image_bHWC.to(setup.device, non_blocking=True))
        image_bCHW, target = _mix(
            image_bCHW, label_b.to(setup.device, non_blocking=True), section.mix, generator
        )
        with setup.precision.autocast():
            emb_bD = setup.forward(image_bCHW)
        total, parts = learner.objective(emb_bD, target, step / setup.steps)
        share = len(label_b) / len(label_B)
        setup.scaler.scale(total * share).backward()
        for name, value in {**parts, "loss": total.detach()}.items():
            losses[name] = losses[name] + value * share if name in losses else value * share
    distributed.average_gradients(learner.parameters())
    setup.scaler.unscale_(setup.optimizer)
    if section.clip_grad:
        torch.nn.utils.clip_grad_norm_(learner.parameters(), section.clip_grad)
    if section.agc:
        adaptive_clip_grad(learner.embedder.parameters(), section.agc)
    setup.scaler.step(setup.optimizer)
    before = setup.scaler.get_scale()
    setup.scaler.update()
    setup.schedule.after_update(setup.scaler.get_scale() >= before)
    setup.optimizer.zero_grad(set_to_none=True)
    distributed.share_buffers(learner.embedder)
    if setup.average:
        setup.average.update(learner, step)
    return losses


def _mix(
    image_BCHW: torch.Tensor, label_B: torch.Tensor, mix: MixSection, generator: torch.Generator
) -> tuple[torch.Tensor, Target]:
    if not mix.on:
        return image_BCHW, Target(label_B)
    image_BCHW, permutation_B, weight_B = mix_batch(
        image_BCHW,
        mixup=mix.mixup,
        cutmix=mix.cutmix,
        probability=mix.probability,
        generator=generator,
    )
    return image_BCHW, Target(label_B, label_B[permutation_B], weight_B)


def _seed_device(*numbers: int) -> torch.Generator:
    """Seeds the global generators (stochastic depth, dropout) and returns one for mixing."""
    state = np.random.SeedSequence(numbers).generate_state(2)
    torch.manual_seed(int(state[0]))
    return torch.Generator().manual_seed(int(state[1]))
