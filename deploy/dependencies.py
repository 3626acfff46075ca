"""Prints what the package and its extra ``service`` depend on, so that an image can install it before the code."""

import sys
import tomllib
from pathlib import Path

project = tomllib.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))["project"]
print("\n".join([*project["dependencies"], *project["optional-dependencies"]["service"]]))  # noqa: T201 - its result
