"""Options of a command in a YAML file are checked as the command line is, which overrides them."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from segablate.cli import run


def written(folder: Path, **options: Any) -> str:
    path = folder / "run.yaml"
    path.write_text(yaml.safe_dump(options))
    return str(path)


def printed(capsys: pytest.CaptureFixture[str], *command: str) -> dict[str, Any]:
    assert run([*command, "--format", "json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_file_is_what_the_command_line_would_be(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = {"checkpoint": "sample:weighted", "tolerance": [2, "0.01d"], "limit": 2, "calibration": False}
    options |= {"void_as_error": True, "losses": None}
    found = printed(capsys, "evaluate", "--config", written(tmp_path, **options))
    line = ["sample:weighted", "--tolerance", "2,0.01d", "--limit", "2", "--no-calibration", "--void-as-error"]
    assert found == printed(capsys, "evaluate", *line, "--no-cache")


def test_the_command_line_overrides_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = written(tmp_path, checkpoint="sample:weighted", limit=2)
    found = printed(capsys, "evaluate", "sample:ce", "--config", file, "--limit", "1")
    assert found["facts"]["checkpoint"] == "sample:ce"
    assert found["facts"]["dataset"].endswith("1 image")


def test_what_was_written_is_what_is_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(tmp_path / "new.yaml")
    options = ["sample:ce", "--limit", "2", "--losses", "ce,dice", "--no-calibration"]
    assert run(["evaluate", *options, "--write-config", path]) == 0
    assert f"segablate evaluate --config {path}" in capsys.readouterr().out
    assert yaml.safe_load(Path(path).read_text()) == {
        "checkpoint": "sample:ce",
        "losses": "ce,dice",
        "calibration": False,
        "limit": 2,
    }
    assert printed(capsys, "evaluate", "--config", path) == printed(capsys, "evaluate", *options, "--no-cache")
    assert run(["evaluate", "--write-config", path]) == 1
    assert "exists" in capsys.readouterr().err


def test_compare_ablate_and_train_take_files_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = written(tmp_path, runs=["sample:ce", "sample:weighted"], limit=6, replicates=200)
    assert printed(capsys, "compare", "--config", file)["facts"]["B"] == "sample:weighted"
    file = written(tmp_path, radius=[2, 4], limit=2, **{"no-cost": True})
    rows = printed(capsys, "ablate", "rmi", "--config", file)["tables"]["values"]
    assert [row["setting"] for row in rows] == ["baseline", "radius=2", "radius=4"]
    file = written(tmp_path, steps=2, batch=2, crop="64x64", save=str(tmp_path / "training"))
    assert printed(capsys, "train", "small", "--config", file)["facts"]["steps"] == "2, weights after step 2"


def test_a_value_of_a_list_may_have_a_comma(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = written(tmp_path, theta=["a,b.yaml", "published"])
    assert run(["ablate", "asl", "--config", file]) == 1
    assert "run.yaml: theta is 'a,b.yaml', but must be numbers" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tolerence": 3}, "run.yaml: evaluate has no option 'tolerence'; did you mean 'tolerance'?"),
        ({"limit": "many"}, "run.yaml: limit is 'many': "),
        ({"limit": 0}, "run.yaml: limit is '0': "),
        ({"void-as-error": "maybe"}, "run.yaml: void-as-error is 'maybe', but must be true or false"),
        ({"tolerance": {"px": 3}}, "run.yaml: tolerance must be a value or a list of values"),
        ({"precision": "fp8"}, "run.yaml: precision is 'fp8': not one of 'fp32', 'bf16', 'fp16'"),
        ({"tolerance": "3x"}, "run.yaml: tolerance is '3x', but must be a number of pixels"),
        ({"tolerance": [3, "3x"], "boundary-iou": "2"}, "run.yaml: tolerance is '3x'"),
        ({"tolerance": 3, "boundary-iou": "3x"}, "run.yaml: boundary-iou: tolerance is '3x'"),
        ({"losses": "ce,dcie"}, "run.yaml: losses: no loss is called 'dcie'; did you mean 'dice'?"),
        ({"dataset": "camvvid:/nowhere"}, "run.yaml: dataset: "),
        ({"checkpoint": "sample:cee"}, "run.yaml: checkpoint: "),
        ({"window": "3xx"}, "run.yaml: window is '3xx'"),
        ({"config": "other.yaml"}, "run.yaml: evaluate has no option 'config'"),
    ],
)
def test_what_is_wrong_is_one_line(
    options: dict[str, Any], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["evaluate", "--config", written(tmp_path, **options)]) in (1, 2)
    said = " ".join(capsys.readouterr().err.split())
    assert message in said
    assert "Traceback" not in said


def test_hyperparameters_and_recipes_name_the_file_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command, options, message in (
        (("ablate", "rmi"), {"radius": 30}, "run.yaml: radius is 30, but must be between 1 and 10"),
        (("ablate", "rmi"), {"radius": [2, 30]}, "run.yaml: radius is 30, but must be between 1 and 10"),
        (("train", "small"), {"rate": -1}, "run.yaml: rate is -1"),
        (("compare", "sample:ce", "sample:weighted"), {"fail-if-worse": 200}, "run.yaml: fail-if-worse is 200"),
    ):
        assert run([*command, "--config", written(tmp_path, **options)]) in (1, 2)
        assert message in " ".join(capsys.readouterr().err.split())


def test_what_the_command_line_overrides_is_not_blamed_on_the_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["ablate", "rmi", "--radius", "30", "--config", written(tmp_path, radius=30)]) == 1
    assert " ".join(capsys.readouterr().err.split()).startswith("error: --radius is 30, but must be")
    other = written(tmp_path, limit=2, tolerance=3)
    assert run(["evaluate", "--boundary-iou", "2x", "--config", other]) == 1
    assert "run.yaml" not in capsys.readouterr().err
    assert run(["evaluate", "--config", written(tmp_path, resume=True)]) == 2
    assert "run.yaml: resume continues an interrupted run" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("text", "message"), [("- a\n- b\n", "must map options to values"), ("a: [1\n", "is not valid YAML")]
)
def test_a_file_that_is_no_mapping(text: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "run.yaml").write_text(text)
    assert run(["evaluate", "--config", str(tmp_path / "run.yaml")]) in (1, 2)
    assert message in " ".join(capsys.readouterr().err.split())
    assert run(["evaluate", "--config", str(tmp_path / "none.yaml")]) in (1, 2)
    assert "none.yaml" in capsys.readouterr().err
