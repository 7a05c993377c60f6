// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
/* printk. */
#include <linux/printk.h>

#include "kpi.h"

void kpi_log(u32 level, const u8 *text, size_t len)
{
	char prefix[3] = { KERN_SOH_ASCII, '0' + (level & 7), 0 };

	printk("%sholon: %.*s\n", prefix, (int)len, text);
}
