"""Whether a stage's batch can be shared by several processes. Imports no torch."""

import math

from starter.errors import UserError
from starter.recipe.schema import StageSection


def refuse_uneven(stage: str, section: StageSection, processes: int) -> None:
    """UserError for a batch that `processes` cannot share equally: a mean of unequal slices'
    losses would not be the batch's."""
    if processes == 1:
        return
    size, micro, sampler = section.batch_size, section.micro_batch, section.sampler
    unit = sampler.images if sampler.kind == "pk" else 1
    place, whole = f"stages.{stage}.batch_size", processes * unit
    if size % whole:
        each = f" identities of {unit} images" if unit > 1 else ""
        raise UserError(
            f"{place}: {processes} processes cannot share {size} images equally{each and ' by'}"
            f"{each}; set batch_size={max(round(size / whole), 1) * whole}"
        )
    own = size // processes
    if own < 2:
        raise UserError(
            f"{place}: {size} leaves 1 image to each of {processes} processes, and BatchNorm "
            f"needs 2; set batch_size={2 * processes} or more"
        )
    if isinstance(micro, int) and own > micro and own % micro:
        raise UserError(
            f"{place}: the {own} images of each of {processes} processes are not a multiple of "
            f"micro_batch {micro}; set micro_batch={math.gcd(own, micro)} or leave it out"
        )
