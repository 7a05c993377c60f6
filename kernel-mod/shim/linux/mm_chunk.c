// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
/* Makes the pool's chunks and takes them down. */
#include <linux/ioport.h>
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

int kpi_pool_grow(u64 bytes)
{
	struct holon_chunk *chunk = chunk_alloc(bytes);
	unsigned long flags;
	int err;

	if (!chunk)
		return -ENOMEM;
	err = chunk_map(chunk);
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
