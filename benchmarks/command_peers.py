"""What the rows of ``commands.py`` read, and the peers of this program: scripts that do the least that can be done.

Each is a function of a folder, run in a process of its own: ``python benchmarks/commands.py --peer NAME FOLDER``, and
``--prepare NAME FOLDER``. A name may end in arguments, as in ``losses:ssl:4``.
"""

import os
from collections.abc import Callable
from pathlib import Path

CLASSES = 19
WINDOW, STRIDE = 512, 341


def two_pairs(folder: Path) -> None:
    """Write 2 pairs of label maps of 1024x2048."""
    from throughput import write

    write(folder, 2, 2)


def sixty_pairs(folder: Path) -> None:
    """Write 60 pairs of label maps of 1024x2048, 12 of them distinct."""
    from throughput import write

    write(folder, 60, 12)


def small_pairs(folder: Path, count: str) -> None:
    """Write pairs of label maps of 64x64, 50 of them distinct, each with about five classes."""
    import cv2
    from scenes import scene_pair
    from throughput import describe

    for name in ("images", "labels", "predictions"):
        (folder / name).mkdir()
    pairs = [[cv2.imencode(".png", each)[1].tobytes() for each in scene_pair(64, 64, CLASSES, n)] for n in range(50)]
    for index in range(int(count)):
        labels, predicted = pairs[index % len(pairs)]
        for name, data in (("images", labels), ("labels", labels), ("predictions", predicted)):
            (folder / name / f"{index:06}.png").write_bytes(data)
    describe(folder)


_NETWORK = """from torch import nn
def net():
    return nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 21, 1))
"""


def large_image(folder: Path) -> None:
    """Write one image of 4000x4000 with 21 classes, and a network of two convolutions."""
    import cv2
    import numpy as np
    import torch
    from scenes import scene_pair
    from throughput import describe

    (folder / "net.py").write_text(_NETWORK)
    torch.manual_seed(0)
    torch.save(network(folder).state_dict(), folder / "weights.pth")
    labels, _ = scene_pair(4000, 4000, 21, 0)
    colours = np.random.default_rng(0).integers(0, 256, (256, 3), np.uint8)
    for name, pixels in (("images", cv2.GaussianBlur(colours[labels], (0, 0), 2)), ("labels", labels)):
        (folder / name).mkdir()
        cv2.imwrite(str(folder / name / "large.png"), pixels)
    describe(folder, 21)


def camvid(folder: Path) -> None:
    """Write a card of ESPNet on CamVid."""
    import yaml

    root, data = Path(__file__).parents[1], Path(os.environ["SEGABLATE_DATA"]).resolve()
    card = yaml.safe_load((root / "examples/espnet_camvid.yaml").read_text())
    card["source"] = card["source"].replace("espnet.py", str(root / "examples/espnet.py"))
    card["weights"] = str(data / "checkpoints/espnet_p_2_q_8_camvid.pth")
    (folder / "card.yaml").write_text(yaml.safe_dump(card))


def network(folder: Path) -> "torch.nn.Module":  # noqa: F821
    """Return the network that :func:`large_image` wrote, without its weights."""
    import importlib.util

    spec = importlib.util.spec_from_file_location("net", folder / "net.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.net()


def pairs(folder: Path) -> list[tuple[str, str]]:
    return [(str(path), str(folder / "predictions" / path.name)) for path in sorted((folder / "labels").iterdir())]


def decode(folder: Path) -> None:
    """Decode both label maps of each pair."""
    import cv2

    for pair in pairs(folder):
        for path in pair:
            assert cv2.imread(path, cv2.IMREAD_UNCHANGED) is not None


def count(folder: Path) -> None:
    """Decode each pair, and print the mean IoU of a confusion table counted by ``bincount``, without void."""
    import cv2
    import numpy as np

    total = np.zeros((CLASSES, CLASSES), np.int64)
    for paths in pairs(folder):
        labels, predicted = (cv2.imread(path, cv2.IMREAD_UNCHANGED) for path in paths)
        known = labels != 255
        codes = CLASSES * labels[known].astype(np.int64) + predicted[known]
        total += np.bincount(codes, minlength=CLASSES**2).reshape(CLASSES, CLASSES)
    hits = np.diag(total)
    print(np.nanmean(hits / (total.sum(axis=0) + total.sum(axis=1) - hits)))


def _pixels(path: Path) -> "torch.Tensor":  # noqa: F821
    """Return an image as 1, 3, H, W float32 in 0..1."""
    import cv2
    import torch

    image = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
    return torch.from_numpy(image)[None].permute(0, 3, 1, 2).float().mul_(1 / 255)


def forward(folder: Path) -> None:
    """Run the network over the large image, and nothing else."""
    import torch

    with torch.inference_mode():
        assert network(folder).eval()(_pixels(folder / "images/large.png")).shape[1] == 21


def tiled(folder: Path) -> None:
    """Run the network over windows of the large image, average their scores row by row, and take the argmax."""
    import torch

    module, pixels = network(folder).eval(), _pixels(folder / "images/large.png")
    height, width = pixels.shape[2:]
    starts = [*range(0, height - WINDOW, STRIDE), height - WINDOW]
    predicted = torch.empty(height, width, dtype=torch.uint8)
    with torch.inference_mode():
        for top, after in zip(starts, [*starts[1:], height], strict=True):
            sums = torch.zeros(21, WINDOW, width)
            for left in starts:
                sums[..., left : left + WINDOW] += module(pixels[..., top : top + WINDOW, left : left + WINDOW])[0]
            predicted[top:after] = sums[:, : after - top].argmax(0)


def espnet(folder: Path, images: str) -> None:
    """Run ESPNet over the first images of CamVid's val, one by one: decode, forward, argmax, ``bincount``."""
    import cv2
    import numpy as np
    import torch

    from segablate.checkpoints import Loading, open_checkpoint
    from segablate.checkpoints.network import Network

    opened = open_checkpoint(str(folder / "card.yaml"), Loading(device="cpu", trust_code=True))
    assert isinstance(opened, Network)
    data = Path(os.environ["SEGABLATE_DATA"], "camvid")
    total = np.zeros(144, np.int64)
    with torch.inference_mode():
        for path in sorted((data / "val").iterdir())[: int(images)]:
            labels = cv2.imread(str(data / "valannot" / path.name), cv2.IMREAD_UNCHANGED)
            image = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
            predicted = opened.module(opened.preprocessing(torch.from_numpy(image)[None])).argmax(1)[0].numpy()
            known = labels != 11
            total += np.bincount(12 * labels[known].astype(np.int64) + predicted[known], minlength=144)
    print(total.sum())


def losses(folder: Path, name: str, times: str) -> None:
    """Compute a loss and its gradient so many times, at 2x19x512x1024 on smooth scores of a scene."""
    import torch
    from scenes import scene_pair
    from torch.nn.functional import cross_entropy, interpolate

    from segablate.losses import get_loss

    torch.manual_seed(0)
    scores = 3 * interpolate(torch.randn(2, CLASSES, 32, 64), (512, 1024), mode="bilinear")
    labels = torch.stack([torch.from_numpy(scene_pair(512, 1024, CLASSES, n)[0]) for n in range(2)]).long()
    for _ in range(int(times)):
        leaf = scores.clone().requires_grad_()
        plain = name == "cross_entropy"
        value = cross_entropy(leaf, labels, ignore_index=255) if plain else get_loss(name)(leaf, labels)
        value.backward()


PEERS: dict[str, Callable[..., None]] = {
    "decode": decode,
    "count": count,
    "forward": forward,
    "tiled": tiled,
    "espnet": espnet,
    "losses": losses,
}
PREPARATIONS: dict[str, Callable[..., None]] = {
    "nothing": lambda folder: None,
    "2 pairs": two_pairs,
    "60 pairs": sixty_pairs,
    "small pairs": small_pairs,
    "large image": large_image,
    "camvid": camvid,
}


def call(functions: dict[str, Callable[..., None]], name: str, folder: Path) -> None:
    """Call a function by its name and arguments, as in ``losses:ssl:4``."""
    function, *arguments = name.split(":")
    functions[function](folder, *arguments)
