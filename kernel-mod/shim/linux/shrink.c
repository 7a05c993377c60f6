// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
/* Memory that the kernel may ask back. */
#include <linux/shrinker.h>
#include <linux/swap.h>

#include "kpi.h"

/* Pages that kswapd gets from shrinkers before it looks whether that is enough. */
#define KSWAPD_MANY 512

static unsigned long shrink_count(struct shrinker *shrinker, struct shrink_control *sc)
{
	return kapi_shrinker_count(shrinker->private_data);
}

static unsigned long shrink_scan(struct shrinker *shrinker, struct shrink_control *sc)
{
	s64 freed = kapi_shrinker_scan(shrinker->private_data, sc->nr_to_scan);

	if (freed < 0)
		return SHRINK_STOP;
	/*
	 * Whole pages: who got some stops looking for files.  Where there are several
	 * memory nodes they may be another's than the one that is short.
	 */
	if (num_online_nodes() == 1)
		mm_account_reclaimed_pages(freed);
	/* There are no more now. */
	return (u64)freed < sc->nr_to_scan ? SHRINK_STOP : (unsigned long)freed;
}

bool kpi_reclaim_is_done(void)
{
	const struct reclaim_state *state = current->reclaim_state;

	/* Nothing is accounted there: only kswapd, which has no locks, may go on unbounded. */
	if (num_online_nodes() > 1)
		return !current_is_kswapd();
	return state && state->reclaimed >= (current_is_kswapd() ? KSWAPD_MANY : SWAP_CLUSTER_MAX);
}

bool kpi_may_make_room(void)
{
	/*
	 * A thread of the kernel may be needed for pages to go, and what goes may be of
	 * another memory node than the one that is short.
	 */
	return !(current->flags & (PF_KTHREAD | PF_MEMALLOC)) && num_online_nodes() == 1;
}

struct kpi_shrinker *kpi_shrinker_new(const char *name, void *data, u32 batch)
{
	struct shrinker *shrinker = shrinker_alloc(0, "%s", name);

	if (!shrinker)
		return NULL;
	shrinker->count_objects = shrink_count;
	shrinker->scan_objects = shrink_scan;
	shrinker->seeks = DEFAULT_SEEKS;
	shrinker->batch = batch;
	shrinker->private_data = data;
	shrinker_register(shrinker);
	return (struct kpi_shrinker *)shrinker;
}

void kpi_shrinker_free(struct kpi_shrinker *shrinker)
{
	shrinker_free((struct shrinker *)shrinker);
}
