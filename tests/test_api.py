"""evaluate, compare, ablate, train and load from Python: what the commands print, on whatever a program has."""

import contextlib
import io
import json
import math
import threading
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np
import pytest
import torch
from conftest import write_dataset, write_predictions

import segablate
from segablate import SegablateError, cli
from segablate.datasets import open_dataset
from segablate.errors import DatasetError, LabelError, RunError, UsageError
from segablate.evaluation.results import to_arrays
from segablate.evaluation.session import evaluate_checkpoint


def printed(*command: str) -> dict[str, Any]:
    """The tables of a command by name, as JSON."""
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        assert cli.run([*command, "--format", "json"]) == 0
    return json.loads(output.getvalue())["tables"]


class Net(torch.nn.Module):
    """A network of four classes that remembers what it was given, and takes pixels of 0..1."""

    preprocessing: ClassVar = {"mean": [0.0, 0.0, 0.0], "std": [1.0, 1.0, 1.0]}

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body = torch.nn.Conv2d(3, 4, 3, padding=1)
        self.drop = torch.nn.Dropout()
        self.given: list[torch.Tensor] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.given.append(x)
        return self.drop(self.body(x))


@pytest.fixture
def toy_data(tmp_path: Path) -> Path:
    return write_dataset(tmp_path / "toy")


def pairs_of(folder: Path) -> list[tuple[np.ndarray, np.ndarray, str]]:
    dataset = open_dataset(f"folder:{folder}")
    samples = [dataset.read(index) for index in range(len(dataset))]
    return [(sample.image, sample.labels, sample.name) for sample in samples]  # type: ignore[misc]


def counts(evaluation: segablate.Evaluation) -> dict[str, np.ndarray]:
    return {name: array for name, array in to_arrays(evaluation.run).items() if name not in ("label_hashes", "names")}


def same(one: segablate.Evaluation, other: segablate.Evaluation) -> bool:
    a, b = counts(one), counts(other)
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)


def test_the_path_of_a_loss_may_have_a_comma(tmp_path: Path) -> None:
    (tmp_path / "a,b.py").write_text("def mine(logits, labels):\n    return logits.mean()\n")
    name = f"python:{tmp_path}/a,b.py:mine"
    found = segablate.evaluate("sample:ce", limit=1, losses=["ce", name])
    assert list(found.losses) == ["ce", name]
    rows = printed("evaluate", "sample:ce", "--limit", "1", "--losses", f"ce,'{name}'")["losses"]
    assert [row["loss"] for row in rows] == ["ce", name]


def test_evaluate_returns_what_the_command_prints() -> None:
    tables = printed("evaluate", "sample:ce", "--limit", "5", "--losses", "ce,dice", "--tolerance", "2,0.01d")
    found = segablate.evaluate("sample:ce", limit=5, losses=["ce", "dice"], tolerance=[2, "0.01d"])
    values = {row["measure"]: row for row in tables["overall"]}
    assert found.overall.miou == pytest.approx(values["mIoU"]["value"])
    assert found.overall.ece == pytest.approx(values["ECE (lower is better)"]["value"])
    assert found.intervals["miou"] == pytest.approx(values["mIoU"]["interval"])
    assert found.intervals.keys() == {
        "miou",
        "mean_recall",
        "pixel_accuracy",
        "frequency_weighted_iou",
        "boundary_f_2",
        "boundary_f_0_01d",
        "ece",
    }
    for each, row in zip(found.classes, tables["classes"], strict=True):
        assert each.name == row["class"]
        numbers = [row[key] if row[key] is not None else math.nan for key in ("iou", "recall", "precision", "f1")]
        assert [each.iou, each.recall, each.precision, each.f1] == pytest.approx(numbers, nan_ok=True)
        assert (each.pixels, each.images) == (row["pixels"], row["images"])
    assert found.losses == pytest.approx({row["loss"]: row["mean"] for row in tables["losses"]})
    assert len(found.images) == 5
    assert found.images[0].losses.keys() == {"ce", "dice"}


def test_a_module_and_a_function_count_as_the_checkpoint_in_a_file(network_spec: str, toy_data: Path) -> None:
    loaded = segablate.evaluate(network_spec, f"folder:{toy_data}", losses="ce", trust_code=True)
    module = segablate.open_checkpoint(network_spec).module  # type: ignore[attr-defined]
    assert same(segablate.evaluate(module, f"folder:{toy_data}", losses="ce"), loaded)
    assert same(segablate.evaluate(lambda x: module(x), f"folder:{toy_data}", losses="ce", normalise="none"), loaded)


def test_pairs_of_any_form_count_as_the_dataset_of_files(toy_data: Path) -> None:
    net, names = Net(), ["road", "car", "tree", "sky"]
    whole = segablate.evaluate(net, f"folder:{toy_data}")
    arrays = pairs_of(toy_data)
    tensors = [(torch.from_numpy(i).permute(2, 0, 1), torch.from_numpy(m).long(), n) for i, m, n in arrays]
    floats = [(image.float() * (1 / 255), labels, name) for image, labels, name in tensors]
    files = [(toy_data / f"images/val/{n}.png", toy_data / f"labels/val/{n}.png") for *_, n in arrays]
    batch = [(torch.stack([i for i, *_ in floats]), torch.stack([m for _, m, _ in floats]), [n for *_, n in floats])]
    for pairs in (arrays, tensors, files, iter(arrays)):
        found = segablate.evaluate(net, pairs, classes=names)
        assert same(found, whole)
        assert found.run.names == whole.run.names
    alone, together = (segablate.evaluate(net, pairs, classes=names) for pairs in (floats, batch))
    assert same(alone, together)
    assert alone.overall.miou == pytest.approx(whole.overall.miou)  # another order in memory, other last digits
    assert torch.equal(net.given[-1], floats[-1][0][None])
    assert segablate.evaluate(net, files, classes=names).run.label_hashes == whole.run.label_hashes


def test_a_module_is_as_it_was_and_nothing_is_printed(toy_data: Path, capfd: pytest.CaptureFixture[str]) -> None:
    net = Net().train()
    net.body.weight.requires_grad_(True)
    torch.manual_seed(3)
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    segablate.evaluate(net, f"folder:{toy_data}")
    segablate.ablate("focal", net, f"folder:{toy_data}", {"gamma": [1]}, cost=False)
    assert net.training
    assert net.drop.training
    assert net.body.weight.requires_grad
    assert net.body.weight.grad is None
    assert torch.equal(torch.get_rng_state(), state)
    assert (torch.get_num_threads(), torch.is_grad_enabled()) == (threads, True)
    assert capfd.readouterr() == ("", "")


def test_what_a_users_network_prints_stays_where_the_user_wants_it(capsys: pytest.CaptureFixture[str]) -> None:
    def loud(images: torch.Tensor) -> torch.Tensor:
        print("called")
        return images[:, :2]

    pairs = [(torch.rand(3, 8, 8), torch.zeros(8, 8, dtype=torch.long))]
    segablate.evaluate(loud, pairs, classes=2)
    assert capsys.readouterr().out == "called\n"


def test_several_threads_evaluate_at_once(toy_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_predictions(toy_data / "guesses", 6, (24, 32))
    calls = [Net(), "sample:ce", f"predictions:{toy_data / 'guesses'}", Net()]
    places = [f"folder:{toy_data}", "sample", f"folder:{toy_data}", f"folder:{toy_data}"]
    alone = [segablate.evaluate(*call, limit=4, cache=False) for call in zip(calls, places, strict=True)]
    found: dict[int, segablate.Evaluation] = {}
    before = cv2.getNumThreads()

    def work(place: int) -> None:
        found[place] = segablate.evaluate(calls[place], places[place], limit=4, workers=2 * (place % 2), cache=False)

    threads = [threading.Thread(target=work, args=(place,)) for place in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(same(found[place], alone[place]) for place in range(4))
    assert cv2.getNumThreads() == before
    print("still here")
    assert capsys.readouterr().out == "still here\n"


def test_other_processes_of_torchrun_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert segablate.evaluate("sample:ce", limit=2).overall.images == 2


def test_results_are_frames_tables_and_runs(tmp_path: Path) -> None:
    found = segablate.evaluate("sample:ce", limit=3, save=tmp_path / "run")
    frame = found.to_pandas()
    assert frame["iou"].tolist() == pytest.approx([each.iou for each in found.classes], nan_ok=True)
    assert found.to_pandas("images")["loss_ce"].tolist() == [each.losses["ce"] for each in found.images]
    assert found.to_polars("overall")["miou"].to_list() == [found.overall.miou]
    again = segablate.load(tmp_path / "run")
    assert isinstance(again, segablate.Evaluation)
    assert same(again, found)
    assert again.overall == found.overall
    assert found.under("mmseg").miou == pytest.approx(found.overall.miou)
    with pytest.raises(UsageError, match="table is 'pixels', but must be 'classes', 'images' or 'overall'"):
        found.to_pandas("pixels")  # type: ignore[arg-type]
    with pytest.raises(RunError, match="exists"):
        found.save(tmp_path / "run")


def test_html_has_the_tables_with_colours_and_nothing_unescaped() -> None:
    net = Net()
    labels = segablate.LabelSet("toy", ("<b>a", "b", "c", "d"), ((0,), (1,), (2,), (3,)), colours=((1, 2, 3),) * 4)
    pairs = [(torch.rand(3, 8, 8), torch.randint(0, 4, (8, 8)))]
    page = segablate.evaluate(net, pairs, classes=labels)._repr_html_()
    assert "&lt;b&gt;a" in page
    assert "<b>a" not in page
    assert page.count("background:#010203") == 4
    assert "<script" not in page
    assert page.count("<table>") == page.count("</table>") > 3


def test_compare_returns_what_the_command_prints(tmp_path: Path) -> None:
    command = ["compare", "sample:ce", "sample:weighted", "--limit", "8", "--replicates", "500"]
    rows = {row["measure"]: row for row in printed(*command)["scores"]}
    found = segablate.compare("sample:ce", "sample:weighted", limit=8, replicates=500, save=tmp_path / "both")
    miou = found.differences[0]
    expected = rows["mIoU"]
    assert (miou.measure, miou.a, miou.b) == ("miou", "sample:ce", "sample:weighted")
    assert (miou.difference, miou.low, miou.high) == pytest.approx((expected["change"], *expected["interval"]))
    assert (miou.p, miou.value_a) == pytest.approx((expected["p"], expected["a"]))
    assert len(found.classes) == len(found.runs["sample:ce"].classes)
    assert found.to_pandas("classes")["p"].tolist() == pytest.approx([each.p for each in found.classes], nan_ok=True)
    saved = segablate.load(tmp_path / "both")
    assert isinstance(saved, segablate.SavedReport)
    assert saved.kind == "comparison"
    assert saved.to_pandas("scores")["change"][0] == pytest.approx(miou.difference)
    assert segablate.load(tmp_path / "both" / "a").overall == found.runs["sample:ce"].overall  # type: ignore[union-attr]


def test_what_a_validation_loop_saw_is_compared(toy_data: Path) -> None:
    arrays, scores = pairs_of(toy_data), []
    for seed in (0, 1):
        torch.manual_seed(seed)
        net, seen = torch.nn.Conv2d(3, 4, 1), segablate.Scores(4, per_image=True, tolerance=2)
        for image, labels, name in arrays:
            with torch.no_grad():
                logits = net(torch.from_numpy(image).permute(2, 0, 1)[None] / 255)
            seen.update(logits, labels, [name])
        scores.append(seen)
    found = segablate.compare(*scores, replicates=200)
    assert found.names == ("model", "model (2)")
    assert found.differences[0].value_a == pytest.approx(scores[0].compute().overall.miou)
    assert found.differences[0].value_b == pytest.approx(scores[1].compute().overall.miou)


def test_ablate_returns_what_the_command_prints(tmp_path: Path) -> None:
    rows = printed("ablate", "rmi", "--radius", "2,4", "--limit", "3", "--no-cost")["values"]
    found = segablate.ablate("rmi", settings={"radius": [2, 4]}, limit=3, cost=False, save=tmp_path / "ablation")
    assert [each.setting for each in found.settings] == [row["setting"] for row in rows]
    assert [each.value for each in found.settings] == pytest.approx([row["term"] for row in rows])
    assert found.settings[1].difference == pytest.approx(found.settings[1].value - found.settings[0].value)
    assert found.to_polars()["value"].to_list() == [each.value for each in found.settings]
    assert segablate.load(tmp_path / "ablation").kind == "ablation"  # type: ignore[union-attr]


def test_ablation_on_pairs_is_that_on_the_dataset(toy_data: Path) -> None:
    net, settings = Net(), {"gamma": (0, 2.5)}
    whole = segablate.ablate("focal", net, f"folder:{toy_data}", settings, cost=False)
    pairs = segablate.ablate("focal", net, pairs_of(toy_data), settings, classes=4, cost=False)
    assert [each.value for each in pairs.settings] == [each.value for each in whole.settings]
    values = whole.result.run.probed["norm"]
    np.testing.assert_array_equal(pairs.result.run.probed["norm"], values)


def test_train_makes_the_checkpoint_of_the_command(tmp_path: Path) -> None:
    command = ["train", "small", "sample", "--steps", "3", "--batch", "2", "--crop", "64x64", "--seed", "4"]
    printed(*command, "--save", str(tmp_path / "command"))
    torch.manual_seed(9)
    state = torch.get_rng_state()
    seen: list[int] = []
    found = segablate.train(
        "small",
        save=tmp_path / "api",
        steps=3,
        batch=2,
        crop=(64, 64),
        seed=4,
        progress=lambda step, numbers: seen.append(step),
    )
    weights = [Path(tmp_path / each / "checkpoint.safetensors").read_bytes() for each in ("command", "api")]
    assert weights[0] == weights[1]
    assert torch.equal(torch.get_rng_state(), state)
    assert seen
    assert found.validation
    assert segablate.evaluate(found.checkpoint, "sample", limit=2).overall.images == 2
    with pytest.raises(TypeError, match="no option is called 'stepps'; did you mean 'steps'"):
        segablate.train("small", save=tmp_path / "x", stepps=3)


PAIR = (torch.rand(3, 8, 8), torch.zeros(8, 8, dtype=torch.long))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: segablate.evaluate("sample:ce", devise="cpu"), TypeError, "'devise'; did you mean 'device'"),
        (lambda: segablate.evaluate(3, "sample"), TypeError, "must be a specification, a module or a function"),
        (lambda: segablate.evaluate("a.yaml"), UsageError, "no dataset given for a.yaml"),
        (lambda: segablate.evaluate(Net(), [PAIR]), UsageError, "pairs of images and labels need classes"),
        (lambda: segablate.evaluate(Net(), [], classes=4), DatasetError, "has no pair of image and labels"),
        (lambda: segablate.evaluate(Net(), 3, classes=4), TypeError, "must be a specification or an iterable of pairs"),
        (lambda: segablate.evaluate(Net(), [PAIR[0]], classes=4), DatasetError, "each item must be a pair"),
        (lambda: segablate.evaluate(Net(), [PAIR], classes=4, split="val"), UsageError, "split is of a dataset"),
        (lambda: segablate.evaluate(Net(), [PAIR], classes=4, mean=[0, 0, 0]), UsageError, "mean preprocesses pixels"),
        (lambda: segablate.evaluate("sample:ce", [PAIR], classes=10), UsageError, "preprocesses pixels of 0"),
        (lambda: segablate.evaluate(Net(), [(PAIR[0], PAIR[1] + 9)], classes=4), LabelError, "labels: 64 pixels"),
        (lambda: segablate.evaluate(Net(), [(PAIR[0], PAIR[1][:4])], classes=4), DatasetError, "the label map is 4x8"),
        (lambda: segablate.evaluate(Net(), [(*PAIR, "a"), (*PAIR, "a")], classes=4), DatasetError, "has this name"),
        (lambda: segablate.evaluate(Net(), [PAIR], classes=9), SegablateError, "has 4 outputs but"),
        (lambda: segablate.evaluate(Net(), [PAIR], classes=4, losses="dfr"), UsageError, "dfr needs|features"),
        (lambda: segablate.evaluate("sample:ce", on_error="ignore"), UsageError, "on_error is 'ignore'"),
        (lambda: segablate.evaluate("sample:ce", boundary_as="davies"), UsageError, "did you mean 'davis'"),
        (lambda: segablate.compare("sample:ce"), UsageError, "compare takes 2 to 26 runs or checkpoints, but 1 given"),
        (lambda: segablate.compare("sample:ce", "sample:weighted", names=["a"]), UsageError, "names has 1 name for 2"),
        (lambda: segablate.ablate("rim"), SegablateError, "no loss is called 'rim'; did you mean 'rmi'"),
        (lambda: segablate.ablate("rmi", settings={"radius": 30}), SegablateError, "radius is 30"),
        (lambda: segablate.load("/nowhere"), RunError, "is not a saved run"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_clear_line(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_the_lower_layer_is_what_both_call(monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[str] = []

    def spy(checkpoint: str, *given: Any, **more: Any) -> Any:
        called.append(checkpoint)
        return evaluate_checkpoint(checkpoint, *given, **more)

    monkeypatch.setattr("segablate.api.evaluating.evaluate_checkpoint", spy)
    segablate.evaluate("sample:ce", limit=2)
    assert called == ["sample:ce"]
