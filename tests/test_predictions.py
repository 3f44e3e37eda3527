"""Predictions on the disk: names, encodings, scores, and what is missing, left over or of another size."""

import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import yaml
from conftest import CLASSES, scene, write_dataset
from PIL import Image

from segablate.checkpoints import Loading, open_checkpoint
from segablate.checkpoints.narrowing import narrowed
from segablate.checkpoints.prediction_values import decode
from segablate.datasets import Dataset, open_dataset
from segablate.errors import CheckpointError, SegablateError, counted
from segablate.evaluation.loop import evaluate
from segablate.evaluation.measures import Measures
from segablate.evaluation.results import Evaluation
from segablate.evaluation.scores import without_infinities
from segablate.losses import get_loss
from segablate.metrics.confusion import class_counts, count_confusion, mean_iou
from segablate.metrics.tolerance import Tolerance
from segablate.samples import Batch

CPU = Loading(device="cpu")


def predicted(index: int, size: tuple[int, int] = (24, 32)) -> np.ndarray:
    """Class indices that are often right, with 255 here and there."""
    _, labels = scene(index, size)
    rng = np.random.default_rng(index + 100)
    wrong = rng.random(size) < 0.2
    return np.where(wrong, rng.integers(0, 4, size, np.uint8), labels)


def write(folder: Path, pattern: str = "s{}.png", count: int = 6) -> Path:
    """The predictions of the toy dataset as grey images."""
    for index in range(count):
        path = folder / pattern.format(index)
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), predicted(index))
    return folder


def measured(spec: str, data: Dataset, **options: Any) -> Evaluation:
    return evaluate(open_checkpoint(spec, CPU), data, Measures(), **options)


def recoded(root: Path, codes: list[Any], void: Any = (255,), **more: Any) -> Dataset:
    """The toy dataset with other codes in its label files (class index to code)."""
    write_dataset(root)
    first = [code[0] if isinstance(code, list) else code for code in codes]
    table = np.full(256, next(iter(void), 0), np.uint8)
    table[:4] = first
    for path in (root / "labels/val").iterdir():
        cv2.imwrite(str(path), table[cv2.imread(str(path), cv2.IMREAD_UNCHANGED)])
    described = yaml.safe_load((root / "dataset.yaml").read_text())
    classes = [{"name": name, "code": code} for name, code in zip(CLASSES, codes, strict=True)]
    (root / "dataset.yaml").write_text(yaml.safe_dump({**described, "classes": classes, "void": list(void), **more}))
    return open_dataset(f"folder:{root}")


@pytest.fixture
def data(toy: Path) -> Dataset:
    return open_dataset(f"folder:{toy}")


def expected_table(index: int) -> np.ndarray:
    return count_confusion(scene(index)[1], predicted(index), 4)


def test_grey_images_are_counted_and_255_is_a_miss(data: Dataset, tmp_path: Path) -> None:
    run = measured(f"predictions:{write(tmp_path / 'p')}", data)
    for index in range(6):
        assert np.array_equal(run.confusion.dense(index), expected_table(index))
    assert run.notes == ()
    assert run.facts["checkpoint"]["encoding"] == "codes"
    assert run.facts["checkpoint"]["predictions"].startswith("6 files {name}.png, SHA-256 ")


def test_palette_and_arrays_say_the_same(data: Dataset, tmp_path: Path) -> None:
    for folder in ("palette", "arrays"):
        (tmp_path / folder).mkdir()
    for index in range(6):
        image = Image.fromarray(predicted(index)).convert("P")
        image.putdata(predicted(index).reshape(-1).tolist())
        image.putpalette(np.random.default_rng(0).integers(0, 256, 768).tolist())
        image.save(tmp_path / f"palette/s{index}.png")
        values = predicted(index).astype(np.int64)
        np.save(tmp_path / f"arrays/s{index}.npy", np.where(values == 255, (-1) ** index * 70_000, values))
    for folder in ("palette", "arrays"):
        run = measured(f"predictions:{tmp_path / folder}", data)
        assert all(np.array_equal(run.confusion.dense(index), expected_table(index)) for index in range(6)), folder


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("deep/s{}_pred.png", "deep/{stem}_pred.png"),
        ("x_s{}.png", "x_{name}.png"),
        ("s{}/s{}.png", "{stem}/{name}.png"),
    ],
)
def test_names_by_pattern(pattern: str, name: str, data: Dataset, tmp_path: Path) -> None:
    folder = write(tmp_path / "p", pattern.replace("{}", "{0}"))
    run = measured(f"predictions:{folder}?name={name}", data)
    assert all(np.array_equal(run.confusion.dense(index), expected_table(index)) for index in range(6))
    assert name in run.facts["checkpoint"]["predictions"]


def test_nested_images_with_suffix_pairs(tmp_path: Path) -> None:
    for city, index in (("aachen", 0), ("bonn", 1)):
        image, labels = scene(index)
        for kind, array in (
            ("left", image),
            ("fine", labels),
            ("nested", predicted(index)),
            ("flat", predicted(index)),
        ):
            ending = {"left": "_leftImg8bit.png", "fine": "_gtFine_labelIds.png"}.get(kind, "_pred.png")
            folder = tmp_path / kind / (city if kind != "flat" else "")
            folder.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(folder / f"{city}_0{ending}"), array)
    described = {
        "classes": list(CLASSES),
        "splits": {"val": {"images": "left", "labels": "fine"}},
        "image_suffix": "_leftImg8bit.png",
        "label_suffix": "_gtFine_labelIds.png",
    }
    (tmp_path / "dataset.yaml").write_text(yaml.safe_dump(described))
    data = open_dataset(f"folder:{tmp_path}")
    for spec in ("nested?name={name}_pred.png", "nested?name={parent}/{stem}_pred.png", "flat?name={stem}_pred.png"):
        run = measured(f"predictions:{tmp_path / spec}", data)
        assert all(np.array_equal(run.confusion.dense(index), expected_table(index)) for index in range(2)), spec


def test_index_codes_and_colours(tmp_path: Path) -> None:
    colours = [[0, 0, 0], [255, 0, 0], [0, 255, 0], [0, 0, 255]]
    data = recoded(tmp_path / "toy", [10, [20, 21], 30, 40])
    described = yaml.safe_load((tmp_path / "toy/dataset.yaml").read_text())
    described["classes"] = [{**entry, "colour": c} for entry, c in zip(described["classes"], colours, strict=True)]
    (tmp_path / "toy/dataset.yaml").write_text(yaml.safe_dump(described))
    data = open_dataset(f"folder:{tmp_path / 'toy'}")
    table = np.full((256, 3), 7, np.uint8)
    table[:4] = colours
    codes = np.full(256, 99, np.uint8)
    codes[:4] = [10, 21, 30, 40]
    write(tmp_path / "index")
    for folder in ("codes", "colours"):
        (tmp_path / folder).mkdir()
    for index in range(6):
        cv2.imwrite(str(tmp_path / f"codes/s{index}.png"), codes[predicted(index)])
        cv2.imwrite(str(tmp_path / f"colours/s{index}.png"), table[predicted(index)][..., ::-1])
    for encoding in ("index", "codes", "colours"):
        run = measured(f"predictions:{tmp_path / encoding}?encoding={encoding}", data)
        assert all(np.array_equal(run.confusion.dense(index), expected_table(index)) for index in range(6)), encoding
        assert not [note for note in run.notes if "encoding=" in note], "99, 7 and 10 are no values of the other one"
    with pytest.raises(
        SegablateError, match=r"s0\.png: has 3 channels; expected one channel .*: save a grey or palette .*colours"
    ):
        measured(f"predictions:{tmp_path / 'colours'}", data)
    with pytest.raises(SegablateError, match=r"s0\.png: has one channel; expected RGB colours"):
        measured(f"predictions:{tmp_path / 'index'}?encoding=colours", data)


def test_where_both_encodings_fit_the_note_gives_the_score_of_the_other(tmp_path: Path) -> None:
    """Codes 1..4 with 0 for void: class indices 0..3 read as codes are all known values, and all wrong."""
    data = recoded(tmp_path / "toy", [1, 2, 3, 4], void=(0,))
    folder = tmp_path / "p"
    folder.mkdir()
    for index in range(6):
        cv2.imwrite(str(folder / f"s{index}.png"), predicted(index) % 4)
    taken = measured(f"predictions:{folder}", data)
    right = measured(f"predictions:{folder}?encoding=index", data)
    low, high = (mean_iou(class_counts(run.confusion).total()) for run in (taken, right))
    assert low < 0.3 < 0.6 < high
    found = f"with mIoU {100 * high:.2f} %"
    expected = f"encoding=codes (mIoU {100 * low:.2f} %); encoding=index fits all their values too, {found}"
    assert taken.notes[-1] == f"the predictions were read with {expected}"
    assert right.notes[-1].startswith(
        f"the predictions were read with encoding=index (mIoU {100 * high:.2f} %); encoding=codes"
    )
    only_codes = np.full((24, 32), 4, np.uint8)
    cv2.imwrite(str(folder / "s5.png"), only_codes)
    notes = measured(f"predictions:{folder}", data).notes
    assert not [note for note in notes if "encoding=" in note], "4 is a code and no index"


def test_encodings_that_say_the_same_make_no_note(tmp_path: Path) -> None:
    data = recoded(tmp_path / "toy", [0, 1, 2, 7])
    folder = tmp_path / "p"
    folder.mkdir()
    for index in range(6):
        cv2.imwrite(str(folder / f"s{index}.png"), np.minimum(predicted(index), 2))
    assert measured(f"predictions:{folder}", data).notes == ()


def test_values_beyond_the_table_lie_outside() -> None:
    values = np.array([[-5, -1, 0, 3], [255, 256, 257, 2**40]])
    assert decode(values, ((0,), (3, 256))).tolist() == [[255, 255, 0, 1], [255, 1, 255, 255]]
    assert decode(np.arange(256, dtype=np.uint8), ((7,),)).tolist() == [255] * 7 + [0] + [255] * 248
    assert decode(np.array([2**63], np.uint64), ((0,),)).tolist() == [255]


def test_missing_files_stop_the_run_before_it_starts(data: Dataset, tmp_path: Path) -> None:
    folder = write(tmp_path / "p", count=4)
    (folder / "s0.png").write_bytes(b"not even read")
    with pytest.raises(CheckpointError, match=r"no prediction for 2 of 6 images \(s4, s5; first expected: .*s4\.png\)"):
        measured(f"predictions:{folder}", data)
    run = measured(f"predictions:{folder}", data, on_error="skip")
    assert run.images == 3
    assert [skipped.name for skipped in run.skipped] == ["s0", "s4", "s5"]


@pytest.mark.parametrize(("pattern", "hint"), [("s{}_pred.png", "{stem}_pred.png"), ("val/s{}.png", "val/{stem}.png")])
def test_names_that_fit_nowhere_bring_a_hint(pattern: str, hint: str, data: Dataset, tmp_path: Path) -> None:
    folder = write(tmp_path / "p", pattern)
    with pytest.raises(CheckpointError) as caught:
        measured(f"predictions:{folder}", data, on_error="skip")
    assert f"if they are named otherwise, give the pattern, as in 'predictions:{folder}?name={hint}'" in str(
        caught.value
    )
    assert measured(f"predictions:{folder}?name={hint}", data).images == 6


def test_files_left_over_are_counted_and_named(data: Dataset, tmp_path: Path) -> None:
    folder = write(tmp_path / "p", count=8)
    (folder / ".DS_Store").write_bytes(b"\0")
    (folder / "readme.txt").write_text("mine")
    run = measured(f"predictions:{folder}", data)
    assert run.notes == ("unused predictions, of images not evaluated: 2 (s6.png, s7.png)",)
    write(folder, "s{}_pred.png")
    assert measured(f"predictions:{folder}?name={{stem}}_pred.png", data).notes == ()


def test_another_size_is_an_error_with_both(data: Dataset, tmp_path: Path) -> None:
    folder = write(tmp_path / "p")
    cv2.imwrite(str(folder / "s3.png"), np.zeros((24, 30), np.uint8))
    with pytest.raises(CheckpointError, match=r"s3\.png: the prediction is 24x30, but its label map is 24x32"):
        measured(f"predictions:{folder}", data)
    assert [s.name for s in measured(f"predictions:{folder}", data, on_error="skip").skipped] == ["s3"]


def test_images_are_not_read(data: Dataset, tmp_path: Path) -> None:
    for item in data.items:
        item.image.write_bytes(b"no image")
    assert measured(f"predictions:{write(tmp_path / 'p')}", data).images == 6


def test_the_identity_follows_names_and_contents(data: Dataset, tmp_path: Path) -> None:
    def identity() -> str:
        return measured(f"predictions:{folder}", data).facts["checkpoint"]["predictions"]

    folder = write(tmp_path / "p")
    first = identity()
    os.utime(folder / "s2.png", (0, 0))
    (folder / "other.txt").write_text("x")
    assert identity() == first
    cv2.imwrite(str(folder / "s2.png"), predicted(3))
    assert identity() != first


@pytest.mark.usefixtures("processes_at_once")
def test_workers_and_pickling_change_nothing(data: Dataset, tmp_path: Path) -> None:
    spec = f"predictions:{write(tmp_path / 'p')}"
    ready = open_checkpoint(spec, CPU).for_dataset(data, "stop")
    output = pickle.loads(pickle.dumps(ready))(Batch((data.read(0, image=False),)))
    assert np.array_equal(output.predicted[0], np.minimum(predicted(0), 255))
    alone, shared = (measured(spec, data, workers=workers) for workers in (0, 2))
    assert np.array_equal(alone.confusion.total(), shared.confusion.total())


def test_torch_is_not_imported(toy: Path, tmp_path: Path) -> None:
    spec, run = f"predictions:{write(tmp_path / 'p')}", tmp_path / "run"
    command = ["evaluate", spec, f"folder:{toy}", "--workers", "0", "--tolerance", "2", "--save", str(run)]
    code = (
        f"import sys; from segablate.cli import run; code = run({command!r}); sys.exit(code or 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (run / "counts.npz").is_file()


def test_options_of_networks_are_said_to_be_idle(data: Dataset, tmp_path: Path) -> None:
    loading = Loading(device="cpu", window=(8, 8), preprocessing={"pad_to_multiple": 8}, class_map={"a": "b"})
    opened = open_checkpoint(f"predictions:{write(tmp_path / 'p')}", loading)
    assert opened.source.notes == (
        "predictions run no network: --pad-to-multiple, --window, --class-map had no effect",
    )


@pytest.mark.parametrize(
    ("rest", "message"),
    [
        ("", r"'predictions:' is incomplete; write predictions:DIR"),
        ("?name={stem}.png", "has no folder; write predictions:DIR"),
        ("P/nowhere", "nowhere is not a folder; give the one that holds the predictions"),
        ("P/empty", r"empty holds no predictions; expected label maps \(.png, .npy\) or scores"),
        ("P/p?encoding=ids", "encoding is 'ids', but must be codes, index or colours"),
        ("P/p?encodin=index", "'encodin=index' is not an option; did you mean 'encoding'"),
        ("P/p?name", "'name' is not an option; write name=VALUE"),
        ("P/p?name={base}.png", r"name=\{base\}\.png: no field is called \{base\}"),
        ("P/p?name=a.png", "names one file for all images"),
        ("P/p?name={stem}_pred", r"must end in \.png, "),
        ("P/p?name={stem}.npz&encoding=index", "scores have no encoding; leave it out"),
        ("P/p?name={stem}.npz", r"holds no file named \{stem\}\.npz; correct name="),
    ],
)
def test_malformed_specifications(rest: str, message: str, tmp_path: Path) -> None:
    write(tmp_path / "p", count=1)
    (tmp_path / "empty").mkdir()
    with pytest.raises(CheckpointError, match=message):
        open_checkpoint(f"predictions:{rest.replace('P/', f'{tmp_path}/')}", CPU)


def test_colours_are_refused_where_there_are_none(data: Dataset, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="encoding is colours, but label set 'toy' has none"):
        measured(f"predictions:{write(tmp_path / 'p')}?encoding=colours", data)


def test_a_jpeg_that_is_named_png_is_refused(data: Dataset, tmp_path: Path) -> None:
    spec = f"predictions:{write(tmp_path / 'p')}"
    (tmp_path / "p/s3.png").write_bytes(cv2.imencode(".jpg", np.full((24, 32), 100, np.uint8))[1].tobytes())
    with pytest.raises(SegablateError, match=r"s3\.png: holds JPEG, which changes values when it compresses; save the"):
        measured(spec, data)


# scores


def scores_of(network_spec: str, data: Dataset) -> list[np.ndarray]:
    """K, H, W logits of a network for each image."""
    network = open_checkpoint(network_spec, CPU)
    return [network(Batch((data.read(index),))).scores[0].numpy() for index in range(len(data))]  # type: ignore[index]


def save_scores(folder: Path, **arrays: list[np.ndarray]) -> str:
    folder.mkdir()
    for index in range(6):
        np.savez(folder / f"s{index}.npz", **{name: values[index] for name, values in arrays.items()})  # type: ignore[arg-type]
    return f"predictions:{folder}"


def test_scores_give_what_the_network_gave(data: Dataset, network_spec: str, tmp_path: Path) -> None:
    measures = Measures({"ce": get_loss("ce")}, (Tolerance(2),))
    logits = scores_of(network_spec, data)
    softmax = [torch.softmax(torch.from_numpy(scores), 0).numpy() for scores in logits]
    network = evaluate(open_checkpoint(network_spec, CPU), data, measures)
    for spec in (save_scores(tmp_path / "l", logits=logits), save_scores(tmp_path / "p", probabilities=softmax)):
        opened = open_checkpoint(spec, CPU)
        assert not opened.capabilities.on_host
        stored = evaluate(opened, data, measures)
        assert np.array_equal(stored.confusion.total(), network.confusion.total())
        assert np.allclose(stored.values["ce"], network.values["ce"], rtol=1e-5)
    assert stored.facts["checkpoint"]["output"] == "probabilities, from probabilities of 4 outputs"


def test_infinite_scores_are_counted_in_one_note(data: Dataset, tmp_path: Path) -> None:
    logits = [9 * np.eye(4, dtype=np.float32)[data.read(index).labels % 4].transpose(2, 0, 1) for index in range(6)]
    logits[1][2, :2, :5] = -np.inf
    logits[4][0, 3, 3] = np.inf
    logits[4][1, 3, 3] = -np.inf
    measures = Measures({"ce": get_loss("ce")}, calibration=True)
    found = evaluate(open_checkpoint(save_scores(tmp_path / "p", logits=logits), CPU), data, measures, batch_size=2)
    notes = [note for note in found.notes if "infinite" in note]
    assert len(notes) == 1
    assert notes[0].startswith("scores are infinite at 11 pixels of 2 images (s1, s4), and are measured there as")
    finite = save_scores(tmp_path / "q", logits=[np.nan_to_num(scores, posinf=1e30, neginf=-1e30) for scores in logits])
    assert not any("infinite" in note for note in evaluate(open_checkpoint(finite, CPU), data, measures).notes)


def test_coarse_scores_are_enlarged_and_images_not_needed(data: Dataset, tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    coarse = [rng.random((4, 12, 16)).astype(np.float16) for _ in range(6)]
    for item in data.items:
        item.image.write_bytes(b"no image")
    spec = save_scores(tmp_path / "p", logits=coarse)
    found = open_checkpoint(spec, CPU)(Batch((data.read(2, image=False),))).scores
    expected = torch.nn.functional.interpolate(torch.from_numpy(coarse[2][None]).float(), (24, 32), mode="bilinear")
    assert found is not None
    assert torch.equal(found, expected)
    assert measured(spec, data).images == 6


def test_one_channel_of_scores_means_two_classes(data: Dataset, tmp_path: Path) -> None:
    spec = save_scores(tmp_path / "p", probabilities=[np.full((1, 24, 32), 0.25, np.float32)] * 6)
    found = open_checkpoint(spec, CPU)(Batch((data.read(0, image=False),))).scores
    assert found is not None
    assert found[0, :, 0, 0].tolist() == [0.75, 0.25]


@pytest.mark.parametrize("name", ["logits", "probabilities"])
def test_one_channel_of_scores_is_told_as_one(name: str, data: Dataset, tmp_path: Path) -> None:
    spec = save_scores(tmp_path / "p", **{name: [np.full((1, 24, 32), 0.25, np.float32)] * 6})
    message = r"p has one output, which is read as two classes, but '.*' has 4 classes; choose the dataset"
    with pytest.raises(CheckpointError, match=message):
        measured(spec, data)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (
            {"logits": np.zeros((24, 32, 4), np.float32)},
            r"s3\.npz: the scores are 24x32x4, H x W x K; save .*transpose",
        ),
        ({"logits": np.zeros((5, 24, 32), np.float32)}, "the scores are 5x24x32, but other files have 4 outputs"),
        (
            {"logits": np.zeros((4, 24, 24), np.float32)},
            "the scores are 24x24, of another aspect ratio than the label map, 24x32",
        ),
        ({"logits": np.zeros((24, 32), np.float32)}, "logits are float32 of shape 24x32; expected floats, K x H x W"),
        ({"logits": np.zeros((4, 24, 32), np.uint8)}, "logits are uint8 of shape 4x24x32; expected floats"),
        ({"scores": np.zeros((4, 24, 32))}, "holds scores; expected either logits or probabilities"),
        ({"logits": np.zeros(3), "probabilities": np.zeros(3)}, "holds logits, probabilities; expected either"),
        ({}, "holds nothing; expected either logits or probabilities"),
    ],
)
def test_malformed_scores(arrays: dict[str, np.ndarray], message: str, data: Dataset, tmp_path: Path) -> None:
    spec = save_scores(tmp_path / "p", logits=[np.zeros((4, 24, 32), np.float32)] * 6)
    np.savez(tmp_path / "p/s3.npz", **arrays)  # type: ignore[arg-type]
    with pytest.raises(SegablateError, match=message):
        measured(spec, data)


@pytest.mark.parametrize(("low", "high"), [(0.0, 9.0), (-0.1, 0.9), (-20.0, 0.0)])
def test_scores_that_are_no_probabilities_are_refused(low: float, high: float, data: Dataset, tmp_path: Path) -> None:
    values = np.linspace(low, high, 4 * 24 * 32, dtype=np.float32).reshape(4, 24, 32)
    spec = save_scores(tmp_path / "p", probabilities=[values] * 6)
    with pytest.raises(SegablateError, match=r"s0\.npz: the scores are stated to be probabilities, but their"):
        measured(spec, data)
    measured(save_scores(tmp_path / "l", logits=[values] * 6), data)


def test_stated_probabilities_are_used_unchanged_unless_their_sum_is_not_one(data: Dataset, tmp_path: Path) -> None:
    """Sums of 1, of 0.8, and of 0.5, which are 40 % sure as stated, 50 % and 40 % by division."""
    whole = np.array([0.4, 0.2, 0.2, 0.2], np.float32).repeat(24 * 32).reshape(4, 24, 32)
    less = whole * np.array([1, 1, 1, 0]).reshape(4, 1, 1)
    measures = Measures(calibration=True)
    confidences, notes = [], []
    for name, stated in (("whole", whole), ("less", less), ("half", whole / 2)):
        spec = save_scores(tmp_path / name, probabilities=[stated.astype(np.float32)] * 6)
        run = evaluate(open_checkpoint(spec, CPU), data, measures)
        sums = run.statistics["reliability"].sum((0, 1, 2))
        confidences.append(sums[2] / sums[0])
        notes.append([note for note in run.notes if "add up" in note])
    assert confidences == pytest.approx([0.4, 0.5, 0.4], abs=1e-6)
    labelled = counted(sum(int((data.read(index).labels != 255).sum()) for index in range(6)), "labelled pixel")
    assert notes[0] == []
    assert notes[1] == notes[2]
    assert notes[2] == [
        f"probabilities do not add up to 1 at {labelled} of 6 images (s0, s1, s2 and 3 more): "
        "calibration divides them by their sum"
    ]
    uncounted = evaluate(open_checkpoint(f"predictions:{tmp_path / 'half'}", CPU), data, Measures())
    assert not any("add up" in note for note in uncounted.notes)


@pytest.mark.parametrize("calibration", [True, False])
def test_probabilities_that_are_all_zero_are_counted_in_a_note(
    calibration: bool, data: Dataset, tmp_path: Path
) -> None:
    stated = [np.full((4, 24, 32), 0.25, np.float32) for _ in range(6)]
    stated[2][:, 5:7] = 0
    labelled = int((data.read(2).labels[5:7] != 255).sum())
    spec = save_scores(tmp_path / "p", probabilities=stated)
    measures = Measures({"ce": get_loss("ce")}, calibration=calibration)
    run = evaluate(open_checkpoint(spec, CPU), data, measures)
    assert [note for note in run.notes if "probabilities" in note] == [
        f"probabilities are all 0 at {labelled} labelled pixels of 1 image (s2): the first output is predicted there, "
        "and calibration and losses take all outputs for equally probable; if nothing is predicted there, correct the "
        "files or the network"
    ]
    assert run.values["ce"] == pytest.approx(np.log(4))
    if calibration:
        assert run.statistics["proper"].sum((0, 1))[1] / run.statistics["bands"][..., 0].sum() == pytest.approx(
            np.log(4)
        )


@pytest.mark.parametrize("order", ["<f4", ">f4", ">f8", ">f2"])
def test_scores_in_any_byte_order(order: str, data: Dataset, tmp_path: Path) -> None:
    logits = np.random.default_rng(0).standard_normal((4, 24, 32)).astype(np.float16)
    plain = measured(save_scores(tmp_path / "a", logits=[logits.astype(np.float32)] * 6), data)
    other = measured(save_scores(tmp_path / "b", logits=[logits.astype(order)] * 6), data)
    assert np.array_equal(plain.confusion.total(), other.confusion.total())


def test_files_of_another_suffix_are_said_not_to_be_read(data: Dataset, tmp_path: Path) -> None:
    spec = save_scores(tmp_path / "p", logits=[np.zeros((4, 24, 32), np.float32)] * 6)
    assert not any("not from" in note for note in measured(spec, data).notes)
    for index in range(6):
        cv2.imwrite(str(tmp_path / f"p/s{index}.png"), np.zeros((24, 32), np.uint8))
    notes = measured(spec, data).notes
    assert any("read from 6 .png files; not from 6 others (s0.npz, s1.npz, s2.npz and 3 more)" in n for n in notes)
    assert not any("not from" in note for note in measured(f"{spec}?name={{name}}.npz", data).notes)


@pytest.mark.parametrize("name", ["s0", "s3"])
@pytest.mark.parametrize("damage", ["cut", "text", "array"])
def test_damaged_scores(damage: str, name: str, data: Dataset, tmp_path: Path) -> None:
    spec = save_scores(tmp_path / "p", logits=[np.zeros((4, 24, 32), np.float32)] * 6)
    path = tmp_path / f"p/{name}.npz"
    with open(tmp_path / "array.npy", "wb") as file:
        np.save(file, np.zeros(3))
    content = {"cut": path.read_bytes()[:900], "text": b"hello", "array": (tmp_path / "array.npy").read_bytes()}
    path.write_bytes(content[damage])
    with pytest.raises(SegablateError, match=rf"{name}\.npz: not a whole \.npz file"):
        measured(spec, data)
    assert [s.name for s in measured(spec, data, on_error="skip").skipped] == [name]


def test_scores_none_of_which_can_be_read(data: Dataset, tmp_path: Path) -> None:
    spec = save_scores(tmp_path / "p", logits=[np.zeros((4, 24, 32), np.float32)] * 6)
    for path in (tmp_path / "p").iterdir():
        path.write_bytes(b"hello")
    with pytest.raises(SegablateError, match=r"s0\.npz: not a whole \.npz file"):
        measured(spec, data, on_error="skip")


@pytest.mark.parametrize("infinite", [np.inf, -np.inf])
def test_infinite_scores_are_named_and_measured_as_large(infinite: float, data: Dataset, tmp_path: Path) -> None:
    plain = [np.eye(4, dtype=np.float32)[data.read(index).labels % 4].transpose(2, 0, 1) * 9 for index in range(6)]
    broken = [scores.copy() for scores in plain]
    for scores in broken[1:3]:
        scores[2, :2, 3] = infinite
    measures = Measures({name: get_loss(name) for name in ("ce", "bce")}, (), calibration=True)
    run = evaluate(open_checkpoint(save_scores(tmp_path / "p", logits=broken), CPU), data, measures)
    assert [note for note in run.notes if "infinite" in note] == [
        "scores are infinite at 4 pixels of 2 images (s1, s2), and are measured there as large finite ones, from 10 000"
    ]
    assert all(np.isfinite(values).all() for values in (*run.values.values(), *run.statistics.values()))
    clamped = [scores.clip(-1e4, 1e4) for scores in broken]
    same = evaluate(open_checkpoint(save_scores(tmp_path / "c", logits=clamped), CPU), data, measures)
    assert not any("infinite" in note for note in same.notes)
    for loss, values in same.values.items():
        assert np.array_equal(values, run.values[loss])
    assert np.array_equal(same.confusion.total(), run.confusion.total())


def test_infinite_scores_that_are_resized_are_told_from_nan(data: Dataset, tmp_path: Path) -> None:
    coarse = [np.zeros((4, 12, 16), np.float32) for _ in range(6)]
    coarse[0][0, 5, 5] = np.inf  # its weight is 0 nowhere near
    coarse[1][2, 1, 1] = -np.inf  # its weight is 0 in the first row
    message = (
        r"s1\.npz: the scores, 12x16, are infinite at 1 pixel, which makes them NaN at the size of the label map, "
        r"24x32; save them at its size, or clip them to finite values"
    )
    with pytest.raises(CheckpointError, match=message):
        measured(save_scores(tmp_path / "p", logits=coarse), data)
    coarse[1][2, 1, 1] = -1e9
    found = measured(save_scores(tmp_path / "q", logits=coarse), data)
    assert any("scores are infinite at 16 pixels of 1 image (s0)" in note for note in found.notes)
    coarse[0][0, 5, 6] = np.nan
    with pytest.raises(CheckpointError, match=r"s0\.npz: the scores are NaN at 1 pixel; look at what wrote them"):
        measured(save_scores(tmp_path / "r", logits=coarse), data)


@pytest.mark.parametrize("name", ["logits", "probabilities"])
def test_scores_that_are_nan_are_told_with_their_file(name: str, data: Dataset, tmp_path: Path) -> None:
    scores = [np.full((4, 24, 32), 0.25, np.float64) for _ in range(6)]
    scores[4][1, 3, :7] = np.nan
    scores[4][2, 3, 6:8] = np.nan
    spec = save_scores(tmp_path / "p", **{name: scores})
    message = (
        r"p/s4\.npz: the scores are NaN at 8 pixels; look at what wrote them and save them again, or pass --on-error"
    )
    with pytest.raises(CheckpointError, match=message):
        measured(spec, data)
    assert [skipped.name for skipped in measured(spec, data, on_error="skip").skipped] == ["s4"]


@pytest.mark.parametrize("output", ["softmax", "sigmoid"])
def test_scores_beyond_float32_keep_the_class_of_the_highest(output: str, data: Dataset, tmp_path: Path) -> None:
    exact = [np.random.default_rng(index).normal(size=(4, 24, 32)) for index in range(6)]
    huge = [scores.copy() for scores in exact]
    huge[1][:, :3] *= 1e300
    huge[4][:, 5, :7] = -1e300 * (1 + np.abs(huge[4][:, 5, :7]))
    plain = [scores.copy() for scores in huge]
    plain[1][:, :3] /= 1e298
    plain[4][:, 5, :7] /= 1e298
    cpu = Loading(device="cpu", output=output)
    measures = Measures({"ce": get_loss("ce")}, calibration=True)
    found = evaluate(open_checkpoint(save_scores(tmp_path / "h", logits=huge), cpu), data, measures, batch_size=4)
    expected = evaluate(open_checkpoint(save_scores(tmp_path / "e", logits=plain), cpu), data, measures)
    assert np.array_equal(found.confusion.total(), expected.confusion.total())
    assert all(np.isfinite(values).all() for values in (*found.values.values(), *found.statistics.values()))
    assert [note for note in found.notes if "scores are" in note] == [
        "scores are beyond the range of float32 at 103 pixels of 2 images (s1, s4): all of such a pixel are limited to "
        "±10 000, and the highest, if it is beyond that, is 5 000 higher"
    ]
    assert not any("scores are" in note for note in expected.notes)


def test_narrowed_scores() -> None:
    pixels = [
        (1e300, 2e300, 5.0, 7.0),
        (-1e300, -2e300, -3e300, -4e300),
        (1.0, -1e300, 2.0, 0.5),
        (1e39, 1e39, 0.0, 3e38),
        (3.0, -4.0, 1e38, 2.0),
        (float("inf"), 1e300, 0.0, 1.0),
    ]
    found, counts = narrowed(torch.tensor(pixels, dtype=torch.float64).T[None, :, None])
    assert counts.tolist() == [5]
    assert found[0, :, 0].T.tolist() == [
        [1e4, 1.5e4, 5, 7],
        [-5e3, -1e4, -1e4, -1e4],
        [1, -1e4, 2, 0.5],
        [1.5e4, 1.5e4, 0, 1e4],
        [3, -4, torch.tensor(1e38).item(), 2],
        [1.5e4, 1e4, 0, 1],
    ]


def test_infinite_scores_stay_the_largest() -> None:
    scores = torch.tensor([1e6, float("inf"), -float("inf"), 3.0]).view(1, 4, 1, 1).repeat(2, 1, 1, 1)
    scores[1, 0] = 1.0
    found, pixels = without_infinities(scores)
    assert found.flatten(1).tolist() == [[1e6, 2e6, -2e6, 3.0], [1.0, 1e4, -1e4, 3.0]]
    assert pixels == [1, 1]
    assert without_infinities(scores[:1])[0].equal(found[:1])  # whatever its mates in a batch are


def test_predictions_that_cannot_be_hashed(data: Dataset, tmp_path: Path) -> None:
    spec = save_scores(tmp_path / "p", logits=[np.zeros((4, 24, 32), np.float32)] * 6)
    (tmp_path / "p/s3.npz").unlink()
    (tmp_path / "p/s3.npz").symlink_to("/proc/self/mem")  # of which no byte can be read
    assert [s.name for s in measured(spec, data, on_error="skip").skipped] == ["s3"]


# real data


@pytest.mark.data
def test_ade20k_predictions_from_codes(real_data: Path, tmp_path: Path) -> None:
    source = real_data / "ade20k_sample"
    described = {
        "name": "ade20k",
        "classes": [{"name": f"class {code}", "code": code} for code in range(1, 151)],
        "void": [0],
        "splits": {"val": {"images": str(source / "images"), "labels": str(source / "annotations")}},
    }
    (tmp_path / "dataset.yaml").write_text(yaml.safe_dump(described))
    run = measured(f"predictions:{source / 'predictions'}", open_dataset(f"folder:{tmp_path}"))
    assert run.images == 3
    table = np.zeros((151, 151), np.int64)
    for path in sorted((source / "annotations").iterdir()):
        labels = np.array(Image.open(path)).astype(int)
        values = np.array(Image.open(source / "predictions" / path.name)).astype(int)
        np.add.at(table, ((labels - 1) % 151, (values - 1) % 151), 1)
    assert np.array_equal(run.confusion.total(), table)
    assert mean_iou(class_counts(run.confusion).total()) > 0.1
