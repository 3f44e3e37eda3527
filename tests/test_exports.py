"""Networks in the files of other runtimes: each gives what its own library gives, and says what it cannot run."""

import json
import os
import sys
import warnings
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import yaml
from conftest import optional
from exported_networks import BIAS, WEIGHT, write_onnx
from tflite_networks import quantised_weight, write_tflite
from torch import Tensor, nn

from segablate.checkpoints import Loading, count_outputs, open_checkpoint
from segablate.checkpoints.exported import ExportedNetwork, ImageInput
from segablate.checkpoints.network import Network
from segablate.cli import run
from segablate.errors import CheckpointError, DeviceError, MissingExtra, SegablateError
from segablate.evaluation.inputs import available
from segablate.evaluation.scores import whole_scores
from segablate.samples import Batch, Output, Sample

for package in ("onnx", "onnxruntime"):
    optional(package)

SIZE = (24, 32)
TRUSTED = Loading(device="cpu", trust_code=True)


def notes_of(opened: Any) -> tuple[str, ...]:
    """The notes of a checkpoint, but that on mean and std, which no exported file here states."""
    return tuple(note for note in opened.source.notes if not note.startswith("no mean and std given"))


def opened(spec: Path | str, **more: Any) -> Network:
    segmenter = open_checkpoint(str(spec), Loading(**{"device": "cpu", "trust_code": True, **more}))
    assert isinstance(segmenter, Network)
    return segmenter


def images(count: int = 1, size: tuple[int, int] = SIZE) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (count, *size, 3), np.uint8)


def output(segmenter: Network, pixels: np.ndarray) -> Output:
    return segmenter(Batch(tuple(Sample(i, str(i), image, image[..., 0], "") for i, image in enumerate(pixels))))


def scores(segmenter: Network, pixels: np.ndarray) -> Tensor:
    return whole_scores(output(segmenter, pixels))


def shares(pixels: np.ndarray) -> np.ndarray:
    """N, 3, H, W float32 in 0..1."""
    return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2), np.float32) / np.float32(255)


def convolved(pixels: np.ndarray) -> Tensor:
    """What the networks of these tests give for pixels in 0..1."""
    return torch.conv2d(torch.from_numpy(shares(pixels)), torch.from_numpy(WEIGHT), torch.from_numpy(BIAS), padding=1)


def near(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and torch.allclose(a, b, atol=1e-4)


# ONNX


def by_onnxruntime(path: Path, array: np.ndarray, head: str | None = None) -> Tensor:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return torch.from_numpy(session.run([head] if head else None, {"image": array})[0])


@pytest.mark.parametrize("spelt", ["onnx:{}", "{}"])
def test_onnx_gives_what_its_library_gives(spelt: str, tmp_path: Path) -> None:
    path = write_onnx(tmp_path / "net.onnx")
    found = opened(spelt.format(path))
    assert near(scores(found, images(3)), by_onnxruntime(path, shares(images(3))))
    assert near(scores(found, images(3)), convolved(images(3)))
    assert near(scores(found, images(1, (17, 40))), convolved(images(1, (17, 40))))
    assert found.source.spec == f"onnx:{path}"
    assert found.source.files == (path,)
    assert notes_of(found) == ()
    assert found.source.facts["input"] == "?x3x?x? float32"
    assert "parameters" not in found.source.facts
    assert count_outputs(found) == 4


def test_onnx_of_a_fixed_size_gets_it_and_its_scores_come_back_to_that_of_the_image(tmp_path: Path) -> None:
    path = write_onnx(tmp_path / "net.onnx", (1, 3, 24, 32))
    pixels = images(2, (48, 50))
    small = np.stack([cv2.resize(image, (32, 24), interpolation=cv2.INTER_LINEAR) for image in shares(pixels)[0]])[None]
    small = torch.nn.functional.interpolate(torch.from_numpy(shares(pixels)), SIZE, mode="bilinear").numpy()
    direct = torch.cat([by_onnxruntime(path, part[None]) for part in small])
    expected = torch.nn.functional.interpolate(direct, (48, 50), mode="bilinear")
    found = opened(path)
    assert near(scores(found, pixels), expected)
    assert "resized to 24x32" in found.source.facts["preprocessing"]
    kept = opened(path, preprocessing={"resize": None})  # as a first card has it
    assert near(scores(kept, pixels), expected)


def test_a_window_of_the_fixed_size_slides_over_the_image(tmp_path: Path) -> None:
    path = write_onnx(tmp_path / "net.onnx", (1, 3, 24, 32))
    pixels = images(1, (24, 64))
    found = scores(opened(path, window=(24, 32), stride=(24, 32)), pixels)
    halves = [by_onnxruntime(path, np.ascontiguousarray(part)) for part in np.split(shares(pixels), 2, axis=3)]
    assert near(found, torch.cat(halves, 3))
    with pytest.raises(CheckpointError, match=r"takes only 24x32; pass --window 24x32, or leave it out"):
        opened(path, window=(16, 16))
    with pytest.raises(CheckpointError, match=r"takes only 24x32; leave out --resize"):
        opened(path, preprocessing={"resize": [48, 64]})
    with pytest.raises(
        CheckpointError, match=r"fails on images of 20x20: the network takes only 24x32; pass --resize 24x32$"
    ):
        output(opened(path, window=(24, 32)), images(1, (20, 20)))


@pytest.mark.parametrize(
    ("shape", "form"),
    [
        (("n", "h", "w", 3), "last"),
        (("n", "h", "w", 3), "scores"),
        ((1, 24, 32, 3), "last"),
        (("n", 3, "h", "w"), "last"),
        (("n", 3, "h", "w"), "half"),
        ((4, 3, 24, 32), "scores"),
        ((None, 3, None, 32), "scores"),
    ],
)
def test_onnx_in_other_layouts(shape: tuple[Any, ...], form: str, tmp_path: Path) -> None:
    found = scores(opened(write_onnx(tmp_path / "net.onnx", shape, form=form)), images(2))
    expected = convolved(images(2))
    if form == "half":
        expected = torch.nn.functional.interpolate(expected[..., ::2, ::2], SIZE, mode="bilinear")
    assert near(found, expected)


@pytest.mark.parametrize(("dtype", "tolerance"), [("FLOAT16", 5e-3), ("DOUBLE", 1e-4)])
def test_onnx_of_other_floats(dtype: str, tolerance: float, tmp_path: Path) -> None:
    found = scores(opened(write_onnx(tmp_path / "net.onnx", dtype=dtype)), images())
    assert torch.allclose(found, convolved(images()), atol=tolerance)


def test_onnx_that_takes_pixels_as_they_are(tmp_path: Path) -> None:
    path = write_onnx(tmp_path / "net.onnx", dtype="UINT8")
    found = opened(path)
    assert near(scores(found, images()) / 255, convolved(images()) + torch.from_numpy(BIAS / 255 - BIAS)[:, None, None])
    assert near(scores(found, images()), by_onnxruntime(path, images().transpose(0, 3, 1, 2)))
    mirrored = opened(path, preprocessing={"channels": "bgr"})
    assert near(scores(mirrored, images()[..., ::-1].copy()), scores(found, images()))
    with pytest.raises(
        CheckpointError, match=r"net\.onnx: the network takes unscaled pixels of 0\.\.255; leave out scale, mean"
    ):
        opened(path, preprocessing={"mean": 0.5})


def test_one_of_several_onnx_outputs(tmp_path: Path) -> None:
    path = write_onnx(tmp_path / "net.onnx", form="two")
    first = opened(path)
    assert notes_of(first) == ("the first of 2 outputs is used (first, twice); choose another with --head",)
    assert near(scores(first, images()), by_onnxruntime(path, shares(images()), "first"))
    for head in ("twice", "1", "-1"):
        found = opened(path, head=head)
        assert near(scores(found, images()), by_onnxruntime(path, shares(images()), "twice"))
        assert notes_of(found) == ()
        assert found.source.facts["head"] == "twice, ?x4x?x? tensor(float)"
    with pytest.raises(CheckpointError, match=r"net\.onnx: the network has no head 'third'; available: first, twice"):
        opened(path, head="third")


def test_an_argmax_inside_an_onnx_file(toy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_onnx(tmp_path / "net.onnx", form="argmax")
    plain = write_onnx(tmp_path / "plain.onnx")
    assert opened(path).kind == "labels"
    assert np.array_equal(output(opened(path), images(2)).predicted, convolved(images(2)).argmax(1))  # type: ignore[arg-type]
    command = [f"folder:{toy}", "--device", "cpu", "--workers", "0", "--format", "json"]
    printed = []
    for file in (path, plain):
        assert (
            run(["evaluate", str(file), *command, "--losses", "none", *([] if file is path else ["--no-calibration"])])
            == 0
        )
        printed.append(json.loads(capsys.readouterr().out)["tables"])
    assert printed[0] == printed[1]
    assert run(["evaluate", str(path), *command]) == 0
    assert "label maps, not scores" not in capsys.readouterr().out
    assert run(["evaluate", str(path), *command, "--losses", "ce"]) == 2
    assert "--losses ce needs logits, but onnx:" in capsys.readouterr().err
    assert run(["ablate", "rmi", str(path), f"folder:{toy}", "--device", "cpu", "--radius", "2"]) == 2
    assert "ablate rmi needs logits, but onnx:" in capsys.readouterr().err


def test_an_exported_network_has_no_features(toy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_onnx(tmp_path / "net.onnx")
    assert available(opened(path)) == {"edge_net", "image"}
    command = ["evaluate", str(path), f"folder:{toy}", "--device", "cpu", "--losses", "feature_consistency"]
    assert run(command) == 2
    assert "needs the features, which onnx:" in capsys.readouterr().err


def test_onnx_weights_in_a_file_of_their_own_are_hashed_too(tmp_path: Path) -> None:
    path = write_onnx(tmp_path / "net.onnx", beside=True)
    found = opened(path)
    assert found.source.files == (path, tmp_path / "net.onnx.data")
    assert near(scores(found, images()), convolved(images()))
    (tmp_path / "net.onnx.data").unlink()
    with pytest.raises(
        CheckpointError, match=r"net\.onnx: its file of external data, with the weights, is missing; copy"
    ):
        opened(path)


def test_an_onnx_card(tmp_path: Path) -> None:
    write_onnx(tmp_path / "net.onnx", form="two")
    entries = {"source": "net.onnx", "head": 1, "preprocessing": {"mean": 0.5, "std": 0.25}, "classes": list("abcd")}
    (tmp_path / "card.yaml").write_text(yaml.safe_dump(entries))
    found = opened(tmp_path / "card.yaml")
    assert found.classes == tuple("abcd")
    normalised = (shares(images()) - np.float32(0.5)) / np.float32(0.25)
    assert near(scores(found, images()), by_onnxruntime(tmp_path / "net.onnx", normalised, "twice"))
    assert run(["checkpoints", "init", str(tmp_path / "net.onnx"), "--out", str(tmp_path / "first.yaml")]) == 0
    assert scores(opened(tmp_path / "first.yaml"), images()).shape == (1, 4, 24, 32)


@pytest.mark.parametrize(
    ("shape", "more", "message"),
    [
        ((1, 5, 24, 32), {}, r"its input is 1x5x24x32; the network takes 5 channels, but at most 4 bands are read"),
        ((3, 24, 32), {}, r"its input is 3x24x32; expected images, N x C x H x W or N x H x W x C"),
        (("n", 3, "h", "w"), {"inputs": 2}, r"the network takes 2 inputs \(image, spare0\); export it with one"),
        (("n", 3, "h", "w"), {"dtype": "INT32"}, r"its input is tensor\(int32\); expected float"),
    ],
)
def test_onnx_files_that_take_no_image(shape: Any, more: Any, message: str, tmp_path: Path) -> None:
    import onnx
    from onnx import TensorProto, helper

    if len(shape) == 4 and shape[1] == 3:
        path = write_onnx(tmp_path / "net.onnx", shape, **more)
    else:
        sides = [helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape)) for name in ("image", "same")]
        graph = helper.make_graph([helper.make_node("Identity", ["image"], ["same"])], "net", sides[:1], sides[1:])
        opsets = [helper.make_opsetid("", 17)]
        onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), str(path := tmp_path / "net.onnx"))
    with pytest.raises(CheckpointError, match=rf"net\.onnx: {message}"):
        opened(path)


# torch.export


class Net(nn.Module):
    """The convolution, in the forms that programs return."""

    def __init__(self, form: str = "tensor") -> None:
        super().__init__()
        self.body = nn.Conv2d(3, 4, 3, padding=1)
        self.body.load_state_dict({"weight": torch.from_numpy(WEIGHT), "bias": torch.from_numpy(BIAS)})
        self.form = form

    def forward(self, image: Tensor) -> Any:
        made = self.body(image)
        forms = {"tensor": made, "pair": (made, made * 2), "out": {"out": made, "aux": made * 2}}
        return made.argmax(1) if self.form == "argmax" else forms[self.form]


def write_pt2(path: Path, form: str = "tensor", moving: tuple[int, ...] = (), count: int = 1) -> Path:
    """The convolution as a program; axes `moving` may vary."""
    shapes = (dict.fromkeys(moving, torch.export.Dim.DYNAMIC),) if moving else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.export.export(Net(form).eval(), (torch.zeros(count, 3, *SIZE),), dynamic_shapes=shapes)
        torch.export.save(program, path)
    return path


def test_pt2_gives_what_its_library_gives(tmp_path: Path) -> None:
    path = write_pt2(tmp_path / "net.pt2", moving=(0, 2, 3), count=2)
    direct = torch.export.load(path).module()
    found = opened(path)
    with torch.inference_mode():
        assert near(scores(found, images(3)), direct(torch.from_numpy(shares(images(3)))))
    assert near(scores(found, images(1, (40, 20))), convolved(images(1, (40, 20))))
    assert found.source.facts["input"] == "?x3x?x? float32"
    assert found.source.facts["parameters"] == "112"
    assert notes_of(found) == ("net.pt2 was loaded: code in it may have run",)


@pytest.mark.parametrize("count", [1, 2])
def test_pt2_of_a_fixed_size(count: int, tmp_path: Path) -> None:
    found = opened(write_pt2(tmp_path / "net.pt2", count=count))
    assert near(scores(found, images(3)), convolved(images(3)))
    assert found.source.facts["input"] == f"{count}x3x24x32 float32"
    large = torch.from_numpy(shares(images(1, (48, 64))))
    small = nn.functional.interpolate(large, SIZE, mode="bilinear")
    expected = torch.conv2d(small, torch.from_numpy(WEIGHT), torch.from_numpy(BIAS), padding=1)
    expected = nn.functional.interpolate(expected, (48, 64), mode="bilinear")
    assert near(scores(found, images(1, (48, 64))), expected)


@pytest.mark.parametrize(("form", "head"), [("pair", None), ("pair", "1"), ("out", None), ("out", "aux")])
def test_heads_of_a_program(form: str, head: str | None, tmp_path: Path) -> None:
    found = opened(write_pt2(tmp_path / "net.pt2", form), head=head)
    assert near(scores(found, images(2)), convolved(images(2)) * (2 if head else 1))


def test_an_argmax_inside_a_program(tmp_path: Path) -> None:
    found = opened(write_pt2(tmp_path / "net.pt2", "argmax"))
    assert found.kind == "labels"
    assert np.array_equal(output(found, images(2)).predicted, convolved(images(2)).argmax(1))  # type: ignore[arg-type]


def test_a_program_is_not_loaded_without_trust(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_pt2(tmp_path / "net.pt2")
    monkeypatch.setattr(torch.export, "load", lambda *_: pytest.fail("was loaded"))
    with pytest.raises(CheckpointError, match=r"net\.pt2: loading a \.pt2 file can run any code in it; pass --tr"):
        open_checkpoint(str(path), Loading(device="cpu"))


# TFLite


def by_litert(path: Path, array: np.ndarray) -> np.ndarray:
    """N, H, W, K of N, H, W, 3, by the library alone."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path))
    taken, given = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    interpreter.resize_tensor_input(taken["index"], array.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(taken["index"], array)
    interpreter.invoke()
    return interpreter.get_tensor(given["index"])


def test_tflite_gives_what_its_library_gives(tmp_path: Path) -> None:
    path = write_tflite(tmp_path / "net.tflite")
    found = opened(path)
    direct = by_litert(path, shares(images()).transpose(0, 2, 3, 1).copy())
    assert near(scores(found, images()), torch.from_numpy(direct).permute(0, 3, 1, 2))
    assert near(scores(found, images(3)), convolved(images(3)))
    assert found.source.facts["input"] == "1x24x32x3 float32"
    assert found.source.facts["head"] == "scores, 1x24x32x4 float32"
    assert "resized to 24x32" in found.source.facts["preprocessing"]


def test_tflite_whose_sides_may_vary(tmp_path: Path) -> None:
    found = opened(f"tflite:{write_tflite(tmp_path / 'net.tflite', dynamic=True)}")
    assert found.source.facts["input"] == "1x?x?x3 float32"
    for size in ((24, 32), (40, 20), (24, 32)):
        assert near(scores(found, images(2, size)), convolved(images(2, size)))


@pytest.mark.parametrize(
    ("kind", "taken", "given"),
    [
        ("INT8", (1 / 255, -128), (0.06, 3)),
        ("INT8", (1.9 / 255, 0), (0.08, -5)),
        ("UINT8", (1.9 / 255, 127), (0.07, 120)),
    ],
)
def test_quantised_tflite(kind: str, taken: Any, given: Any, tmp_path: Path) -> None:
    path = write_tflite(tmp_path / "net.tflite", quantised=(kind, taken, given))
    found = scores(opened(path), images())
    lowest = np.iinfo(kind.lower()).min
    integers = (images().astype(np.int16) + lowest).astype(kind.lower())  # pixels one by one
    direct = (by_litert(path, integers).astype(np.float32) - given[1]) * np.float32(given[0])
    assert near(found, torch.from_numpy(direct).permute(0, 3, 1, 2))
    real = (torch.from_numpy(integers).permute(0, 3, 1, 2).float() - taken[1]) * taken[0]
    weight = torch.from_numpy(quantised_weight()).permute(0, 3, 1, 2).float() / 40
    padded = nn.functional.conv2d(real, weight, torch.from_numpy(BIAS), padding=1)
    limits = torch.tensor([(edge - given[1]) * given[0] for edge in (lowest, lowest + 255)])
    assert (found - padded.clamp(*limits.tolist())).abs().max() < given[0]
    assert opened(path).preprocessing.factor == pytest.approx(taken[0], rel=1e-6)
    stated = opened(path, preprocessing={"mean": 0.0})  # constants that are stated are those of shares of 255
    rounded = np.clip(np.rint(shares(images()) / np.float32(taken[0])) + taken[1], lowest, lowest + 255)
    direct = by_litert(path, rounded.astype(kind.lower()).transpose(0, 2, 3, 1).copy()).astype(np.float32)
    assert near(
        scores(stated, images()), torch.from_numpy((direct - given[1]) * np.float32(given[0])).permute(0, 3, 1, 2)
    )


def test_an_argmax_inside_a_tflite_file(tmp_path: Path) -> None:
    found = opened(write_tflite(tmp_path / "net.tflite", argmax=True))
    assert found.kind == "labels"
    assert np.array_equal(output(found, images(2)).predicted, convolved(images(2)).argmax(1))  # type: ignore[arg-type]


# what cannot be run


@pytest.mark.parametrize("ending", ["onnx", "pt2", "tflite"])
@pytest.mark.parametrize("damage", ["missing", "empty", "text", "cut", "other"])
def test_damaged_files_are_one_line(
    ending: str, damage: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / f"net.{ending}"
    if damage == "text":
        path.write_text("hello " * 100)
    elif damage == "empty":
        path.touch()
    elif damage == "other":
        torch.save(Net().state_dict(), path)
    elif damage == "cut":
        {"onnx": write_onnx, "pt2": write_pt2, "tflite": write_tflite}[ending](path)
        content = path.read_bytes()
        path.write_bytes(content[: len(content) * 2 // 3])
    capfd.readouterr()
    assert run(["evaluate", f"{ending}:{path}", "sample", "--device", "cpu", "--workers", "0", "--trust-code"]) == 1
    said = capfd.readouterr().err
    assert f"net.{ending}: " in said
    assert "no such file" in said if damage == "missing" else "again" in said
    assert "Traceback" not in said


WRITERS = {"onnx": write_onnx, "pt2": write_pt2, "tflite": write_tflite}


@pytest.mark.parametrize("ending", WRITERS)
def test_a_name_that_the_library_does_not_open(ending: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    WRITERS[ending](tmp_path / f"net.{ending}")
    path = (tmp_path / f"net.{ending}").rename(tmp_path / os.fsdecode(b"m\xfcnchen" + f".{ending}".encode()))
    assert run(["evaluate", f"{ending}:{path}", "sample", "--device", "cpu", "--workers", "0", "--trust-code"]) == 1
    assert "opens no file whose path is not UTF-8; rename it" in capfd.readouterr().err


def test_a_tflite_file_that_the_system_cannot_read(tmp_path: Path) -> None:
    (tmp_path / "net.tflite").symlink_to("/proc/self/mem")
    with pytest.raises(SegablateError, match=r"net\.tflite: cannot be read \(input/output error\); check the path"):
        open_checkpoint(f"tflite:{tmp_path / 'net.tflite'}")


@pytest.mark.parametrize("ending", WRITERS)
def test_the_precision_is_that_of_the_export(ending: str, tmp_path: Path) -> None:
    path = WRITERS[ending](tmp_path / f"net.{ending}")
    with pytest.raises(DeviceError, match=rf"net\.{ending}: the network runs in the precision it was exported with"):
        opened(path, precision="bf16")


def test_devices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    onnx, tflite = write_onnx(tmp_path / "net.onnx"), write_tflite(tmp_path / "net.tflite")
    with pytest.raises(DeviceError, match="TFLite runs on the CPU; use --device cpu"):
        opened(tflite, device="cuda")
    import onnxruntime

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(DeviceError, match="this onnxruntime has no CUDAExecutionProvider; install onnxruntime-gpu"):
        opened(onnx, device="cuda")
    found = opened(onnx, device="auto")
    assert found.device == torch.device("cpu")
    assert found.source.notes[0].startswith("onnxruntime has no CUDAExecutionProvider: the network ran on the CPU")
    assert opened(tflite, device="auto").device == torch.device("cpu")


@pytest.mark.parametrize(("ending", "package"), [("onnx", "onnxruntime"), ("tflite", "ai_edge_litert")])
def test_a_missing_runtime_is_named(ending: str, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = WRITERS[ending](tmp_path / f"net.{ending}")
    for module in (package, f"{package}.interpreter"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtra, match=rf"needs {package}, which .*pip install 'segablate\[{ending}\]'"):
        opened(path)


# the wrapper


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        (("n", 3, "h", "w"), (False, None, (None, None))),
        ((1, 3, 320, 320), (False, 1, (320, 320))),
        ((1, 320, 320, 3), (True, 1, (320, 320))),
        ((-1, -1, -1, 3), (True, None, (None, None))),
        ((None, None, None, None), (False, None, (None, None))),
        ((2, 3, 3, 3), (False, 2, (3, 3))),
        ((0, 3, 8, 0), (False, None, (8, None))),
    ],
)
def test_the_input_is_read_off_its_shape(shape: Any, expected: Any) -> None:
    found = ImageInput.of(shape, torch.float32)
    assert (found.channels_last, found.batch, found.size) == expected


def test_a_fixed_batch_is_filled_up_and_cut() -> None:
    seen = []

    def runs(batch: Tensor) -> dict[str, Any]:
        seen.append(batch)
        return {"out": batch * 2, "more": [batch, batch[:, :1]], "name": "net"}

    module = ExportedNetwork(ImageInput.of((4, 3, 8, 8), torch.float32), runs).eval()
    pixels = torch.randn(6, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    found = module(pixels)
    assert [len(batch) for batch in seen] == [4, 4]
    assert torch.equal(found["out"], pixels * 2)
    assert torch.equal(found["more"][1], pixels[:, :1])
    assert found["name"] == "net"
    assert torch.equal(torch.cat(seen)[:6], pixels)


def test_outputs_of_an_export_in_the_layout_of_its_input() -> None:
    """N, H, W, C is turned where the input is N, H, W, 3; all other shapes are as they came."""
    pixels = torch.randn(2, 3, 8, 6, generator=torch.Generator().manual_seed(0))
    rows = pixels.permute(0, 2, 3, 1)
    turned = ExportedNetwork(
        ImageInput.of((None, None, None, 3), torch.float32), lambda given: [given * 2, given[..., 0]]
    )
    scores, labels = turned.eval()(pixels)
    assert torch.equal(scores, pixels * 2)
    assert torch.equal(labels, rows[..., 0])
    plain = ExportedNetwork(
        ImageInput.of((None, 3, None, None), torch.float32), lambda given: [given, rows, given[:, 0]]
    )
    for found, given in zip(plain.eval()(pixels), (pixels, rows, pixels[:, 0]), strict=True):
        assert torch.equal(found, given)


# the real one


@pytest.mark.data
def test_u2netp_is_a_segmenter_of_two_classes(real_data: Path, tmp_path: Path) -> None:
    import onnxruntime

    example = Path(__file__).parents[1] / "examples/u2netp.yaml"
    (tmp_path / "u2netp.yaml").write_bytes(example.read_bytes())
    (tmp_path / "u2netp.onnx").symlink_to(real_data / "checkpoints/u2netp.onnx")
    found = opened(tmp_path / "u2netp.yaml")
    assert found.classes == ("background", "foreground")
    image = cv2.imread(str(sorted((real_data / "ade20k_sample").rglob("*.jpg"))[0]))[None, ..., ::-1].copy()
    mean, std = (np.float32(row)[:, None, None] for row in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    small = nn.functional.interpolate(torch.from_numpy((shares(image) - mean) / std), (320, 320), mode="bilinear")
    session = onnxruntime.InferenceSession(str(tmp_path / "u2netp.onnx"), providers=["CPUExecutionProvider"])
    direct = torch.from_numpy(session.run(["1959"], {"input.1": small.numpy()})[0])
    salient = nn.functional.interpolate(direct, image.shape[1:3], mode="bilinear")
    made = scores(found, image)
    assert near(made, torch.cat([1 - salient, salient], 1))
    assert 0 <= float(made.min()) <= float(made.max()) <= 1
    assert 0.01 < float((salient > 0.5).float().mean()) < 0.9


@pytest.mark.data
def test_u2netp_on_a_dataset_of_two_classes(
    real_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "classes.yaml").write_text("foreground: [car, pedestrian, bicyclist]\nrest: background\n")
    (tmp_path / "u2netp.yaml").write_bytes((Path(__file__).parents[1] / "examples/u2netp.yaml").read_bytes())
    (tmp_path / "u2netp.onnx").symlink_to(real_data / "checkpoints/u2netp.onnx")
    command = ["evaluate", str(tmp_path / "u2netp.yaml"), f"camvid:{real_data / 'camvid'}", "--limit", "4"]
    command += ["--classes", str(tmp_path / "classes.yaml"), "--device", "cpu", "--workers", "0", "--format", "json"]
    assert run(command) == 0
    tables = json.loads(capsys.readouterr().out)["tables"]
    classes = {row["class"]: row for row in tables["classes"]}
    assert set(classes) == {"foreground", "background"}
    assert classes["foreground"]["precision"] > 0.9  # what it finds are cars, but it finds only the most salient
    assert 0.05 < classes["foreground"]["recall"] < 0.9
    assert classes["background"]["recall"] > 0.99
    assert 0 < tables["losses"][0]["mean"] < 1
