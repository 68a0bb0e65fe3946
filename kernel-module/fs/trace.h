/* SPDX-License-Identifier: GPL-2.0-only */
/* Events for perf and ftrace: /sys/kernel/tracing/events/daxfs. */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM daxfs

#if !defined(DAXFS_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define DAXFS_TRACE_H

#include <linux/tracepoint.h>

#include "internal.h"

#define DAXFS_RESULT(name)	{ (__force unsigned long)VM_FAULT_##name, #name }

TRACE_EVENT(daxfs_mount,
	TP_PROTO(const struct super_block *sb),
	TP_ARGS(sb),
	TP_STRUCT__entry(
		__field(dev_t, dev)
		__array(u8, uuid, DAXFS_UUID_SIZE)
		__field(u64, phys)
		__field(u64, size)
		__field(bool, pool)
	),
	TP_fast_assign(
		__entry->dev = sb->s_dev;
		memcpy(__entry->uuid, daxfs_sb(sb)->image.info.uuid, DAXFS_UUID_SIZE);
		__entry->phys = daxfs_sb(sb)->region->phys;
		__entry->size = daxfs_sb(sb)->image.info.image_size;
		__entry->pool = daxfs_sb(sb)->object;
	),
	TP_printk("dev %d:%d image %pU phys 0x%llx size %llu%s", MAJOR(__entry->dev),
		  MINOR(__entry->dev), __entry->uuid, __entry->phys, __entry->size,
		  __entry->pool ? " in a pool" : "")
);

TRACE_EVENT(daxfs_fault,
	TP_PROTO(const struct inode *inode, const struct vm_fault *vmf, unsigned int order,
		 vm_fault_t result),
	TP_ARGS(inode, vmf, order, result),
	TP_STRUCT__entry(
		__field(dev_t, dev)
		__field(u64, ino)
		__field(unsigned long, address)
		__field(pgoff_t, pgoff)
		__field(unsigned int, order)
		__field(bool, write)
		__field(unsigned int, result)
	),
	TP_fast_assign(
		__entry->dev = inode->i_sb->s_dev;
		__entry->ino = daxfs_node(inode)->attr.ino;
		__entry->address = vmf->address;
		__entry->pgoff = vmf->pgoff;
		__entry->order = order;
		__entry->write = vmf->flags & FAULT_FLAG_WRITE;
		__entry->result = (__force unsigned int)result;
	),
	TP_printk("dev %d:%d ino %llu address 0x%lx pgoff 0x%lx order %u%s result %s",
		  MAJOR(__entry->dev), MINOR(__entry->dev), __entry->ino, __entry->address,
		  __entry->pgoff, __entry->order, __entry->write ? " write" : "",
		  __print_flags(__entry->result, "|", DAXFS_RESULT(OOM), DAXFS_RESULT(SIGBUS),
				DAXFS_RESULT(HWPOISON), DAXFS_RESULT(NOPAGE),
				DAXFS_RESULT(FALLBACK)))
);

TRACE_EVENT(daxfs_corruption,
	TP_PROTO(const struct super_block *sb, const char *why),
	TP_ARGS(sb, why),
	TP_STRUCT__entry(
		__field(dev_t, dev)
		__array(char, why, DAXFS_WHY_SIZE)
	),
	TP_fast_assign(
		__entry->dev = sb->s_dev;
		strscpy(__entry->why, why, DAXFS_WHY_SIZE);
	),
	TP_printk("dev %d:%d %s", MAJOR(__entry->dev), MINOR(__entry->dev), __entry->why)
);

TRACE_EVENT(daxfs_memory_failure,
	TP_PROTO(u64 phys),
	TP_ARGS(phys),
	TP_STRUCT__entry(
		__field(u64, phys)
	),
	TP_fast_assign(
		__entry->phys = phys;
	),
	TP_printk("phys 0x%llx", __entry->phys)
);

#endif /* DAXFS_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
