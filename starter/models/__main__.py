"""`python -m starter.models [NAME ...]` says what each backbone costs, for an image size."""

import argparse
import dataclasses
import json
import sys

from starter.cli import command


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m starter.models",
        description="What backbones cost: all of the kit's own, or those named (timm/NAME and "
        "path/to/net.py:Class too).",
        epilog="gmac: billions of multiply-adds an image. act MB: what the backward pass keeps an "
        "image in bf16. cnn: 'gate' marks gates on channels, which some graders count as "
        "attention.",
    )
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--image-size", type=int, default=112, help="pixels a side (112)")
    parser.add_argument("--channels", type=int, default=3, choices=(1, 3))
    parser.add_argument("--embedding", type=int, default=512, help="D, of the neck (512)")
    parser.add_argument("--classes", type=int, default=8631, help="K, of the class weights (8631)")
    parser.add_argument("--stem", default="auto", help="as model.stem")
    parser.add_argument("--measure", action="store_true", help="images/s too, on this machine")
    parser.add_argument("--json", action="store_true", help="a list of objects instead of a table")
    return parser.parse_args()


def main() -> int:
    arguments = _arguments()
    return command.run(lambda: print_costs(arguments))


def print_costs(arguments: argparse.Namespace) -> None:
    from starter.models.cost import Cost, Shape, cost, listed

    shape = Shape(arguments.image_size, arguments.channels, arguments.embedding, arguments.classes)
    costs: list[Cost] = []
    for name in listed(arguments.names):
        costs.append(cost(name, shape, measured=arguments.measure, stem=arguments.stem))
        if not arguments.json:
            if len(costs) == 1:
                print(_heading(arguments.measure))
            print(_line(costs[-1]), flush=True)
    if arguments.json:
        print(json.dumps([dataclasses.asdict(row) for row in costs], indent=1))


def _heading(measured: bool) -> str:
    rates = f" {'train/s':>8} {'infer/s':>8}" if measured else ""
    return (
        f"{'backbone':<20} {'stem':<7} {'parameters':>11} {'+ classes':>11} {'GMAC':>7} "
        f"{'act MB':>7}{rates}  cnn"
    )


def _line(cost) -> str:
    rates = f" {cost.train:>8,.0f} {cost.infer:>8,.0f}" if cost.train is not None else ""
    cnn = "no" if not cost.cnn_only else "yes, gate" if cost.gates else "yes"
    return (
        f"{cost.name:<20} {cost.stem:<7} {cost.parameters:>11,} {cost.with_classes:>11,} "
        f"{cost.gmac:>7.3f} {cost.activation_mb:>7.2f}{rates}  {cnn}"
    )


if __name__ == "__main__":
    sys.exit(main())
