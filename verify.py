"""Score a run's verification pairs and write its submission, or compare two pictures.

    python verify.py runs/demo
    python verify.py runs/hw2p2 submission.sample=sample_submission.csv verify.tta=[hflip]
    python verify.py runs/demo --pair a.jpg b.jpg
"""

import argparse
import json
import sys
from pathlib import Path

from starter import door


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=door.EXIT_CODES,
    )
    parser.add_argument("run", help="a run folder, e.g. runs/demo")
    parser.add_argument("changes", nargs="*", metavar="key=value", help="over the run's recipe")
    parser.add_argument("--stage", metavar="NAME", help="embed with this stage, not the best")
    parser.add_argument("--pair", nargs=2, metavar=("A", "B"), help="compare two pictures")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    return parser.parse_intermixed_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)

    def work() -> None:
        door.set_up_logging(quiet=bool(options.pair))
        from starter import workflow

        if options.pair:
            result = workflow.verify_pair(options.run, *options.pair, overrides=options.changes)
            text = answer(result)
        else:
            result = workflow.verify(options.run, overrides=options.changes, stage=options.stage)
            text = block(result, workflow.draw_report(options.run))
        print(json.dumps(result, indent=1) if options.json else text)

    return door.run(work)


def answer(result: dict) -> str:
    """Two pictures, in a line."""
    word = "same" if result["same"] else "different"
    return f"{word}: score {result['score']:.4f}, threshold {result['threshold']:.4f}"


def block(result: dict, report: Path | None) -> str:
    """What was reached and where it lies."""
    lines = [""]
    for name, stage in result["stages"].items():
        mark = " (embeds)" if name == result["stage"] else ""
        values = f"accuracy {door.percent(stage['accuracy'])}, EER {door.percent(stage['eer'])}"
        lines.append(f"{name:<12} {values}{mark}")
    if "val" in result:
        lines.append(f"{'validation':<12} {metrics(result['val'])}")
    if "held" in result:
        lines.append(f"{'held out':<12} {metrics(result['held'])}")
    lines += measured(result)
    for split in ("dev", "test"):
        if f"{split}_accuracy" in result:
            lines.append(f"{split:<12} accuracy {door.percent(result[f'{split}_accuracy'])}")
    if "answers" in result:
        answers = result["answers"]
        parts = [f"{key.upper() if key == 'eer' else key} {door.percent(value)}"
                 for key, value in answers.items() if key != "combined"]  # fmt: skip
        if "combined" in answers:
            parts.append(f"combined {answers['combined']:.4f}")
        lines.append(f"{'answers':<12} " + ", ".join(parts) + " (held back until now)")
    lines.append(f"{'classes':<12} {result['classes_from']}")
    if report:
        lines.append(f"{'report':<12} {report.as_posix()}")
    if result["submission"] is None:
        lines.append(f"{'submission':<12} none: the data has nothing to predict")
        return "\n".join(lines)
    checked = f", checked against {result['sample']}" if result["sample"] else ""
    lines.append(f"{'submission':<12} {result['submission']}: {result['rows']} rows{checked}")
    lines.append(f"{'files':<12} {result['run']}/ (recipe, checkpoints, metrics.jsonl, verify/)")
    lines.append(f"{'next':<12} python submit.py {result['run']} --dry-run")
    return "\n".join(lines)


def measured(result: dict) -> list[str]:
    """Accuracy over folds, retrieval and 1:N identification, each where there is one."""
    lines = []
    if "folds" in result:
        found = result["folds"]
        whose = "shuffled" if found["shuffled"] else "of the set"
        error = door.percent(found["standard_error"])
        lines.append(f"{'folds':<12} accuracy {door.percent(found['accuracy'])} +- {error} over "
                     f"{found['folds']} ({whose})")  # fmt: skip
    if "retrieval" in result:
        found = result["retrieval"]
        recall = ", ".join(f"@{k} {door.percent(v)}" for k, v in found["recall_at"].items())
        lines.append(f"{'retrieval':<12} recall{recall}, mAP@R {door.percent(found['map_at_r'])}")
    if "identification" in result:
        found = result["identification"]
        ranks = ", ".join(f"rank-{k} {door.percent(v)}" for k, v in found["cmc"].items())
        lines.append(f"{'1:N':<12} accuracy {door.percent(found['accuracy'])} (threshold fitted on "
                     f"the same {found['probes']} probes), {ranks or 'no rank'}")  # fmt: skip
    return lines


def metrics(found: dict) -> str:
    """EER with its interval, AUC and accuracy, in percent."""
    interval = found.get("intervals", {}).get("eer")
    spread = f" [{100 * interval[0]:.2f}, {100 * interval[1]:.2f}]" if interval else ""
    return (
        f"EER {door.percent(found['eer'])}{spread}, AUC {door.percent(found['auc'])}, "
        f"accuracy of same/different {door.percent(found['accuracy'])} on {found['pairs']} pairs"
    )


if __name__ == "__main__":
    sys.exit(main())
