"""What results of the API are as text, HTML, data frames and saved runs, beyond what the commands print."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import segablate
from segablate import SegablateError, cli
from segablate.errors import UsageError
from segablate.training.recipe import HEAD_RATE


@pytest.fixture(scope="module")
def evaluation() -> segablate.Evaluation:
    return segablate.evaluate("sample:ce", limit=5, losses="none", calibration=False, tolerance=())


@pytest.fixture(scope="module")
def ablation() -> segablate.Ablation:
    settings = {"gamma": np.array([0.0, 1.0])}
    return segablate.ablate("focal", settings=settings, limit=2, gradients=False, cost=False)


@pytest.fixture(scope="module")
def training(tmp_path_factory: pytest.TempPathFactory) -> segablate.Training:
    folder = tmp_path_factory.mktemp("training") / "small"
    return segablate.train("small", save=folder, steps=2, batch=2, crop=[64, 64], holdout="val", validate_every=2)


def columns(frame: Any) -> list[str]:
    return [str(name) for name in frame.columns]


def test_an_evaluation_in_one_line_and_as_pages(evaluation: segablate.Evaluation) -> None:
    assert repr(evaluation) == (
        f"Evaluation(sample:ce on sample: mIoU {evaluation.overall.miou:.4f}, {evaluation.overall.images} images)"
    )
    assert (evaluation.name, evaluation.dataset) == ("sample:ce", "sample")
    assert evaluation.facts["checkpoint"]["name"] == "sample:ce"
    assert "sample:ce on sample" in str(evaluation)
    assert any("--limit: 5 of 48 images" in note for note in evaluation.notes)
    assert {len(image.boundary_f) for image in evaluation.images} == {0}, "no tolerance was asked for"
    assert evaluation.losses == {}
    assert set(evaluation.intervals) >= {"miou", "pixel_accuracy"}


def test_an_ablation_has_a_value_for_each_setting(ablation: segablate.Ablation) -> None:
    assert ablation.loss == "focal"
    assert [(each.setting, dict(each.values), each.images) for each in ablation.settings] == [
        ("baseline", {}, 2),
        ("gamma=0", {"gamma": 0.0}, 2),
        ("gamma=1", {"gamma": 1.0}, 2),
    ]
    baseline, zero, _ = ablation.settings
    assert math.isclose(zero.difference, zero.value - baseline.value, rel_tol=1e-6)
    assert baseline.difference == 0
    assert ablation.evaluation.overall.images == 2
    assert repr(ablation) == "Ablation(focal under 3 settings on sample)"
    assert "focal under 3 settings" in str(ablation)
    assert "focal under 3 settings" in ablation._repr_html_()
    assert columns(ablation.to_pandas()) == ["setting", "value", "difference", "images"]
    assert ablation.to_polars()["setting"].to_list() == ["baseline", "gamma=0", "gamma=1"]
    assert {"setting", "change_interval_low", "change_interval_high"} <= set(columns(ablation.to_pandas("values")))
    with pytest.raises(UsageError, match="no table is called 'valeus'; did you mean 'values'"):
        ablation.to_pandas("valeus")


def test_a_tuple_is_one_value_of_a_hyperparameter_that_takes_tuples() -> None:
    options: dict[str, Any] = {"limit": 1, "cost": False, "gradients": False}
    one = segablate.ablate("ar", settings={"scales": (2, 4)}, **options)
    assert [each.setting for each in one.settings] == ["baseline", "scales=2:4"]
    two = segablate.ablate("ar", settings={"scales": [(2, 4), (8,)]}, **options)
    assert [each.setting for each in two.settings] == ["baseline", "scales=2:4", "scales=8"]


@pytest.mark.parametrize(("images", "said"), [("all", ""), (1, "gradients on 1 of 2 images")])
def test_gradients_are_of_as_many_images_as_asked_for(images: Any, said: str) -> None:
    found = segablate.ablate("focal", settings={"gamma": 1}, limit=2, cost=False, gradient_images=images)
    notes = " ".join([*found.report.notes, *(note for table in found.report.tables for note in table.notes)])
    assert ("of 2 images" in notes) == bool(said), notes


def test_runs_of_other_images_are_compared_only_where_asked_for(evaluation: segablate.Evaluation) -> None:
    fewer = segablate.evaluate("sample:weighted", limit=3, losses="none", calibration=False, tolerance=())
    with pytest.raises(SegablateError, match="different images"):
        segablate.compare(evaluation, fewer, replicates=100)
    shared = segablate.compare(evaluation, fewer, replicates=100, intersect=True)
    assert {len(each.images) for each in shared.runs.values()} == {
        len({image.name for image in evaluation.images} & {image.name for image in fewer.images})
    }


def test_a_comparison_of_runs_in_folders(evaluation: segablate.Evaluation, tmp_path: Path) -> None:
    first, second = evaluation.save(tmp_path / "a"), tmp_path / "b"
    found = segablate.compare(str(first), evaluation.run, names=["a", "b"], replicates=200, save=second)
    assert found.names == ("a", "b")
    assert {each.difference for each in found.differences} == {0.0}
    assert repr(found) == f"Comparison(a and b: {found.verdict})"
    assert found.verdict == "A and B have the same confusion counts on every image"
    assert "b against a" in str(found)
    assert "b against a" in found._repr_html_()
    assert columns(found.to_polars("classes"))[:3] == ["name", "a", "b"]
    scores = found.to_pandas("scores")
    assert (scores["interval_low"] == 0).all(), "an interval is two columns"
    assert (scores["interval_high"] == 0).all()
    saved = segablate.load(second)
    assert isinstance(saved, segablate.SavedReport)
    assert saved.kind == "comparison"
    assert "scores" in saved.tables
    assert repr(saved) == f"SavedReport(comparison: {saved.report.title})"
    assert saved.report.title in str(saved)
    assert saved.report.title in saved._repr_html_()
    assert saved.to_polars("scores").height == saved.to_pandas("scores").shape[0] > 3
    assert all(name.islower() and "colour" not in name for name in columns(saved.to_pandas(saved.tables[0])))


def test_a_training_states_what_was_trained(training: segablate.Training) -> None:
    assert list(training.validation) == [2]
    assert 0 < training.validation[2] < 1
    assert repr(training) == f"Training(small on sample: {training.checkpoint})"
    assert "small trained on sample" in str(training)
    assert "small trained on sample" in training._repr_html_()
    assert training.report.title == "small trained on sample"
    recipe = training.to_pandas().set_index("field")["value"].to_dict()
    assert (recipe["steps"], recipe["crop"]) == ("2", "64x64")
    assert training.to_polars("validation")["step"].to_list() == [2]
    assert isinstance(training.notes, tuple)


def test_the_head_of_a_checkpoint_is_trained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Texts of fields are read as on the command line; the rate is that for a head, unless given."""
    options: dict[str, Any] = {"part": "head", "steps": 2, "batch": 2, "validate_every": 0, "progress": True}
    found = segablate.train("sample:ce", "sample", save=tmp_path / "head", **options)
    assert found.validation == {}
    assert found.facts["recipe"]["rate"] == HEAD_RATE
    fields: dict[str, Any] = {"steps": 2, "batch": 2, "crop": "64x32", "rate": "0.5"}
    whole = segablate.train("small", save=tmp_path / "whole", validate_every=0, **fields)
    assert (whole.facts["recipe"]["crop"], whole.facts["recipe"]["rate"]) == ([64, 32], 0.5)
    assert capsys.readouterr().out == ""
    line = [f"--{name}={value}" for name, value in {**fields, "validate-every": 0, "save": whole.folder}.items()]
    assert cli.run(["train", "small", "sample", *line, "--resume"]) == 0
    assert "this training was finished before" in capsys.readouterr().out, "the command is asked for the same"
    with pytest.raises(UsageError, match=r"no dataset given for smp:Unet\(\); give LAYOUT:DIRECTORY"):
        segablate.train("smp:Unet()", save=tmp_path / "x")


def test_a_batch_that_is_refused_may_come_again() -> None:
    scores, maps = segablate.Scores(2, per_image=True), torch.zeros(1, 4, 4, dtype=torch.long)
    with pytest.raises(SegablateError, match="a: 16 pixels with a code outside"):
        scores.update(maps, maps + 9, ["a"])
    scores.update(maps, maps, ["a"])
    assert scores.compute().overall.images == 1
    with pytest.raises(SegablateError, match="image 'a' was counted before"):
        scores.update(maps, maps, ["a"])


@pytest.mark.parametrize("code", [-1, 3, 256, 300, 2**40])
def test_a_code_of_no_class_is_refused_whatever_its_lowest_bits(code: int) -> None:
    scores, maps = segablate.Scores(3), torch.zeros(1, 4, 4, dtype=torch.long)
    with pytest.raises(SegablateError, match=r"16 pixels with a code outside 0\.\.2 \(void is 255\)"):
        scores.update(maps, torch.full((1, 4, 4), code))
    empty = torch.zeros(2, 0, 4, dtype=torch.long)
    scores.update(empty, empty)
    assert scores.confusion().sum() == 0


def test_codes_beyond_the_classes_are_refused_in_sets_of_more_than_255() -> None:
    scores, maps = segablate.Scores(300), torch.zeros(1, 4, 4, dtype=torch.long)
    scores.update(maps, torch.full((1, 4, 4), 299))
    scores.update(maps, torch.full((1, 4, 4), 65535))
    assert scores.confusion()[299, 0] == scores.confusion()[300, 0] == 16
    with pytest.raises(SegablateError, match=r"16 pixels with a code outside 0\.\.299"):
        scores.update(maps, torch.full((1, 4, 4), 300))


def test_scores_that_make_no_run_say_why() -> None:
    maps = torch.zeros(2, 4, 4, dtype=torch.long)
    scores = segablate.Scores(2)
    scores.update(maps, maps)
    with pytest.raises(UsageError, match="only counts of each image make a run; pass per_image=True to Scores"):
        scores.evaluation()
    kept = segablate.Scores(2, per_image=True)
    with pytest.raises(SegablateError, match=r"nothing was counted yet; call update\(\) before"):
        kept.evaluation()
    kept.update(maps[:1], maps[:1], ["000001"])
    kept.update(maps[:1], maps[:1])
    with pytest.raises(SegablateError, match="some images have a name that is the number of another one"):
        kept.evaluation()


def test_a_run_of_the_ece_alone_says_that_it_is_not_kept() -> None:
    scores = segablate.Scores(2, per_image=True, calibration="ece")
    labels = torch.zeros(1, 4, 4, dtype=torch.long)
    scores.update(torch.randn(1, 2, 4, 4), labels)
    found = scores.evaluation("mine", "held out")
    assert (found.name, found.dataset) == ("mine", "held out")
    assert math.isnan(found.overall.ece)
    assert any("calibration='ece' is not kept per image" in note for note in found.notes)
    assert any("images are called by their order" in note for note in found.notes)


def test_many_batches_are_joined_on_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segablate.api.kept._PARTS", 2)
    scores, whole = segablate.Scores(3, per_image=True), segablate.Scores(3)
    for seed in range(7):
        maps = torch.randint(0, 3, (2, 2, 5, 6), generator=torch.Generator().manual_seed(seed))
        scores.update(maps[0], maps[1])
        whole.update(maps[0], maps[1])
    assert len(scores._settled().parts) <= 3
    assert scores.compute() == whole.compute()
    scores.update(torch.zeros(0, 3, 4, 4), torch.zeros(0, 4, 4, dtype=torch.long))
    assert scores.compute().overall.images == 14, "an empty batch counts nothing"
