// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
/*
 * The pool of device-private pages.  Chunks are added and never given back
 * before the module goes.  A page's tag is kept in its zone_device_data and is
 * written before the page gets its first reference, so that whoever got hold
 * of a page by its frame number can tell whether it is still the one meant.
 */
#include <linux/bitmap.h>
#include <linux/swap.h>
/* Not before swap.h: it uses what that defines. */
#include <linux/leafops.h>

#include "mm_shim.h"

LIST_HEAD(holon_chunks);		/* under holon_pool_lock; only grows */
DEFINE_SPINLOCK(holon_pool_lock);	/* also the chunks' maps */
static int owner;

void *holon_pool_owner(void)
{
	return &owner;
}

u64 holon_pool_tag(const struct page *page)
{
	return (u64)(unsigned long)READ_ONCE(page->zone_device_data);
}

u64 holon_pte_tag(pte_t pte)
{
	softleaf_t entry;

	if (pte_none(pte) || pte_present(pte))
		return 0;
	entry = softleaf_from_pte(pte);
	if (!softleaf_is_device_private(entry) ||
	    page_pgmap(softleaf_to_page(entry))->owner != holon_pool_owner())
		return 0;
	return holon_pool_tag(softleaf_to_page(entry));
}

static void pool_free(struct folio *folio)
{
	struct holon_chunk *chunk =
		container_of(folio->pgmap, struct holon_chunk, pgmap);
	unsigned long bit = folio_pfn(folio) - chunk->first;
	u64 tag = holon_pool_tag(&folio->page);
	unsigned long flags;

	WRITE_ONCE(folio->page.zone_device_data, NULL);
	spin_lock_irqsave(&holon_pool_lock, flags);
	__clear_bit(bit, chunk->map);
	chunk->hint = min(chunk->hint, bit);
	chunk->used--;
	spin_unlock_irqrestore(&holon_pool_lock, flags);
	kapi_mm_page_freed(tag);
}

const struct dev_pagemap_ops holon_pool_ops = {
	.folio_free = pool_free,
	.migrate_to_ram = holon_mm_fault,
};

/* Under holon_pool_lock: a free frame of the chunk, or 0. */
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

	spin_lock_irqsave(&holon_pool_lock, flags);
	list_for_each_entry(chunk, &holon_chunks, link) {
		*pfn = chunk_take(chunk);
		if (*pfn) {
			found = chunk;
			break;
		}
	}
	spin_unlock_irqrestore(&holon_pool_lock, flags);
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

void holon_pool_forget(struct page *page)
{
	WRITE_ONCE(page->zone_device_data, NULL);
}

/* Is this a frame of the pool? */
bool holon_pool_has(unsigned long pfn)
{
	struct holon_chunk *chunk;
	unsigned long flags;
	bool found = false;

	spin_lock_irqsave(&holon_pool_lock, flags);
	list_for_each_entry(chunk, &holon_chunks, link)
		found |= pfn >= chunk->first && pfn - chunk->first < chunk->pages;
	spin_unlock_irqrestore(&holon_pool_lock, flags);
	return found;
}

u64 kpi_frame_tag(u64 pfn)
{
	return holon_pool_has(pfn) ? holon_pool_tag(pfn_to_page(pfn)) : 0;
}

void kpi_pool_stat(struct kpi_pool_stat *out)
{
	struct holon_chunk *chunk;
	unsigned long flags;

	memset(out, 0, sizeof(*out));
	spin_lock_irqsave(&holon_pool_lock, flags);
	list_for_each_entry(chunk, &holon_chunks, link) {
		out->chunks++;
		out->pages += chunk->pages;
		out->used += chunk->used;
	}
	spin_unlock_irqrestore(&holon_pool_lock, flags);
}
