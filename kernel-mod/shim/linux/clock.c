// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
/* Time and randomness. */
#include <linux/ktime.h>
#include <linux/random.h>
#include <linux/timekeeping.h>

#include "kpi.h"

u64 kpi_clock_ns(void)
{
	return ktime_get_ns();
}

u64 kpi_clock_real_ns(void)
{
	return ktime_get_real_ns();
}

void kpi_random(u8 *out, size_t len)
{
	get_random_bytes(out, len);
}
