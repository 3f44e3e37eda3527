"""Options of ``segablate search``."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from segablate.cli.options import option
from segablate.cli.trained_options import (
    EngineOption,
    FieldOption,
    GroupOption,
    ProcessesOption,
    RayOption,
    RecipeOption,
    ThreadsOption,
    TrainedOptions,
    TrainSplitOption,
)

_SEARCH, _AGAIN = "Search", "Trained again"


@dataclass(frozen=True)
class SearchOptions:
    """What is searched, and how its proxies are trained."""

    rounds: Annotated[int, option("Rounds of proxies.", _SEARCH, min=1)] = 4
    samples: Annotated[int, option("Proxies in each round.", _SEARCH, min=2)] = 8
    steps: Annotated[int, option("Steps of each proxy.", _SEARCH, min=1)] = 60
    sampler: Annotated[
        Literal["policy", "cma", "tpe"],
        option("The authors' policy search, CMA-ES, or Optuna's TPE.", _SEARCH, case_sensitive=False),
    ] = "policy"
    seed: Annotated[int, option("Random seed of the sampler and of every proxy.", _SEARCH, min=0)] = 0
    part: Annotated[
        Literal["head", "full"] | None,
        option(
            "Train the classifier alone, or the full network; by default the head of a checkpoint.",
            _SEARCH,
            show_default=False,
        ),
    ] = None
    holdout: Annotated[
        str, option("Share at the end of the train split, or a split, that rewards are measured on.", _SEARCH)
    ] = "0.2"
    seeds: Annotated[str, option("Train again under each of these seeds, and report; 0: search only.", _AGAIN)] = "3"
    retrain_steps: Annotated[
        int | None, option("Steps of these trainings; by default 100 for the head, 1000 else.", _AGAIN, min=1)
    ] = None
    boundary_tolerance: Annotated[str, option("Tolerance of the boundary F: 3 or 0.0075d.", _AGAIN)] = "3"
    group_by: GroupOption = None
    recipe: RecipeOption = None
    set_: FieldOption = None
    train_split: TrainSplitOption = "train"
    engine: EngineOption = "local"
    processes: ProcessesOption = 0
    threads: ThreadsOption = 1
    ray_address: RayOption = None
    save: Annotated[Path | None, option("Folder of the search; by default in runs/, named after it.", "Output")] = None
    plot: Annotated[Path | None, option("Plot the curves to this PNG, SVG or PDF.", "Output")] = None

    def training(self, part: Literal["head", "full"], steps: int | None) -> TrainedOptions:
        """Return the options of trainings of this many steps; None: the default of the part."""
        return TrainedOptions(
            train=part,
            steps=steps,
            recipe=self.recipe,
            set_=self.set_,
            engine=self.engine,
            processes=self.processes,
            threads=self.threads,
            ray_address=self.ray_address,
        )
