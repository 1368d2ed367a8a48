"""The hand-in: one zip with what a grader asks for, and nothing that should stay at home."""

import json
from pathlib import Path

from starter.errors import UserError
from starter.files import read_json, replacing
from starter.inference.open_stage import open_stage
from starter.models.rules import check_rules, count_parameters
from starter.recipe import load
from starter.recipe.schema import Recipe
from starter.runs.folder import RunFolder
from starter.submission.code_files import code_files, own_files, refuse_secrets, write_zip
from starter.submission.facts import Local, facts
from starter.submission.handin import checked

MEASURED = {
    "accuracy": "accuracy of the classes",
    "eer": "EER of the pairs",
    "combined": "combined",
}
README = """\
# {run}

What I did, in a paragraph: TODO

## Results

| | value |
|---|---|
{results}

Public and private score on Kaggle: TODO (`python submit.py ledger`)

## How to run it

    python -m venv .venv && .venv/bin/python -m pip install -r requirements.txt -c constraints.txt
    .venv/bin/python train.py recipe.yaml data.root=WHERE_THE_DATA_LIES
    .venv/bin/python verify.py runs/{run}

in the folder `code/`, with `recipe.yaml` copied there. Trained at commit {commit}{changed},
seed {seed}, on {device}.

## What is here

| | |
|---|---|
| `code/` | everything that was run; the data is not included |
| `recipe.yaml` | every setting of the run, defaults written out |
| `model.json`, `model.txt` | trainable parameters ({parameters:,}), the printed architecture |
| `metrics/` | the history of each stage, a JSON object per line |
| `submission.csv` | as handed in |

## Experiments

What I tried, what helped, what did not: TODO

## Sources

Built on a public starter kit (see `code/LICENSE`). Papers, other code, people I worked with: TODO
"""


def package(run: str | Path, *, out: str | Path | None = None) -> dict:
    """Makes the zip to hand in of a run.

    Args:
        out: the zip; else <run>/<name>_handin.zip.
    Returns:
        zip, files, bytes, trainable_parameters.
    Raises:
        UserError: no checked submission of these weights, a secret, data among the code, or a
            fusion of runs.
    """
    folder = RunFolder.existing(run)
    fusion = folder.read_fusion()
    if fusion is not None:
        names = ", ".join(member.run for member in fusion.members)
        raise UserError(
            f"{folder.path} is a fusion and holds no network of its own: package its runs ({names})"
        )
    checked(folder.path)
    target = Path(out) if out else folder.handin
    if target.suffix != ".zip" or target.is_dir():
        raise UserError(f"--out {target}: give the name of a .zip file")
    files = {f"code/{path}": content for path, content in code_files().items()}
    recipe = load(folder.recipe, [])
    files |= {f"code/{path}": content for path, content in own_files(recipe).items()}
    files |= _history(folder)
    model, printed = _model(folder, recipe)
    files["model.json"] = (json.dumps(model, indent=1) + "\n").encode()
    files["model.txt"] = printed.encode()
    files["README.md"] = _readme(folder, recipe, model).encode()
    refuse_secrets(files)
    target.parent.mkdir(parents=True, exist_ok=True)
    with replacing(target) as file:
        write_zip(file, {f"{folder.name}/{path}": content for path, content in files.items()})
    return {
        "zip": target.as_posix(),
        "files": len(files),
        "bytes": target.stat().st_size,
        "trainable_parameters": model["trainable_parameters"],
    }


def _history(folder: RunFolder) -> dict[str, bytes]:
    """Recipe, metrics of the finished stages, what was measured, the submission."""
    needed = (folder.recipe, folder.summary, folder.environment, folder.submission)
    wanted = {path.name: path for path in needed} | {"verify.json": folder.result}
    for stage in folder.read_summary().stages:
        wanted[f"metrics/{stage}.jsonl"] = folder.stage(stage).metrics
    for path in wanted.values():
        if not path.is_file():
            raise UserError(f"{path} is missing; run train.py and verify.py to their ends first")
    if folder.code_difference.is_file():
        wanted[folder.code_difference.name] = folder.code_difference
    return {name: path.read_bytes() for name, path in wanted.items()}


def _model(folder: RunFolder, recipe: Recipe) -> tuple[dict, str]:
    """model.json's content, and the architecture as torch prints it."""
    result = folder.read_result()
    stage = result.stage if result else folder.read_best()
    assert stage is not None, "its submission was checked"
    trained = open_stage(folder, recipe, stage)
    embedder = trained.learner.embedder
    terms = list(trained.learner.objective.terms.values())
    model = {
        "trainable_parameters": count_parameters([embedder, *terms]),
        "parameters_of": {
            "backbone": count_parameters([embedder.backbone]),
            "neck": count_parameters([embedder.neck]),
            "heads": count_parameters(terms),
        },
        "rules": check_rules(embedder, terms, recipe.rules),
        "pretrained": recipe.model.pretrained,
        "backbone": recipe.model.backbone,
        "embedding": recipe.model.embedding,
        "preprocessing": embedder.preprocessing.to_dict(),
        "stage": trained.stage,
        "weights_sha256": trained.checkpoint.weights_hash,
    }
    return model, f"{trained.learner}\n"


def _readme(folder: RunFolder, recipe: Recipe, model: dict) -> str:
    known = facts(folder)
    local = dict(known.local or Local())
    rows = []
    for key, label in MEASURED.items():
        if local.get(key) is not None:
            interval = local.get(f"{key}_interval")
            spread = f" [{interval[0]:.4f}, {interval[1]:.4f}]" if interval else ""
            rows.append(f"| {label}, validation | {local[key]:.4f}{spread} |")
    environment = read_json(folder.environment)
    commit = known.commit or "unknown"
    return README.format(
        run=known.run,
        results="\n".join(rows) or "| TODO | |",
        commit=commit.rstrip("+")[:12],
        changed=" with the changes in code.diff" if commit.endswith("+") else "",
        seed=recipe.seed,
        device=environment.get("device", "unknown"),
        parameters=model["trainable_parameters"],
    )
