// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
/* The operations of files that stand on another node. */
#include <linux/fs.h>
#include <linux/kdev_t.h>
#include <linux/module.h>
#include <linux/poll.h>
#include <linux/sched/signal.h>
#include <linux/seq_file.h>
#include <linux/splice.h>
#include <linux/stat.h>
#include <linux/uio.h>

#include "rfile_shim.h"

static void *ctx_of(const struct file *file)
{
	return holon_rfile_of(file)->ctx;
}

static bool unwaiting(const struct kiocb *kiocb)
{
	return (kiocb->ki_flags & IOCB_NOWAIT) || (kiocb->ki_filp->f_flags & O_NONBLOCK);
}

static ssize_t rf_read_iter(struct kiocb *kiocb, struct iov_iter *to)
{
	return kapi_rfile_read(ctx_of(kiocb->ki_filp), (struct kpi_iter *)to, -1,
			       unwaiting(kiocb));
}

static ssize_t rf_write_iter(struct kiocb *kiocb, struct iov_iter *from)
{
	return kapi_rfile_write(ctx_of(kiocb->ki_filp), (struct kpi_iter *)from, -1,
				unwaiting(kiocb));
}

/* pos is NULL for read and write, which use the position that all nodes share. */
static ssize_t rf_read(struct file *file, char __user *buf, size_t len, loff_t *pos)
{
	struct iov_iter to;
	int rc = import_ubuf(ITER_DEST, buf, len, &to);

	return rc ? rc : kapi_rfile_read(ctx_of(file), (struct kpi_iter *)&to, pos ? *pos : -1,
					 false);
}

static ssize_t rf_write(struct file *file, const char __user *buf, size_t len, loff_t *pos)
{
	struct iov_iter from;
	int rc = import_ubuf(ITER_SOURCE, (char __user *)buf, len, &from);

	return rc ? rc : kapi_rfile_write(ctx_of(file), (struct kpi_iter *)&from, pos ? *pos : -1,
					  false);
}

static __poll_t rf_poll(struct file *file, struct poll_table_struct *poll)
{
	return (__force __poll_t)kapi_rfile_poll(ctx_of(file), (struct kpi_file *)file,
						 (struct kpi_poll *)poll,
						 (__force u32)poll_requested_events(poll));
}

static long rf_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	return kapi_rfile_ioctl(ctx_of(file), cmd, arg);
}

static loff_t rf_llseek(struct file *file, loff_t offset, int whence)
{
	return kapi_rfile_llseek(ctx_of(file), offset, whence);
}

static int rf_fsync(struct file *file, loff_t start, loff_t end, int data_only)
{
	return kapi_rfile_fsync(ctx_of(file), data_only);
}

/* Locks would be seen on this node alone. */
static int rf_lock(struct file *file, int cmd, struct file_lock *lock)
{
	return -ENOLCK;
}

static void rf_show_fdinfo(struct seq_file *m, struct file *file)
{
	u32 slot;
	u64 id;

	kapi_rfile_ident(ctx_of(file), &slot, &id);
	seq_printf(m, "holon-holder:\t%u\nholon-file:\t%016llx\n", slot, id);
}

static int open_stream(struct inode *inode, struct file *file)
{
	return stream_open(inode, file);
}

/* Positioned calls stay possible; FMODE_STREAM makes read and write come without a position. */
static int open_disk(struct inode *inode, struct file *file)
{
	file->f_mode &= ~FMODE_ATOMIC_POS;
	file->f_mode |= FMODE_STREAM | FMODE_LSEEK | FMODE_PREAD | FMODE_PWRITE;
	return 0;
}

const struct file_operations holon_rfile_stream_ops = {
	.owner = THIS_MODULE,
	.open = open_stream,
	.read_iter = rf_read_iter,
	.write_iter = rf_write_iter,
	.poll = rf_poll,
	.unlocked_ioctl = rf_ioctl,
	.fsync = rf_fsync,
	.lock = rf_lock,
	.flock = rf_lock,
	.splice_read = copy_splice_read,
	.splice_write = iter_file_splice_write,
	.show_fdinfo = rf_show_fdinfo,
};

const struct file_operations holon_rfile_disk_ops = {
	.owner = THIS_MODULE,
	.open = open_disk,
	.llseek = rf_llseek,
	.read = rf_read,
	.write = rf_write,
	.unlocked_ioctl = rf_ioctl,
	.fsync = rf_fsync,
	.lock = rf_lock,
	.flock = rf_lock,
	.show_fdinfo = rf_show_fdinfo,
};

static int rf_getattr(struct mnt_idmap *idmap, const struct path *path, struct kstat *stat,
		      u32 mask, unsigned int flags)
{
	struct inode *inode = d_inode(path->dentry);
	struct holon_rfile *r = inode->i_private;
	struct kpi_file_info now = r->info;

	generic_fillattr(idmap, mask, inode, stat);
	kapi_rfile_stat(r->ctx, &now); /* what was true at the opening, where that fails */
	stat->dev = new_decode_dev(now.dev);
	stat->nlink = now.nlink;
	stat->size = now.size;
	stat->blksize = now.blksize;
	return 0;
}

static int rf_setattr(struct mnt_idmap *idmap, struct dentry *dentry, struct iattr *attr)
{
	return -EPERM;
}

const struct inode_operations holon_rfile_inode_ops = {
	.getattr = rf_getattr,
	.setattr = rf_setattr,
};

size_t kpi_iter_len(struct kpi_iter *it)
{
	return iov_iter_count((struct iov_iter *)it);
}

size_t kpi_iter_put(struct kpi_iter *it, const u8 *data, size_t len)
{
	return copy_to_iter(data, len, (struct iov_iter *)it);
}

size_t kpi_iter_take(struct kpi_iter *it, u8 *out, size_t len)
{
	return copy_from_iter(out, len, (struct iov_iter *)it);
}

void kpi_waitq_wake_poll(struct kpi_waitq *q, u32 events)
{
	wake_up_poll((wait_queue_head_t *)q, events);
}

void kpi_sigpipe(void)
{
	send_sig(SIGPIPE, current, 0);
}
