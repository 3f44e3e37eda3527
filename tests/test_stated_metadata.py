"""What exported files state of themselves: class names, mean and std, Ultralytics' letterbox; hostile statements."""

import json
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import optional
from exported_networks import write_onnx

from segablate.checkpoints import Loading, count_outputs, open_checkpoint
from segablate.checkpoints.exported import ExportedNetwork, ImageInput
from segablate.checkpoints.network import Network
from segablate.checkpoints.preprocessing import Preprocessing
from segablate.checkpoints.stated_metadata import read_statements
from segablate.checkpoints.tflite_metadata import read_tflite_metadata
from segablate.errors import CheckpointError
from segablate.evaluation.scores import whole_scores
from segablate.samples import Batch, Sample

runtime, onnx = optional("onnxruntime"), optional("onnx")
optional("ai_edge_litert.interpreter")

from tflite_metadata import with_metadata  # noqa: E402
from tflite_networks import write_tflite  # noqa: E402

NAMES = ("road", "car", "sky", "tree")
ULTRALYTICS = {
    "task": "semantic",
    "stride": "32",
    "imgsz": "[24, 32]",
    "version": "8.4.190",
    "names": str(dict(enumerate(NAMES))),
}


def opened(path: Path, **more: Any) -> Network:
    found = open_checkpoint(str(path), Loading(device="cpu", **more))
    assert isinstance(found, Network)
    return found


def stating(path: Path, **metadata: str) -> Path:
    """Add metadata_props to an ONNX file."""
    model = onnx.load(str(path))
    for key, value in metadata.items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value
    onnx.save(model, str(path))
    return path


def scores(network: Network, image: np.ndarray) -> torch.Tensor:
    return whole_scores(network(Batch((Sample(0, "x", image, image[..., 0], ""),))))


def picture(height: int = 24, width: int = 32) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3)).astype(np.uint8)


@pytest.mark.parametrize(
    ("metadata", "constants"),
    [
        ({"mean": "[0.1, 0.2, 0.3]", "std": "0.5"}, ("1/255", (0.1, 0.2, 0.3), (0.5, 0.5, 0.5))),
        ({"mean": "123.7,116.3,103.5", "std": "58.4,57.1,57.4"}, ("1", (123.7, 116.3, 103.5), (58.4, 57.1, 57.4))),
        ({"mean": "(104, 117, 123)", "std": "1"}, ("1", (104, 117, 123), (1, 1, 1))),
        (
            {"standardization_mean": "[0.0, 0.0, 0.0]", "standardization_std": "[1.0, 1.0, 1.0]"},
            ("1/255", (0, 0, 0), (1, 1, 1)),
        ),
        ({"mean": "nonsense", "std": "1"}, None),
        ({"mean": "[0.1, 0.2, 0.3]", "std": "[1, 0, 1]"}, None),
        ({"mean": "[1e999, 0, 0]", "std": "1"}, None),
    ],
)
def test_constants_of_metadata_props(metadata: dict[str, str], constants: Any) -> None:
    start = read_statements(metadata).start(Loading())
    assert (start and (start.scale, start.mean, start.std)) == constants


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ('["road", "car"]', ("road", "car")),
        ("{0: 'road', 1: 'car'}", ("road", "car")),
        ('{"1": "car", "0": "road"}', ("road", "car")),
        ("road, car", ("road", "car")),
        ("road\ncar\n", ("road", "car")),
        ('{"1": "car", "2": "road"}', None),
        ('["road", "road"]', None),
        ("__import__('os').getcwd()", None),
        ("[" * 9000, None),
    ],
)
def test_names_of_metadata_props(text: str, names: tuple[str, ...] | None) -> None:
    assert read_statements({"labels": text}).classes == names


def test_an_onnx_file_is_run_as_it_states(tmp_path: Path) -> None:
    plain = write_onnx(tmp_path / "plain.onnx", ("n", 3, 24, 32))
    own = {"mean": "[0.1,0.2,0.3]", "std": "[0.4,0.5,0.6]", "classes": json.dumps(NAMES)}
    path = stating(write_onnx(tmp_path / "net.onnx", ("n", 3, 24, 32)), **own)
    found = opened(path)
    stated = {"mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6]}
    assert torch.equal(scores(found, picture()), scores(opened(plain, preprocessing=stated), picture()))
    assert (found.classes, found.source.notes, found.assumed) == (NAMES, (), False)
    assert found.source.facts["classes"] == "4, from the file's metadata_props"
    assert found.source.facts["mean and std"] == "from the file's metadata_props"
    over = opened(path, preprocessing={"mean": 0.5, "std": 0.25}, classes=tuple("abcd"))
    assert (over.classes, over.preprocessing.mean, over.preprocessing.scale) == (tuple("abcd"), (0.5,) * 3, "1/255")
    assert not {"classes", "mean and std"} & over.source.facts.keys()
    few = opened(stating(write_onnx(tmp_path / "few.onnx", ("n", 3, 24, 32)), labels="a,b"))
    assert few.classes in (None, ("a", "b"))  # the file leaves the number of its outputs open


def test_names_of_another_number_of_classes_are_left_out_aloud(tmp_path: Path) -> None:
    path = with_metadata(write_tflite(tmp_path / "net.tflite"), [0.0], [255.0], ["a", "b"])
    found = opened(path)
    assert found.classes is None
    assert "the file names 2 classes (a, b), but the network has 4 outputs; the names were left out" in (
        found.source.notes
    )


def test_ultralytics_letterbox(tmp_path: Path) -> None:
    """A wide image is scaled to the width, framed in grey 114, and its frame cut off the scores."""
    path = stating(write_onnx(tmp_path / "net.onnx", (1, 3, 24, 32)), **ULTRALYTICS)
    found = opened(path)
    assert found.classes == NAMES
    assert found.source.facts["preprocessing"] == "RGB · × 1/255 · − 0 · / 1 · letterboxed to 24x32"
    image = picture(12, 32)
    framed = np.full((24, 32, 3), 114, np.uint8)
    framed[6:18] = image
    given = (framed.transpose(2, 0, 1)[None] / np.float32(255)).astype(np.float32)
    session = runtime.InferenceSession(str(path))
    theirs = session.run(None, {"image": given})[0][..., 6:18, :]
    np.testing.assert_allclose(scores(found, image).numpy(), theirs, atol=1e-5)
    assert opened(path, window=(24, 32)).preprocessing.letterboxed is False


@pytest.mark.parametrize("size", [(30, 100), (100, 30), (24, 32), (1, 500)])
def test_a_letterbox_keeps_proportions_and_centres(size: tuple[int, int]) -> None:
    steps = Preprocessing.parse({"letterbox": True, "resize": [24, 32], "scale": 1})
    height, width = steps.unpadded(size)
    top, left = steps.corner(size)
    assert (height, width) == tuple(max(1, round(side * min(24 / size[0], 32 / size[1]))) for side in size)
    framed = steps(torch.zeros(1, *size, 3, dtype=torch.uint8))[0, 0]
    inside = torch.zeros(24, 32, dtype=torch.bool)
    inside[top : top + height, left : left + width] = True
    assert torch.equal(framed == 0, inside)
    assert torch.equal(framed == 114, ~inside)
    assert abs(top - (24 - height - top)) <= 1
    assert abs(left - (32 - width - left)) <= 1


def test_ultralytics_class_maps_and_other_tasks(tmp_path: Path) -> None:
    path = stating(write_onnx(tmp_path / "net.onnx", (1, 3, 24, 32), form="argmax"), **ULTRALYTICS)
    assert opened(path).kind == "labels"
    with pytest.raises(CheckpointError, match="is a network of Ultralytics for task 'detect', which returns no class"):
        opened(stating(write_onnx(tmp_path / "d.onnx", (1, 3, 24, 32)), **{**ULTRALYTICS, "task": "detect"}))


def test_a_tflite_file_is_run_as_it_states(tmp_path: Path) -> None:
    plain = opened(write_tflite(tmp_path / "plain.tflite"), preprocessing={"scale": 1, "mean": 100, "std": 50})
    found = opened(with_metadata(write_tflite(tmp_path / "net.tflite"), [100.0], [50.0], NAMES))
    assert torch.equal(scores(found, picture()), scores(plain, picture()))
    assert found.classes == NAMES
    assert found.source.facts["classes"] == "4, from labels.txt, inside the file"
    assert count_outputs(found) == 4
    without = opened(with_metadata(write_tflite(tmp_path / "no.tflite"), [100.0], [50.0], None))
    assert without.source.notes == ("its label file labels.txt is named in its metadata, but not in the file",)


def test_a_quantised_tflite_file_takes_whole_pixels_whatever_its_metadata(tmp_path: Path) -> None:
    quantised = ("UINT8", (1 / 255, 0), (0.1, 128))
    path = write_tflite(tmp_path / "net.tflite", quantised=quantised)
    plain = scores(opened(path), picture())
    assert torch.equal(scores(opened(with_metadata(path, [127.5], [127.5], NAMES)), picture()), plain)


def test_the_metadata_of_ultralytics_in_a_tflite_file(tmp_path: Path) -> None:
    path = write_tflite(tmp_path / "net.tflite")
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        values = {**ULTRALYTICS, "imgsz": [24, 32], "stride": 32, "names": dict(enumerate(NAMES))}
        archive.writestr("metadata.json", json.dumps(values, indent=2))
    found = opened(path)
    assert (found.classes, found.preprocessing.letterboxed) == (NAMES, True)


def test_damaged_metadata_are_one_line(tmp_path: Path) -> None:
    """Every 4 bytes of the metadata are overwritten in turn: the file opens, or one line says that it is damaged."""
    path = with_metadata(write_tflite(tmp_path / "net.tflite"), [100.0], [50.0], NAMES)
    data = path.read_bytes()
    start = data.index(b"M001") - 4
    said: list[str] = []
    for place in range(start, data.index(b"PK\3\4"), 4):
        for value in (b"\xff\xff\xff\x7f", b"\xff\xff\xff\xff"):
            path.write_bytes(data[:place] + value + data[place + 4 :])
            try:
                read_tflite_metadata(path).start(Loading())
            except CheckpointError as error:
                said.append(str(error))
    assert len(said) > 20
    assert not any("\n" in line for line in said)


def test_a_label_file_that_unpacks_to_much_is_refused(tmp_path: Path) -> None:
    path = with_metadata(write_tflite(tmp_path / "net.tflite"), [100.0], [50.0], None)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("labels.txt", b"a" * (1 << 21))
    with pytest.raises(CheckpointError, match=r"labels\.txt has 2 097 152 bytes, of which at most 1 048 576 are read"):
        opened(path)


@pytest.mark.parametrize("form", ["map", "last", "first"])
def test_flat_outputs_are_maps(form: str) -> None:
    truth = torch.arange(2 * 3 * 4 * 5.0).reshape(2, 3, 4, 5)
    flat = {"map": truth[:, 0].flatten(1), "last": truth.flatten(2).permute(0, 2, 1), "first": truth.flatten(2)}[form]
    module = ExportedNetwork(ImageInput(True, None, (None, None), torch.float32), lambda _: flat)
    found = module(torch.zeros(2, 3, 4, 5))
    assert torch.equal(found, truth[:, :1] if form == "map" else truth)


def test_a_network_that_the_delegate_rejects_runs_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    litert = optional("ai_edge_litert.interpreter")
    path = write_tflite(tmp_path / "net.tflite")
    expected = scores(opened(path), picture())
    asked = []

    class Rejecting(litert.Interpreter):
        def __init__(self, *arguments: Any, experimental_op_resolver_type: Any, **more: Any) -> None:
            asked.append(experimental_op_resolver_type)
            super().__init__(*arguments, experimental_op_resolver_type=experimental_op_resolver_type, **more)

        def allocate_tensors(self) -> None:
            if asked[-1] != litert.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES:
                raise RuntimeError("failed to create XNNPACK runtime")
            super().allocate_tensors()

    monkeypatch.setattr(litert, "Interpreter", Rejecting)
    found = opened(path)
    np.testing.assert_allclose(scores(found, picture()).numpy(), expected.numpy(), atol=1e-3)
    assert any("XNNPACK, the default delegate of ai-edge-litert, rejects the network" in n for n in found.source.notes)


def test_the_lines_of_a_runtime_stay_off_standard_error(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    scores(opened(write_tflite(tmp_path / "net.tflite")), picture())
    (tmp_path / "bad.onnx").write_bytes(write_onnx(tmp_path / "net.onnx").read_bytes()[:-40])
    with pytest.raises(CheckpointError, match="onnxruntime cannot load it"):
        opened(tmp_path / "bad.onnx")
    os.write(2, b"heard\n")
    assert capfd.readouterr().err == "heard\n"
