"""``python -m segue``: the command line without the script ``segue``."""

from segue.cli.main import main

if __name__ == "__main__":
    main()
