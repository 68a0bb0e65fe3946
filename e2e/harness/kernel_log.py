# SPDX-License-Identifier: Apache-2.0
"""What in a kernel's log means that something went wrong, whoever's fault it is."""

import re

PATTERNS = (
    r"\bWARNING: ",
    r"\bBUG: |\bBUG at |kernel BUG",
    r"\bOops\b|general protection fault|double fault|Call Trace:|Kernel panic|unable to handle",
    r"Bad rss-counter|Bad page (?:state|map)|bad p[mu]d|bad pte",
    r"refcount_t:|refcount.*(?:underflow|leak)|percpu ref .*<= 0|page_ref_count|nonzero refcount",
    r"possible (?:circular|recursive) locking|inconsistent lock state|suspicious RCU usage",
    r"INFO: (?:task .* blocked|rcu|lockdep|trying)|soft lockup|hard LOCKUP|self-detected stall",
    r"KASAN|UBSAN|kmemleak: \d+ new|list_(?:add|del) corruption|Slab .*: Objects remaining",
    r"scheduling while atomic|sleeping function called from invalid",
    r"Memory failure|Busy inodes after unmount|still in use",
)
BAD = re.compile("|".join(PATTERNS))


def complaints(log):
    """The lines of `log` that mean trouble."""
    return [line for line in log.splitlines() if BAD.search(line)]
