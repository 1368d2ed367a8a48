"""Score a run's verification pairs and write its submission; combine runs; compare two pictures.

python verify.py runs/demo
python verify.py runs/hw2p2 submission.sample=sample_submission.csv verify.tta=[hflip]
python verify.py runs/a runs/b --out runs/ab --fusion weighted
python verify.py runs/a/classify runs/a/finetune --out runs/soup --fusion soup
python verify.py runs/demo --pair a.jpg b.jpg
"""

import argparse
import json
import sys
from pathlib import Path

from starter.cli import command, logs, words

FUSIONS = ("mean", "weighted", "concat")


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=command.EXIT_CODES,
    )
    parser.add_argument("runs", nargs="+", metavar="RUN", help="run folders, e.g. runs/demo")
    parser.add_argument("changes", nargs="*", metavar="key=value", help="over each run's recipe")
    parser.add_argument("--out", metavar="DIR", help="the folder of several runs' result")
    parser.add_argument(
        "--fusion",
        choices=FUSIONS,
        help="of several runs: mean of z-scored "
        "cosines (default), weighted by the validation pairs, concat of embeddings "
        "of length 1",
    )
    parser.add_argument("--stage", metavar="NAME", help="embed with this stage, not the best")
    parser.add_argument("--pair", nargs=2, metavar=("A", "B"), help="compare two pictures")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    options = parser.parse_intermixed_args(arguments)
    given = options.runs + options.changes  # argparse gives all of them to the first
    options.changes = [text for text in given if is_change(text)]
    options.runs = [text for text in given if text not in options.changes]
    if not options.runs:
        parser.error("name a run folder")
    if (len(options.runs) > 1) != bool(options.out) or (options.fusion and not options.out):
        parser.error("--out goes with several runs, and --fusion with --out")
    if options.pair and options.out:
        parser.error("--pair is of one run or fusion")
    return options


def is_change(text: str) -> bool:
    """Whether it changes the recipe; else it names a run."""
    return ("=" in text and not Path(text).is_dir()) or text.endswith((".yaml", ".yml"))


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)

    def work() -> None:
        logs.set_up_logging(quiet=bool(options.pair))
        from starter import api

        if options.pair:
            result = api.verify_pair(options.runs[0], *options.pair, overrides=options.changes)
            text = answer(result)
        else:
            more = {"overrides": options.changes, "stage": options.stage}
            if options.out:
                kind = options.fusion or FUSIONS[0]
                result = api.fuse(options.runs, options.out, kind, **more)
            else:
                result = api.verify(options.runs[0], **more)
            text = block(result, api.draw_report(result["run"]))
        print(json.dumps(result, indent=1) if options.json else text)

    return command.run(work)


def answer(result: dict) -> str:
    """Two pictures, in a line."""
    word = "same" if result["same"] else "different"
    sure = f"probability of the same {words.percent(result['probability'])}"
    return f"{word}: score {result['score']:.4f}, threshold {result['threshold']:.4f}, {sure}"


def block(result: dict, report: Path | None) -> str:
    """What was reached and where it lies."""
    from starter.cli.verify_text import fused, measured, metrics

    lines = ["", *fused(result)]
    for name, stage in result["stages"].items():
        mark = " (embeds)" if name == result["stage"] else ""
        values = f"accuracy {words.percent(stage['accuracy'])}, EER {words.percent(stage['eer'])}"
        lines.append(f"{name:<12} {values}{mark}")
    if "val" in result:
        lines.append(f"{'validation':<12} {metrics(result['val'])}")
    if "held" in result:
        lines.append(f"{'held out':<12} {metrics(result['held'])}")
    lines += measured(result)
    for split in ("dev", "test"):
        if f"{split}_accuracy" in result:
            lines.append(f"{split:<12} accuracy {words.percent(result[f'{split}_accuracy'])}")
    if "answers" in result:
        answers = result["answers"]
        parts = [
            f"{key.upper() if key == 'eer' else key} {words.percent(value)}"
            for key, value in answers.items()
            if key != "combined"
        ]
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


if __name__ == "__main__":
    sys.exit(main())
