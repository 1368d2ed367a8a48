"""A study's folder as starter.study leaves it, made of drawn numbers."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from tests.report.folders import write_rows

METRICS = ("accuracy", "eer", "auc")


def make_study(
    folder: Path,
    cells: dict[str, dict[str, object]],
    *,
    metric: str = "accuracy",
    seeds: int = 3,
    epochs: int = 4,
    **told,
) -> dict[str, np.ndarray]:
    """cells: variant -> its values of the varied keys. Returns variant -> value_SE of the metric.

    A run has two stages; the second goes on where the first ended.
    """
    rng = np.random.default_rng(0)
    keys = list(dict.fromkeys(key for varied in cells.values() for key in varied))
    drawn, rows = {}, []
    for i, (variant, varied) in enumerate(cells.items()):
        drawn[variant] = rng.uniform(0.3 + 0.02 * i, 0.5 + 0.02 * i, (seeds, 2 * epochs))
        for seed in range(seeds):
            run = folder / "runs" / f"v{i}-{seed}"
            curve_E = drawn[variant][seed]
            make_run(run, metric, curve_E)
            value = {name: "" for name in METRICS} | {metric: repr(float(curve_E[-1]))}
            cells_of = {"variant": variant, **{key: varied.get(key, "") for key in keys}}
            place = {"seed": seed, "run": run.as_posix(), "seconds": 10.5 + i}
            rows.append(cells_of | place | {"epochs_to_target": 3 + seed if i else ""} | value)
    pd.DataFrame(rows).to_csv(folder / "rows.csv", index=False)
    study = {"name": folder.name, "metric": metric, "higher_is_better": metric != "eer"}
    study |= {"target": 0.4, "variants": list(cells), "reported": dict.fromkeys(cells)}
    (folder / "study.json").write_text(json.dumps(study | told))
    return drawn


def make_run(run: Path, metric: str, curve_E: np.ndarray) -> None:
    run.mkdir(parents=True)
    (run / "recipe.yaml").write_text("name: a\nstages: {zz: {epochs: 4}, aa: {epochs: 4}}\n")
    for stage, part_E in zip(("zz", "aa"), np.split(curve_E, 2), strict=True):
        (run / stage).mkdir()
        rows = [
            {"kind": "epoch", "step": 10 * epoch, "epoch": epoch, "loss": 1.0, metric: float(value)}
            for epoch, value in enumerate(part_E, 1)
        ]
        write_rows(run / stage / "metrics.jsonl", rows)
