// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
/* The machine is out of memory: last call before it kills a process for it. */
#include <linux/notifier.h>
#include <linux/oom.h>

#include "kpi.h"

static int oom_call(struct notifier_block *block, unsigned long unused, void *freed)
{
	*(unsigned long *)freed += kapi_mm_oom();
	return NOTIFY_OK;
}

static struct notifier_block oom_block = { .notifier_call = oom_call };

int kpi_oom_begin(void)
{
	return register_oom_notifier(&oom_block);
}

void kpi_oom_end(void)
{
	unregister_oom_notifier(&oom_block);
}
