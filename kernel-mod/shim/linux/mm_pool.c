// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
/*
 * The pool of device-private pages.  Chunks are added and never given back
 * before the module goes.  A frame's tag is kept beside the chunk's map and is
 * written before the page gets its first reference, so that whoever got hold
 * of a page by its frame number can tell whether it is still the one meant.  A
 * huge page's frames have a tag each from the start: a split changes none.
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

static u64 *tag_of(struct holon_chunk *chunk, unsigned long pfn)
{
	return &chunk->tags[pfn - chunk->first];
}

static struct holon_chunk *chunk_of(const struct page *page)
{
	return container_of(page_pgmap(page), struct holon_chunk, pgmap);
}

u64 holon_pool_tag(const struct page *page)
{
	return READ_ONCE(*tag_of(chunk_of(page), page_to_pfn(page)));
}

static u64 leaf_tag(softleaf_t entry)
{
	if (!softleaf_is_device_private(entry) ||
	    page_pgmap(softleaf_to_page(entry))->owner != holon_pool_owner())
		return 0;
	return holon_pool_tag(softleaf_to_page(entry));
}

u64 holon_pte_tag(pte_t pte)
{
	return pte_none(pte) || pte_present(pte) ? 0 : leaf_tag(softleaf_from_pte(pte));
}

u64 holon_pmd_tag(pmd_t pmd)
{
	return pmd_is_device_private_entry(pmd) ? leaf_tag(softleaf_from_pmd(pmd)) : 0;
}

static void pool_free(struct folio *folio)
{
	struct holon_chunk *chunk = chunk_of(&folio->page);
	unsigned long bit = folio_pfn(folio) - chunk->first;
	unsigned long pages = folio_nr_pages(folio);
	u64 tag = holon_pool_tag(&folio->page);
	unsigned long flags, i;

	for (i = 0; i < pages; i++)
		WRITE_ONCE(chunk->tags[bit + i], 0);
	spin_lock_irqsave(&holon_pool_lock, flags);
	bitmap_clear(chunk->map, bit, pages);
	chunk->hint = min(chunk->hint, bit);
	chunk->used -= pages;
	spin_unlock_irqrestore(&holon_pool_lock, flags);
	kapi_mm_pages_freed(tag, pages);
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

/*
 * As that, the first of a huge page's.  From the end, so that single pages, which
 * come from the start, leave whole ones for long.
 */
static unsigned long chunk_take_huge(struct holon_chunk *chunk)
{
	unsigned long bit = chunk->pages;

	if (chunk->pages - chunk->used < HOLON_HUGE)
		return 0;
	while (bit >= HOLON_HUGE) {
		bit -= HOLON_HUGE;
		if (find_next_bit(chunk->map, bit + HOLON_HUGE, bit) != bit + HOLON_HUGE)
			continue;
		bitmap_set(chunk->map, bit, HOLON_HUGE);
		chunk->used += HOLON_HUGE;
		return chunk->first + bit;
	}
	return 0;
}

static struct holon_chunk *pool_take(unsigned long (*take)(struct holon_chunk *),
				     unsigned long *pfn)
{
	struct holon_chunk *chunk, *found = NULL;
	unsigned long flags;

	spin_lock_irqsave(&holon_pool_lock, flags);
	list_for_each_entry(chunk, &holon_chunks, link) {
		*pfn = take(chunk);
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

	chunk = pool_take(chunk_take, &pfn);
	if (!chunk)
		return NULL;
	page = pfn_to_page(pfn);
	WRITE_ONCE(*tag_of(chunk, pfn), tag);
	zone_device_page_init(page, &chunk->pgmap, 0);
	return page;
}

struct page *holon_pool_take_huge(u64 tag)
{
	struct holon_chunk *chunk;
	unsigned long pfn, i;

	if (!thp_migration_supported())
		return NULL;
	chunk = pool_take(chunk_take_huge, &pfn);
	if (!chunk)
		return NULL;
	for (i = 0; i < HOLON_HUGE; i++)
		WRITE_ONCE(*tag_of(chunk, pfn + i), tag + i);
	zone_device_folio_init(page_folio(pfn_to_page(pfn)), &chunk->pgmap, HOLON_HUGE_ORDER);
	return pfn_to_page(pfn);
}

void holon_pool_forget(struct page *page)
{
	WRITE_ONCE(*tag_of(chunk_of(page), page_to_pfn(page)), 0);
}

/* The chunk of a frame, NULL if the pool has no such frame. */
static struct holon_chunk *chunk_at(unsigned long pfn)
{
	struct holon_chunk *chunk, *found = NULL;
	unsigned long flags;

	spin_lock_irqsave(&holon_pool_lock, flags);
	list_for_each_entry(chunk, &holon_chunks, link)
		if (pfn >= chunk->first && pfn - chunk->first < chunk->pages)
			found = chunk;
	spin_unlock_irqrestore(&holon_pool_lock, flags);
	return found;
}

bool holon_pool_has(unsigned long pfn)
{
	return chunk_at(pfn) != NULL;
}

u64 kpi_frame_tag(u64 pfn)
{
	struct holon_chunk *chunk = chunk_at(pfn);

	return chunk ? READ_ONCE(*tag_of(chunk, pfn)) : 0;
}

u32 kpi_frame_huge(u64 pfn)
{
	struct folio *folio;

	if (!IS_ALIGNED(pfn, HOLON_HUGE) || !holon_pool_has(pfn))
		return KPI_FRAME_SINGLE;
	/* Nobody keeps the page: who acts on the answer looks again. */
	folio = (struct folio *)pfn_to_page(pfn);
	if (!folio_test_large(folio) || !folio_ref_count(folio))
		return KPI_FRAME_SINGLE;
	return folio_mapcount(folio) == folio_entire_mapcount(folio) ? KPI_FRAME_HUGE
								      : KPI_FRAME_PARTS;
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
