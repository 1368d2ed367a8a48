"""What the doors do, callable from a notebook: train(recipe), verify(run), fuse(runs, out),
verify_pair(run, a, b), submit(run), find_lr(recipe) and draw_report(run)."""

import logging
from collections.abc import Sequence
from pathlib import Path

from starter import files, submission
from starter.data import Catalog, load_catalog, resolve_root
from starter.data.demo import score
from starter.errors import UserError
from starter.hooks.report import draw_report
from starter.inference.embedded import check_parameters, write_embedded
from starter.inference.fuse import Kind, fuse_runs
from starter.inference.measure import Measured, check_threshold, measure
from starter.inference.open_stage import embed_run, open_run
from starter.inference.pair import verify_pair
from starter.kaggle.leaderboard import submit
from starter.metrics import combined, evaluate
from starter.recipe import to_yaml
from starter.recipe.schema import Recipe
from starter.runs.folder import RunFolder
from starter.runs.provenance import environment
from starter.runs.records import Summary
from starter.runs.result import Answers, Nobody, Result, Submission
from starter.stages import find_lr as range_test
from starter.stages import train as stages
from starter.stages.answer import answers_of, fit_nobody, sample_of, word_for_nobody
from starter.submission.handin import write_submission
from starter.training.resolve import resolve

log = logging.getLogger(__name__)

__all__ = ["draw_report", "find_lr", "fuse", "submit", "train", "verify", "verify_pair"]


def train(recipe: Recipe, *, stage: str | None = None, fresh: str | None = None) -> Summary:
    """Runs every stage of the recipe (or `stage` alone) that is not finished; arguments and errors
    as of `stages.train.train`.

    Returns:
        The record in runs/<name>/summary.json.
    """
    return stages.train(resolve(recipe), stage=stage, fresh=fresh)


def find_lr(recipe: Recipe, stage: str | None = None) -> dict:
    """The learning-rate range test of a stage; as `stages.find_lr.find_lr`."""
    return range_test.find_lr(resolve(recipe), stage)


def verify(
    run: str | Path,
    *,
    overrides: Sequence[str] = (),
    stage: str | None = None,
    trust: bool = False,
) -> Result:
    """Scores a run's pairs and writes its submission.

    Args:
        run: a run folder, or a stage of one (runs/demo/classify).
        overrides: key=value over the run's recipe, e.g. submission.sample=...
        stage: embed with this stage; else `verify.stage`, else the run's best.
        trust: take the user's own files though their text is another than the stage's.
    Returns:
        The result, also in runs/<name>/verify/result.json.
    Raises:
        UserError: no finished stage, other classes, a damaged checkpoint, a FAR that the labelled
            pairs cannot tell, more parameters than the rules allow; a sample of the recipe that
            asks for what the run cannot answer: no submission is written then, but the result is.
    """
    folder, recipe, stage = open_run(run, overrides, stage)
    catalog = load_catalog(recipe.data)
    check_threshold(recipe, catalog)
    word = word_for_nobody(recipe, catalog)
    embedded = embed_run(folder, recipe, stage, catalog, trust=trust, unknown=word is not None)
    check_parameters(recipe, embedded.networks)
    measured = measure(folder, recipe, catalog, embedded, folder.read_summary().stages)
    nobody = None if word is None else fit_nobody(catalog, measured.classes, word)
    return _hand_in(folder, recipe, catalog, measured, nobody)


def fuse(
    runs: Sequence[str | Path],
    out: str | Path,
    kind: Kind = "mean",
    *,
    overrides: Sequence[str] = (),
    stage: str | None = None,
    trust: bool = False,
) -> Result:
    """Makes one result of several runs.

    Args:
        runs: run folders, or stages of them (runs/a/classify).
        out: the folder of the result: new, or an earlier fusion's.
        kind: mean of z-scored cosines, weighted mean with weights fitted on the validation pairs,
            or concat (plain mean of cosines).
        overrides, stage, trust: of every run, as `verify`.
    Returns:
        The result, as `verify` gives it, with `fusion`.
    Raises:
        UserError: the runs are of other data, have too many parameters together, or `out` is a
            run; as `verify`.
    """
    folder, recipe, catalog, embedded = fuse_runs(runs, out, kind, overrides, stage, trust)
    assert embedded.source.fusion is not None
    embedded.source.fusion.write(folder.fusion)
    files.write_text(folder.recipe, to_yaml(recipe))
    environment("none: embeddings were combined", 1).write(folder.environment)
    Summary(stages={}, best=None).write(folder.summary)
    write_embedded(folder.embeddings(), "a fusion", embedded, catalog)
    return _hand_in(folder, recipe, catalog, measure(folder, recipe, catalog, embedded, {}))


def _hand_in(
    folder: RunFolder,
    recipe: Recipe,
    catalog: Catalog,
    measured: Measured,
    nobody: Nobody | None = None,
) -> Result:
    """Writes the result, then the submission where there is anything to answer, then the result
    with it. What nobody asked for in so many words and cannot be written is warned of."""
    result = measured.result
    result.write(folder.result)
    test_M = catalog.index("test")
    ranked = submission.Ranked(*measured.classes.ranked(test_M)) if len(test_M) else None
    scores, below = measured.scores.get("test", ()), None if nobody is None else nobody.threshold
    answers = answers_of(catalog, ranked, scores, measured.match_of_face, below)
    if not answers:
        return result
    try:
        written = _write(folder, recipe, catalog, answers)
        written = written.model_copy(update={"nobody": nobody})
    except UserError as error:
        if recipe.submission.sample is not None:
            raise
        log.warning("no submission is written: %s", error)
        return result
    demo = None
    if recipe.data.demo is not None:
        demo = _answer_demo(folder.submission, resolve_root(recipe.data))
    result = result.model_copy(update={"submission": written, "answers": demo})
    result.write(folder.result)
    return result


def _write(
    folder: RunFolder, recipe: Recipe, catalog: Catalog, answers: submission.Answers
) -> Submission:
    """The submission, and what the other samples of the set ask for."""
    sample = sample_of(recipe, catalog)
    table = write_submission(folder.submission, sample, recipe.submission.format, answers)
    for other in catalog.samples:
        if sample is None or not other.samefile(sample):
            _also_write(folder, other, recipe.submission.format, answers)
    return Submission(
        csv=folder.submission.as_posix(),
        rows=len(table.rows),
        sample=None if sample is None else sample.as_posix(),
        note=table.note,
    )


def _also_write(
    folder: RunFolder, sample: Path, format: str | None, answers: submission.Answers
) -> None:
    """What another sample of the set asks for; where it cannot be answered, a warning says why."""
    path = folder.other_submission(sample.stem)
    try:
        write_submission(path, sample, format, answers)
    except UserError as error:
        log.warning("%s is not answered: %s", sample, error)
    else:
        log.info("as %s asks: %s", sample.name, path.as_posix())


def _answer_demo(csv: Path, root: Path) -> Answers:
    """The score on the held-back answers of the built-in competition."""
    compared = score(csv, root)
    accuracy = eer = None
    if compared.predicted_M is not None:
        accuracy = float((compared.predicted_M == compared.label_M).mean())
    if compared.score_P is not None and compared.same_P is not None:
        eer = evaluate(compared.score_P, compared.same_P)["eer"]
    return Answers(accuracy=accuracy, eer=eer, combined=combined(accuracy, eer))
