// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
/* Single pages of ordinary memory. */
#include <linux/gfp.h>
#include <linux/highmem.h>

#include "mm_shim.h"

struct page *kpi_page_alloc(void)
{
	return alloc_page(GFP_HIGHUSER_MOVABLE);
}

struct page *kpi_page_alloc_spare(void)
{
	return alloc_page(GFP_HIGHUSER | __GFP_NORETRY | __GFP_NOWARN);
}

struct page *kpi_page_alloc_easily(void)
{
	return alloc_page((GFP_HIGHUSER_MOVABLE | __GFP_NOWARN | __GFP_NORETRY) &
			  ~__GFP_DIRECT_RECLAIM);
}

struct page *kpi_page_alloc_huge(void)
{
	struct folio *folio;

	BUILD_BUG_ON(HOLON_HUGE != KPI_MM_BATCH_MAX);
	if (!thp_migration_supported())
		return NULL;
	folio = folio_alloc(GFP_TRANSHUGE | __GFP_NORETRY, HOLON_HUGE_ORDER);
	return folio ? &folio->page : NULL;
}

struct page *kpi_page_part(struct page *page, u64 at)
{
	get_page(page + at);
	return page + at;
}

void kpi_page_get(struct page *page)
{
	get_page(page);
}

void kpi_page_put(struct page *page)
{
	put_page(page);
}

/* All memory is mapped on the machines that we support. */
void *kpi_page_addr(struct page *page)
{
	return page_address(page);
}

void kpi_page_zero(struct page *page)
{
	clear_highpage(page);
}
