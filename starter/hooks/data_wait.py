"""What to do when the device waits for images: the one place for these words."""

from starter.distributed import cores
from starter.training.build import StageJob

BOTTLENECK = 0.15  # of the time, waited for data: more is worth a word


def on_waiting(share: float, job: StageJob) -> str | None:
    """Advice where an epoch spent this share of its time waiting for data; None where it is fine.

    A network on the CPU shares its cores with the preparation: there nothing is to be won.
    """
    if share < BOTTLENECK or job.device.type == "cpu":
        return None
    keys = [f"data.workers (now {job.recipe.data.workers}; {cores()} cores are here)"]
    if job.recipe.augment if job.section.augment is None else job.section.augment:
        keys.append("augment (fewer or cheaper steps, or only those that run on the device)")
    keys.append("data.cache (a faster disk)")
    return f"{100 * share:.0f} % of the time it waits for images; look at {', '.join(keys)}"
