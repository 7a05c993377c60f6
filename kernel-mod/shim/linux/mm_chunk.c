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

/* For page tables, and for what the kernel notes of a range besides. */
#define CHUNK_MORE 16
#define CHUNK_GFP (GFP_KERNEL | __GFP_RETRY_MAYFAIL | __GFP_NOWARN)

/*
 * Is there memory for a chunk?  memremap_pages() warns, as of a bug, when it finds none for
 * the chunk's struct pages: so all that a chunk takes is allocated first, and let go for it.
 * It wants these in one piece, and complains if it can't have that.
 */
static bool chunk_fits(u64 bytes)
{
	u64 each = sizeof(struct page) + sizeof(u64);
	u64 count = PFN_UP((bytes >> PAGE_SHIFT) * each) + CHUNK_MORE;
	struct page *huge = alloc_pages(CHUNK_GFP, HOLON_HUGE_ORDER);
	struct page *page, *next;
	LIST_HEAD(taken);

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

static struct holon_chunk *chunk_alloc(u64 bytes)
{
	struct holon_chunk *chunk = kzalloc(sizeof(*chunk), GFP_KERNEL);

	if (!chunk)
		return NULL;
	chunk->pages = bytes >> PAGE_SHIFT;
	chunk->map = kvzalloc(BITS_TO_LONGS(chunk->pages) * sizeof(long), GFP_KERNEL);
	chunk->tags = kvcalloc(chunk->pages, sizeof(*chunk->tags), GFP_KERNEL);
	chunk->res = request_free_mem_region(&iomem_resource, bytes, "holon");
	if (IS_ERR(chunk->res))
		chunk->res = NULL;
	if (chunk->map && chunk->tags && chunk->res)
		return chunk;
	chunk_free(chunk);
	return NULL;
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

static struct holon_chunk *chunk_make(u64 bytes)
{
	struct holon_chunk *chunk = chunk_alloc(bytes);
	int err;

	if (!chunk)
		return ERR_PTR(-ENOMEM);
	err = chunk_map(chunk);
	if (err) {
		chunk_free(chunk);
		return ERR_PTR(err);
	}
	return chunk;
}

int kpi_pool_grow(u64 bytes)
{
	struct holon_chunk *chunk;
	unsigned long flags;
	unsigned int scope;

	if (!chunk_fits(bytes))
		return -ENOMEM;
	/* If others took it meanwhile, it comes from the reserves: kswapd fills them again. */
	scope = memalloc_noreclaim_save();
	chunk = chunk_make(bytes);
	memalloc_noreclaim_restore(scope);
	if (IS_ERR(chunk))
		return PTR_ERR(chunk);
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
