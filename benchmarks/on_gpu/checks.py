"""Parts that check: the same numbers as the CPU, the tests for a GPU, a command, a training step."""

import math
import re
import subprocess
import sys
import time
from collections.abc import Iterator

import numpy as np
import torch
from losses import make_edge_net, make_scene
from torch import Tensor

from on_gpu.data import CLASSES, PLAIN, pairs, scores_of
from on_gpu.rows import ROOT, Row, Setting, milliseconds
from segablate.evaluation.scores import highest_scores
from segablate.kernels.confusion import count_confusion_of_batch
from segablate.losses import get_loss, loss_names
from segablate.metrics import calibration
from segablate.metrics.bands import band_map, band_maps_on_device, distance_sums, nested_bands
from segablate.metrics.boundary import count_boundaries, count_boundaries_on_device
from segablate.metrics.boundary_iou import count_boundary_iou, count_boundary_iou_on_device
from segablate.metrics.calibration_on_device import RowsOnDevice
from segablate.metrics.calibration_on_host import RowsOnHost
from segablate.metrics.tolerance import Tolerance
from segablate.objective.weighted_sum import parse_objective
from segablate.runtime import exact_arithmetic


def equality(setting: Setting) -> Iterator[Row]:
    """Integer counts equal those of the CPU, losses up to 1e-5."""
    labels, predicted = pairs(setting, 2)
    host = [torch.from_numpy(maps) for maps in (labels, predicted)]
    device = [maps.to(setting.device) for maps in host]
    scores = scores_of(predicted, torch.device("cpu"))
    counts = count_confusion_of_batch(*host, CLASSES)
    with setting.as_on_gpu():
        yield _same("argmax", highest_scores(scores.to(setting.device), PLAIN)[0], scores.argmax(1).byte())
        yield _same("confusion counts", count_confusion_of_batch(*device, CLASSES), counts)
        bands = band_maps_on_device(device[0])
    yield _same("bands of distance", bands, torch.from_numpy(np.stack([band_map(nested_bands(x)) for x in labels])))
    yield from _at_boundaries(setting, labels[0], predicted[0])
    yield from _calibration(setting, scores[0], (host[0][0], host[1][0], bands[0].cpu()))
    yield from _losses(setting)


def _same(what: str, found: Tensor, expected: Tensor) -> Row:
    different = int((found.cpu() != expected).sum())
    return Row(f"{what}, equal to the CPU's", f"{different} of {expected.numel()} differ", "0", different == 0)


def _at_boundaries(setting: Setting, labels: np.ndarray, predicted: np.ndarray) -> Iterator[Row]:
    maps = [torch.from_numpy(values).to(setting.device) for values in (labels, predicted)]
    for pixels in (1, 3, 5, 18):
        with setting.as_on_gpu():
            found = count_boundaries_on_device(*maps, CLASSES, [Tolerance(pixels)]).to_arrays()
        expected = count_boundaries(labels, predicted, CLASSES, [Tolerance(pixels)]).to_arrays()
        same = all(np.array_equal(found[name], column) for name, column in expected.items())
        size = expected["pixels"].size
        yield Row(f"boundary distances to {pixels} px, equal to the CPU's", f"{size} counts", "equal", same)
    with setting.as_on_gpu():
        bands = torch.from_numpy(count_boundary_iou_on_device(*maps, CLASSES, Tolerance(0.02, True)))
    expected = count_boundary_iou(labels, predicted, CLASSES, Tolerance(0.02, True))
    yield _same("boundary IoU", bands, torch.from_numpy(expected))


def _calibration(setting: Setting, logits: Tensor, maps: tuple[Tensor, Tensor, Tensor]) -> Iterator[Row]:
    """Compare sums of the same probabilities, and sums of those that each device computes."""
    labels = maps[0]
    there = [values.to(setting.device) for values in maps]
    scaled = (logits.softmax(0) * 2.0**24).mul_(labels != 255).round_()
    here = RowsOnHost.of(maps, scaled.amax(0))
    with setting.as_on_gpu():
        where = scaled.to(setting.device)
        rows = RowsOnDevice(*there, where.amax(0))
        yield _same("calibration of the classes", rows.class_gaps(where, True), here.class_gaps(scaled, True))
        yield _same("calibration of the prediction", rows.reliability(), here.reliability())
        yield _same("pixels and right ones by band", distance_sums(*there), distance_sums(*maps))
        sums = calibration.calibration_sums(logits.to(setting.device), "softmax", tuple(there), CLASSES)  # type: ignore[arg-type]
    expected = calibration.calibration_sums(logits, "softmax", maps, CLASSES)
    pairs_of_sums = [(each.cpu(), expected[name]) for name, each in sums.items()]  # the CPU has one more
    apart = max(float((one - other).abs().max() / other.abs().max()) for one, other in pairs_of_sums)
    yield Row("calibration with its softmax, largest difference", f"{apart:.1e}", "≤ 1e-5", apart <= 1e-5)


def _losses(setting: Setting) -> Iterator[Row]:
    exact_arithmetic(setting.device)
    logits, labels = make_scene((2, 5, 96, 128), "cpu")
    for name in loss_names():
        loss = get_loss(name)
        needed = loss.needs({})
        if needed - {"edge_net"}:
            continue
        net = {"edge_net": make_edge_net(5)} if needed else {}
        there = {key: [tuple(t.to(setting.device) for t in pair) for pair in net[key]] for key in net}
        expected = float(loss(logits, labels, **net))
        try:
            found = float(loss(logits.to(setting.device), labels.to(setting.device), **there))
        except Exception as error:
            yield Row(f"{name} on the device", f"failed: {str(error)[:80]}", "≤ 1e-5", False)
            continue
        apart = abs(found - expected) / max(abs(expected), 1e-12)
        yield Row(f"{name}, relative difference from the CPU's", f"{apart:.1e}", "≤ 1e-5", apart <= 1e-5)


def training_step(setting: Setting) -> Iterator[Row]:
    """Steps of the package's DeepLabv3 under autocast, by the objective with which RMI's authors train."""
    from segablate.networks.deeplabv3 import deeplabv3

    torch.manual_seed(0)
    size, classes = ((64, 64), 5) if setting.dry else ((512, 512), CLASSES)
    module = deeplabv3(classes, "mobilenet").to(setting.device).train()
    images, labels = torch.randn(4, 3, *size, device=setting.device), make_scene((4, classes, *size), "cpu")[1]
    labels, objective = labels.to(setting.device), parse_objective("0.5*bce(extra=1) + 0.5*rmi")
    optimizer = torch.optim.SGD(module.parameters(), 0.01)
    values: list[float] = []

    def step() -> None:
        optimizer.zero_grad()
        with torch.autocast(setting.device.type, torch.bfloat16):
            logits = module(images)
        value = objective(logits, labels)
        value.backward()
        optimizer.step()
        values.append(float(value))

    spent = milliseconds(step, setting, repeats=10)
    step()
    finite = all(map(math.isfinite, values)) and all(bool(p.isfinite().all()) for p in module.parameters())
    text = f"{values[0]:.3f} to {values[-1]:.3f} in {len(values)} steps"
    yield Row("training under autocast, bf16", text, "finite, falls", finite and values[-1] < values[0])
    yield setting.told("a training step of 4 images", f"{spent:.1f} ms")


def command(setting: Setting) -> Iterator[Row]:
    """The command `ablate rmi --radius 1,3,5` on the sample."""
    radii = "1" if setting.dry else "1,3,5"
    line = ["ablate", "rmi", "--radius", radii, "--device", setting.device.type, *(["--limit", "2"] * setting.dry)]
    code, text, seconds = _ran([sys.executable, "-m", "segablate", *line])
    yield Row(f"segablate {' '.join(line)}", f"{seconds:.0f} s, exit code {code}{text if code else ''}", "0", code == 0)


def tests(setting: Setting) -> Iterator[Row]:
    """The tests that need a GPU."""
    marked = [path for path in sorted((ROOT / "tests").glob("test_*.py")) if "mark.gpu" in path.read_text()]
    files = [str(path.relative_to(ROOT)) for path in marked if not setting.dry or path.stem == "test_distance"]
    code, text, _ = _ran([sys.executable, "-m", "pytest", "-m", "gpu", "-q", "-p", "no:cacheprovider", *files])
    failed = re.findall(r"^(?:FAILED|ERROR) (\S+)", text, re.MULTILINE)
    last = text.strip().splitlines()[-1].strip("= ") if text.strip() else ""
    yield Row("pytest -m gpu", f"{last}{': ' if failed else ''}{', '.join(failed)}", "all pass", code == 0)


def _ran(line: list[str]) -> tuple[int, str, float]:
    """Run a command in the repository; return its exit code, the end of what it printed, and its seconds."""
    start = time.monotonic()
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.returncode, (done.stdout + done.stderr)[-3000:], time.monotonic() - start
