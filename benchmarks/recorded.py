"""Record the JSON output of the commands, and compare it with a recording made before a change.

    python benchmarks/recorded.py record FOLDER
    python benchmarks/recorded.py compare FOLDER            # every value, apart from times, dates, paths and versions
    python benchmarks/recorded.py compare FOLDER --numbers  # the numbers alone: words may differ, others may be new

A recording holds the JSON of ``evaluate``, ``compare``, ``ablate`` of every loss and ``--conventions`` on the sample
and, where SEGABLATE_DATA names the real data, on eight images of CamVid; and saved runs, which ``compare`` also prints
with the program as it is now. Everything runs on the CPU in one thread. Takes about five minutes.
"""

import argparse
import contextlib
import io
import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.update(OMP_NUM_THREADS="1", COLUMNS="100")

from segablate.cli import run
from segablate.losses import loss_names

ROOT = Path(__file__).parents[1]
VARYING = ("time", "ms", "seconds", "date", "version", "path", "command", "created", "torch", "memory", "dominated")
"""Words in the keys of values that may differ between two runs of one program."""

DATE = re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d)?")

SLOW = {"dense_crf": ["--scale", "0.25"], "asl": ["--metric", "miou,biou,macc"]}
"""Fewer settings for the losses whose default sweep takes minutes."""


def commands(saved: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield name and words of every command; runs are saved to a folder."""
    for name in ("ce", "weighted", "rmi"):
        yield (
            f"evaluate-{name}",
            ["evaluate", f"sample:{name}", "--save", str(saved / name), "--tolerance", "1,3,0.0075d"],
        )
    yield "evaluate-losses", ["evaluate", "sample:ce", "--losses", "all", "--limit", "4"]
    yield "evaluate-details", ["evaluate", "sample:ce", "--details", "--limit", "8"]
    yield "evaluate-void", ["evaluate", "sample:ce", "--void-as-error"]
    yield "conventions", ["evaluate", "sample:ce", "--conventions"]
    yield "compare", ["compare", "sample:ce", "sample:weighted"]
    yield "compare-three", ["compare", "sample:ce", "sample:weighted", "sample:rmi", "--limit", "16"]
    yield "compare-runs", ["compare", str(saved / "ce"), str(saved / "rmi")]
    for name in loss_names():
        yield (
            f"ablate-{name}",
            ["ablate", name, "sample:ce", "sample", "--limit", "4", "--no-cost", *SLOW.get(name, [])],
        )
    yield "ablate-saved", ["ablate", "recall", "--limit", "8", "--no-cost", "--save", str(saved / "recall")]
    data = os.environ.get("SEGABLATE_DATA")
    if data is not None:
        yield from on_camvid(Path(data), saved)


def on_camvid(data: Path, saved: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield the commands on eight images of CamVid, with ESPNet under its authors' preprocessing."""
    espnet = (
        f"python:{ROOT / 'examples' / 'espnet.py'}:espnet(num_classes=12)@{data}/checkpoints/espnet_p_2_q_8_camvid.pth"
    )
    stated = ["--channels", "bgr", "--scale", "1", "--mean", "110.33102643,108.40886315,105.03319369"]
    stated += ["--std", "72.12571015,72.69074534,69.90434816", "--divisor", "255"]
    on = [espnet, f"camvid:{data}/camvid", *stated, "--limit", "8"]
    yield "camvid-evaluate", ["evaluate", *on, "--losses", "ce,bce,rmi,recall,cpg", "--save", str(saved / "espnet")]
    yield "camvid-conventions", ["evaluate", *on, "--conventions"]
    yield "camvid-flip", ["evaluate", *on, "--flip", "--save", str(saved / "flipped")]
    yield "camvid-compare", ["compare", str(saved / "espnet"), str(saved / "flipped")]
    for name in ("ce", "rmi", "recall", "cpg", "abl"):
        yield f"camvid-ablate-{name}", ["ablate", name, *on[:-1], "2", "--no-cost"]


def printing(saved: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield the commands that print saved runs."""
    for folder in sorted(path for path in saved.iterdir() if path.is_dir()):
        yield f"show-{folder.name}", ["show", str(folder)]
        kind = json.loads((folder / "run.json").read_text(encoding="utf-8")).get("kind", "evaluation")
        if kind == "evaluation":
            yield f"show-{folder.name}-conventions", ["show", str(folder), "--conventions"]
            yield f"show-{folder.name}-smp", ["show", str(folder), "--as", "smp"]


def printed(words: list[str]) -> Any:
    """Return the JSON that a command prints; exit where it fails."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run([*words, "--format", "json"])
    if code:
        raise SystemExit(f"segablate {' '.join(words)}\n{err.getvalue()}")
    return json.loads(out.getvalue())


def everything(folder: Path, saved: Path) -> None:
    """Run all commands and write their JSON to a folder."""
    folder.mkdir(parents=True)
    saved.mkdir(parents=True)
    os.environ["SEGABLATE_CACHE"] = str(folder / "cache")
    for name, words in commands(saved):
        keep(folder / f"{name}.json", words)
    for name, words in printing(saved):
        keep(folder / f"{name}.json", words)


def keep(file: Path, words: list[str]) -> None:
    print(file.stem, file=sys.stderr, flush=True)
    file.write_text(json.dumps(printed(words), indent=1, ensure_ascii=False), encoding="utf-8")


def leaves(value: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every value of a JSON document with its path, without those that may differ between two runs."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if not any(word in VARYING for word in key.lower().replace("_", " ").split()):
                yield from leaves(inner, f"{place}/{key}")
    elif isinstance(value, list):
        for name, inner in zip(row_names(value), value, strict=True):
            yield from leaves(inner, f"{place}/{name}")
    elif not (isinstance(value, str) and ("/" in value and Path(value.split("@")[-1]).is_absolute())):
        yield place, DATE.sub("DATE", value) if isinstance(value, str) else value


def row_names(rows: list[Any]) -> list[str]:
    """Name the rows of a table by their first text where that tells them apart, so that a further row moves none."""
    texts = [next((str(each) for each in row.values()), "") if isinstance(row, dict) else "" for row in rows]
    return texts if len(set(texts)) == len(texts) else [str(index) for index in range(len(rows))]


def differences(before: Any, after: Any, numbers: bool) -> list[str]:
    """Return the differences between two documents, one line each; with `numbers`, of the numbers that both hold."""
    old, new = dict(leaves(before)), dict(leaves(after))
    if numbers:
        old, new = ({place: value for place, value in each.items() if _is_number(value)} for each in (old, new))
    lines = [f"{place}: {old[place]} -> {new[place]}" for place in old if place in new and old[place] != new[place]]
    gone, come = ([place for place in one if place not in other] for one, other in ((old, new), (new, old)))
    lines += [f"{len(gone)} values are gone, such as {gone[0]}"] if gone else []
    return lines if numbers or not come else [*lines, f"{len(come)} values are new, such as {come[0]}"]


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def compare(folder: Path, numbers: bool) -> int:
    """Print how the output differs from a recording; return the number of documents that differ."""
    import tempfile

    differ = 0
    with tempfile.TemporaryDirectory() as place:
        everything(Path(place) / "now", Path(place) / "saved")
        again = Path(place) / "again"
        again.mkdir()
        for name, words in printing(folder / "saved"):
            keep(again / f"{name}.json", words)
        files = [*sorted((Path(place) / "now").glob("*.json")), *sorted(again.glob("*.json"))]
        for file in files:
            before = json.loads((folder / "now" / file.name).read_text(encoding="utf-8"))
            lines = differences(before, json.loads(file.read_text(encoding="utf-8")), numbers)
            differ += bool(lines)
            if lines:
                where = " (runs saved before)" if file.parent == again else ""
                print(f"{file.stem}{where}: {len(lines)} differ", *lines[:5], sep="\n    ")
        missing = {path.name for path in (folder / "now").glob("*.json")} - {file.name for file in files}
        for name in sorted(missing):
            print(f"{name}: not recorded any more")
        print(f"{len(files)} documents, {differ + len(missing)} differ")
    return differ + len(missing)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("record", "compare"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--numbers", action="store_true", help="compare numbers alone")
    given = parser.parse_args()
    if given.what == "record":
        everything(given.folder / "now", given.folder / "saved")
    else:
        sys.exit(bool(compare(given.folder, given.numbers)))
