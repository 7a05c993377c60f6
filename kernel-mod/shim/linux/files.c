// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
/* Open files of tasks. */
#include <linux/fdtable.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/fs_struct.h>
#include <linux/magic.h>
#include <linux/mount.h>
#include <linux/sched/mm.h>
#include <linux/sched/task.h>
#include <linux/tty.h>

#include "kpi.h"

static struct file *F(struct kpi_file *f)
{
	return (struct file *)f;
}

static u32 cloexec_of(struct task_struct *task, u32 fd)
{
	u32 on = 0;

	task_lock(task);
	if (task->files) {
		rcu_read_lock();
		on = fd < files_fdtable(task->files)->max_fds && close_on_exec(fd, task->files);
		rcu_read_unlock();
	}
	task_unlock(task);
	return on;
}

s64 kpi_fds(struct task_struct *task, u32 *next, struct kpi_fd *out, u32 count_max)
{
	unsigned int fd = *next;
	s64 n = 0;

	for (; n < count_max; n++, fd++) {
		struct file *file = fget_task_next(task, &fd);

		if (!file) {
			*next = ~0u;
			return n;
		}
		out[n].fd = fd;
		out[n].file = (struct kpi_file *)file;
		out[n].cloexec = cloexec_of(task, fd);
	}
	*next = fd;
	return n;
}

static u32 kind_of(const struct inode *inode)
{
	if (inode->i_sb->s_magic == ANON_INODE_FS_MAGIC)
		return KPI_TFILE_ANON;
	switch (inode->i_mode & S_IFMT) {
	case S_IFREG:
		return KPI_TFILE_REGULAR;
	case S_IFDIR:
		return KPI_TFILE_DIR;
	case S_IFCHR:
		return KPI_TFILE_CHAR;
	case S_IFBLK:
		return KPI_TFILE_BLOCK;
	case S_IFIFO:
		return KPI_TFILE_FIFO;
	case S_IFSOCK:
		return KPI_TFILE_SOCKET;
	default:
		return KPI_TFILE_OTHER;
	}
}

void kpi_tfile_info(struct kpi_file *file, struct kpi_tfile_info *out)
{
	struct file *f = F(file);
	struct inode *inode = file_inode(f);

	memset(out, 0, sizeof(*out));
	out->kind = kind_of(inode);
	out->flags = f->f_flags;
	out->mode = inode->i_mode;
	out->unlinked = d_unlinked(f->f_path.dentry);
	out->nameless = (inode->i_sb->s_flags & SB_NOUSER) ||
			(f->f_path.mnt->mnt_flags & MNT_INTERNAL);
	out->is_tty = out->kind == KPI_TFILE_CHAR && S_ISCHR(inode->i_mode) &&
		      f->f_op->unlocked_ioctl &&
		      (MAJOR(inode->i_rdev) == 4 || MAJOR(inode->i_rdev) == 5 ||
		       (MAJOR(inode->i_rdev) >= 136 && MAJOR(inode->i_rdev) <= 143) ||
		       MAJOR(inode->i_rdev) == 229);
	out->pos = f->f_pos;
	out->dev = inode->i_sb->s_dev;
	out->ino = inode->i_ino;
	out->rdev = inode->i_rdev;
	out->size = i_size_read(inode);
	out->mtime_ns = timespec64_to_ns(&(struct timespec64){ inode_get_mtime_sec(inode),
							      inode_get_mtime_nsec(inode) });
	out->nlink = inode->i_nlink;
	out->magic = inode->i_sb->s_magic;
	out->refs = file_count(f);
}

s64 kpi_file_path(struct kpi_file *file, u8 *out, size_t len)
{
	char *p = file_path(F(file), out, len);
	s64 n;

	if (IS_ERR(p))
		return PTR_ERR(p);
	n = strlen(p);
	memmove(out, p, n + 1);
	return n;
}

s64 kpi_tfile_name(struct kpi_file *file, u8 *out, size_t len)
{
	struct dentry *d = F(file)->f_path.dentry;
	s64 n;

	spin_lock(&d->d_lock);
	n = strscpy(out, d->d_name.name, len);
	spin_unlock(&d->d_lock);
	return n;
}

struct kpi_file *kpi_task_exe(struct task_struct *task)
{
	struct mm_struct *mm = get_task_mm(task);
	struct file *exe;

	if (!mm)
		return NULL;
	rcu_read_lock();
	exe = get_file_rcu(&mm->exe_file);
	rcu_read_unlock();
	mmput(mm);
	return (struct kpi_file *)exe;
}

int kpi_file_seek(struct kpi_file *file, u64 pos)
{
	loff_t rc = vfs_llseek(F(file), pos, SEEK_SET);

	return rc < 0 ? rc : 0;
}

int kpi_file_refresh(struct kpi_file *file)
{
	struct kstat stat;

	return vfs_getattr(&F(file)->f_path, &stat, STATX_BASIC_STATS, AT_STATX_FORCE_SYNC);
}

struct kpi_file *kpi_file_open(const u8 *path_z, u32 flags, int *err)
{
	struct file *f = filp_open((const char *)path_z, flags, 0);

	*err = IS_ERR(f) ? PTR_ERR(f) : 0;
	return IS_ERR(f) ? NULL : (struct kpi_file *)f;
}

void kpi_cloexec_set(u32 fd)
{
	struct fdtable *fdt;

	spin_lock(&current->files->file_lock);
	fdt = files_fdtable(current->files);
	if (fd < fdt->max_fds && test_bit(fd, fdt->open_fds))
		__set_bit(fd, fdt->close_on_exec);
	spin_unlock(&current->files->file_lock);
}

int kpi_fd_close(u32 fd)
{
	return close_fd(fd);
}

int kpi_fd_install(struct kpi_file *file, u32 flags)
{
	int fd = get_unused_fd_flags(flags);

	if (fd >= 0)
		fd_install(fd, get_file(F(file)));
	return fd;
}

void kpi_fds_close_all(void)
{
	unsigned int fd = 0;
	struct file *file;

	while ((file = fget_task_next(current, &fd)) != NULL) {
		fput(file);
		close_fd(fd++);
	}
}
