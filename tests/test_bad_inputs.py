"""Bad input, each with its one line: what is wrong, where, and what to do. Nothing is left half-written."""

import json
import pickle
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml
from conftest import NETWORK, scene, write_dataset

from segablate.cli import run


@dataclass(frozen=True)
class Place:
    """A folder with a dataset, a network, predictions and a saved run, for one test to break."""

    root: Path

    @property
    def data(self) -> str:
        return f"folder:{self.root / 'toy'}"

    @property
    def weights(self) -> Path:
        return self.root / "net.pth"

    @property
    def predicted(self) -> Path:
        return self.root / "predicted"

    def spec(self, factory: str = "small(num_classes=4)") -> str:
        return f"python:{self.root / 'net.py'}:{factory}@{self.weights}"

    def evaluate(self, *options: str, checkpoint: str | None = None, data: str | None = None) -> list[str]:
        fixed = ["--workers", "0", "--device", "cpu", "--losses", "none", "--tolerance", "none"]
        return ["evaluate", checkpoint or self.spec(), data or self.data, *fixed, *options]

    def save(self, **state: torch.Tensor) -> None:
        torch.save({**torch.load(self.weights), **state}, self.weights)

    def labels(self, name: str = "s2") -> Path:
        return self.root / "toy" / "labels" / "val" / f"{name}.png"

    def describe(self, **changes: object) -> None:
        file = self.root / "toy" / "dataset.yaml"
        described = {**yaml.safe_load(file.read_text()), **changes}
        file.write_text(yaml.safe_dump({key: value for key, value in described.items() if value is not None}))


@pytest.fixture
def place(tmp_path: Path) -> Place:
    write_dataset(tmp_path / "toy")
    (tmp_path / "net.py").write_text(NETWORK)
    exec(NETWORK, code := {})
    torch.manual_seed(0)
    torch.save(code["small"](4).state_dict(), tmp_path / "net.pth")
    folder = tmp_path / "predicted"
    folder.mkdir()
    for index in range(6):
        cv2.imwrite(str(folder / f"s{index}.png"), scene(index)[1] % 4)
    return Place(tmp_path)


class Command:
    """An object that would run a command when unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return eval, (f"open({str(self.path)!r}, 'w').write('run')",)


Bad = Callable[[Place], list[str]]
CASES: dict[str, tuple[Bad, str]] = {}


def bad(message: str) -> Callable[[Bad], Bad]:
    """Register a case: a function that breaks something and gives the command line, and the message it must give."""

    def register(function: Bad) -> Bad:
        CASES[function.__name__] = function, message
        return function

    return register


# checkpoints


@bad(r"net\.pth: this is damaged or cut short .*; download or copy it again")
def truncated_checkpoint(place: Place) -> list[str]:
    place.weights.write_bytes(place.weights.read_bytes()[:700])
    return place.evaluate()


@bad(r"net\.pth: .*text")
def text_named_pth(place: Place) -> list[str]:
    place.weights.write_text("these are not weights\n" * 20)
    return place.evaluate()


@bad(r"net\.pth: .*git-lfs pointer")
def git_lfs_pointer(place: Place) -> list[str]:
    place.weights.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12345\n")
    return place.evaluate()


@bad(r"net\.pth: .*empty")
def empty_checkpoint(place: Place) -> list[str]:
    place.weights.write_bytes(b"")
    return place.evaluate()


@bad(r"net\.pth: ")
def pickle_that_runs_a_command(place: Place) -> list[str]:
    place.weights.write_bytes(pickle.dumps(Command(place.root / "marker")))
    return place.evaluate()


@bad(r"net\.pth.*head\.weight is 7x8x1x1 in the file and 4x8x1x1 in the network")
def mis_shaped_key(place: Place) -> list[str]:
    place.save(**{"head.weight": torch.zeros(7, 8, 1, 1)})
    return place.evaluate()


@bad(r"net\.pth.*1 key not in the network \(body\.extra\.weight\)")
def unexpected_key(place: Place) -> list[str]:
    place.save(**{"body.extra.weight": torch.zeros(1)})
    return place.evaluate()


@bad(r"net\.pth.*body\.bias")
def missing_key(place: Place) -> list[str]:
    state = torch.load(place.weights)
    del state["body.bias"]
    torch.save(state, place.weights)
    return place.evaluate()


@bad(r"has 3 outputs but 'toy' has 4 classes; choose the dataset it was trained on, or pass --class-map")
def wrong_class_count(place: Place) -> list[str]:
    exec(NETWORK, code := {})
    torch.save(code["small"](3).state_dict(), place.weights)
    return place.evaluate(checkpoint=place.spec("small(3)"))


@bad(r"the output of the network is NaN for s0; check its weights and preprocessing")
def nan_logits(place: Place) -> list[str]:
    place.save(**{"norm.running_var": torch.full((8,), -1.0)})
    return place.evaluate()


@bad(r"nowhere\.pth: .*no such file")
def absent_weights(place: Place) -> list[str]:
    return place.evaluate(checkpoint=f"python:{place.root / 'net.py'}:small(4)@{place.root / 'nowhere.pth'}")


@bad(r"net\.py has no function 'smal'; did you mean 'small'\?")
def unknown_factory(place: Place) -> list[str]:
    return place.evaluate(checkpoint=place.spec("smal(4)"))


@bad(r"raises TypeError: .*unexpected keyword argument 'classes'")
def wrong_factory_argument(place: Place) -> list[str]:
    return place.evaluate(checkpoint=place.spec("small(classes=4)"))


@bad(r"returns int; expected a torch\.nn\.Module")
def factory_of_no_network(place: Place) -> list[str]:
    return place.evaluate(checkpoint=place.spec("not_a_network()"))


@bad(r"net\.py raises SystemExit 2, the end of the program: does it run as a script, .*when imported")
def script_without_its_guard(place: Place) -> list[str]:
    (place.root / "net.py").write_text("import sys\nsys.exit(2)\n")
    return place.evaluate()


@bad(r"raises ValueError: no such layer \(net\.py, line \d+\)")
def factory_that_fails(place: Place) -> list[str]:
    return place.evaluate(checkpoint=place.spec("broken()"))


@bad(r"python:no_such_package\.nets cannot be imported: it is not installed, nor in the working directory")
def module_that_is_not_there(place: Place) -> list[str]:
    return place.evaluate(checkpoint=f"python:no_such_package.nets:make()@{place.weights}")


@bad(r"net\.pth holds weights, but no network; name the network, as in python:package\.module:factory")
def weights_without_network(place: Place) -> list[str]:
    return place.evaluate(checkpoint=str(place.weights))


@bad(r"fails on images of 24x32: .*pass --pad-to-multiple 32")
def sides_that_do_not_divide(place: Place) -> list[str]:
    return place.evaluate(checkpoint=place.spec("strict()"))


@bad(r"card\.yaml: has an unknown entry 'wieghts'; did you mean 'weights'\?")
def misspelt_card(place: Place) -> list[str]:
    (place.root / "card.yaml").write_text("source: python:net.py:small(4)\nwieghts: net.pth\n")
    return place.evaluate(checkpoint=str(place.root / "card.yaml"))


@bad(r"card\.yaml: preprocessing has no entry 'meen'; did you mean 'mean'\?")
def misspelt_preprocessing(place: Place) -> list[str]:
    (place.root / "card.yaml").write_text(
        "source: python:net.py:small(4)\nweights: net.pth\npreprocessing: {meen: 1}\n"
    )
    return place.evaluate(checkpoint=str(place.root / "card.yaml"))


@bad(r"names its classes a, b, c and 1 more, none of which is in 'toy'")
def foreign_class_names(place: Place) -> list[str]:
    (place.root / "card.yaml").write_text("source: python:net.py:small(4)\nweights: net.pth\nclasses: [a, b, c, d]\n")
    return place.evaluate("--trust-code", checkpoint=str(place.root / "card.yaml"))


# datasets


@bad(r"no label map for 1 of 6 images \(first: s2\.png")
def missing_mask(place: Place) -> list[str]:
    place.labels().unlink()
    return place.evaluate()


@bad(r"s2\.png: the label map is 24x28, but its image s2\.png is 24x32, of other proportions; export both at one size")
def mask_of_another_size(place: Place) -> list[str]:
    cv2.imwrite(str(place.labels()), np.zeros((24, 28), np.uint8))
    return place.evaluate()


@bad(r"s2\.png: has 3 channels, but label set 'toy' expects one channel of codes")
def mask_of_three_channels(place: Place) -> list[str]:
    cv2.imwrite(str(place.labels()), np.full((24, 32, 3), (0, 1, 2), np.uint8))
    return place.evaluate()


@bad(r"s2\.png: code 34 at 1 pixel is not in label set 'toy'; map it to a class or to void in the dataset file")
def unknown_code(place: Place) -> list[str]:
    labels = scene(2)[1]
    labels[3, 4] = 34
    cv2.imwrite(str(place.labels()), labels)
    return place.evaluate()


@bad(r"s2\.png: the PNG is cut off at byte \d+; replace it, or pass --on-error skip")
def corrupt_png_mid_run(place: Place) -> list[str]:
    place.labels().write_bytes(place.labels().read_bytes()[:-30])
    return place.evaluate("--save", str(place.root / "run"))


@bad(r"split 'val' is empty: no files in .*; correct path and suffix")
def empty_split(place: Place) -> list[str]:
    for path in (place.root / "toy/images/val").iterdir():
        path.unlink()
    (place.root / "toy/images/val/.DS_Store").write_bytes(b"\0\0\0\1Bud1")
    return place.evaluate()


@bad(r"val\.txt: 1 name without an image \(first: s99\)")
def list_naming_absent_files(place: Place) -> list[str]:
    (place.root / "toy/val.txt").write_text("s1\ns99\n")
    place.describe(splits={"val": {"images": "images/val", "labels": "labels/val", "list": "val.txt"}})
    return place.evaluate()


@bad(r"dataset\.yaml: there is no such file; `segablate datasets init .*toy` generates a first one")
def no_description(place: Place) -> list[str]:
    (place.root / "toy/dataset.yaml").unlink()
    return place.evaluate()


@bad(r"dataset\.yaml: is not valid YAML \(line 2: ")
def malformed_description(place: Place) -> list[str]:
    (place.root / "toy/dataset.yaml").write_text("classes: [road\nsplits: {")
    return place.evaluate()


@bad(r"dataset\.yaml: has no split 'test'; available: val")
def unknown_split(place: Place) -> list[str]:
    return place.evaluate("--split", "test")


@bad(r"'road' and 'car' both have code 1")
def clashing_codes(place: Place) -> list[str]:
    place.describe(classes=[{"name": "road", "code": [0, 1]}, {"name": "car", "code": 1}])
    return place.evaluate()


@bad(r"no image of 6 could be measured; first: .*s0\.png")
def nothing_but_broken_images(place: Place) -> list[str]:
    for path in (place.root / "toy/images/val").iterdir():
        path.write_bytes(b"GIF89a")
    return place.evaluate("--on-error", "skip")


@bad(r"no dataset layout is called 'foldr'; did you mean 'folder'\?")
def unknown_layout(place: Place) -> list[str]:
    return place.evaluate(data=f"foldr:{place.root / 'toy'}")


@bad(r"toy is a folder|no dataset layout is called '.*toy'; open your own images and label maps as folder:")
def bare_folder(place: Place) -> list[str]:
    return place.evaluate(data=str(place.root / "toy"))


@bad(r"list\.txt: 1 name not in split 'val' of .* \(first: nobody\)")
def image_list_of_strangers(place: Place) -> list[str]:
    (place.root / "list.txt").write_text("nobody\n")
    return place.evaluate("--images", str(place.root / "list.txt"))


# predictions


@bad(r"predicted: no prediction for 2 of 6 images \(s1, s4; first expected: .*s1\.png\); add them, or pass --on-error")
def missing_predictions(place: Place) -> list[str]:
    for name in ("s1", "s4"):
        (place.predicted / f"{name}.png").unlink()
    return place.evaluate("--save", str(place.root / "run"), checkpoint=f"predictions:{place.predicted}")


@bad(r"predicted: no prediction for 6 of 6 images .*; if .* otherwise, give the pattern, as in .*\{stem\}_pred\.png")
def predictions_of_other_names(place: Place) -> list[str]:
    for path in sorted(place.predicted.iterdir()):
        path.rename(path.with_name(f"{path.stem}_pred.png"))
    return place.evaluate(checkpoint=f"predictions:{place.predicted}")


@bad(r"s2\.png: the prediction is 24x31, but its label map is 24x32; save predictions at the size of the label maps")
def prediction_of_another_size(place: Place) -> list[str]:
    cv2.imwrite(str(place.predicted / "s2.png"), np.zeros((24, 31), np.uint8))
    return place.evaluate(checkpoint=f"predictions:{place.predicted}")


@bad(r"s2\.png: has 3 channels; expected one channel of class values: .* or add encoding=colours")
def prediction_in_colours(place: Place) -> list[str]:
    cv2.imwrite(str(place.predicted / "s2.png"), np.full((24, 32, 3), (0, 1, 2), np.uint8))
    return place.evaluate(checkpoint=f"predictions:{place.predicted}")


@bad(r"s2\.png: the PNG is cut off at byte \d+; replace it, or pass --on-error skip")
def prediction_cut_off(place: Place) -> list[str]:
    path = place.predicted / "s2.png"
    path.write_bytes(path.read_bytes()[:-30])
    return place.evaluate("--save", str(place.root / "run"), checkpoint=f"predictions:{place.predicted}")


@bad(r"encoding is 'ids', but must be codes, index or colours")
def unknown_encoding(place: Place) -> list[str]:
    return place.evaluate(checkpoint=f"predictions:{place.predicted}?encoding=ids")


@bad(r"toy is a folder; if it holds predicted label maps, write predictions:")
def folder_as_checkpoint(place: Place) -> list[str]:
    return place.evaluate(checkpoint=str(place.root / "toy"))


@bad(r"net\.pth: loading a whole pickled module runs any code in the file; pass --trust-code")
def whole_module_without_trust(place: Place) -> list[str]:
    torch.save(Command(place.root / "marker"), place.weights)
    return place.evaluate(checkpoint=f"module:{place.weights}")


@bad(r"net\.pth: not a whole TorchScript archive")
def state_dict_as_torchscript(place: Place) -> list[str]:
    return place.evaluate("--trust-code", checkpoint=f"torchscript:{place.weights}")


# options


@bad(r"stride is 40x40, larger than the window 16x16, which leaves pixels out")
def stride_beyond_the_window(place: Place) -> list[str]:
    return place.evaluate("--window", "16", "--stride", "40")


@bad(r"--window is 'wide', but must be a side in pixels, as in 512, or HEIGHTxWIDTH")
def window_in_words(place: Place) -> list[str]:
    return place.evaluate("--window", "wide")


@bad(r"device 'cuda' is not available: .*; use --device cpu, or install a CUDA build")
def cuda_asked_for_and_absent(place: Place) -> list[str]:
    if torch.cuda.is_available():
        pytest.skip("there is CUDA here")
    return place.evaluate("--device", "cuda")


@bad(r"device 'gpu' does not exist; choose auto, cpu, cuda, cuda:0 or mps")
def unknown_device(place: Place) -> list[str]:
    return place.evaluate("--device", "gpu")


@bad(r"precision fp16 needs CUDA; on the CPU use --precision fp32 or bf16")
def half_precision_on_the_cpu(place: Place) -> list[str]:
    return place.evaluate("--precision", "fp16")


@bad(r"mean is 1,2, but channels rgb need 3 numbers")
def two_means(place: Place) -> list[str]:
    return place.evaluate("--mean", "1,2")


@bad(r"scale is '1/0', but must be a positive number or fraction")
def zero_scale(place: Place) -> list[str]:
    return place.evaluate("--scale", "1/0")


@bad(r"tolerance is 'three', but must be a number of pixels")
def tolerance_in_words(place: Place) -> list[str]:
    return place.evaluate("--tolerance", "three")


@bad(r"no loss is called 'rim'; did you mean 'rmi'\?")
def unknown_loss(place: Place) -> list[str]:
    return place.evaluate("--losses", "rim")


@bad(r"No such option: --smoothing; the help of --prior-hits, --prior-misses, --momentum mentions 'smoothing'$")
def word_of_the_help(place: Place) -> list[str]:
    return ["ablate", "recall", "--smoothing", "1,2"]


@bad(r"No such option: --limt")
def misspelt_option(place: Place) -> list[str]:
    return place.evaluate("--limt", "3")


@bad(r"taken exists; choose another name, or remove it")
def save_over_something(place: Place) -> list[str]:
    (place.root / "taken").mkdir()
    return place.evaluate("--save", str(place.root / "taken"))


@pytest.mark.parametrize("name", CASES)
def test_bad_input_is_one_clear_line(name: str, place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    broken, message = CASES[name]
    command = broken(place)
    before = sorted(place.root.rglob("*"))
    code = run(command)
    printed = capsys.readouterr()
    assert code in (1, 2)
    lines = printed.err.splitlines()
    assert len(lines) == 1, printed.err
    assert lines[0].startswith("error: ")
    assert re.search(message, lines[0]), lines[0]
    assert "Traceback" not in printed.out + printed.err
    assert printed.out == ""
    after = sorted(path for path in place.root.rglob("*") if "__pycache__" not in path.parts)
    assert [path for path in after if "run.partial" not in path.parts] == before
    assert ("then continue with --resume" in lines[0]) == (place.root / "run.partial").exists()
    assert not (place.root / "marker").exists()


@pytest.mark.parametrize(
    "odd", ["y" * 5000, "x" * 300, "~nosuchuser/x", "a\0b"], ids=["longer", "long", "user", "null"]
)
def test_what_no_file_can_be_called(odd: str, place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    (place.root / "card.yaml").write_text(json.dumps({"source": "python:net.py:small()", "weights": odd}))
    loss = ["--losses", f"python:{odd}.py:f"]
    commands = [
        *(place.evaluate(checkpoint=f"{source}{odd}") for source in ("", "onnx:", "predictions:", "hf:", "module:")),
        *(place.evaluate(checkpoint=spec) for spec in (f"{odd}.yaml", f"builtin:small@{odd}", place.spec() + odd)),
        place.evaluate(checkpoint=f"python:{odd}.py:small()@{place.weights}"),
        place.evaluate(checkpoint=f"predictions:{place.predicted}?name={odd}{{stem}}.png"),
        place.evaluate("--trust-code", checkpoint=str(place.root / "card.yaml")),
        *(place.evaluate(data=data) for data in (odd, f"folder:{odd}", f"camvid:{odd}", f"hf:{odd}")),
        *(place.evaluate(option, odd) for option in ("--images", "--class-map", "--classes")),
        ["evaluate", place.spec(), place.data, "--workers", "0", *loss],
        ["compare", odd, place.spec(), "--on", place.data],
        ["checkpoints", "trust", str(place.root / "card.yaml"), odd],
        ["recipes", "show", f"{odd}.yaml"],
        ["train", "small", place.data, "--train-split", "val", "--save", str(place.root / "t"), "--class-weights", odd],
        ["datasets", "init", odd],
    ]
    for command in commands:
        assert run(command) in (1, 2), command
        printed = capsys.readouterr()
        assert len(printed.err.splitlines()) == 1, printed.err
        assert printed.err.startswith("error: "), printed.err


def test_there_are_many_cases() -> None:
    assert len(CASES) >= 30


def test_what_is_skipped_is_counted_and_named(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    place.labels().write_bytes(b"")
    assert run(place.evaluate("--on-error", "skip", "--format", "json")) == 0
    report = json.loads(capsys.readouterr().out)
    (note,) = (note for note in report["notes"] if "1 image skipped (s2)" in note)
    assert note.endswith("s2.png: the file is empty; replace it")


def test_predictions_outside_and_left_over_are_noted(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    cv2.imwrite(str(place.predicted / "s2.png"), np.full((24, 32), 9, np.uint8))
    cv2.imwrite(str(place.predicted / "s7.png"), np.zeros((24, 32), np.uint8))
    assert run(place.evaluate("--format", "json", checkpoint=f"predictions:{place.predicted}")) == 0
    notes = json.loads(capsys.readouterr().out)["notes"]
    assert any("labelled pixels" in note and "predicted outside the label set: misses" in note for note in notes)
    assert "unused predictions, of images not evaluated: 1 (s7.png)" in notes


def test_stray_files_do_no_harm(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    for folder in ("images/val", "labels/val"):
        (place.root / "toy" / folder / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
        (place.root / "toy" / folder / "._s1.png").write_bytes(b"\0\5\26\7")
    assert run(place.evaluate()) == 0
    assert "6 images" in capsys.readouterr().out
