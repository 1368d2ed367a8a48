"""`python -m starter.losses` prints every loss: formula, defaults, parameters, paper."""

import argparse
import json
import sys
import textwrap
from typing import Any

import torch

from starter.cli import command, words
from starter.losses import LOSSES, build, options_of

SIZES = {7: "K", 5: "D", 3: "C"}  # of the losses built to see their parameters
WIDTHS = {"kind": 16, "formula": 44, "defaults": 34, "parameters": 18, "paper": 26}


def table() -> list[dict[str, Any]]:
    """A row per kind: formula, defaults by key, shapes of parameters and of buffers, paper."""
    rows = []
    for kind, loss in LOSSES.items():
        term = build(kind, embedding=5, classes=7, class_count_K=torch.ones(7))
        rows.append(
            {
                "kind": kind,
                "formula": loss.formula,
                "defaults": {n: f.default for n, f in options_of(loss).model_fields.items()},
                "parameters": {name: _shape(p) for name, p in term.named_parameters()},
                "buffers": {name: _shape(b) for name, b in term.named_buffers()},
                "paper": loss.paper,
            }
        )
    return rows


def _shape(tensor: torch.Tensor) -> str:
    return f"({', '.join(SIZES[size] for size in tensor.shape)})"


def as_text(rows: list[dict[str, Any]]) -> str:
    """Aligned columns, wrapped."""
    lines = [
        _line({name: [name] for name in WIDTHS}),
        _line({n: ["-" * WIDTHS[n]] for n in WIDTHS}),
    ]
    for row in rows:
        state = [f"{name} {shape}" for name, shape in row["parameters"].items()]
        state += [f"{name} {shape} (buffer)" for name, shape in row["buffers"].items()]
        cells = {
            "kind": row["kind"],
            "formula": row["formula"],
            "defaults": ", ".join(f"{name} {json.dumps(v)}" for name, v in row["defaults"].items()),
            "parameters": ", ".join(state) or "none",
            "paper": row["paper"],
        }
        wrapped = {name: textwrap.wrap(text, WIDTHS[name]) for name, text in cells.items()}
        lines += [_line(wrapped), ""]
    return "\n".join(lines)


def _line(cells: dict[str, list[str]]) -> str:
    height = max(len(cell) for cell in cells.values())
    return "\n".join(
        "  ".join(
            (cell[i] if i < len(cell) else "").ljust(WIDTHS[name]) for name, cell in cells.items()
        ).rstrip()
        for i in range(height)
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m starter.losses", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON")
    as_json = parser.parse_args().json
    return command.run(lambda: words.show(table(), as_text, as_json))


if __name__ == "__main__":
    sys.exit(main())
