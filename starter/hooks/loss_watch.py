"""What the losses of a stage should be: said at its start, compared after its first update, and a
likely cause named where one does not fall."""

import logging
import math
from dataclasses import dataclass

from torch import Tensor, nn

from starter.losses import Objective, advice, scales
from starter.losses.heads import ClassHead, CosineHead

log = logging.getLogger(__name__)

STUCK = 0.98  # of the first loss: a term above this after an epoch has learned nothing


@dataclass(frozen=True)
class _Expected:
    """A fresh head's loss at its start and once its margin is whole, and how far it may be off."""

    first: float
    full: float
    allowed: float


class LossWatch:
    """Compares the losses of a stage with what they should be.

    Args:
        objective: as built, before its first update.
        started: whether the heads begin from a parent's weights or from class means; their first
            loss is then below a fresh head's, by how much cannot be said.
    """

    def __init__(self, objective: Objective, *, started: bool):
        self.started = started
        self.terms = dict(objective.terms.items())
        self.expected = {
            name: found for name, term in self.terms.items() if (found := _expected(term))
        }
        self._told: set[str] = set()

    def announce(self, stage: str) -> None:
        """Logs each term's first loss and smallest useful scale; warns of a scale below it."""
        for name, term in self.terms.items():
            if found := self.expected.get(name):
                below = "below " if self.started else ""
                log.info("%s: %s should begin at %sabout %.2f", stage, name, below, found.first)
            # A scale that is a parameter or a buffer finds its own size.
            if not isinstance(term, CosineHead) or isinstance(term.scale, Tensor):
                continue
            if (reach := term.reach()) is not None:
                self._scale(name, term.scale_now(), scales.smallest(len(term.weight), reach))

    def _scale(self, name: str, scale: float, least: float) -> None:
        if scale < least:
            log.warning(
                "%s: scale %.3g is below %.3g, the smallest with which the true class can reach a "
                "posterior of %.2f%s; raise scale or set scale: auto",
                name,
                scale,
                least,
                scales.POSTERIOR,
                "" if least < math.inf else ": with this margin no scale can",
            )
        else:
            log.info("%s: scale %.3g; the smallest useful one is %.3g", name, scale, least)

    def first(self, losses: dict[str, float]) -> None:
        """Warns of a first loss that is far from what it should be."""
        for name, found in self.expected.items():
            off = losses[name] - found.first
            if off > found.allowed or (off < -found.allowed and not self.started):
                log.warning(
                    "%s began at %.2f, not at about %.2f: %s",
                    name,
                    losses[name],
                    found.first,
                    advice.first_loss(self.terms[name], high=off > 0, started=self.started),
                )

    def epoch(self, means: dict[str, float], progress: float) -> None:
        """Warns, once a term, of a mean loss that is still where a fresh head begins or where a
        triplet loss lies when all embeddings are one."""
        for name, term in self.terms.items():
            if name in self._told or progress < getattr(term, "margin_warmup", 0.0):
                continue
            found = self.expected.get(name)
            stuck = found is not None and means[name] >= STUCK * found.full
            if stuck or advice.collapsed(term, means[name]):
                self._told.add(name)
                log.warning("%s has not fallen (%.3f): %s", name, means[name], advice.stuck(term))


def _expected(term: nn.Module) -> _Expected | None:
    if not isinstance(term, ClassHead) or len(term.weight) < 2:
        return None
    first, full = term.expected_loss(0.0), term.expected_loss(1.0)
    if first is None or full is None:
        return None
    # Few classes or dimensions leave the mean cosine to the own class, of variance 1/D, to chance.
    dim = term.weight.shape[-1]
    scale = math.sqrt(dim)  # of logits that grow with the embedding's length
    if isinstance(term, CosineHead) and term.reach() is not None:
        scale = term.scale_now()
    noise = scale / math.sqrt(dim * min(len(term.weight), 32))
    return _Expected(first, full, term.steadiness * first + 3 * noise)
