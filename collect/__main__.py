"""`python -m collect`: the console script `serverbench`, where only the interpreter is known."""

from collect.cli import command

command()
