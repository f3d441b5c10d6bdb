"""python -m samebytes is the command samebytes."""

from ._command import main

if __name__ == "__main__":
    main(prog_name="samebytes")
