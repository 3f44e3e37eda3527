"""``--flip`` without a value, which is horizontal, and ``--no-flip``."""

from collections.abc import Sequence

VALUES = ("horizontal", "vertical", "both", "none")


def with_flip_values(words: Sequence[str]) -> list[str]:
    """Return a command line in which ``--flip`` has a value; ``--flip`` of ``train`` is a chance, and left alone."""
    if not words or words[0] == "train":
        return list(words)
    end = words.index("--") if "--" in words else len(words)
    valued = {"--no-flip": "--flip=none"}
    found = []
    for place, word in enumerate(words[:end]):
        following = words[place + 1] if place + 1 < end else ""
        found.append("--flip=horizontal" if word == "--flip" and following not in VALUES else valued.get(word, word))
    return [*found, *words[end:]]
