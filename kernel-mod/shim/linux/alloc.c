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

/* Pages that a zone does not give to programs. */
static unsigned long kept_by(const struct zone *zone)
{
	unsigned long kept = 0;
	int i;

	for (i = zone_idx(zone); i < MAX_NR_ZONES; i++)
		kept = max_t(unsigned long, kept, zone->lowmem_reserve[i]);
	return min(kept + high_wmark_pages(zone), zone_managed_pages(zone));
}

u64 kpi_memory_files(void)
{
	return global_node_page_state(NR_ACTIVE_FILE) + global_node_page_state(NR_INACTIVE_FILE);
}

/*
 * As si_mem_available(), and with what the processors keep for themselves: what is
 * freed page by page while kswapd sleeps is kept there first, and may be as much as
 * the low watermark.  It is taken from there again before anything else.
 */
u64 kpi_memory_available(void)
{
	unsigned long low = 0, kept = 0, free, files, slab;
	int nid, i, cpu;

	free = global_zone_page_state(NR_FREE_PAGES);
	for_each_online_node(nid) {
		for (i = 0; i < MAX_NR_ZONES; i++) {
			struct zone *zone = &NODE_DATA(nid)->node_zones[i];

			if (!populated_zone(zone))
				continue;
			low += low_wmark_pages(zone);
			kept += kept_by(zone);
			for_each_online_cpu(cpu)
				free += READ_ONCE(per_cpu_ptr(zone->per_cpu_pageset, cpu)->count);
		}
	}
	files = kpi_memory_files();
	slab = global_node_page_state_pages(NR_SLAB_RECLAIMABLE_B) +
	       global_node_page_state(NR_KERNEL_MISC_RECLAIMABLE);
	free += files - min(files / 2, low) + slab - min(slab / 2, low);
	return free > kept ? (u64)(free - kept) << PAGE_SHIFT : 0;
}

u64 kpi_memory_total(void)
{
	return (u64)totalram_pages() << PAGE_SHIFT;
}

u64 kpi_memory_files_back(void)
{
	return global_node_page_state(WORKINGSET_REFAULT_FILE);
}
