"""A recipe: how a network is trained, in the terms in which papers state it.

Every field is a hyperparameter with a range, read off its annotation as those of losses are. A recipe file is YAML::

    about: what it reproduces, one line
    network: small
    dataset: sample
    claimed: what its source reached
    differs: [what the fields cannot say]
    fields:
      rate: {value: 0.012, source: paper}   # paper, code or ours
      crop: 96x144                          # without a source: ours
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cache
from pathlib import Path
from typing import Annotated, Any

from segablate.errors import KnobError, RecipeError, at, did_you_mean
from segablate.files import is_file, user_path
from segablate.labels import MOST_CLASSES
from segablate.objective.knobs import Knob, knobs_of
from segablate.objective.ranges import Choice, Range
from segablate.training.schedule import learning_rate
from segablate.yaml_files import read_yaml

SOURCES = ("paper", "code", "ours")
"""Where the value of a field comes from: the paper, its authors' code, or this project."""

HEAD_RATE = 0.05
"""Learning rate of the classifier alone, unless a recipe or an option states one."""

_FOLDER = Path(__file__).parent / "recipes"
_TEXTS = ("about", "network", "dataset", "claimed")
_KEYS = (*_TEXTS, "differs", "fields")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a network is trained; images are H W 3 uint8, sizes HEIGHTxWIDTH in pixels, colours RGB in 0..255."""

    objective: Annotated[str, Choice(help="weighted sum of losses")] = "ce"
    optimiser: Annotated[str, Choice("adamw", "adam", "sgd", help="update rule")] = "adamw"
    rate: Annotated[float, Range(0, 1e9, open_low=True, help="learning rate")] = 1e-3
    momentum: Annotated[
        float,
        Range(0, 1, open_high=True, help="momentum of SGD, without Nesterov", used_when={"optimiser": ("sgd",)}),
    ] = 0.9
    weight_decay: Annotated[float, Range(0, 10, help="weight decay")] = 1e-2
    decay_norms: Annotated[bool, Choice(help="weight decay on normalisation layers and biases too")] = False
    head_factor: Annotated[float, Range(0, 1e4, help="factor on the learning rate of new layers")] = 1.0
    schedule: Annotated[str, Choice("cosine", "poly", "constant", help="course of the learning rate")] = "cosine"
    power: Annotated[float, Range(0, 10, help="exponent of schedule poly", used_when={"schedule": ("poly",)})] = 0.9
    floor: Annotated[
        float,
        Range(0, 1e9, help="learning rate at the end", used_when={"schedule": ("poly", "cosine")}),
    ] = 0.0
    warmup: Annotated[int, Range(0, 10**7, help="steps before the schedule")] = 0
    warmup_shape: Annotated[
        str, Choice("linear", "constant", help="warm-up: rising to the rate, or staying at its own")
    ] = "linear"
    warmup_rate: Annotated[float, Range(0, 1e9, help="learning rate from which the warm-up rises")] = 0.0
    steps: Annotated[int | None, Range(1, 10**8, help="optimiser steps; none: by epochs")] = None
    epochs: Annotated[
        float | None, Range(0, 10**6, open_low=True, help="passes over the train split; none: 100 where steps is too")
    ] = None
    batch: Annotated[int, Range(1, 4096, help="images in a step, over all processes")] = 4
    clip: Annotated[float | None, Range(0, 1e6, open_low=True, help="largest norm of the gradient")] = None
    resize: Annotated[tuple[int, int] | None, Range(8, 16384, help="size of images before augmentation")] = None
    shorter: Annotated[int | None, Range(8, 16384, help="shorter side to which scale refers; none: the image's")] = None
    scale: Annotated[tuple[float, float], Range(0.05, 20, help="least and largest random rescaling")] = (0.75, 1.5)
    scale_step: Annotated[float, Range(0, 20, help="spacing of the rescalings; 0: any between the two")] = 0.0
    fill: Annotated[bool, Choice(help="enlarge to the crop rather than pad it")] = False
    crop: Annotated[tuple[int, int] | None, Range(8, 16384, help="size of the crop; none: the image's")] = None
    crop_share: Annotated[
        float, Range(0, 1, open_low=True, help="largest share of a class in a crop, where one of ten crops has it")
    ] = 1.0
    pad_colour: Annotated[tuple[int, int, int] | None, Range(0, 255, help="colour of padding; none: the mean's")] = None
    pad_label: Annotated[int | None, Range(0, MOST_CLASSES - 1, help="class index of padding; none: void")] = None
    flip: Annotated[float, Range(0, 1, help="chance of mirroring")] = 0.5
    brightness: Annotated[float, Range(0, 1, open_high=True, help="factor on all channels, 1 ± this")] = 0.0
    tint: Annotated[float, Range(0, 1, open_high=True, help="factor on each channel, 1 ± this")] = 0.0
    contrast: Annotated[float, Range(0, 1, open_high=True, help="factor around mid-grey, 1 ± this")] = 0.0
    saturation: Annotated[float, Range(0, 1, open_high=True, help="factor around the grey value, 1 ± this")] = 0.0
    photometric: Annotated[bool, Choice(help="photometric distortion as in mmsegmentation")] = False
    blur: Annotated[float, Range(0, 1, help="chance of a Gaussian blur, sigma 0 to 1 pixel")] = 0.0
    mean: Annotated[
        tuple[float, float, float] | None, Range(0, 255, help="mean of red, green and blue; none: the network's")
    ] = None
    std: Annotated[
        tuple[float, float, float] | None, Range(0, 255, open_low=True, help="their deviation; none: the network's")
    ] = None
    auxiliary: Annotated[float, Range(0, 10, help="weight of auxiliary outputs; 0: they are not trained")] = 0.4
    auxiliary_objective: Annotated[
        str | None, Choice(help="objective of auxiliary outputs; none: that of the main one")
    ] = None
    auxiliary_factor: Annotated[
        float, Range(0, 1e4, help="factor on the learning rate of auxiliary heads, on top of head_factor")
    ] = 1.0
    norm: Annotated[
        str, Choice("train", "frozen", "sync", help="statistics of batch norm: own, fixed, all processes'")
    ] = "train"
    norm_momentum: Annotated[
        float | None,
        Range(0, 1, open_low=True, help="share of a batch in the running statistics; none: the network's"),
    ] = None
    projection: Annotated[
        int,
        Range(0, 4096, help="channels to which features are projected for losses in full training; 0: not projected"),
    ] = 16
    class_weights: Annotated[str, Choice(help="none, sqrt-inverse, inverse, median, or a file: weights of ce")] = "none"
    keep: Annotated[str, Choice("last", "best", help="weights to keep: last, or best on the hold-out")] = "last"

    def __post_init__(self) -> None:
        """Raise RecipeError for a value outside its range, and for values that contradict each other."""
        for name, knob in recipe_fields().items():
            object.__setattr__(self, name, _checked(knob, getattr(self, name)))
        if self.steps is not None and self.epochs is not None:
            raise RecipeError(f"steps is {self.steps} and epochs is {self.epochs:g}; state one of them")
        if self.scale[0] > self.scale[1]:
            raise RecipeError(f"scale is {self.scale[0]:g}:{self.scale[1]:g}; write the smaller factor first")
        if self.warmup and self.warmup_shape == "constant" and not self.warmup_rate:
            raise RecipeError("warmup_shape is 'constant' and warmup_rate is 0, at which nothing is trained; state it")

    def total(self, images: int) -> int:
        """Return the number of steps with this many images; the last incomplete batch of an epoch is dropped."""
        if self.steps is not None:
            return self.steps
        return max(round((self.epochs or 100) * (images // self.batch)), 1)

    def rate_at(self, step: int, total: int) -> float:
        """Return the learning rate of a step, counted from 0, of `total`."""
        return learning_rate(self, step, total)


@cache
def recipe_fields() -> Mapping[str, Knob]:
    """Return the fields of a recipe by name, with their ranges and help."""
    return knobs_of(Recipe)


@dataclass(frozen=True)
class SourcedRecipe:
    """A recipe with where it comes from.

    - `sources`: by field, "paper", "code", "ours", or "option" for what the command line set; others are defaults.
    - `network`, `dataset`: what it was stated for.
    - `claimed`: what the source says that it reaches; `differs`: what of the source the fields cannot say.
    """

    name: str
    recipe: Recipe = field(default_factory=Recipe)
    sources: Mapping[str, str] = field(default_factory=dict)
    about: str = ""
    network: str = ""
    dataset: str = ""
    claimed: str = ""
    differs: tuple[str, ...] = ()

    def overridden(self, values: Mapping[str, Any]) -> "SourcedRecipe":
        """Return the recipe with these values, as the command line gave them; RecipeError for a bad one."""
        known = recipe_fields()
        for name in values:
            if name not in known:
                raise RecipeError(f"a recipe has no field {name!r}{did_you_mean(name, known)}")
        opposite = {"steps": "epochs", "epochs": "steps"}
        dropped = {opposite[name]: None for name in values if name in opposite and opposite[name] not in values}
        recipe = replace(self.recipe, **dropped, **values)
        sources = {key: source for key, source in self.sources.items() if key not in dropped}
        return replace(self, recipe=recipe, sources={**sources, **dict.fromkeys(values, "option")})


def refuse_code(recipe: SourcedRecipe, trusted: bool) -> None:
    """Raise RecipeError for an objective with a user's code that a recipe file names, unless that is trusted."""
    for name in ("objective", "auxiliary_objective"):
        text = getattr(recipe.recipe, name) or ""
        if "python:" in text and recipe.sources.get(name) != "option" and not trusted:
            raise RecipeError(
                f"recipe {recipe.name}: {name} {text!r} names code; read it, then pass --trust-code, or state it as "
                f"an option"
            )


def recipe_names() -> list[str]:
    """Return the names of the recipes that come with the package, sorted."""
    return sorted(path.stem for path in _FOLDER.glob("*.yaml"))


def open_recipe(name: str) -> SourcedRecipe:
    """Read a recipe by name, or from a ``.yaml`` file; RecipeError for one that is not there or malformed."""
    path = user_path(name) if name.endswith((".yaml", ".yml")) else _FOLDER / f"{name}.yaml"
    if not is_file(path):
        known = recipe_names()
        if path.parent == _FOLDER:
            raise RecipeError(f"no recipe is called {name!r}{did_you_mean(name, known)}; or give a file, NAME.yaml")
        raise RecipeError(f"{path}: no such recipe file; available: {', '.join(known)}, or a FILE.yaml")
    with at(path.name if path.parent == _FOLDER else path):
        return _parsed(path.stem, _mapping(path))


def parse_field(name: str, text: str, *, as_option: bool = True) -> Any:
    """Read the value of a field as text: ``96x144``, ``0.5:2``, ``none``.

    Raises KnobError, which names the field as on the command line if `as_option`.
    """
    knob = recipe_fields()[name]
    if knob.kind.length and knob.kind.number is int:
        text = text.lower().replace("x", ":")
    return knob.parse(text, as_option=as_option)


def format_field(name: str, value: Any) -> str:
    """Write the value of a field as :func:`parse_field` reads it."""
    knob = recipe_fields()[name]
    text = knob.format(value)
    return text.replace(":", "x") if name in ("resize", "crop") else text


def plain_recipe(recipe: Recipe) -> dict[str, Any]:
    """Return the fields as JSON holds them."""
    values = {entry.name: getattr(recipe, entry.name) for entry in fields(recipe)}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


def _checked(knob: Knob, value: Any) -> Any:
    try:
        return knob.check(tuple(value) if isinstance(value, list) else value)
    except KnobError as error:
        raise RecipeError(str(error)) from None


def _mapping(path: Path) -> Mapping[str, Any]:
    found = read_yaml(path)
    if not isinstance(found, dict) or not isinstance(found.get("fields"), dict):
        raise RecipeError("is not a recipe: it must hold fields, as in fields: {rate: {value: 0.01, source: paper}}")
    for key in found:
        if key not in _KEYS:
            raise RecipeError(f"has an unknown entry {key!r}{did_you_mean(str(key), _KEYS)}")
    return found


def _parsed(name: str, found: Mapping[str, Any]) -> SourcedRecipe:
    values, sources = {}, {}
    for key, entry in found["fields"].items():
        if key not in recipe_fields():
            raise RecipeError(f"has an unknown field {key!r}{did_you_mean(str(key), recipe_fields())}")
        stated = entry if isinstance(entry, dict) else {"value": entry, "source": "ours"}
        if stated.keys() != {"value", "source"} or stated["source"] not in SOURCES:
            raise RecipeError(f"{key} must state its value and its source ({', '.join(SOURCES)})")
        values[key], sources[key] = _value(key, stated["value"]), stated["source"]
    differs = found.get("differs") or []
    if not isinstance(differs, list):
        raise RecipeError("differs must be a list of sentences")
    text = {key: str(found.get(key) or "") for key in _TEXTS}
    return SourcedRecipe(name, Recipe(**values), sources, **text, differs=tuple(map(str, differs)))


def _value(name: str, value: Any) -> Any:
    """The value of a field; what YAML takes for text, such as 1e-3 or 96x144, is read as on the command line."""
    if not isinstance(value, str) or recipe_fields()[name].kind.number is str:
        return value
    try:
        return parse_field(name, value, as_option=False)
    except KnobError as error:
        raise RecipeError(str(error)) from None
