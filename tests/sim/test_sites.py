# SPDX-License-Identifier: Apache-2.0
"""The list of fences, flushes and looks sees what is missing on either side."""

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import sites  # noqa: E402

CODE = """static int one(const struct daxfs_pool *pool,
		__u32 row)
{
	if (DAXFS_RULE(USE_FENCE))
		daxfs_fence();
	return other(row);
}

void two(void)
{
	daxfs_publish(bytes, 8);
}
"""
REMOVALS = """{"use-fence", RULE(USE_FENCE), "A-world", kTso, kUse},
{"use-recheck", Rules(DAXFS_RULE_USE_RECHECK, DAXFS_RULE_RESCUE),
 "B-world", kSc, kUse},"""
ROWS = ["| `one` | use-fence | A-world tso |", "| `one` | fence | `use-fence`: A-world tso |",
        "| `two` | publish | argued: nobody reads these bytes before they are told of |"]


def page(rows):
    head = ["# Page", "", sites.HEADING, "", "| function | what | seen in |", "|---|---|---|"]
    return "\n".join([*head, *rows, "", "## Next", ""])


def test_a_list_that_agrees():
    assert sites.code_sites(CODE) == [("one", "use-fence"), ("one", "fence"), ("two", "publish")]
    assert sites.removals(REMOVALS) == {("use-fence", "A-world", "tso"), ("use-recheck", "B-world", "sc")}
    assert not sites.faults({"pool_a.c": CODE}, page(ROWS), REMOVALS)


@pytest.mark.parametrize("rows", [
    ROWS[:2], ROWS[1:], [*ROWS, ROWS[2]], [*ROWS, "| `three` | fence | argued: a function that has gone since then |"],
    ["| `one` | use-fence | A-world sc |", *ROWS[1:]], ["| `one` | use-fence | |", *ROWS[1:]],
    ["| `one` | use-fence | A-world tso, B-world sc |", *ROWS[1:]], [*ROWS[:2], "| `two` | publish | argued: so |"],
])
def test_what_does_not_agree_is_told(rows):
    assert len(sites.faults({"pool_a.c": CODE}, page(rows), REMOVALS)) == 1


def test_the_list_of_this_tree():
    assert sites.main() == 0
