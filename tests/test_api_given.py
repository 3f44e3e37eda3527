"""What may be given to the API as checkpoint, dataset and options, and what is refused in one line."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from conftest import write_predictions
from torch import backends

import segablate
from segablate import SegablateError
from segablate.api.options import as_tolerances
from segablate.api.surroundings import undisturbed
from segablate.errors import CheckpointError, DatasetError, UsageError
from segablate.evaluation.results import to_arrays
from segablate.runtime import ALONE
from segablate.user_code import OUTPUT_IS_THE_USERS


class Net(torch.nn.Module):
    """A network of four classes on pixels of 0..1."""

    preprocessing: ClassVar = {"mean": [0.0, 0.0, 0.0], "std": [1.0, 1.0, 1.0]}

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body = torch.nn.Conv2d(3, 4, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.body(x)


IMAGE, LABELS = torch.rand(3, 8, 8), torch.zeros(8, 8, dtype=torch.long)
BYTES = np.zeros((8, 8, 3), np.uint8)


def evaluate(pairs: Any, **options: Any) -> segablate.Evaluation:
    return segablate.evaluate(Net(), pairs, classes=4, **options)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: segablate.evaluate("sample:ce", classes=["a"]), UsageError, "classes of a dataset are its own; give"),
        (lambda: evaluate([(IMAGE, LABELS)], output="softmin"), CheckpointError, "output is 'softmin', but must be"),
        (lambda: evaluate([(IMAGE[None], LABELS[None], ["a", "b"])]), DatasetError, "a batch has 1 image, 1 label"),
        (lambda: evaluate([(IMAGE, LABELS.expand(2, 8, 8))]), DatasetError, "labels of one image must be H W, not 2 8"),
        (lambda: evaluate([(IMAGE, LABELS.float())]), ValueError, "labels must be class indices of an integer type"),
        (lambda: evaluate([(IMAGE, LABELS[0])]), ValueError, "labels must be H W or N H W, not 8"),
        (lambda: evaluate([(BYTES[0, 0], LABELS)]), DatasetError, "a batch has 3 images, 8 label maps"),
        (lambda: evaluate([(BYTES, LABELS), (IMAGE, LABELS)]), DatasetError, "partly floating point and partly not"),
        (lambda: evaluate([(BYTES[..., :2], LABELS)]), DatasetError, r"uint8 of three channels, not torch\.uint8 of 8"),
        (lambda: evaluate([(BYTES.astype(np.int16), LABELS)]), DatasetError, r"of three channels, not torch\.int16"),
        (lambda: evaluate([(IMAGE, LABELS)], losses="semeda"), UsageError, "semeda needs an edge network, which is"),
        (lambda: evaluate([(IMAGE, LABELS)], losses="dense_crf"), UsageError, "dense_crf needs images of 0..255; give"),
        (lambda: evaluate([(IMAGE, LABELS, "a", 3)]), DatasetError, r"not a tuple of 4"),
        (lambda: evaluate([(IMAGE, LABELS)], boundary_as="monai-nsd", tolerance=()), UsageError, "needs a tolerance"),
        (lambda: segablate.ablate(3, "sample:ce"), TypeError, "loss must be a name, such as 'rmi' or 'python:"),
        (lambda: segablate.Scores(2.5), TypeError, "classes must be a number, names or a LabelSet, not float"),
        (lambda: segablate.Scores(True), TypeError, "classes must be a number, names or a LabelSet, not bool"),
        (lambda: segablate.Scores("road"), SegablateError, "classes is 'road'; give a list of names, or their number"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_clear_line(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_a_module_is_where_its_parameters_are() -> None:
    with pytest.raises(UsageError, match="device is 'cpu', but the module is on meta; move it there, or leave out"):
        segablate.evaluate(Net().to("meta"), [(IMAGE, LABELS)], classes=4, device="cpu")
    assert segablate.evaluate(lambda x: x.repeat(1, 2, 1, 1)[:, :4], [(IMAGE, LABELS)], classes=4).overall.images == 1


def test_predictions_have_names_that_pairs_lack(tmp_path: Path) -> None:
    write_predictions(tmp_path / "predicted", 2, (8, 8))
    with pytest.raises(UsageError, match="has label maps by name, but pairs bring images; give a dataset"):
        segablate.evaluate(f"predictions:{tmp_path / 'predicted'}", [(BYTES, LABELS)], classes=4)


def test_labels_and_batches_of_every_form_count_alike() -> None:
    rng = np.random.default_rng(0)
    images, labels = torch.rand(3, 3, 8, 10), torch.from_numpy(rng.integers(0, 4, (3, 8, 10)))
    plain = evaluate(list(zip(images, labels, strict=True)))
    forms: list[Any] = [
        [(images, labels)],
        [(images, labels[:, None], ["000000", "000001", "000002"])],
        [(images[:1], labels[:1]), (images[1:], labels[1:])],
        [(image, label.to(torch.int16)) for image, label in zip(images, labels, strict=True)],
        [(image, label.tolist()) for image, label in zip(images, labels, strict=True)],
        ((image, label) for image, label in zip(images, labels, strict=True)),
    ]
    for form in forms:
        found = evaluate(form)
        assert found.overall == plain.overall
        assert to_arrays(found.run)["names"].tolist() == to_arrays(plain.run)["names"].tolist()


def test_windows_are_a_side_or_two_and_images_a_list_or_a_file(tmp_path: Path) -> None:
    names = [image.name for image in segablate.evaluate("sample:ce", limit=4, losses="none").images]
    (tmp_path / "list.txt").write_text("\n".join(names[1:3]) + "\n")
    for chosen in (names[1:3], tmp_path / "list.txt", str(tmp_path / "list.txt")):
        how: dict[str, Any] = {"window": 64, "stride": (64, 32), "mean": (0.5, 0.5, 0.5)}
        found = segablate.evaluate("sample:ce", images=chosen, losses="none", **how)
        assert "− 0.5 " in found.facts["checkpoint"]["preprocessing"]
        assert [image.name for image in found.images] == names[1:3]
        assert "64x64" in found.facts["checkpoint"]["inference"]
        assert "64x32" in found.facts["checkpoint"]["inference"]
    with pytest.raises(DatasetError, match="images: 1 name not in split 'val'"):
        segablate.evaluate("sample:ce", images=["nowhere"])


def test_tolerances_of_every_form() -> None:
    scores = segablate.Scores(2, tolerance=[segablate.Tolerance(2), "0.01d", 2])
    scores.update(LABELS, LABELS)
    assert list(scores.compute().overall.boundary_f) == ["2", "0.01d"]
    assert as_tolerances("none") == as_tolerances(()) == ()
    assert as_tolerances("3, 0.01d,3") == (segablate.Tolerance(3), segablate.Tolerance(0.01, True))


def test_all_losses_are_those_for_which_pairs_bring_enough() -> None:
    """Without images of 0..255 and a dataset to train SEMEDA's network on."""
    floating = evaluate([(IMAGE, LABELS)], losses="all")
    assert {"ce", "dice", "rmi"} <= floating.losses.keys()
    assert not {"semeda", "dense_crf", "dfr"} & floating.losses.keys()
    (note,) = [note for note in floating.notes if note.startswith('losses="all" leaves out')]
    assert all(name in note for name in ("semeda", "dense_crf", "dfr"))
    whole = evaluate([(BYTES, LABELS)], losses="all")
    assert {"dense_crf", "dfr"} <= whole.losses.keys()
    assert "semeda" not in whole.losses


def test_other_counts_are_asked_for_by_name() -> None:
    further: dict[str, Any] = {"boundary_iou": "0.02d", "error_kinds": 2, "tolerance": "0.0075d"}
    found = segablate.evaluate("sample:ce", limit=5, losses=[], boundary_as="davis", trimap=[3, 1, 3], **further)
    assert (found.run.facts["measures"]["boundary_iou"], found.run.facts["measures"]["error_kinds"]) == ("0.02d", "2")
    assert found.losses == {}
    assert "boundary_f_0_0075d" in found.intervals
    assert found.intervals.keys() <= found.summary.as_dict().keys()
    assert any("davis" in name for name in found.run.statistics)
    assert any("trimap" in name for name in found.run.statistics)


def test_a_limit_of_pairs_is_the_first_of_them() -> None:
    found = evaluate([(IMAGE, LABELS, name) for name in "abcd"], limit=2)
    assert [image.name for image in found.images] == ["a", "b"]


def test_predictions_and_labels_are_on_one_device_and_named_by_a_text_or_a_list() -> None:
    scores = segablate.Scores(2, per_image=True)
    with pytest.raises(ValueError, match="predictions are on cpu but labels on meta; move the labels there"):
        scores.update(torch.zeros(1, 2, 8, 8), LABELS[None].to("meta"))
    scores.update(torch.zeros(1, 2, 8, 8), LABELS, "a")  # type: ignore[arg-type]
    scores.update(torch.zeros(2, 2, 8, 8), LABELS.expand(2, 8, 8), ["b", "c"])
    assert [image.name for image in scores.evaluation().images] == ["a", "b", "c"]


def test_a_recipe_that_names_code_needs_trust(tmp_path: Path) -> None:
    fields = 'fields: {objective: {value: "ce + python:mine.py:mine", source: ours}}\n'
    (tmp_path / "recipe.yaml").write_text(fields)
    with pytest.raises(SegablateError, match=r"--trust-code"):
        segablate.train("small", save=tmp_path / "run", recipe=tmp_path / "recipe.yaml", steps=1)


def test_progress_counts_the_pairs() -> None:
    seen: list[int] = []

    @contextmanager
    def display(steps: int, what: str) -> Iterator[Any]:
        yield seen.append

    evaluate([(IMAGE, LABELS)] * 3, progress=display)
    assert sum(seen) == 3


def test_a_call_leaves_standard_output_to_whom_it_belongs() -> None:
    assert not OUTPUT_IS_THE_USERS.get()
    assert not ALONE.get()
    with undisturbed():
        assert OUTPUT_IS_THE_USERS.get()
        assert ALONE.get()
        with undisturbed(distributed=True):
            assert not ALONE.get()
    assert not OUTPUT_IS_THE_USERS.get()
    assert not ALONE.get()


def test_settings_of_cuda_are_put_back_when_the_last_call_ends() -> None:
    before = backends.cudnn.benchmark, backends.cuda.matmul.allow_tf32
    with undisturbed():
        with undisturbed():
            backends.cudnn.benchmark, backends.cuda.matmul.allow_tf32 = not before[0], not before[1]
        assert backends.cudnn.benchmark is not before[0], "another call is not over"
    assert (backends.cudnn.benchmark, backends.cuda.matmul.allow_tf32) == before


@pytest.mark.parametrize("before", [None, ":16:8"])
def test_a_training_puts_a_variable_back(before: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from segablate.api.training import _random_state

    if before is None:
        monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    else:
        monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", before)
    import os

    state = torch.get_rng_state()
    with _random_state():
        os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"
        torch.rand(3)
    assert os.environ.get("CUBLAS_WORKSPACE_CONFIG") == before
    assert torch.equal(torch.get_rng_state(), state)
