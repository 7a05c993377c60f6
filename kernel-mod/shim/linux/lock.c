// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
/* Locks, each allocated so that it never moves. */
#include <linux/lockdep.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

#include "kpi.h"

struct kpi_mutex {
	struct mutex m;
};

struct kpi_spinlock {
	spinlock_t l;
};

static_assert(sizeof(struct lock_class_key) <= KPI_LOCK_KEY_LEN);

struct kpi_mutex *kpi_mutex_new(const char *name, void *key)
{
	struct kpi_mutex *k = kzalloc(sizeof(*k), GFP_KERNEL);

	if (k)
		__mutex_init(&k->m, name, key);
	return k;
}

void kpi_mutex_free(struct kpi_mutex *k)
{
	mutex_destroy(&k->m);
	kfree(k);
}

void kpi_mutex_lock(struct kpi_mutex *k)
{
	mutex_lock(&k->m);
}

bool kpi_mutex_trylock(struct kpi_mutex *k)
{
	return mutex_trylock(&k->m);
}

int kpi_mutex_lock_killable(struct kpi_mutex *k)
{
	return mutex_lock_killable(&k->m);
}

void kpi_mutex_unlock(struct kpi_mutex *k)
{
	mutex_unlock(&k->m);
}

struct kpi_spinlock *kpi_spin_new(const char *name, void *key)
{
	struct kpi_spinlock *k = kzalloc(sizeof(*k), GFP_KERNEL);

	if (k) {
		spin_lock_init(&k->l);
		lockdep_set_class_and_name(&k->l, (struct lock_class_key *)key, name);
	}
	return k;
}

void kpi_spin_free(struct kpi_spinlock *k)
{
	kfree(k);
}

u64 kpi_spin_lock(struct kpi_spinlock *k)
{
	unsigned long flags;

	spin_lock_irqsave(&k->l, flags);
	return flags;
}

void kpi_spin_unlock(struct kpi_spinlock *k, u64 flags)
{
	spin_unlock_irqrestore(&k->l, flags);
}
