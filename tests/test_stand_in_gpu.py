"""What runs on a GPU returns what it does on the CPU; where there is no GPU, on a stand-in, which is tried here too."""

import json
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from segablate.cli import run

NEEDS_STAND_IN = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")


def numbers(document: Any, place: str = "") -> Iterator[tuple[str, float]]:
    """The numbers in a JSON document, by place."""
    if isinstance(document, dict | list):
        for key, value in document.items() if isinstance(document, dict) else enumerate(document):
            yield from numbers(value, f"{place}/{key}")
    elif isinstance(document, int | float):
        yield place, float(document)


@pytest.mark.gpu
@pytest.mark.parametrize(
    "options",
    [
        "--limit 1 --losses all --tolerance 1,3,9 --trimap 3,5 --error-kinds 2 --boundary-iou 0.02d --details",
        "--limit 2 --losses ce,focal --window 48 --stride 32 --flip --quarter-turns",
        "--limit 2 --losses rmi,lovasz --resize 96x128 --batch-size 1 --void-as-error",
    ],
)
def test_an_evaluation_returns_what_it_does_on_the_cpu(options: str, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["evaluate", "sample:ce", "--workers", "0", "--no-cache", "--format", "json"]
    found = []
    for device in ("cuda", "cpu"):
        assert run([*command, "--device", device, *options.split()]) == 0
        found.append(dict(numbers(json.loads(capsys.readouterr().out)["tables"])))
    assert len(found[1]) > 100
    assert found[0] == pytest.approx(found[1], rel=1e-3, abs=1e-3, nan_ok=True)


@NEEDS_STAND_IN
@pytest.mark.gpu
def test_the_stand_in_refuses_what_a_gpu_does() -> None:
    here, there = torch.ones(3), torch.ones(3, device="cuda")
    for mixed in (
        lambda: here + there,
        lambda: torch.cat([here, there]),
        lambda: here.add_(there),
        lambda: there.__setitem__(slice(None), here),
        lambda: here[torch.zeros(1, dtype=torch.long, device="cuda")],
        lambda: torch.nn.Conv1d(3, 1, 1).to("cuda")(here[None, :, None]),
    ):
        with pytest.raises(RuntimeError, match="on the same device"):
            mixed()
    for untaken in (there.numpy, lambda: np.asarray(there)):
        with pytest.raises(TypeError, match="can't convert cuda:0"):
            untaken()
    assert (there + 1 + torch.tensor(2.0)).device.type == "cuda"
    assert there[torch.tensor([0])].cpu().tolist() == [1]


@NEEDS_STAND_IN
@pytest.mark.gpu
def test_the_stand_in_tells_where_the_host_waits() -> None:
    there = torch.arange(4.0, device="cuda")
    torch.cuda.set_sync_debug_mode("warn")
    for waits in (
        lambda: there.cpu(),
        lambda: there.sum().item(),
        lambda: bool((there > 1).any()),
        lambda: there[there > 1],
        lambda: there.nonzero(),
        lambda: torch.bincount(there.long(), minlength=4),
        lambda: torch.allclose(there, there),
        lambda: torch.linalg.inv(torch.eye(3, device="cuda")),
        lambda: there.to("cpu", torch.float64),
        lambda: torch.tensor([1, 2], device="cuda"),
        lambda: torch.ones(3).cuda(),
    ):
        with pytest.warns(UserWarning, match="synchronizing"):
            waits()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert (there.argmax(0, keepdim=True) * 2 + torch.zeros(3, device="cuda")).shape == (3,)
        torch.ones(3).pin_memory().to("cuda", non_blocking=True)
        target = torch.empty(4, pin_memory=True).copy_(there, non_blocking=True)
        assert target.isnan().all(), "nobody has waited yet"
    torch.cuda.Event().synchronize()
    assert target.tolist() == [0, 1, 2, 3]
