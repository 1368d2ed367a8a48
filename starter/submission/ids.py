"""The ids of submissions: file names, pairs of them, row numbers. Always text."""

from collections.abc import Callable, Iterable, Iterator, Sequence


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


SPOILED: dict[str, Callable[[str], str]] = {  # of one of the words of an id
    "a folder in front of the file names": bare,
    "case": str.lower,
    "real numbers (3.0 for 3)": lambda word: word.removesuffix(".0"),
    "an ending such as .jpg on one side only": stem,
    "leading zeros lost: read ids as text": lambda word: stem(word).lstrip("0"),
}


def difference(ids: Iterable[str], known: Iterable[str]) -> str:
    """`; they differ by ...`: how ids that match no known one were probably spoiled, or nothing."""
    ids, known = set(ids), set(known)
    if {name.strip() for name in ids} & {name.strip() for name in known}:
        return "; they differ by spaces around the ids"
    for reason, simplify in SPOILED.items():
        simple_ids, simple_known = (
            {" ".join(map(simplify, name.split())) for name in names} for names in (ids, known)
        )
        if simple_ids & simple_known:
            return f"; they differ by {reason}"
    if {frozenset(name.split()) for name in ids} & {frozenset(name.split()) for name in known}:
        return "; they differ by the order of the two names"
    return ""
