/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* What statfs(2) says of a mounted image. */
#ifndef DAXFS_SUPER_MAGIC_H
#define DAXFS_SUPER_MAGIC_H

#define DAXFS_SUPER_MAGIC	0x44417846L	/* statfs.f_type; "DAxF" */

#endif /* DAXFS_SUPER_MAGIC_H */
