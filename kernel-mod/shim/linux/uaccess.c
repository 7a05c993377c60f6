// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
/* Memory of the calling program. */
#include <linux/uaccess.h>

#include "kpi.h"

int kpi_copy_from_user(void *dst, u64 src, size_t len)
{
	return copy_from_user(dst, u64_to_user_ptr(src), len) ? -EFAULT : 0;
}

int kpi_copy_to_user(u64 dst, const void *src, size_t len)
{
	return copy_to_user(u64_to_user_ptr(dst), src, len) ? -EFAULT : 0;
}
