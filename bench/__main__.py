"""``python -m bench``, which is ``vocoder-bench``."""

import sys

from bench.cli import main

sys.exit(main())
