# SPDX-License-Identifier: Apache-2.0
"""What a directory tree really holds, and how two trees differ. Nothing here uses code of daxfs, so that no reader is
its own judge."""
