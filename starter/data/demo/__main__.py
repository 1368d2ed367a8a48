"""Draw the built-in competition.

python -m starter.data.demo --root data/demo
python -m starter.data.demo --root data/big --identities 1000 --image_size 112
"""

import argparse
import sys

from pydantic import ValidationError

from starter.cli import command
from starter.data.demo import answers_of, ensure_demo
from starter.errors import UserError
from starter.recipe.schema.data import DemoSection


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m starter.data.demo",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--root", required=True, help="the folder to make")
    for name, field in DemoSection.model_fields.items():
        spellings = f"--{name}", f"--{name.replace('_', '-')}"
        text = f"{field.description} (default {field.default})"
        parser.add_argument(*spellings, type=int, default=field.default, metavar="N", help=text)
    options = vars(parser.parse_args(arguments))
    root = options.pop("root")

    def work() -> None:
        try:
            section = DemoSection(**options)
        except ValidationError as error:
            first = error.errors()[0]
            raise UserError(f"--{first['loc'][0]}: {first['msg']}") from None
        place = ensure_demo(section, root)
        print(f"competition: {place}\nanswers:     {answers_of(place)}")

    return command.run(work)


if __name__ == "__main__":
    sys.exit(main())
