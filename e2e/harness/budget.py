# SPDX-License-Identifier: Apache-2.0
"""What `make test` may cost in minutes, part by part (e2e/budget.json), and what it did cost."""

import json
import os
from pathlib import Path

BUDGET_FILE = Path(__file__).resolve().parents[1] / "budget.json"
TOTAL = "total"


def limits(path=BUDGET_FILE):
    """{part: seconds}, `total` among them."""
    return {
        part: minutes * 60
        for part, minutes in json.loads(path.read_text(encoding="utf-8")).items()
    }


def earlier_parts(path):
    """{part: seconds} of the targets that ran before in the same `make test`, from its figures
    file."""
    seconds = {}
    if not path or not os.path.exists(path):
        return seconds
    with open(path, encoding="utf-8") as lines:
        for line in filter(str.strip, lines):
            for name, value in json.loads(line).items():
                # A target nested in another reports itself as NAME_seconds; figures of other kinds
                # have more words.
                part = name.removesuffix("_seconds")
                if part != name and part in ("build", "deps", *limits()):
                    seconds[part] = seconds.get(part, 0) + value
    return seconds


def verdict(seconds, allowed):
    """(warnings, failure or None) for what the parts took."""
    warnings = [
        f"budget: {part} took {spent:.0f} s of {allowed[part]:.0f} s"
        for part, spent in sorted(seconds.items())
        if part in allowed and spent > allowed[part]
    ]
    total = sum(seconds.values())
    if total > allowed[TOTAL]:
        return warnings, f"budget: {total:.0f} s in total, more than {allowed[TOTAL]:.0f} s"
    return warnings, None


def too_many_retries(boots, retries):
    """True if more than one boot in ten was tried again (one is always forgiven)."""
    return retries > max(1, boots / 10)
