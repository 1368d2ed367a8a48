"""The ids of submissions: file names, pairs of them, row numbers. Always text."""

from collections.abc import Iterator, Sequence


def bare(name: str) -> str:
    """A file's name without its folders, whichever way the slashes lean."""
    return name.strip().replace("\\", "/").rsplit("/", 1)[-1]


def stem(name: str) -> str:
    """A file's bare name without its ending: "images/0.jpg" -> "0"."""
    return bare(name).rsplit(".", 1)[0]


def is_number(text: str) -> bool:
    """Whether the text is a whole number in plain digits."""
    return text.isascii() and text.isdigit()


def pair_keys(text: str) -> Iterator[str]:
    """The ways an id may name a pair: as it stands, then its two words without their folders."""
    yield text
    words = text.split()
    if len(words) == 2:
        yield f"{bare(words[0])} {bare(words[1])}"


def first_five(items: Sequence[str]) -> str:
    """The first five of many, for a message."""
    more = f" and {len(items) - 5} more" if len(items) > 5 else ""
    return ", ".join(items[:5]) + more
