// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
/*
 * Single steps on files whose other side may be slow. Pipes can be asked not to
 * wait. Terminals and other devices only heed O_NONBLOCK, which belongs to the
 * file's users; but a task with a signal pending never waits interruptibly, and
 * to a kernel thread the flag alone means nothing else.
 */
#include <linux/fs.h>
#include <linux/poll.h>
#include <linux/sched/signal.h>
#include <linux/tty.h>
#include <linux/uio.h>

#include "rfile_shim.h"

/* Less room than this may not hold one character with its expansion. */
#define TTY_ROOM_MIN 16
#define TTY_EXPANSION_MAX 8

static bool is_disk(u32 kind)
{
	return kind == KPI_FILE_REGULAR || kind == KPI_FILE_DELETED;
}

static s64 would_wait(ssize_t rc)
{
	return rc == -ERESTARTSYS || rc == -EINTR ? -EAGAIN : rc;
}

static s64 disk_read(struct file *file, u8 *buf, size_t len, s64 pos)
{
	s64 rc;

	if (pos >= 0)
		return kernel_read(file, buf, len, &pos);
	mutex_lock(&file->f_pos_lock);
	rc = kernel_read(file, buf, len, &file->f_pos);
	mutex_unlock(&file->f_pos_lock);
	return rc;
}

static s64 disk_write(struct file *file, const u8 *buf, size_t len, s64 pos)
{
	s64 rc;

	if (pos >= 0)
		return kernel_write(file, buf, len, &pos);
	mutex_lock(&file->f_pos_lock);
	rc = kernel_write(file, buf, len, &file->f_pos);
	mutex_unlock(&file->f_pos_lock);
	return rc;
}

static ssize_t step(struct file *file, struct kvec *vec, unsigned int dir, int iocb_flags)
{
	struct kiocb kiocb;
	struct iov_iter it;

	init_sync_kiocb(&kiocb, file);
	kiocb.ki_flags |= iocb_flags;
	iov_iter_kvec(&it, dir, vec, 1, vec->iov_len);
	return dir == ITER_DEST ? file->f_op->read_iter(&kiocb, &it) :
				  file->f_op->write_iter(&kiocb, &it);
}

static ssize_t step_unwaiting(struct file *file, struct kvec *vec, unsigned int dir)
{
	ssize_t rc;

	if (WARN_ON_ONCE(!(current->flags & PF_KTHREAD)))
		return -EINVAL;
	set_thread_flag(TIF_SIGPENDING);
	rc = step(file, vec, dir, 0);
	clear_thread_flag(TIF_SIGPENDING);
	return would_wait(rc);
}

s64 kpi_step_read(struct kpi_file *f, u8 *buf, size_t len, s64 pos)
{
	struct file *file = (struct file *)f;
	u32 kind = holon_file_kind(file);
	struct kvec vec = { .iov_base = buf, .iov_len = len };

	if (!(file->f_mode & FMODE_READ))
		return -EBADF;
	if (is_disk(kind))
		return disk_read(file, buf, len, pos);
	if (kind == KPI_FILE_PIPE || kind == KPI_FILE_FIFO)
		return step(file, &vec, ITER_DEST, IOCB_NOWAIT);
	if (!(kpi_step_poll(f) & (EPOLLIN | EPOLLHUP | EPOLLERR)) && kpi_step_read_patience(f))
		return -EAGAIN;
	return step_unwaiting(file, &vec, ITER_DEST);
}

/* Not more than surely fits, so that it need not wait; all of it if the other side is gone. */
static s64 tty_write(struct file *file, struct kvec *vec)
{
	struct tty_struct *tty = holon_tty_of(file);
	unsigned int room = tty_write_room(tty);

	if (!tty_hung_up_p(file) && !(vfs_poll(file, NULL) & (EPOLLHUP | EPOLLERR))) {
		if (room < TTY_ROOM_MIN)
			return -EAGAIN;
		if (tty->termios.c_oflag & OPOST)
			room /= TTY_EXPANSION_MAX;
		vec->iov_len = min_t(size_t, vec->iov_len, room);
	}
	return would_wait(step(file, vec, ITER_SOURCE, 0));
}

s64 kpi_step_write(struct kpi_file *f, const u8 *buf, size_t len, s64 pos)
{
	struct file *file = (struct file *)f;
	u32 kind = holon_file_kind(file);
	struct kvec vec = { .iov_base = (void *)buf, .iov_len = len };

	if (!(file->f_mode & FMODE_WRITE))
		return -EBADF;
	if (is_disk(kind))
		return disk_write(file, buf, len, pos);
	if (kind == KPI_FILE_PIPE || kind == KPI_FILE_FIFO)
		return step(file, &vec, ITER_SOURCE, IOCB_NOWAIT | IOCB_NOSIGNAL);
	if (kind == KPI_FILE_TTY)
		return tty_write(file, &vec);
	return step_unwaiting(file, &vec, ITER_SOURCE);
}

u32 kpi_step_poll(struct kpi_file *f)
{
	return (__force u32)vfs_poll((struct file *)f, NULL);
}

s64 kpi_step_llseek(struct kpi_file *f, s64 offset, u32 whence)
{
	struct file *file = (struct file *)f;
	s64 rc;

	mutex_lock(&file->f_pos_lock);
	rc = vfs_llseek(file, offset, whence);
	mutex_unlock(&file->f_pos_lock);
	return rc;
}

int kpi_step_fsync(struct kpi_file *f, bool data_only)
{
	return vfs_fsync((struct file *)f, data_only);
}

s64 kpi_step_read_patience(struct kpi_file *f)
{
	struct file *file = (struct file *)f;
	struct tty_struct *tty;

	if (holon_file_kind(file) != KPI_FILE_TTY)
		return -1;
	tty = holon_tty_of(file);
	if ((tty->termios.c_lflag & ICANON) || tty->termios.c_cc[VMIN])
		return -1;
	return tty->termios.c_cc[VTIME] * 100;
}
