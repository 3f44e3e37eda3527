"""``python -m segablate`` is the console script."""

from segablate.cli import main

if __name__ == "__main__":
    main()
