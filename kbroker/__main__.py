"""`python -m kbroker` is the `kbroker` command."""

import sys

from .cli import main

sys.exit(main())
