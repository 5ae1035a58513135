"""The command line, one file a verb: ``add_parser`` adds it, and its ``run`` returns the exit code."""

import argparse
from typing import TypeAlias

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
