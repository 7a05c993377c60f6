// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
/*
 * Brings pool pages home without a fault: by frame number, wherever they are
 * mapped.  A frame may have been given up, and even handed out again, since its
 * content was asked for; its tag tells.
 */
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
