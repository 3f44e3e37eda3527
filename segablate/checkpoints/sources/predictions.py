"""A folder of predictions, label maps or scores: ``predictions:DIR?name=PATTERN``.

The folder holds one file for each image of the dataset. Options follow a question mark, joined by ``&``:

- ``name``: the pattern of file names. ``{name}`` is the name of an image (``segablate datasets show`` lists them),
  ``{stem}`` its last part, ``{parent}`` what comes before; by default ``{name}`` with the suffix of the files. Images
  ``frankfurt/a_leftImg8bit.png`` (of a dataset with this ``image_suffix``) find their predictions
  ``frankfurt/a_gtFine_labelIds.png`` by ``{name}_gtFine_labelIds.png``, or by ``{stem}...`` where these are not nested.
- ``encoding`` of label maps (grey or palette images, ``.npy``): ``codes`` of the label set, as in its label files, the
  default; ``index``, 0 for the first class; or ``colours``, RGB by the colours of the classes.

- ``map=255:1``, ``shift=-1`` or ``threshold=128`` change values before they are read: some to others, all by a number,
  or to 0 below the threshold and 1 from it on.

A value that is no class is outside the label set: predicting it is a miss. An ``.npz`` holds either ``logits`` or
``probabilities``, K x H x W; scores smaller than the label map are enlarged bilinearly.
"""

from segablate.checkpoints.label_maps import ENCODINGS, LabelMaps
from segablate.checkpoints.prediction_files import SCORE_SUFFIX, find_files
from segablate.checkpoints.prediction_values import CHANGES, read_change
from segablate.checkpoints.segmenter import Loading, Segmenter, Source
from segablate.errors import CheckpointError, did_you_mean

_OPTIONS = ("encoding", "name", *CHANGES)


def open_source(text: str, loading: Loading) -> Segmenter:
    """Find the files of a folder. Raises CheckpointError for a folder or options that do not exist."""
    place, options = _parse(text)
    files = find_files(loading.located(place), options.get("name"))
    if files.suffix == SCORE_SUFFIX:
        from segablate.checkpoints.score_files import open_scores

        if stated := [name for name in ("encoding", *CHANGES) if name in options]:
            raise CheckpointError(f"predictions:{text}: scores have no {stated[0]}; leave it out")
        return open_scores(files, Source(f"predictions:{text}", notes=_unused(loading)), loading)
    encoding = ENCODINGS.get(options.get("encoding", "codes"))
    if encoding is None:
        raise CheckpointError(f"encoding is {options['encoding']!r}, but must be codes, index or colours")
    labels_only = {
        "--output": loading.output,
        "--threshold": loading.threshold,
        "--class-map": loading.class_map,
        "classes": loading.classes,
    }
    notes = _unused(loading, **labels_only)
    change = read_change(options)
    facts = {"output": "label maps: no losses, which need logits", "encoding": encoding}
    facts |= {"values": str(change)} if change else {}
    if change and encoding == "colours":
        raise CheckpointError(f"{change} is for single values, but encoding is colours; leave one of them out")
    return LabelMaps(files, encoding, Source(f"predictions:{text}", (), facts, notes), change=change)


def _parse(text: str) -> tuple[str, dict[str, str]]:
    """Parse ``DIR?key=value&key=value``. Raises CheckpointError for an option that does not exist."""
    place, _, query = text.partition("?")
    options = {}
    for part in filter(None, query.split("&")):
        key, _, value = part.partition("=")
        if key not in _OPTIONS or not value:
            near = did_you_mean(key, _OPTIONS) if key not in _OPTIONS else f"; write {key}=VALUE"
            raise CheckpointError(f"predictions:{text}: {part!r} is not an option{near}")
        options[key] = value
    if not place:
        raise CheckpointError(f"predictions:{text} has no folder; write predictions:DIR")
    return place, options


def _unused(loading: Loading, **more: object) -> tuple[str, ...]:
    """Return a note on options that apply only to networks."""
    given = {f"--{name.replace('_', '-')}": value for name, value in loading.preprocessing.items()}
    given |= {
        "--window": loading.window,
        "--flip": loading.flip,
        "--quarter-turns": loading.quarter_turns,
        "--key": loading.key,
        **more,
    }
    named = [name for name, value in given.items() if value]
    return (f"predictions run no network: {', '.join(named)} had no effect",) if named else ()
