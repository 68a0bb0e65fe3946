# SPDX-License-Identifier: Apache-2.0
"""What can be said of a median: its interval by rank asks nothing of how the noise is distributed."""

import math
import statistics


def median_of(ratios):
    """[median, low, high], the latter its 95 % interval, rounded to thousandths."""
    ordered = sorted(ratios)
    rank = max(0, math.floor((len(ordered) - 1.96 * math.sqrt(len(ordered))) / 2))
    return [round(x, 3) for x in (statistics.median(ordered), ordered[rank], ordered[-1 - rank])]
