// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
/* What an open file is. */
#include <linux/dcache.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/kdev_t.h>
#include <linux/magic.h>
#include <linux/major.h>
#include <linux/stat.h>

#include "rfile_shim.h"

/* The hypervisor console; its header is not installed. */
#define HVC_MAJOR 229

void kpi_file_get(struct kpi_file *f)
{
	get_file((struct file *)f);
}

void kpi_file_put(struct kpi_file *f)
{
	fput((struct file *)f);
}

struct kpi_file *kpi_file_of_fd(int fd)
{
	return (struct kpi_file *)fget(fd);
}

int kpi_file_install(struct kpi_file *f, u32 flags)
{
	int fd = get_unused_fd_flags(flags);

	if (fd >= 0)
		fd_install(fd, get_file((struct file *)f));
	return fd;
}

/* The majors that only terminals have. */
static bool is_tty(const struct inode *inode)
{
	switch (imajor(inode)) {
	case TTY_MAJOR:
	case TTYAUX_MAJOR:
	case UNIX98_PTY_MASTER_MAJOR ... UNIX98_PTY_MASTER_MAJOR + UNIX98_PTY_MAJOR_COUNT - 1:
	case UNIX98_PTY_SLAVE_MAJOR ... UNIX98_PTY_SLAVE_MAJOR + UNIX98_PTY_MAJOR_COUNT - 1:
	case HVC_MAJOR:
		return true;
	default:
		return false;
	}
}

static u32 regular_kind(struct file *file)
{
	const struct inode *inode = file_inode(file);

	if (inode->i_sb->s_magic == ANON_INODE_FS_MAGIC)
		return KPI_FILE_ANON;
	return !inode->i_nlink || d_unlinked(file->f_path.dentry) ? KPI_FILE_DELETED :
								    KPI_FILE_REGULAR;
}

u32 holon_file_kind(struct file *file)
{
	const struct inode *inode = file_inode(file);

	if (holon_rfile_is(file))
		return KPI_FILE_OURS;
	switch (inode->i_mode & S_IFMT) {
	case S_IFREG:
		return regular_kind(file);
	case S_IFDIR:
		return KPI_FILE_DIR;
	case S_IFIFO:
		return inode->i_sb->s_magic == PIPEFS_MAGIC ? KPI_FILE_PIPE : KPI_FILE_FIFO;
	case S_IFCHR:
		return is_tty(inode) ? KPI_FILE_TTY : KPI_FILE_CHAR;
	case S_IFBLK:
		return KPI_FILE_BLOCK;
	case S_IFSOCK:
		return KPI_FILE_SOCKET;
	default:
		return KPI_FILE_ANON;
	}
}

static bool can_step(struct file *file, u32 kind)
{
	const struct file_operations *op = file->f_op;

	if (kind == KPI_FILE_OURS)
		return true; /* at its holder */
	if ((file->f_mode & FMODE_READ) && !op->read_iter)
		return false;
	if ((file->f_mode & FMODE_WRITE) && !op->write_iter)
		return false;
	if (kind == KPI_FILE_CHAR)
		return op->poll || imajor(file_inode(file)) == MEM_MAJOR;
	return kind == KPI_FILE_REGULAR || kind == KPI_FILE_DELETED || kind == KPI_FILE_PIPE ||
	       kind == KPI_FILE_FIFO || kind == KPI_FILE_TTY;
}

void kpi_file_info(struct kpi_file *f, struct kpi_file_info *out)
{
	struct file *file = (struct file *)f;
	const struct inode *inode = file_inode(file);

	out->kind = holon_file_kind(file);
	out->flags = file->f_flags;
	out->readable = !!(file->f_mode & FMODE_READ);
	out->writable = !!(file->f_mode & FMODE_WRITE);
	out->steps = can_step(file, out->kind);
	out->mode = inode->i_mode;
	out->uid = from_kuid(&init_user_ns, inode->i_uid);
	out->gid = from_kgid(&init_user_ns, inode->i_gid);
	out->rdev = new_encode_dev(inode->i_rdev);
	out->dev = new_encode_dev(inode->i_sb->s_dev);
	out->nlink = inode->i_nlink;
	out->blksize = i_blocksize(inode);
	out->ino = inode->i_ino;
	out->size = i_size_read(inode);
	out->pos = file->f_pos;
}

s64 kpi_file_name(struct kpi_file *f, u8 *out, size_t len)
{
	char *name = d_path(&((struct file *)f)->f_path, out, len);

	if (IS_ERR(name))
		return PTR_ERR(name);
	len = strlen(name);
	memmove(out, name, len + 1);
	return len;
}
