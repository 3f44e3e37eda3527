"""What a file or folder is, from its bytes: networks of other frameworks, archives, and files given by mistake.

::

    found = recognise(Path("net.h5"))       # None for weights that are read, and for what is not known
    found.message                           # "this is a Keras model in HDF5; convert it: python -m tf2onnx.convert ..."

Nothing in a file is run. ``docs/reference/checkpoints.md`` says with which versions of the tools the commands were
tried.
"""

from pathlib import Path

from segablate.errors import CheckpointError
from segablate.files import is_folder
from segablate.weights.recognition.beginnings import by_beginning
from segablate.weights.recognition.description import Recognised, Sample
from segablate.weights.recognition.folders import recognise_folder
from segablate.weights.recognition.messages import by_messages
from segablate.weights.recognition.pickles import by_pickle
from segablate.weights.recognition.texts import by_text
from segablate.weights.recognition.zips import by_members

__all__ = ["Recognised", "recognise", "refuse_other"]


def recognise(path: Path) -> Recognised | None:
    """Return what a file or folder is, or None for one that is not known, missing, empty or no regular file."""
    if is_folder(path):
        return recognise_folder(path)
    sample = Sample.of(path)
    if sample is None:
        return None
    readers = (by_beginning, by_pickle, by_members, by_text, by_messages)
    return next((found for reader in readers if (found := reader(sample))), None)


def refuse_other(path: Path, source: str | None = None) -> None:
    """Raise CheckpointError, without the path, for a file or folder known to be of another kind than `source` reads."""
    found = recognise(path)
    if found is not None and (source is None or found.source != source):
        raise CheckpointError(found.message)
