"""Standard output that is full, closed or of another encoding, and names that no encoding has."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import write_dataset

from segablate.cli import run
from segablate.files import Unwritable
from segablate.render.cells import one_line

FULL = Path("/dev/full")
PROGRAM = [sys.executable, "-m", "segablate"]
NOT_UTF8 = "a\udcff"
"""A name with the byte FF in it, as Python has it."""

needs_full = pytest.mark.skipif(not FULL.exists(), reason="there is no /dev/full")


@needs_full
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("arguments", ["--version", "--help", "losses list --format json", "losses show rmi"])
def test_a_full_disk_under_standard_output_is_one_line(arguments: str, unbuffered: str) -> None:
    with FULL.open("w") as full:
        found = subprocess.run(
            [*PROGRAM, *arguments.split()],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
        )
    assert found.returncode == 1
    expected = "error: standard output cannot be written: no space left on device; make room, or write elsewhere\n"
    assert found.stderr == expected


@needs_full
def test_what_was_made_before_the_disk_was_full_is_kept(tmp_path: Path) -> None:
    (write_dataset(tmp_path / "toy") / "dataset.yaml").unlink()
    with FULL.open("w") as full:
        found = subprocess.run([*PROGRAM, "datasets", "init", str(tmp_path / "toy")], stdout=full, check=False)
    assert found.returncode == 1
    assert (tmp_path / "toy/dataset.yaml").is_file()


def test_a_reader_that_has_enough_is_told_nothing() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    found = subprocess.run([*PROGRAM, "losses", "list"], stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)
    assert (found.returncode, found.stderr) == (141, b"")


def test_a_closed_standard_output_is_no_error() -> None:
    found = subprocess.run(["sh", "-c", '"$@" >&-', "sh", *PROGRAM, "--version"], stderr=subprocess.PIPE, check=False)
    assert (found.returncode, found.stderr) == (0, b"")


def test_characters_that_the_encoding_lacks_are_written_as_escapes() -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "latin-1"}
    found = subprocess.run([*PROGRAM, "losses", "show", "rmi"], capture_output=True, env=environment, check=False)
    assert (found.returncode, found.stderr) == (0, b"")
    assert b"\\u" in found.stdout


def test_names_that_are_not_utf8_are_evaluated_and_printed(
    toy: Path, network_spec: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder in ("images", "labels"):
        (toy / folder / "val/s1.png").rename(toy / folder / f"val/{NOT_UTF8}.png")
    data, saved = toy.rename(tmp_path / NOT_UTF8), tmp_path / "run"
    assert run(["evaluate", network_spec, f"folder:{data}", "--workers", "0", "--details", "--save", str(saved)]) == 0
    assert "a\\udcff" in capsys.readouterr().out
    for format in ("rich", "markdown", "latex", "csv", "json"):
        assert run(["show", str(saved), "--details", "--format", format]) == 0
        assert capsys.readouterr().out.encode()
    dataset = json.loads((saved / "summary.json").read_bytes())["facts"]["dataset"]
    assert NOT_UTF8 in dataset


def test_one_line_of_a_name() -> None:
    assert one_line(f" {NOT_UTF8}\n\x1b[31mb\t") == "a\\udcff [31mb"


def test_the_end_of_a_file_is_no_interruption(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise EOFError("a bug")

    monkeypatch.setattr("segablate.tables.runs.runs_report", fail)
    with pytest.raises(EOFError, match="a bug"):
        run(["runs"])


@pytest.mark.parametrize("words", [["evaluate"], ["compare"], ["ablate", "focal", "--gamma", "0,2"]])
def test_what_was_measured_is_printed_where_a_page_cannot_be_written(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*given: object) -> None:
        raise Unwritable("page.html: cannot be written (no space left on device); choose another place")

    monkeypatch.setattr("segablate.report.making.make_page", full)
    assert run([*words, "--limit", "5", "--report", str(tmp_path / "page.html"), "--format", "json"]) == 1
    printed = capsys.readouterr()
    assert json.loads(printed.out)["tables"]
    assert printed.err == "error: page.html: cannot be written (no space left on device); choose another place\n"
