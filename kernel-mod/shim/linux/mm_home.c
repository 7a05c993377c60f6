// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
/*
 * Brings pool pages home without a fault: by frame number, wherever they are
 * mapped.  A frame may have been given up, and even handed out again, since its
 * content was asked for; its tag tells.
 */
#include <linux/mm.h>
#include <linux/mmap_lock.h>

#include "mm_shim.h"

static void home_choose(struct kpi_home *home)
{
	u64 i;

	for (i = 0; i < home->pages; i++) {
		struct page *old = migrate_pfn_to_page(home->src[i]);

		home->dst[i] = 0;
		if (!old || !(home->src[i] & MIGRATE_PFN_MIGRATE))
			continue;
		if (holon_pool_tag(old) != home->tag[i])
			continue;
		get_page(home->page[i]);
		lock_page(home->page[i]);
		home->dst[i] = migrate_pfn(page_to_pfn(home->page[i]));
	}
}

/* Drops our own reference to each page that is in use now. */
static long home_note(struct kpi_home *home)
{
	long moved = 0;
	u64 i;

	for (i = 0; i < home->pages; i++) {
		if (!home->dst[i] || !(home->src[i] & MIGRATE_PFN_MIGRATE))
			continue;
		put_page(home->page[i]);
		home->page[i] = NULL;
		moved++;
	}
	return moved;
}

long kpi_mm_home(struct kpi_home *home)
{
	unsigned long *src = (unsigned long *)home->src;
	unsigned long *dst = (unsigned long *)home->dst;
	long moved;
	u64 i;
	int rc;

	if (home->pages > KPI_MM_BATCH_MAX)
		return -EINVAL;
	for (i = 0; i < home->pages; i++)
		if (!holon_pool_has(home->pfn[i]))
			return -EINVAL;
	memcpy(home->src, home->pfn, home->pages * sizeof(*home->src));
	rc = migrate_device_pfns(src, home->pages);
	if (rc)
		return rc;
	home_choose(home);
	migrate_device_pages(src, dst, home->pages);
	moved = home_note(home);
	migrate_device_finalize(src, dst, home->pages);
	return moved;
}

/* Still the one meant, and huge?  Locked. */
static bool huge_is(const struct kpi_huge *huge, struct page *old)
{
	return old && folio_nr_pages(page_folio(old)) == HOLON_HUGE &&
	       holon_pool_tag(old) == huge->tag;
}

int kpi_mm_home_huge(struct kpi_huge *huge)
{
	unsigned long *src = (unsigned long *)huge->src;
	unsigned long *dst = (unsigned long *)huge->dst;
	int moved, rc;

	if (!IS_ALIGNED(huge->pfn, HOLON_HUGE) || !holon_pool_has(huge->pfn))
		return -EINVAL;
	if (page_ref_count(huge->page) != 1)
		return 2;
	memset(src, 0, HOLON_HUGE * sizeof(*src));
	memset(dst, 0, HOLON_HUGE * sizeof(*dst));
	rc = migrate_device_range(src, huge->pfn, HOLON_HUGE);
	if (rc)
		return rc;
	if ((src[0] & MIGRATE_PFN_MIGRATE) && huge_is(huge, migrate_pfn_to_page(src[0]))) {
		get_page(huge->page);
		lock_page(huge->page);
		dst[0] = migrate_pfn(page_to_pfn(huge->page)) | MIGRATE_PFN_COMPOUND;
	}
	migrate_device_pages(src, dst, HOLON_HUGE);
	moved = dst[0] && (src[0] & MIGRATE_PFN_MIGRATE);
	if (moved) {
		/* Ours; the page tables have their own. */
		put_page(huge->page);
		huge->page = NULL;
	}
	migrate_device_finalize(src, dst, HOLON_HUGE);
	return moved;
}

/* The number of a huge page in its mappings, if it is the one meant. */
static bool huge_index(const struct kpi_huge *huge, pgoff_t *index)
{
	struct folio *folio = (struct folio *)pfn_to_page(huge->pfn);
	bool found;

	if (!folio_try_get(folio))
		return false;
	found = huge_is(huge, &folio->page);
	*index = folio->index;
	folio_put(folio);
	return found;
}

/* Asks for the part of the huge page that this mapping could have, and leaves it. */
static void split_in(struct vm_area_struct *vma, pgoff_t index, struct kpi_huge *huge)
{
	pgoff_t first = max(index, vma->vm_pgoff);
	pgoff_t end = min(index + HOLON_HUGE, vma->vm_pgoff + vma_pages(vma));
	struct migrate_vma args = {
		.vma = vma,
		.start = vma->vm_start + (first - vma->vm_pgoff) * PAGE_SIZE,
		.end = vma->vm_start + (end - vma->vm_pgoff) * PAGE_SIZE,
		.src = (unsigned long *)huge->src,
		.dst = (unsigned long *)huge->dst,
		.pgmap_owner = holon_pool_owner(),
		.flags = MIGRATE_VMA_SELECT_DEVICE_PRIVATE,
	};

	if (first >= end || migrate_vma_setup(&args))
		return;
	migrate_vma_pages(&args);
	migrate_vma_finalize(&args);
}

int kpi_mm_split(struct mm_struct *mm, struct kpi_huge *huge)
{
	struct vm_area_struct *vma;
	VMA_ITERATOR(vmi, mm, 0);
	pgoff_t index;

	if (!IS_ALIGNED(huge->pfn, HOLON_HUGE) || !holon_pool_has(huge->pfn))
		return -EINVAL;
	if (!huge_index(huge, &index))
		return -ENOENT;
	if (!mmap_read_trylock(mm))
		return -EAGAIN;
	/* Wherever a mapping was moved to, it has kept its pages' numbers. */
	for_each_vma(vmi, vma)
		if (vma_is_anonymous(vma))
			split_in(vma, index, huge);
	mmap_read_unlock(mm);
	return huge_index(huge, &index) ? -ENOENT : 0;
}
