/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/* What the mm_*.c files of this directory share. */
#ifndef HOLON_MM_SHIM_H
#define HOLON_MM_SHIM_H

#include <linux/memremap.h>
#include <linux/migrate.h>
#include <linux/mm.h>

#include "kpi.h"

/* The owner that identifies our device pages to the kernel. */
void *holon_pool_owner(void);

/* A locked page of the pool with this tag, or NULL when the pool is empty. */
struct page *holon_pool_take(u64 tag);
u64 holon_pool_tag(const struct page *page);

vm_fault_t holon_mm_fault(struct vm_fault *vmf);

#endif
