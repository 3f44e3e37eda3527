"""The code that checkpoints bring along, and who answers for it.

What the user types is trusted. Archives that are programs run only with ``--trust-code``. What a card names runs with
``--trust-code`` too, or once the card is trusted for good: a record keeps the SHA-256 of the card and of every file
that it runs, and code runs only from bytes with these hashes.
"""

import hashlib
import io
import json
import sys
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO

from segablate.errors import CheckpointError, SegablateError, at, shorten
from segablate.files import config_folder, fingerprint, write_atomically, writing
from segablate.runtime import team
from segablate.text_files import read_json
from segablate.user_modules import Check

FORMAT = 1


@dataclass(frozen=True)
class CardFile:
    """A card that names code: where it is, the SHA-256 of the bytes that were read, and the files it runs now."""

    path: Path
    digest: str
    code: tuple[Path, ...] = ()


def digest_of(data: bytes) -> str:
    """Return the SHA-256 of bytes, as 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def check_for(card: CardFile | None, trusted: bool) -> Check | None:
    """Return the check of the Python files that a card may run; None where all may run.

    `trusted`: whether ``--trust-code`` was given. Raises CheckpointError for a card that is not trusted.
    """
    if trusted or card is None:
        return None
    return partial(_check, card.path, _hashes(card))


def open_archive(path: Path, card: CardFile | None, trusted: bool, refusal: str) -> Path | BinaryIO:
    """Return what to load an archive that runs code from: its path, or the bytes that the user of its card trusted.

    Raises CheckpointError with the text `refusal` without trust, and where the archive has changed since.
    """
    if trusted:
        return path
    if card is None:
        with at(path):
            raise CheckpointError(refusal)
    hashes = _hashes(card)
    data = path.read_bytes()
    _check(card.path, hashes, path, data)
    return io.BytesIO(data)


def remember(card: CardFile, further: Iterable[Path] = ()) -> dict[str, str]:
    """Trust a card and the files it runs, as they are now; returns their SHA-256 by path.

    Files of an earlier record that are still there stay trusted, as they are now. Raises CheckpointError for files that
    cannot be read, and Unwritable for the record.
    """
    known = [Path(path) for path in _recorded(card.path) or {} if Path(path).is_file()]
    files = {_name(path): path for path in (*card.code, *further, *known)}
    hashes = {name: _digest(path) for name, path in sorted(files.items())}
    hashes[_name(card.path)] = card.digest
    record = _record(card.path)
    with writing(record):
        write_atomically(record, json.dumps({"format": FORMAT, "card": _name(card.path), "files": hashes}, indent=1))
    return hashes


def is_trusted(card: CardFile) -> bool:
    """Return whether a card and all files it runs are as they were when they were trusted."""
    recorded = _recorded(card.path)
    return recorded is not None and not _changed(card, recorded)


def _hashes(card: CardFile) -> Mapping[str, str]:
    """Return the hashes of the files that a card may run; asks on a terminal where one has changed.

    Raises CheckpointError for a card that was not trusted, or has changed and is not trusted again.
    """
    recorded = _recorded(card.path)
    if recorded is None:
        raise CheckpointError(
            f"{card.path} names code ({_named(card.code)}) and is not trusted; read it, then pass --trust-code for "
            f"once, or run: segablate checkpoints trust {card.path}"
        )
    changed = _changed(card, recorded)
    if not changed:
        return recorded
    if _asked(f"{shorten(changed, 8)} changed since {card.path} was trusted. Trust it as it is now?"):
        return remember(card)
    raise CheckpointError(
        f"{card.path}: {shorten(changed)} changed since it was trusted; read it, then pass --trust-code for once, or "
        f"run: segablate checkpoints trust {card.path}"
    )


def _changed(card: CardFile, recorded: Mapping[str, str]) -> list[str]:
    """Return the files that are other than recorded, the card first."""
    now = {_name(path): path for path in (*card.code, *map(Path, recorded))}
    changed = [] if recorded.get(_name(card.path)) == card.digest else [card.path.name]
    del now[_name(card.path)]
    return changed + [path.name for name, path in sorted(now.items()) if recorded.get(name) != _digest_or_none(path)]


def _check(card: Path, hashes: Mapping[str, str], path: Path, data: bytes) -> None:
    """Raise CheckpointError for a file whose bytes are not those that were trusted."""
    recorded = hashes.get(_name(path))
    if recorded == digest_of(data):
        return
    state = "is not among the files that were trusted" if recorded is None else "changed since it was trusted"
    raise CheckpointError(
        f"{card}: {path} {state}; read it, then pass --trust-code for once, or run: segablate checkpoints trust "
        f"{card}{f' {path}' if recorded is None else ''}"
    )


def _asked(question: str) -> bool:
    """Ask on a terminal; False where there is none, or several processes would ask."""
    if team().size > 1 or not (sys.stdin and sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    plain = "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in question)
    print(f"{plain} [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _recorded(card: Path) -> Mapping[str, str] | None:
    """Return the hashes by path that are recorded for a card; None where there is no whole record."""
    record = _record(card)
    if not record.is_file():
        return None
    try:
        found = read_json(record)
    except SegablateError:
        return None
    files = found.get("files") if isinstance(found, dict) and found.get("format") == FORMAT else None
    return files if isinstance(files, dict) and found.get("card") == _name(card) in files else None


def _record(card: Path) -> Path:
    return config_folder() / "trusted" / f"{digest_of(_name(card).encode('utf-8', 'surrogateescape'))}.json"


def _name(path: Path) -> str:
    return str(path.resolve())


def _named(code: Collection[Path]) -> str:
    return shorten([path.name for path in code]) or "of an installed package"


def _digest(path: Path) -> str:
    try:
        return fingerprint(path)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({(error.strerror or str(error)).lower()})") from None


def _digest_or_none(path: Path) -> str | None:
    return _digest(path) if path.is_file() else None
