# SPDX-License-Identifier: Apache-2.0
"""Writes the demonstration image: `python3 -m e2e.oci OUTDIR` makes OUTDIR/image and
OUTDIR/expected.json. OUTDIR must not exist, or be empty."""

import argparse
import shutil
import sys
from pathlib import Path

from e2e.harness.apt import AptError
from e2e.harness.cache import Cache, report
from e2e.oci import generate


def main():
    parser = argparse.ArgumentParser(prog="e2e.oci", description=__doc__)
    parser.add_argument("outdir", type=Path)
    out = parser.parse_args().outdir
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        print(f"e2e.oci: {out} is not an empty directory", file=sys.stderr)
        return 2
    cache = Cache()
    try:
        made = generate.prepare(cache)
    except AptError as error:
        print(f"e2e.oci: {error}", file=sys.stderr)
        return 1
    shutil.copytree(made, out, dirs_exist_ok=True)
    report(cache.figures())
    print(out / "image")
    return 0


if __name__ == "__main__":
    sys.exit(main())
