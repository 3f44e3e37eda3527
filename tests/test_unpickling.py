"""Checkpoints with more than tensors in them: nothing is run, and nothing that a pickle can claim brings it down."""

import io
import os
import pickle
import resource
import sys
import time
import types
import zipfile
from collections import Counter
from pathlib import Path

import pytest
import torch
from torch import nn

from segablate import limits
from segablate.errors import CheckpointError, SegablateError
from segablate.limits import Budget, TooLarge
from segablate.weights import read_weights
from segablate.weights.unpickling import Foreign, ForeignType, Known, check_key, unpickle

TRAINER = """
import enum

class Callback:
    def __init__(self): self.best, self.paths = 0.5, ["a.ckpt"]

class History(list):
    pass

class AttributeDict(dict):
    pass

class Stage(enum.Enum):
    FIT = "fit"

class Slotted:
    __slots__ = ("a",)
    def __init__(self): self.a = 1

class Pair(tuple):
    def __new__(cls, a, b): return tuple.__new__(cls, (a, b))
    def __getnewargs__(self): return tuple(self)

def function(): pass
"""


@pytest.fixture
def trainer():
    """Somebody's package, that is gone when the file is read."""
    module = types.ModuleType("vanished_trainer")
    exec(TRAINER, module.__dict__)
    sys.modules["vanished_trainer"] = module
    yield module
    sys.modules.pop("vanished_trainer", None)


def save_and_forget(value: object, path: Path, legacy: bool) -> Path:
    torch.save(value, path, _use_new_zipfile_serialization=not legacy)
    del sys.modules["vanished_trainer"]
    return path


both = pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])


@both
def test_a_lightning_style_file(tmp_path, trainer, legacy):
    network = nn.Conv2d(3, 2, 1)
    value = {
        "epoch": 4,
        "pytorch-lightning_version": "2.0",
        "callbacks": {trainer.Stage.FIT: trainer.Callback(), "pair": trainer.Pair(1, 2)},
        "state_dict": {f"model.{key}": tensor for key, tensor in network.state_dict().items()},
        "hyper_parameters": trainer.AttributeDict(classes=["road", "car"], loss=trainer.function),
        "slots": [trainer.Slotted(), trainer.Slotted()],
    }
    weights = read_weights(save_and_forget(value, tmp_path / "epoch=4.ckpt", legacy))
    assert torch.equal(weights.tensors["model.weight"], network.weight)
    assert weights.extras["epoch"] == 4
    assert weights.extras["hyper_parameters"] == {"classes": ["road", "car"]}
    (note,) = weights.notes
    assert "objects that are neither tensors nor plain values were not loaded: 7 (vanished_trainer.Slotted, " in note
    assert note.endswith("and 3 more)")


@both
def test_an_mmsegmentation_style_file(tmp_path, trainer, legacy):
    numpy = pytest.importorskip("numpy")
    history = trainer.History([numpy.float64(0.5), numpy.arange(3)])
    value = {
        "meta": {"CLASSES": ("road", "car"), "PALETTE": [[128, 64, 128], [0, 0, 142]], "seed": 0},
        "state_dict": {"backbone.w": torch.ones(2), "decode_head.w": nn.Parameter(torch.zeros(2, 2))},
        "message_hub": {"log_scalars": {"train/loss": history}},
    }
    weights = read_weights(save_and_forget(value, tmp_path / "iter_1.pth", legacy))
    assert list(weights.tensors) == ["backbone.w", "decode_head.w"]
    assert weights.extras["meta"] == value["meta"]
    assert "vanished_trainer.History" in weights.notes[0]


class Call:
    """Pickles as a call of ``function``."""

    def __init__(self, function, *arguments):
        self.reduced = function, arguments

    def __reduce__(self):
        return self.reduced


def attacks(marker: Path) -> dict[str, object]:
    touch = f"__import__('pathlib').Path({str(marker)!r}).touch()"
    return {
        "system": Call(os.system, f"touch '{marker}'"),
        "eval": Call(eval, touch),
        "exec": Call(exec, touch),
        "getattr": Call(Call, Call(getattr, Call(__import__, "os"), "system"), f"touch '{marker}'"),
        "map": Call(list, Call(map, Call(eval, "lambda x: x"), [touch])),
        "load": Call(torch.load, str(marker)),
        "torch": Call(torch.hub.load, str(marker.parent), "entry", "source", False),
        "method": Call(getattr, Call(type, marker), "touch"),
        "state": {"a": Call(pickle.loads, pickle.dumps(Call(os.system, f"touch '{marker}'")))},
    }


@both
@pytest.mark.parametrize("name", attacks(Path("marker")))
def test_nothing_is_called(tmp_path, legacy, name):
    marker = tmp_path / "marker"
    path = tmp_path / "w.pth"
    value = {"before": attacks(marker)[name], "state_dict": {"w": torch.ones(2)}, "after": attacks(marker)[name]}
    torch.save(value, path, _use_new_zipfile_serialization=not legacy)
    weights = read_weights(path)
    assert torch.equal(weights.tensors["w"], torch.ones(2))
    assert len(weights.notes) == 1
    assert not marker.exists()


@pytest.mark.parametrize("name", ["system", "eval", "exec", "state"])
def test_the_attacks_would_have_worked(tmp_path, name):
    data = io.BytesIO()
    torch.save(attacks(tmp_path / "marker")[name], data)
    data.seek(0)
    torch.load(data, weights_only=False)
    assert (tmp_path / "marker").exists()


def test_names_are_not_attributes_of_what_is_known(tmp_path):
    path = archive(tmp_path, b"\x80\x04\x8c\x0bcollections\x8c\x14OrderedDict.__init__\x93)R.")
    with pytest.raises(CheckpointError, match=r"a whole pickled collections\.OrderedDict\.__init__"):
        read_weights(path)


def archive(folder: Path, pickled: bytes, **records: bytes) -> Path:
    path = folder / "w.pth"
    with zipfile.ZipFile(path, "w") as file:
        for name, record in {"data.pkl": pickled, "version": b"3\n", **records}.items():
            file.writestr(f"archive/{name.replace('__', '/')}", record)
    return path


def tensor_pickle(
    elements: int, offset: int, size: tuple[int, ...], stride: tuple[int, ...], key: object = "0"
) -> bytes:
    """``{"w": tensor}`` as torch pickles it, with whatever claims."""

    class Pickler(pickle.Pickler):
        def persistent_id(self, obj):
            return ("storage", torch.FloatStorage, key, "cpu", elements) if obj is storage else None

    storage, data = object(), io.BytesIO()
    rebuilt = Call(torch._utils._rebuild_tensor_v2, storage, offset, size, stride, False, None)
    Pickler(data, 2).dump({"w": rebuilt})
    return data.getvalue()


@pytest.mark.parametrize(
    ("key", "refused"),
    [
        ("a" * 1000, False),
        (("a", 1), False),
        ((("a", 1), 2), False),
        (((("a", 1), 2), 3), True),
        (tuple(range(64)), False),
        (tuple(range(65)), True),
        ((1, tuple(range(65))), True),
    ],
)
def test_only_short_and_shallow_tuples_are_keys(key: object, refused: bool) -> None:
    if refused:
        with pytest.raises(CheckpointError, match="a deeply nested or very long tuple"):
            check_key(key)
    else:
        check_key(key)


def deep_tuple(depth: int) -> bytes:
    return b")" + b"\x85" * depth


CLAIMS = {
    "more than stored": (tensor_pickle(4, 0, (5,), (1,)), "a tensor of 5 exceeds its storage of 4"),
    "strides out": (tensor_pickle(4, 0, (2, 2), (3, 1)), "a tensor of 2x2 exceeds its storage"),
    "offset out": (tensor_pickle(4, 3, (2,), (1,)), "a tensor of 2 exceeds its storage"),
    "a million times the same": (tensor_pickle(4, 0, (10**6, 10**6), (0, 0)), "1000000x1000000 exceeds its storage"),
    "negative": (tensor_pickle(4, 0, (-1,), (1,)), "size or stride is not one"),
    "negative stride": (tensor_pickle(4, 3, (2,), (-1,)), "size or stride is not one"),
    "more strides": (tensor_pickle(4, 0, (2,), (1, 1)), "size or stride is not one"),
    "huge storage": (tensor_pickle(1 << 60, 0, (2,), (1,)), "storage '0' is shorter than stated"),
    "quantised": (
        tensor_pickle(4, 0, (2,), (1,)).replace(b"FloatStorage", b"QInt8Storage"),
        "its values are in a torch.QInt8Storage, which is not read; save them again as floats",
    ),
    "no storage": (tensor_pickle(4, 0, (2,), (1,), key="9"), "no item named"),
    "storage elsewhere": (tensor_pickle(4, 0, (2,), (1,), key="../version"), "shorter than stated|no item named"),
    "deep key": (b"\x80\x02}" + deep_tuple(200_000) + b"K\x01s.", "a deeply nested or very long tuple"),
    "deep key of a storage": (
        b"\x80\x02(Nctorch\nFloatStorage\n" + deep_tuple(200_000) + b"NK\x01tQ.",
        "a tuple as the key of a storage",
    ),
    "deep name": (b"\x80\x04" + deep_tuple(200_000) + b"\x8c\x01a\x93.", "a name is not text"),
    "long text that is not there": (b"\x80\x04\x8d" + (1 << 40).to_bytes(8, "little") + b"a.", "damaged or cut short"),
    "bytes that are not there": (b"\x80\x04B\xff\xff\xff\xffa.", "damaged or cut short"),
    "unknown instruction": (b"\x80\x02\xff.", "damaged or cut short"),
    "empty stack": (b"\x80\x02R.", "damaged or cut short"),
    "no end": (b"\x80\x02}", "damaged or cut short"),
    "call of text": (b"\x80\x02X\x01\x00\x00\x00a)R.", "a str is called"),
    "list as a key": (b"\x80\x02}]K\x01s.", "unhashable"),
    "a name with a backslash": (b"\x80\x02ca\\c\nb\n)R.", r"a whole pickled a\\c\.b"),
    "memo of nothing": (b"\x80\x02h\x07.", "damaged or cut short"),
}  # fmt: skip


@pytest.mark.parametrize("name", CLAIMS)
def test_false_claims_are_one_clear_line(tmp_path, name):
    pickled, message = CLAIMS[name]
    with pytest.raises(CheckpointError, match=message) as raised:
        read_weights(archive(tmp_path, pickled, data__0=bytes(16)))
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 400


def test_the_claims_are_otherwise_sound(tmp_path):
    weights = read_weights(
        archive(tmp_path, tensor_pickle(4, 1, (3,), (1,)), data__0=torch.arange(4.0).numpy().tobytes())
    )
    assert weights.tensors["w"].tolist() == [1, 2, 3]


W = tensor_pickle(4, 0, (4,), (1,))[3:-2]  # from the dictionary's mark to before its SETITEM: "w" and the tensor

HARMLESS = {
    "a deep list": b"\x80\x02}(X\x04\x00\x00\x00deep" + b"]" * 200_000 + b"a" * 199_999,
    "a huge number in the memo": b"\x80\x02}(X\x04\x00\x00\x00memoNr\xff\xff\xff\x7f",
    "a huge number": b"\x80\x02}(X\x06\x00\x00\x00number\x8b\x00\x00\x10\x00" + b"\x7f" * (1 << 20),
    "a list that holds itself": b"\x80\x02}(X\x04\x00\x00\x00self]q\x00h\x00a",
    "a billion laughs": b"\x80\x02}(X\x05\x00\x00\x00laugh]q\x01" + b"".join(
        b"0](h%ch%c" % (n, n) * 1 + b"eq%c" % (n + 1) for n in range(1, 60)
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", HARMLESS)
def test_large_and_tangled_values_beside_the_weights(tmp_path, name):
    pickled = HARMLESS[name] + W[W.index(b"X") :] + b"u."
    weights = read_weights(archive(tmp_path, pickled, data__0=bytes(16)))
    assert weights.tensors["w"].tolist() == [0, 0, 0, 0]


PAIRS = b"(" + b"".join(b"K%cN\x86" % (n % 100) for n in range(50_000)) + b"tq\x01"
COLLIDING = b"".join(b"\x8a\x0a" + (key * ((1 << 61) - 1)).to_bytes(10, "little") + b"N" for key in range(1, 20_000))
AGAIN = b"\x80\x04ccollections\nOrderedDict\nq\x00](" + PAIRS + b"h\x00h\x01\x85R" * 20_000 + b"e."
"""A mapping, built again and again from the same pairs."""

TIMED = {
    "colliding keys": b"}(" + COLLIDING + b"u.",
    "colliding keys of a set": b"\x8f("
    + b"".join(COLLIDING[at : at + 12] for at in range(0, 13 * 19_999, 13))
    + b"\x90.",
}


def test_a_pickle_that_takes_far_more_memory_than_its_size_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "STRUCTURE_START", 1 << 20)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(SegablateError, match="take more than 64 times its size in memory"):
        read_weights(archive(tmp_path, AGAIN))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 << 10


@pytest.mark.parametrize("name", TIMED)
def test_a_pickle_that_takes_long_to_parse_is_refused(tmp_path, monkeypatch, name):
    monkeypatch.setattr(limits, "STRUCTURE_SECONDS", 0.2)
    started = time.thread_time()
    with pytest.raises(SegablateError, match=r"take more than 0.2 s to parse"):
        read_weights(archive(tmp_path, b"\x80\x04" + TIMED[name]))
    assert time.thread_time() - started < 2


def test_storages_are_not_timed(tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "STRUCTURE_SECONDS", 0.2)
    budget = limits.Budget(100)
    with budget.untimed():
        started = time.thread_time()
        while time.thread_time() < started + 0.3:
            pass
    budget.check_time()


def test_a_compressed_archive_is_refused(tmp_path):
    path = tmp_path / "w.pth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("archive/data.pkl", b"\x80\x02}.")
        file.writestr("archive/data/0", bytes(10_000_000))
    with pytest.raises(CheckpointError, match=r"unpacks to 10 000 004 bytes from .*, but torch does not compress"):
        read_weights(path)


def test_a_legacy_file_cannot_ask_for_more_than_it_has(tmp_path):
    data = io.BytesIO()
    torch.save({"w": torch.ones(100)}, data, _use_new_zipfile_serialization=False)
    path = tmp_path / "w.pth"
    path.write_bytes(data.getvalue().replace(b"cpuq\x06Kd", b"cpuq\x06J\xff\xff\xff\x7f"))
    with pytest.raises(CheckpointError, match="declares more values than it has bytes"):
        read_weights(path)


def test_what_known_functions_return_counts_as_an_object(monkeypatch):
    monkeypatch.setattr(limits, "STRUCTURE_START", 0)
    known = {"a.known": Known(lambda: None)}
    pickled = b"\x80\x04" + b"ca\nknown\n)R0" * 200 + b"N."
    with pytest.raises(TooLarge, match="take more than 64 times its size"):
        unpickle(io.BytesIO(pickled), known, lambda saved: None, Budget(len(pickled)))
    named = b"\x80\x04" + b"ca\nknown\n0N0" * 200 + b"N."  # as long, without calls
    assert unpickle(io.BytesIO(named), known, lambda saved: None, Budget(len(named))).value is None


def test_what_a_foreign_object_accepts():
    known = {"a.known": Known(lambda *arguments: arguments), "a.constant": 7}
    pickled = b"".join([
        b"\x80\x04(ca\nknown\nK\x01K\x02\x86R",  # a call of what is known
        b"ca\nconstant\n",
        b"cb\nForeign\n)R]K\x01a}b",  # a list as state ... and a state on top: all ignored
        b"cb\nForeign\n)\x81K\x01K\x02s(K\x03e",  # NEWOBJ, SETITEM, APPENDS
        b"(ib\nOther\n",  # INST
        b"cb\nmentioned\nl.",
    ])  # fmt: skip
    content = unpickle(io.BytesIO(pickled), known, lambda saved: None, Budget(1000))
    called, constant, first, *_ = content.value
    assert called == (1, 2)
    assert constant == 7
    assert isinstance(first, Foreign)
    foreign = [item for item in content.value if isinstance(item, Foreign)]
    assert [item.name for item in foreign] == ["b.Foreign", "b.Foreign", "b.Other"]
    assert dict(foreign[1]) == {1: 2}
    assert content.value[-1] == ForeignType("b.mentioned")
    assert content.foreign == Counter({"b.Foreign": 2, "b.Other": 1, "b.mentioned": 0})
