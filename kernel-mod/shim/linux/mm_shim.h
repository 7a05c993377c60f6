/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/* What the mm_*.c files of this directory share. */
#ifndef HOLON_MM_SHIM_H
#define HOLON_MM_SHIM_H

#include <linux/list.h>
#include <linux/memremap.h>
#include <linux/migrate.h>
#include <linux/mm.h>
#include <linux/spinlock.h>

#include "kpi.h"

struct holon_chunk {
	struct dev_pagemap pgmap;
	struct resource *res;
	struct list_head link;
	unsigned long first;	/* frame number */
	unsigned long pages;
	unsigned long hint;	/* where to look for a free page */
	unsigned long used;
	unsigned long *map;	/* bit set: in use */
	u64 *tags;		/* of each frame */
};

/* Pages of a huge one. */
#define HOLON_HUGE (1UL << HOLON_HUGE_ORDER)
#define HOLON_HUGE_ORDER (PMD_SHIFT - PAGE_SHIFT)

extern struct list_head holon_chunks;
extern spinlock_t holon_pool_lock;
extern const struct dev_pagemap_ops holon_pool_ops;

/* The owner that identifies our device pages to the kernel. */
void *holon_pool_owner(void);

/* A locked page of the pool with this tag, or NULL when the pool is empty. */
struct page *holon_pool_take(u64 tag);
/* A huge one, whose page i has tag + i: NULL unless the pool has a whole aligned one. */
struct page *holon_pool_take_huge(u64 tag);
u64 holon_pool_tag(const struct page *page);
/* The tag of the page of the pool behind an entry, else 0.  With its table locked. */
u64 holon_pte_tag(pte_t pte);
/* As that, of the first page of a huge one. */
u64 holon_pmd_tag(pmd_t pmd);
bool holon_pool_has(unsigned long pfn);

/* Gives a page up that nobody saw: its tag is forgotten, not freed. */
void holon_pool_forget(struct page *page);

/* May pages of this mapping go out? */
bool holon_may_lodge(struct vm_area_struct *vma);
/* Does the page stay in any case?  What everybody reads who lists processes does. */
bool holon_stays(struct mm_struct *mm, unsigned long addr);
/* The directory entry over an address, or NULL.  With the address space locked. */
pmd_t *holon_pmd(struct mm_struct *mm, unsigned long addr);
/* The locked page table under a directory entry, at an address; NULL without one. */
pte_t *holon_pte_lock(struct mm_struct *mm, pmd_t *pmd, unsigned long addr, spinlock_t **ptl);
void holon_pte_unlock(spinlock_t *ptl);
/* The page behind an entry if it may go out, else NULL.  With its table locked. */
struct page *holon_pte_page(pte_t pte);

vm_fault_t holon_mm_fault(struct vm_fault *vmf);

#endif
