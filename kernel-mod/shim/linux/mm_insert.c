// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
/* Puts pool pages where a process expects its own. */
#include <linux/mm.h>
#include <linux/mmap_lock.h>
#include <linux/sched/mm.h>

#include "mm_shim.h"

/* May page i of the batch be replaced by a pool page? */
static bool insert_wanted(const struct kpi_insert *in, u64 i)
{
	if (!(in->src[i] & MIGRATE_PFN_MIGRATE))
		return false;
	return in->replace || !(in->src[i] & MIGRATE_PFN_VALID);
}

static void insert_fill(struct kpi_insert *in, u64 pages)
{
	struct page *page;
	u64 i;

	for (i = 0; i < pages; i++) {
		in->dst[i] = 0;
		in->pfn[i] = 0;
		if (!insert_wanted(in, i))
			continue;
		page = holon_pool_take(in->tag_first + i);
		if (!page) {
			in->dry = 1;
			break;
		}
		in->dst[i] = migrate_pfn(page_to_pfn(page));
		in->taken++;
	}
	for (; i < pages; i++)
		in->dst[i] = in->pfn[i] = 0;
}

/* Only where there is nothing, not even a page table. */
static void insert_fill_huge(struct kpi_insert *in)
{
	struct page *page;

	memset(in->dst, 0, in->pages * sizeof(*in->dst));
	memset(in->pfn, 0, in->pages * sizeof(*in->pfn));
	if (!insert_wanted(in, 0) || !(in->src[0] & MIGRATE_PFN_COMPOUND))
		return;
	page = holon_pool_take_huge(in->tag_first);
	if (!page)
		return;
	in->dst[0] = migrate_pfn(page_to_pfn(page)) | MIGRATE_PFN_COMPOUND;
	in->taken = in->pages;
}

/* After the kernel has decided: which pages are in place now. */
static void insert_note(struct kpi_insert *in, u64 pages)
{
	u64 i;

	if (in->huge && in->dst[0] && (in->src[0] & MIGRATE_PFN_MIGRATE)) {
		for (i = 0; i < pages; i++)
			in->pfn[i] = (in->dst[0] >> MIGRATE_PFN_SHIFT) + i;
		return;
	}
	for (i = 0; i < pages; i++)
		if (in->dst[i] && (in->src[i] & MIGRATE_PFN_MIGRATE))
			in->pfn[i] = in->dst[i] >> MIGRATE_PFN_SHIFT;
}

static long insert_batch(struct kpi_insert *in, struct vm_area_struct *vma)
{
	u64 end = min_t(u64, vma->vm_end, in->start + in->pages * PAGE_SIZE);
	struct migrate_vma args = {
		.vma = vma,
		.start = in->start,
		.end = end,
		.src = (unsigned long *)in->src,
		.dst = (unsigned long *)in->dst,
		.pgmap_owner = holon_pool_owner(),
		.flags = MIGRATE_VMA_SELECT_SYSTEM,
	};
	int rc;

	if (in->huge)
		args.flags |= MIGRATE_VMA_SELECT_COMPOUND;
	rc = migrate_vma_setup(&args);
	if (rc)
		return rc;
	if (in->huge)
		insert_fill_huge(in);
	else
		insert_fill(in, args.npages);
	migrate_vma_pages(&args);
	insert_note(in, args.npages);
	migrate_vma_finalize(&args);
	return args.npages;
}

long kpi_mm_insert(struct kpi_insert *in)
{
	struct vm_area_struct *vma;
	long rc = -EINVAL;

	in->taken = 0;
	in->dry = 0;
	if (!in->pages || in->pages > KPI_MM_BATCH_MAX)
		return -EINVAL;
	if (in->huge && (in->pages != HOLON_HUGE || !IS_ALIGNED(in->start, PMD_SIZE)))
		return -EINVAL;
	if (mmap_read_lock_killable(in->mm))
		return -EINTR;
	vma = vma_lookup(in->mm, in->start);
	if (vma && (!in->huge || vma->vm_end - in->start >= PMD_SIZE))
		rc = insert_batch(in, vma);
	mmap_read_unlock(in->mm);
	return rc;
}

long kpi_mm_unshare(struct mm_struct *mm, u64 start, u64 pages)
{
	struct page *page;
	u64 done;
	long rc = 0;
	int locked = 1;

	if (mmap_read_lock_killable(mm))
		return -EINTR;
	for (done = 0; done < pages && rc >= 0; done++) {
		rc = get_user_pages_remote(mm, start + done * PAGE_SIZE, 1,
					   FOLL_WRITE | FOLL_FORCE, &page, &locked);
		if (rc == 1)
			put_page(page);
		if (!locked && mmap_read_lock_killable(mm))
			return -EINTR;
		locked = 1;
	}
	mmap_read_unlock(mm);
	return rc < 0 ? rc : (long)done;
}
