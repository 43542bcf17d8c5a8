"""`python -m collect`: the console script `serverbench`, where only the interpreter is known."""

import sys

from collect.cli import main

sys.exit(main())
