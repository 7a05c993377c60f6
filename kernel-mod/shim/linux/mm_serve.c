// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
/* Reads the pages of a process that has left, for the node where it is now. */
#include <linux/mm.h>
#include <linux/mmap_lock.h>
#include <linux/oom.h>
#include <linux/sched/mm.h>

#include "mm_shim.h"

/* Never content of shared or device mappings: they did not move. */
static bool peek_allowed(struct vm_area_struct *vma)
{
	return vma && !(vma->vm_flags & (VM_SHARED | VM_SPECIAL | VM_HUGETLB));
}

/*
 * Who else could write to an anonymous page: a device or a kernel thread that has
 * it pinned.  One that a sibling has too since a fork is copied before it writes,
 * as we have a reference.  A page of a file belongs to others.
 */
static u8 peek_data(struct page *page)
{
	struct folio *folio = page_folio(page);

	if (folio_test_anon(folio) && !folio_test_ksm(folio) && !folio_maybe_dma_pinned(folio))
		return KPI_PEEK_STILL;
	return KPI_PEEK_DATA;
}

/* What the page at `at` is.  With neither DATA nor STILL no reference is kept. */
static u8 peek_kind(struct vm_area_struct *vma, struct page *page)
{
	if (PageAnon(page) || !vma_is_anonymous(vma))
		return peek_data(page);
	/* Nothing else than the zero page is in a hole of anonymous memory. */
	put_page(page);
	return KPI_PEEK_ZERO;
}

/*
 * True when the page at `at` is decided; else the address space has to be
 * locked again for another look.  Clears *locked if the lock was dropped.
 */
static bool peek_one(struct mm_struct *mm, u64 at, struct page **page, u8 *what, int *locked)
{
	struct vm_area_struct *vma = vma_lookup(mm, at);
	long rc;

	*what = KPI_PEEK_GONE;
	if (!peek_allowed(vma))
		return true;
	/*
	 * Without FOLL_DUMP: that one says the same of a hole and of a page
	 * that could not be read back, and the latter must not become zeros.
	 */
	rc = get_user_pages_remote(mm, at, 1, FOLL_FORCE, page, locked);
	if (rc != 1)
		return true;
	if (!*locked && !PageAnon(*page)) {
		put_page(*page);
		return false;
	}
	*what = *locked ? peek_kind(vma, *page) : peek_data(*page);
	return true;
}

/* The out-of-memory killer takes pages away and leaves holes. */
static bool peek_torn(struct mm_struct *mm)
{
	return check_stable_address_space(mm) != 0;
}

static void peek_forget(struct page **page, u8 *what, u64 pages)
{
	u64 i;

	for (i = 0; i < pages; i++) {
		if (what[i] == KPI_PEEK_DATA || what[i] == KPI_PEEK_STILL)
			put_page(page[i]);
		what[i] = KPI_PEEK_GONE;
	}
}

int kpi_mm_peek(struct mm_struct *mm, u64 start, u64 pages, struct page **page, u8 *what)
{
	int locked = 0;
	u64 i = 0;

	while (i < pages) {
		if (!locked && mmap_read_lock_killable(mm)) {
			peek_forget(page, what, i);
			return -EINTR;
		}
		locked = 1;
		i += peek_one(mm, start + i * PAGE_SIZE, &page[i], &what[i], &locked);
	}
	if (locked)
		mmap_read_unlock(mm);
	if (peek_torn(mm))
		peek_forget(page, what, pages);
	return 0;
}

void kpi_mm_get(struct mm_struct *mm)
{
	mmget(mm);
}

void kpi_mm_put(struct mm_struct *mm)
{
	mmput(mm);
}

void kpi_mm_put_later(struct mm_struct *mm)
{
	mmput_async(mm);
}

void kpi_mm_grab(struct mm_struct *mm)
{
	mmgrab(mm);
}

void kpi_mm_drop(struct mm_struct *mm)
{
	mmdrop(mm);
}

bool kpi_mm_try_get(struct mm_struct *mm)
{
	return mmget_not_zero(mm);
}

struct mm_struct *kpi_mm_current(void)
{
	return current->mm;
}
