// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
/* Pages made shorter and whole again, by the kernel's LZ4. */
#include <linux/kconfig.h>
#include <linux/lz4.h>
#include <linux/mm.h>

#include "kpi.h"

static_assert(KPI_PACK_WORK_LEN >= LZ4_MEM_COMPRESS);

/* Without both halves nothing is packed: only who packed a page makes it whole. */
#if IS_REACHABLE(CONFIG_LZ4_COMPRESS) && IS_REACHABLE(CONFIG_LZ4_DECOMPRESS)
size_t kpi_page_pack(const u8 *page, u8 *out, size_t len, void *work)
{
	int packed = LZ4_compress_default(page, out, PAGE_SIZE, len, work);

	return packed > 0 ? packed : 0;
}

bool kpi_page_unpack(const u8 *packed, size_t len, u8 *page)
{
	return LZ4_decompress_safe(packed, page, len, PAGE_SIZE) == PAGE_SIZE;
}
#else
size_t kpi_page_pack(const u8 *page, u8 *out, size_t len, void *work)
{
	return 0;
}

bool kpi_page_unpack(const u8 *packed, size_t len, u8 *page)
{
	return false;
}
#endif
