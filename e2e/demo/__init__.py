# SPDX-License-Identifier: Apache-2.0
"""The main job for a person to watch: one OCI image placed once in memory, containers run from it
in two kernels."""
