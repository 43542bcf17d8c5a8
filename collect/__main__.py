"""`python -m collect` is the console script `serverbench`, for whoever knows only the interpreter."""

import sys

from collect.cli import main

sys.exit(main())
