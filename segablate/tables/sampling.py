"""How the intervals of a run's tables are resampled, and the note that says so."""

from segablate.errors import counted, thousands
from segablate.statistics.intervals import FEWEST

REPLICATES = 2_000
"""Bootstrap replicates of the images."""

MANY = 1_000
"""Images from which on the correction for small samples changes an interval by less than 0.2 %."""


def sampling_note(images: int) -> str:
    """Return the note on the intervals of a table: how they were found, or why there is none."""
    if images < FEWEST:
        verb = "says" if images == 1 else "say"
        return f"No 95 % CI: {counted(images, 'image')} {verb} too little about others (at least {FEWEST})."
    widened = ", widened for the small sample" if images < MANY else ""
    return f"95 % CI: {thousands(REPLICATES)} bootstrap replicates of the {counted(images, 'image')}{widened}."
