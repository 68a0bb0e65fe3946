# SPDX-License-Identifier: Apache-2.0
"""A real multi-layer OCI image from Debian packages, and the tree a correct reader must see in it.

Deterministic: the same packages give the same bytes. The expected tree comes from the generator's
own data by the rules of the OCI image specification (image-layout, layer: whiteouts), so that
readers are compared with it and never with each other.
"""
