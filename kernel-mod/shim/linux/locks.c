// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
/* Locks and leases on files. */
#include <linux/filelock.h>
#include <linux/fs.h>
#include <linux/sched.h>

#include "kpi.h"

static bool owns(struct list_head *locks, fl_owner_t file, fl_owner_t files)
{
	struct file_lock_core *lock;

	list_for_each_entry(lock, locks, flc_list)
		if (lock->flc_owner == file || lock->flc_owner == files)
			return true;
	return false;
}

/* POSIX locks belong to the descriptor table, all others to the open file. */
bool kpi_file_locked(struct kpi_file *file, struct task_struct *task)
{
	struct file_lock_context *locks = locks_inode_context(file_inode((struct file *)file));
	fl_owner_t files = READ_ONCE(task->files);
	bool found;

	if (!locks)
		return false;
	spin_lock(&locks->flc_lock);
	found = owns(&locks->flc_flock, file, files) || owns(&locks->flc_posix, file, files) ||
		owns(&locks->flc_lease, file, files);
	spin_unlock(&locks->flc_lock);
	return found;
}
