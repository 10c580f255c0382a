"""`python -m guilder.cli`: the command where no script of that name is on the path."""

from guilder.cli import main

if __name__ == "__main__":
    main()
