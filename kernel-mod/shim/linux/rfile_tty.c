// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
/*
 * Requests to terminals and pipes on behalf of a process on another node: a
 * kernel thread has neither user memory nor a controlling terminal, so these
 * are spelled out with the terminal layer's own functions.
 */
#include <linux/fs.h>
#include <linux/pid_namespace.h>
#include <linux/pipe_fs_i.h>
#include <linux/sched/signal.h>
#include <linux/tty.h>
#include <linux/tty_driver.h>
#include <linux/tty_ldisc.h>

#include "rfile_shim.h"

/* A drain of output may not hold the file's other users longer. */
#define DRAIN_TICKS_MAX (5 * HZ)
/* Nor a break, in tenths of a second. */
#define BREAK_TENTHS_MAX 10

static_assert(sizeof(struct termios2) == sizeof(struct ktermios));

u32 kpi_ioctl_dir(u32 cmd, size_t *len)
{
	*len = sizeof(int);
	switch (cmd) {
	case TCSBRK:
	case TCSBRKP:
	case TIOCSBRK:
	case TIOCCBRK:
	case TCXONC:
	case TCFLSH:
	case TIOCEXCL:
	case TIOCNXCL:
		*len = 0;
		return KPI_IOCTL_NUMBER;
	case TCGETS:
		*len = sizeof(struct termios);
		return KPI_IOCTL_OUT;
	case TCGETS2:
		*len = sizeof(struct termios2);
		return KPI_IOCTL_OUT;
	case TIOCGWINSZ:
		*len = sizeof(struct winsize);
		return KPI_IOCTL_OUT;
	case TCSETS:
	case TCSETSW:
	case TCSETSF:
		*len = sizeof(struct termios);
		return KPI_IOCTL_IN;
	case TCSETS2:
	case TCSETSW2:
	case TCSETSF2:
		*len = sizeof(struct termios2);
		return KPI_IOCTL_IN;
	case TIOCSWINSZ:
		*len = sizeof(struct winsize);
		return KPI_IOCTL_IN;
	case TIOCSPGRP:
		return KPI_IOCTL_IN;
	case FIONREAD:
	case TIOCOUTQ:
	case TIOCGPGRP:
	case TIOCGSID:
	case TIOCGETD:
	case TIOCGPTN:
	case TIOCGEXCL:
		return KPI_IOCTL_OUT;
	default:
		return KPI_IOCTL_UNKNOWN;
	}
}

static bool is_master(const struct tty_struct *tty)
{
	return tty->driver->type == TTY_DRIVER_TYPE_PTY &&
	       tty->driver->subtype == PTY_TYPE_MASTER;
}

static void get_termios(struct tty_struct *tty, u8 *buf, size_t len)
{
	down_read(&tty->termios_rwsem);
	memcpy(buf, &tty->termios, len);
	up_read(&tty->termios_rwsem);
}

static s64 set_termios(struct tty_struct *tty, const u8 *buf, size_t len, bool drain, bool flush)
{
	struct ktermios t;

	get_termios(tty, (u8 *)&t, sizeof(t));
	memcpy(&t, buf, len);
	t.c_ospeed = tty_termios_baud_rate(&t);
	t.c_ispeed = t.c_ospeed;
	if (drain)
		tty_wait_until_sent(tty, DRAIN_TICKS_MAX);
	if (flush)
		tty_perform_flush(tty, TCIFLUSH);
	tty_set_termios(tty, &t);
	return 0;
}

static s64 set_winsize(struct tty_struct *tty, struct winsize *ws)
{
	return tty->ops->resize ? tty->ops->resize(tty, ws) : tty_do_resize(tty, ws);
}

static s64 get_winsize(struct tty_struct *tty, u8 *buf)
{
	mutex_lock(&tty->winsize_mutex);
	memcpy(buf, &tty->winsize, sizeof(tty->winsize));
	mutex_unlock(&tty->winsize_mutex);
	return 0;
}

/* As processes of the terminal's own pid namespace see it; jobs number alike on all nodes. */
static s64 put_pid_number(struct pid *pid, u8 *buf)
{
	int nr = pid ? pid_nr_ns(pid, ns_of_pid(pid)) : 0;

	memcpy(buf, &nr, sizeof(nr));
	put_pid(pid);
	return pid ? 0 : -ENOTTY;
}

static struct pid *session_of(struct tty_struct *tty)
{
	struct pid *pid;

	spin_lock_irq(&tty->ctrl.lock);
	pid = get_pid(tty->ctrl.session);
	spin_unlock_irq(&tty->ctrl.lock);
	return pid;
}

/* True if a process of the group `pgrp` is in the session. */
static bool in_session(struct pid *pgrp, struct pid *session)
{
	struct task_struct *t = pid_task(pgrp, PIDTYPE_PGID);

	return t && task_session(t) == session;
}

static s64 set_pgrp(struct tty_struct *tty, const u8 *buf)
{
	struct pid *session = session_of(tty), *pgrp, *old = NULL;
	int nr;
	s64 rc = 0;

	memcpy(&nr, buf, sizeof(nr));
	if (!session)
		return -ENOTTY;
	rcu_read_lock();
	pgrp = find_pid_ns(nr, ns_of_pid(session));
	if (!pgrp)
		rc = -ESRCH;
	else if (!in_session(pgrp, session))
		rc = -EPERM;
	spin_lock_irq(&tty->ctrl.lock);
	if (!rc && tty->ctrl.session != session)
		rc = -ENOTTY;
	if (!rc) {
		old = tty->ctrl.pgrp;
		tty->ctrl.pgrp = get_pid(pgrp);
	}
	spin_unlock_irq(&tty->ctrl.lock);
	rcu_read_unlock();
	put_pid(old);
	put_pid(session);
	return rc;
}

static s64 put_int(u8 *buf, int value)
{
	memcpy(buf, &value, sizeof(value));
	return 0;
}

static s64 pipe_unread(struct file *file, u8 *buf)
{
	struct pipe_inode_info *pipe = file->private_data;
	unsigned int i;
	int sum = 0;

	mutex_lock(&pipe->mutex);
	for (i = pipe->tail; i != pipe->head; i++)
		sum += pipe_buf(pipe, i)->len;
	mutex_unlock(&pipe->mutex);
	return put_int(buf, sum);
}

static s64 line_discipline(struct tty_struct *tty, u8 *buf)
{
	struct tty_ldisc *ld = tty_ldisc_ref_wait(tty);

	if (!ld)
		return -EIO;
	put_int(buf, ld->ops->num);
	tty_ldisc_deref(ld);
	return 0;
}

static s64 tty_request(struct file *file, u32 cmd, u64 arg, u8 *buf, size_t len)
{
	struct tty_struct *tty = holon_tty_of(file);
	struct tty_struct *real = is_master(tty) ? tty->link : tty;

	switch (cmd) {
	case TCGETS:
	case TCGETS2:
		get_termios(real, buf, len);
		return 0;
	case TCSETS:
	case TCSETS2:
		return set_termios(real, buf, len, false, false);
	case TCSETSW:
	case TCSETSW2:
		return set_termios(real, buf, len, true, false);
	case TCSETSF:
	case TCSETSF2:
		return set_termios(real, buf, len, true, true);
	case TIOCGWINSZ:
		return get_winsize(tty, buf);
	case TIOCSWINSZ:
		return set_winsize(tty, (struct winsize *)buf);
	case TIOCGPGRP:
		return put_pid_number(tty_get_pgrp(real), buf);
	case TIOCGSID:
		return put_pid_number(session_of(real), buf);
	case TIOCSPGRP:
		return set_pgrp(real, buf);
	case TIOCOUTQ:
		return put_int(buf, tty_chars_in_buffer(tty));
	case TIOCGETD:
		return line_discipline(tty, buf);
	case TIOCGPTN:
		return is_master(tty) ? put_int(buf, tty->index) : -ENOTTY;
	case TIOCGEXCL:
		return put_int(buf, test_bit(TTY_EXCLUSIVE, &tty->flags));
	default:
		return -ENOTTY;
	}
}

/*
 * The terminal layer drains without a bound before these. A terminal that is stopped then says that
 * a signal came, after which programs try again.
 */
static s64 drained_request(struct file *file, u32 cmd, u64 arg)
{
	struct tty_struct *tty = holon_tty_of(file);

	tty_wait_until_sent(tty, DRAIN_TICKS_MAX);
	if (tty_chars_in_buffer(tty))
		return -EINTR;
	if (cmd == TCSBRKP)
		arg = min_t(u64, arg, BREAK_TENTHS_MAX);
	return file->f_op->unlocked_ioctl(file, cmd, arg);
}

static s64 number_request(struct file *file, u32 cmd, u64 arg)
{
	switch (cmd) {
	case TCSBRK:
	case TCSBRKP:
	case TIOCSBRK:
		return drained_request(file, cmd, arg);
	default:
		return file->f_op->unlocked_ioctl(file, cmd, arg);
	}
}

s64 kpi_step_ioctl(struct kpi_file *f, u32 cmd, u64 arg, u8 *buf)
{
	struct file *file = (struct file *)f;
	u32 kind = holon_file_kind(file);
	size_t len;
	u32 dir = kpi_ioctl_dir(cmd, &len);
	s64 rc = -ENOTTY;

	if ((kind == KPI_FILE_PIPE || kind == KPI_FILE_FIFO) && cmd == FIONREAD)
		return pipe_unread(file, buf);
	if (kind != KPI_FILE_TTY)
		return rc;
	if (tty_hung_up_p(file))
		return -EIO;
	if (dir == KPI_IOCTL_NUMBER)
		rc = number_request(file, cmd, arg);
	else
		rc = tty_request(file, cmd, arg, buf, len);
	return rc == -ENOIOCTLCMD ? -ENOTTY : rc;
}
