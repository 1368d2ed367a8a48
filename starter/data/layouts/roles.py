"""Which table of a folder plays which part: train rows, test rows, sample submission."""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from starter.data.catalog import TRAIN
from starter.data.layouts.disk import some
from starter.data.layouts.images import Files
from starter.data.layouts.pixels import pixel_columns
from starter.data.layouts.tables import (
    PROBE,
    Columns,
    Table,
    image_columns,
    joined,
    read_table,
    recognise_columns,
)
from starter.errors import UserError

# How the names of tables of train rows begin, the likeliest first; any other name comes last.
TRAIN_TABLES = ("train", "label", "metadata")


def sample_tables(files: Files) -> list[Table]:
    """The sample submissions, the one named shortest first."""
    names = sorted(filter(is_sample, files.tables), key=lambda name: (len(_stem(name)), name))
    return [read_table(files.root / name) for name in names]


def pixel_tables(files: Files, file: str | None) -> tuple[Path, Path | None] | None:
    """The tables of train and of test rows whose columns are pixels; None where there are none."""
    if files.images:
        return None
    holding = [name for name in files.tables if name.lower().endswith(".csv")]
    holding = [n for n in holding if pixel_columns(read_table(files.root / n, most=0).header)]
    trains = [name for name in holding if name == file or not (file or is_test(name))]
    tests = [name for name in holding if is_test(name)]
    if len(trains) > 1 or len(tests) > 1:
        names = some(trains if len(trains) > 1 else tests)
        raise UserError(
            f"data.options.file: {files.root} has several tables of pixels ({names}); set "
            "data.root to a folder that holds one for training"
        )
    return (files.root / trains[0], files.root / tests[0] if tests else None) if trains else None


def find_train(
    files: Files,
    samples: Sequence[Table],
    file: str | None,
    given: dict[str, str | None],
    delimiter: str | None = None,
) -> tuple[Table, Columns]:
    """The table of train rows and what its columns are.

    Raises:
        UserError: no table fits, several do, or a column that the recipe names is not there.
    """
    if file is not None:
        if not (files.root / file).is_file():
            raise UserError(
                f"data.options.file: no file {files.root / file}; {files.root} holds "
                f"{some(files.tables)}"
            )
        table = read_table(files.root / file, delimiter)
        return table, recognise_columns(table, samples, files, given)
    named = [name for name in files.tables if not (is_sample(name) or is_test(name))]
    reasons = []
    for word in (*TRAIN_TABLES, ""):
        group = [name for name in named if _stem(name).startswith(word)]
        named = [name for name in named if name not in group]
        tables = []
        for name in group:
            try:
                probe = read_table(files.root / name, delimiter, PROBE)
                if given["path"] in probe.header or image_columns(probe, files, TRAIN):
                    tables.append(read_table(files.root / name, delimiter))
                else:
                    reasons.append(f"{name} has no column that names images")
            except UserError as error:
                reasons.append(str(error))
        if tables:
            return _one_table(tables, samples, files, given)
    raise UserError(_nothing_fits(files, reasons))


def _one_table(
    tables: list[Table], samples: Sequence[Table], files: Files, given: dict[str, str | None]
) -> tuple[Table, Columns]:
    """Tables with the same part to play as one, where they agree."""
    if len(tables) == 1:
        return tables[0], recognise_columns(tables[0], samples, files, given)
    key = given["path"] or image_columns(tables[0], files, TRAIN)[0]
    if not all(key in table.header for table in tables):
        names = some(str(table.path.relative_to(files.root)) for table in tables)
        raise UserError(
            f"data.options.file: {files.root} has {len(tables)} tables of images; name one: {names}"
        )
    table = joined(tables, key)
    return table, recognise_columns(table, samples, files, given)


def _nothing_fits(files: Files, reasons: list[str]) -> str:
    packed = [name for name in files.others if name.endswith((".zip", ".7z", ".tar", ".gz"))]
    hint = f"; {some(packed)} may hold the images: unpack it" if packed and not files.images else ""
    why = f" ({some(reasons, 3)})" if reasons else f"; it holds {some(files.tables)}"
    return (
        f"data.options: {files.root} has no table of images with a column of their names and one "
        f"of classes{why}{hint}. Name them: data.options.file=... path=... label=..."
    )


def _stem(name: str) -> str:
    return PurePosixPath(name).stem.lower()


def is_sample(name: str) -> bool:
    return _stem(name).startswith(("sample", "submission"))


def is_test(name: str) -> bool:
    return _stem(name).startswith("test")
