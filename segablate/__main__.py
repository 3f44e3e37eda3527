"""``python -m segablate`` is the console script.

``-m`` puts the working directory before everything that is installed, so that a file ``cv2.py`` there would be imported
in place of OpenCV. It is taken out of the path before anything else is imported, or put last where the program itself
is there.
"""

import os
import sys


def leave_working_directory() -> None:
    """Stop importing from the working directory, unless the program itself was imported from there."""
    first = sys.path[0] if sys.path else None
    if sys.flags.safe_path or first is None or os.path.realpath(first or ".") != os.path.realpath("."):
        return
    sys.path.pop(0)
    own = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
    if own == os.path.realpath(first or "."):
        sys.path.append(own)


if __name__ == "__main__":
    leave_working_directory()
    from segablate.cli import main

    main()
