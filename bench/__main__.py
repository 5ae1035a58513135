"""``python -m bench``."""

import sys

from bench.errors import not_installed

try:
    from bench.cli import main

    sys.exit(main())
except ModuleNotFoundError as error:
    reason = not_installed(error)
    if reason is None:
        raise
    print(f"error: {reason}", file=sys.stderr)
    sys.exit(2)
