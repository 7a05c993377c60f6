// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
/*
 * The pool of device-private pages.  Chunks are added and never given back
 * before the module goes.  A page's tag is kept in its zone_device_data and is
 * written before the page gets its first reference, so that whoever got hold
 * of a page by its frame number can tell whether it is still the one meant.
 */
#include <linux/bitmap.h>
#include <linux/ioport.h>
#include <linux/list.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

#include "mm_shim.h"

struct holon_chunk {
	struct dev_pagemap pgmap;
	struct resource *res;
	struct list_head link;
	unsigned long first;	/* frame number */
	unsigned long pages;
	unsigned long hint;	/* where to look for a free page */
	unsigned long used;
	unsigned long *map;	/* bit set: in use */
};

static LIST_HEAD(chunks);		/* added to, under pool_lock */
static DEFINE_SPINLOCK(pool_lock);	/* also the chunks' maps */
static int owner;

void *holon_pool_owner(void)
{
	return &owner;
}

u64 holon_pool_tag(const struct page *page)
{
	return (u64)(unsigned long)READ_ONCE(page->zone_device_data);
}

static void pool_free(struct folio *folio)
{
	struct holon_chunk *chunk =
		container_of(folio->pgmap, struct holon_chunk, pgmap);
	unsigned long bit = folio_pfn(folio) - chunk->first;
	u64 tag = holon_pool_tag(&folio->page);
	unsigned long flags;

	WRITE_ONCE(folio->page.zone_device_data, NULL);
	spin_lock_irqsave(&pool_lock, flags);
	__clear_bit(bit, chunk->map);
	chunk->hint = min(chunk->hint, bit);
	chunk->used--;
	spin_unlock_irqrestore(&pool_lock, flags);
	kapi_mm_page_freed(tag);
}

static const struct dev_pagemap_ops pool_ops = {
	.folio_free = pool_free,
	.migrate_to_ram = holon_mm_fault,
};

/* Under pool_lock: a free frame of the chunk, or 0. */
static unsigned long chunk_take(struct holon_chunk *chunk)
{
	unsigned long bit;

	if (chunk->used == chunk->pages)
		return 0;
	bit = find_next_zero_bit(chunk->map, chunk->pages, chunk->hint);
	if (bit >= chunk->pages)
		return 0;
	__set_bit(bit, chunk->map);
	chunk->hint = bit + 1;
	chunk->used++;
	return chunk->first + bit;
}

static struct holon_chunk *pool_take(unsigned long *pfn)
{
	struct holon_chunk *chunk, *found = NULL;
	unsigned long flags;

	spin_lock_irqsave(&pool_lock, flags);
	list_for_each_entry(chunk, &chunks, link) {
		*pfn = chunk_take(chunk);
		if (*pfn) {
			found = chunk;
			break;
		}
	}
	spin_unlock_irqrestore(&pool_lock, flags);
	return found;
}

struct page *holon_pool_take(u64 tag)
{
	struct holon_chunk *chunk;
	struct page *page;
	unsigned long pfn;

	chunk = pool_take(&pfn);
	if (!chunk)
		return NULL;
	page = pfn_to_page(pfn);
	WRITE_ONCE(page->zone_device_data, (void *)(unsigned long)tag);
	zone_device_page_init(page, &chunk->pgmap, 0);
	return page;
}

static void chunk_free(struct holon_chunk *chunk)
{
	if (chunk->res)
		release_mem_region(chunk->res->start, resource_size(chunk->res));
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
	chunk->res = request_free_mem_region(&iomem_resource, bytes, "holon");
	if (IS_ERR(chunk->res))
		chunk->res = NULL;
	if (chunk->map && chunk->res)
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
	pgmap->ops = &pool_ops;
	pgmap->owner = &owner;
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
	spin_lock_irqsave(&pool_lock, flags);
	list_add_tail(&chunk->link, &chunks);
	spin_unlock_irqrestore(&pool_lock, flags);
	return 0;
}

void kpi_pool_stat(struct kpi_pool_stat *out)
{
	struct holon_chunk *chunk;
	unsigned long flags;

	memset(out, 0, sizeof(*out));
	spin_lock_irqsave(&pool_lock, flags);
	list_for_each_entry(chunk, &chunks, link) {
		out->chunks++;
		out->pages += chunk->pages;
		out->used += chunk->used;
	}
	spin_unlock_irqrestore(&pool_lock, flags);
}

int kpi_pool_exit(void)
{
	struct holon_chunk *chunk, *next;
	struct kpi_pool_stat stat;

	kpi_pool_stat(&stat);
	if (stat.used)
		return -EBUSY;
	list_for_each_entry_safe(chunk, next, &chunks, link) {
		list_del(&chunk->link);
		memunmap_pages(&chunk->pgmap);
		chunk_free(chunk);
	}
	return 0;
}
