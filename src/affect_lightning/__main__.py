"""`python -m affect_lightning` is the same program as `affect-lightning`."""

from affect_lightning.command_line.program import enter

if __name__ == "__main__":
    enter()
