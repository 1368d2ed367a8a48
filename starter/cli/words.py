"""Numbers and tables as the commands print them."""

import json
from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")


def show(result: T, text: Callable[[T], str], as_json: bool) -> None:
    """Prints a command's result: JSON for a program, else as `text` puts it for a person."""
    print(json.dumps(result, indent=1) if as_json else text(result))


def percent(fraction: float | None) -> str:
    """A fraction in percent; a dash where it was not measured."""
    return "-" if fraction is None else f"{100 * fraction:.2f} %"


def decimal(value: float | None, digits: int = 4) -> str:
    """A number with fixed decimals; a dash where there is none."""
    return "-" if value is None else f"{value:.{digits}f}"


def columns(rows: Sequence[tuple[str, ...]]) -> str:
    """Rows of text as a table: the first column aligned left, the others right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if i else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def stage_table(summary: dict) -> str:
    """What `starter.train` returned, a line a stage; * marks the run's best."""
    rows: list[tuple[str, ...]] = [
        ("stage", "epochs", "minutes", "images/s", "accuracy", "EER", "AUC")
    ]
    for name, stage in summary["stages"].items():
        rows.append(
            (
                name + (" *" if name == summary.get("best") else ""),
                str(stage["epochs"]),
                f"{stage['seconds'] / 60:.1f}",
                f"{stage['images_per_second']:.0f}",
                *(percent(stage[key]) for key in ("accuracy", "eer", "auc")),
            )
        )
    return columns(rows)
