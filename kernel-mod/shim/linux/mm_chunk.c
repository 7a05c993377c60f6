// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
/* Makes the pool's chunks and takes them down. */
#include <linux/ioport.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "mm_shim.h"

static void chunk_free(struct holon_chunk *chunk)
{
	if (chunk->res)
		release_mem_region(chunk->res->start, resource_size(chunk->res));
	kvfree(chunk->tags);
	kvfree(chunk->map);
	kfree(chunk);
}

/*
 * Nobody is to be killed for a chunk.  But without one no more pages can go or arrive, so it may
 * have some of what is kept back from others.
 */
#define CHUNK_GFP (GFP_KERNEL | __GFP_HIGH | __GFP_RETRY_MAYFAIL | __GFP_NOWARN)
/* For page tables, and for what the kernel notes of a range besides. */
#define CHUNK_MORE 16

static struct holon_chunk *chunk_alloc(u64 bytes)
{
	struct holon_chunk *chunk = kzalloc(sizeof(*chunk), CHUNK_GFP);
	unsigned int scope;

	if (!chunk)
		return NULL;
	chunk->pages = bytes >> PAGE_SHIFT;
	chunk->map = kvzalloc(BITS_TO_LONGS(chunk->pages) * sizeof(long), CHUNK_GFP);
	chunk->tags = kvcalloc(chunk->pages, sizeof(*chunk->tags), CHUNK_GFP);
	/* The little that this takes is not to be had by a kill either. */
	scope = memalloc_noreclaim_save();
	chunk->res = request_free_mem_region(&iomem_resource, bytes, "holon");
	memalloc_noreclaim_restore(scope);
	if (IS_ERR(chunk->res))
		chunk->res = NULL;
	if (chunk->map && chunk->tags && chunk->res)
		return chunk;
	chunk_free(chunk);
	return NULL;
}

/*
 * Is there memory for the chunk's struct pages?  memremap_pages() warns, as of a bug, when
 * there is none: so it is allocated here first, and let go for it.  It wants them in one
 * piece, and complains once if it can't have that.
 */
static bool chunk_fits(const struct holon_chunk *chunk)
{
	u64 count = PFN_UP(chunk->pages * sizeof(struct page)) + CHUNK_MORE;
	struct page *huge, *page, *next;
	LIST_HEAD(taken);

	huge = alloc_pages(GFP_KERNEL | __GFP_NORETRY | __GFP_NOWARN, HOLON_HUGE_ORDER);
	for (count -= huge ? min(count, HOLON_HUGE) : 0; count; count--) {
		page = alloc_page(CHUNK_GFP);
		if (!page)
			break;
		list_add(&page->lru, &taken);
		cond_resched();
	}
	list_for_each_entry_safe(page, next, &taken, lru)
		__free_page(page);
	if (huge)
		__free_pages(huge, HOLON_HUGE_ORDER);
	return !count;
}

static int chunk_map(struct holon_chunk *chunk)
{
	struct dev_pagemap *pgmap = &chunk->pgmap;
	void *at;

	pgmap->type = MEMORY_DEVICE_PRIVATE;
	pgmap->range.start = chunk->res->start;
	pgmap->range.end = chunk->res->end;
	pgmap->nr_range = 1;
	pgmap->ops = &holon_pool_ops;
	pgmap->owner = holon_pool_owner();
	chunk->first = chunk->res->start >> PAGE_SHIFT;
	at = memremap_pages(pgmap, numa_node_id());
	return PTR_ERR_OR_ZERO(at);
}

int kpi_pool_grow(u64 bytes)
{
	struct holon_chunk *chunk = chunk_alloc(bytes);
	unsigned long flags;
	unsigned int scope;
	int err = -ENOMEM;

	if (!chunk)
		return err;
	if (chunk_fits(chunk)) {
		/* If others took it meanwhile, it comes from the reserves, which kswapd fills. */
		scope = memalloc_noreclaim_save();
		err = chunk_map(chunk);
		memalloc_noreclaim_restore(scope);
	}
	if (err) {
		chunk_free(chunk);
		return err;
	}
	spin_lock_irqsave(&holon_pool_lock, flags);
	list_add_tail(&chunk->link, &holon_chunks);
	spin_unlock_irqrestore(&holon_pool_lock, flags);
	return 0;
}

int kpi_pool_exit(void)
{
	struct holon_chunk *chunk, *next;
	struct kpi_pool_stat stat;

	kpi_pool_stat(&stat);
	if (stat.used)
		return -EBUSY;
	list_for_each_entry_safe(chunk, next, &holon_chunks, link) {
		list_del(&chunk->link);
		memunmap_pages(&chunk->pgmap);
		chunk_free(chunk);
	}
	return 0;
}
