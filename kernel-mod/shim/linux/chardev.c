// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
/* /dev/holon. */
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/poll.h>
#include <linux/wait.h>

#include "kpi.h"

static int dev_open(struct inode *inode, struct file *file)
{
	int rc = kapi_chardev_open(&file->private_data);

	return rc ? rc : nonseekable_open(inode, file);
}

static int dev_release(struct inode *inode, struct file *file)
{
	kapi_chardev_release(file->private_data);
	return 0;
}

static long dev_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	return kapi_chardev_ioctl(file->private_data, cmd, arg);
}

static ssize_t dev_read(struct file *file, char __user *buf, size_t len, loff_t *pos)
{
	return kapi_chardev_read(file->private_data, (u64)buf, len, file->f_flags & O_NONBLOCK);
}

static __poll_t dev_poll(struct file *file, struct poll_table_struct *poll)
{
	return (__force __poll_t)kapi_chardev_poll(file->private_data, (struct kpi_file *)file,
						   (struct kpi_poll *)poll);
}

void kpi_poll_wait(struct kpi_file *file, struct kpi_poll *poll, struct kpi_waitq *q)
{
	poll_wait((struct file *)file, (wait_queue_head_t *)q, (struct poll_table_struct *)poll);
}

static const struct file_operations dev_ops = {
	.owner = THIS_MODULE,
	.open = dev_open,
	.release = dev_release,
	.unlocked_ioctl = dev_ioctl,
	.read = dev_read,
	.poll = dev_poll,
};

static struct miscdevice dev = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "holon",
	.mode = 0600,
	.fops = &dev_ops,
};

int kpi_chardev_register(void)
{
	return misc_register(&dev);
}

void kpi_chardev_unregister(void)
{
	misc_deregister(&dev);
}
