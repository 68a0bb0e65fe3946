# SPDX-License-Identifier: Apache-2.0
"""A tree with everything a filesystem can hold, as one manifest: made in a directory (maker.py) and as a PAX tar
(tape.py), and what a reader must find in either (manifest.expected)."""
