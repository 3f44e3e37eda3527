"""The state of an installation: versions, devices, extras, the cache, and a short self-test."""

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "missing", "fault"]


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    - `state`: ok; missing, which costs nothing but what needs it; or fault.
    - `detail`: a version, a size or a number; for a fault what is wrong and what to do.
    """

    name: str
    state: State
    detail: str
