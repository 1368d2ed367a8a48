"""make_soup(runs, folder): one network whose weights are the average of several runs'.

<out>/recipe.yaml         the first kept run's, under the new name
<out>/soup.json           the runs, and what each changed
<out>/<stage>/checkpoints the weights; from here it is a run like any other
"""

import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from starter.data import Catalog, load_catalog
from starter.recipe import UserError
from starter.recipe.load import to_yaml
from starter.training import checkpoint
from starter.training.average import average, batch_norms, first_batches, misfits, renew_statistics
from starter.training.build import StageJob, build_batches
from starter.training.evaluate import HIGHER_IS_BETTER, better, evaluate, monitored
from starter.workflow.folder import RunFolder, environment
from starter.workflow.fuse import renamed
from starter.workflow.trained import Trained, open_stage
from starter.workflow.verify import open_run

log = logging.getLogger(__name__)


@dataclass
class _Member:
    """A run's stage, its weights, and what it is worth alone."""

    name: str
    trained: Trained
    weights: dict
    value: float | None = None


def make_soup(
    runs: Sequence[str | Path],
    folder: RunFolder,
    *,
    overrides: Sequence[str] = (),
    stage: str | None = None,
) -> dict:
    """A greedy soup: from the best run on, each next one is kept if the metric of the stage's
    `train.monitor` on the validation data does not fall.

    Returns:
        metric, steps (member, value with it, kept), uniform (the value of all together), and kept
        (names); also in soup.json.
    Raises:
        UserError: the networks differ, there is nothing to measure by; as `verify`.
    """
    members = _open(runs, overrides, stage)
    steps: list[dict] = []
    for member in members:
        member.value, metric = _measure(member.trained, member.weights)
    members.sort(key=lambda m: _rank(m, metric))
    kept, best = members[:1], members[0].value
    first = members[0].trained  # whose head it is, where the heads differ
    steps.append({"member": kept[0].name, "metric": metric, "value": best, "kept": True})
    for member in members[1:]:
        mixed = _mix(first, [*kept, member])
        value, _ = _measure(first, mixed)
        take = not better(best, value, metric)
        steps.append(
            {
                "member": member.name,
                "metric": metric,
                "value": value,
                "kept": take,
                "alone": member.value,
            }
        )
        log.info(
            "soup: %s %.4f with %s: %s", metric, value, member.name, "kept" if take else "left out"
        )
        if take:
            kept, best = [*kept, member], value
    uniform = best if len(kept) == len(members) else _measure(first, _mix(first, members))[0]
    if len(kept) == 1:
        log.warning("no run made %s better: the soup is it alone", kept[0].name)
    told = {
        "metric": metric,
        "steps": steps,
        "uniform": uniform,
        "value": best,
        "kept": [m.name for m in kept],
    }
    _save(folder, kept, _mix(first, kept), told, overrides)
    return told


def _open(runs: Sequence[str | Path], overrides: Sequence[str], stage: str | None) -> list[_Member]:
    members: list[_Member] = []
    catalog: Catalog | None = None
    for run in runs:
        folder, recipe, own_stage = open_run(run, overrides)
        catalog = catalog or load_catalog(recipe.data)
        trained = open_stage(folder, recipe, stage or own_stage, catalog)
        members.append(_Member(str(run), trained, trained.checkpoint.weights()))
        first = members[0]
        wrong = misfits(first.weights, members[-1].weights)
        if wrong:
            raise UserError(
                f"--fusion soup: {run} is another network than {first.name} ({wrong[0]} differs, "
                f"{len(wrong)} in all): average only runs of one model; take --fusion mean"
            )
        theirs, ours = (m.trained.learner.embedder.preprocessing for m in (members[-1], first))
        if theirs != ours:
            raise UserError(
                f"--fusion soup: {run} expects other images than {first.name}: {theirs} and {ours}"
            )
    if len({m.trained.checkpoint.weights_hash for m in members}) < len(members):
        raise UserError("two of the runs have the same weights; name each once")
    return members


def _measure(trained: Trained, weights: dict) -> tuple[float, str]:
    """The value of the stage's monitor with these weights, and which metric that is."""
    trained.learner.load_state_dict(weights)
    section = trained.trained_with.stages[trained.stage]
    found = evaluate(trained.learner, trained.catalog, trained.pack, trained.options)
    metric, value = monitored(found.metrics, section.monitor)
    if value is None:
        raise UserError(
            "--fusion soup: there is no dev image and no validation pair to tell whether averaging "
            "helped; take --fusion concat"
        )
    return value, metric


def _rank(member: _Member, metric: str) -> float:
    """Lower is better."""
    assert member.value is not None
    return -member.value if HIGHER_IS_BETTER[metric] else member.value


def _mix(trained: Trained, members: Sequence[_Member]) -> dict:
    """The average, its BatchNorm statistics taken anew on training images as augmented in the
    stage; one run alone keeps its own."""
    mixed = average([member.weights for member in members])
    if len(members) == 1 or not batch_norms(trained.learner.embedder):
        return mixed
    trained.learner.load_state_dict(mixed)
    recipe, options = trained.trained_with, trained.options
    job = StageJob(
        trained.stage,
        trained.folder.stage(trained.stage),
        recipe,
        trained.catalog,
        Path(trained.recipe.data.cache),
        None,
        options.device,
    )
    batches = build_batches(job, trained.pack)
    try:
        images = first_batches(batches.epoch(0))
        renew_statistics(trained.learner, images, options.device, options.precision)
    finally:
        batches.close()
    return {name: tensor.cpu() for name, tensor in trained.learner.state_dict().items()}


def _save(
    folder: RunFolder, kept: Sequence[_Member], weights: dict, told: dict, overrides: Sequence[str]
) -> None:
    """A run folder with one stage, finished, which train.py will not take for its own."""
    first = kept[0].trained
    stage, meta = first.stage, first.checkpoint.meta
    parts = [m.trained.checkpoint.weights_hash for m in kept]
    folder.stage(stage).mkdir(parents=True, exist_ok=True)
    checkpoint.write_json(folder.path / "soup.json", told)  # first: it marks the folder as ours
    changes = [*overrides, f"verify.stage={stage}"]
    recipe = renamed(first.folder, changes, folder)
    (folder.path / "recipe.yaml").write_text(to_yaml(recipe), encoding="utf-8")
    checkpoint.save(
        folder.stage(stage),
        weights,
        meta | {"metrics": {told["metric"]: told["value"]}, "soup": parts},
        {},
        best_step=meta["step"],
    )
    record = first.folder.read_stage(stage) or {"identity": {}}
    identity = record["identity"] | {"soup": parts}
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
    summary = first.folder.read_summary()["stages"].get(stage, {})
    checkpoint.write_json(
        folder.stage(stage) / "stage.json",
        {"hash": digest, "identity": identity, "finished": True},
    )
    checkpoint.write_json(folder.path / "best.json", {"stage": stage})
    checkpoint.write_json(
        folder.path / "summary.json",
        {
            "stages": {stage: summary | {told["metric"]: told["value"], "monitor": told["value"]}},
            "best": stage,
        },
    )
    place = environment(str(first.options.device), 1)
    checkpoint.write_json(folder.path / "environment.json", place)
