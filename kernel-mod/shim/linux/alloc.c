// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
/* Memory of the module itself. */
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/vmstat.h>

#include "kpi.h"

void *kpi_alloc(size_t size, bool zeroed)
{
	return kvmalloc(size, GFP_KERNEL | (zeroed ? __GFP_ZERO : 0));
}

void *kpi_alloc_now(size_t size)
{
	return kmalloc(size, GFP_NOWAIT | __GFP_NOWARN | __GFP_NOMEMALLOC);
}

void *kpi_realloc(void *old, size_t size)
{
	return kvrealloc(old, size, GFP_KERNEL);
}

void kpi_free(const void *p)
{
	kvfree(p);
}

u32 kpi_noreclaim_enter(void)
{
	return memalloc_noreclaim_save();
}

void kpi_noreclaim_exit(u32 cookie)
{
	memalloc_noreclaim_restore(cookie);
}

u64 kpi_memory_available(void)
{
	long pages = si_mem_available();

	return pages > 0 ? (u64)pages << PAGE_SHIFT : 0;
}

u64 kpi_memory_total(void)
{
	return (u64)totalram_pages() << PAGE_SHIFT;
}

u64 kpi_memory_files_back(void)
{
	return global_node_page_state(WORKINGSET_REFAULT_FILE);
}
