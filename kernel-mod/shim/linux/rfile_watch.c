// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
/* Being told that a file's state changed: entries on the wait queues that its poll names. */
#include <linux/file.h>
#include <linux/poll.h>
#include <linux/slab.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "kpi.h"

/* Pipes have two at most, terminals two. */
#define QUEUES_MAX 4
#define WORKERS_MAX 64

struct entry {
	wait_queue_entry_t e;
	wait_queue_head_t *q;
	struct kpi_watch *watch;
};

struct kpi_watch {
	struct file *file;
	u64 id;
	struct work_struct work;
	struct delayed_work later;
	struct work_struct end;
	poll_table table;
	struct entry entries[QUEUES_MAX];
	u32 entries_len;
	bool hooked;
	atomic_t armed;
};

static struct workqueue_struct *workers;

int kpi_watch_init(void)
{
	workers = alloc_workqueue("holon_file", WQ_UNBOUND, WORKERS_MAX);
	return workers ? 0 : -ENOMEM;
}

void kpi_watch_exit(void)
{
	destroy_workqueue(workers);
}

/* Called with the wait queue locked, interrupts off. */
static int changed(wait_queue_entry_t *e, unsigned int mode, int sync, void *key)
{
	struct kpi_watch *w = container_of(e, struct entry, e)->watch;

	if (atomic_xchg(&w->armed, 0))
		queue_work(workers, &w->work);
	return 1;
}

static void hook(struct file *file, wait_queue_head_t *q, poll_table *table)
{
	struct kpi_watch *w = container_of(table, struct kpi_watch, table);
	struct entry *entry;

	if (WARN_ON_ONCE(w->entries_len == QUEUES_MAX))
		return;
	entry = &w->entries[w->entries_len++];
	entry->watch = w;
	entry->q = q;
	init_waitqueue_func_entry(&entry->e, changed);
	add_wait_queue(q, &entry->e);
}

static void run(struct work_struct *work)
{
	kapi_watch_run(container_of(work, struct kpi_watch, work)->id);
}

static void run_later(struct work_struct *work)
{
	kpi_watch_kick(container_of(to_delayed_work(work), struct kpi_watch, later));
}

static void end(struct work_struct *work)
{
	struct kpi_watch *w = container_of(work, struct kpi_watch, end);
	u32 i;

	for (i = 0; i < w->entries_len; i++)
		remove_wait_queue(w->entries[i].q, &w->entries[i].e);
	cancel_delayed_work_sync(&w->later);
	cancel_work_sync(&w->work);
	fput(w->file);
	kfree(w);
}

struct kpi_watch *kpi_watch_new(struct kpi_file *f, u64 id)
{
	struct kpi_watch *w = kzalloc(sizeof(*w), GFP_KERNEL);

	if (!w)
		return NULL;
	w->file = get_file((struct file *)f);
	w->id = id;
	INIT_WORK(&w->work, run);
	INIT_DELAYED_WORK(&w->later, run_later);
	INIT_WORK(&w->end, end);
	return w;
}

void kpi_watch_kick(struct kpi_watch *w)
{
	queue_work(workers, &w->work);
}

void kpi_watch_kick_after(struct kpi_watch *w, u32 delay_ms)
{
	mod_delayed_work(workers, &w->later, msecs_to_jiffies(delay_ms));
}

bool kpi_watch_arm(struct kpi_watch *w)
{
	bool was_armed = atomic_xchg(&w->armed, 1); /* a full barrier: the caller looks after it */

	if (w->hooked)
		return !was_armed;
	w->hooked = true;
	init_poll_funcptr(&w->table, hook);
	vfs_poll(w->file, &w->table);
	return false;
}

void kpi_watch_free(struct kpi_watch *w)
{
	queue_work(workers, &w->end);
}
