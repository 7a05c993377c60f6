// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
/* The nameless file through which a surrogate's stub and a restorer reach the module. */
#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/module.h>

#include "kpi.h"

static long ctl_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	return kapi_ctl_ioctl(file->private_data, cmd, arg);
}

static int ctl_release(struct inode *inode, struct file *file)
{
	kapi_ctl_release(file->private_data);
	return 0;
}

static const struct file_operations ctl_ops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = ctl_ioctl,
	.release = ctl_release,
};

int kpi_ctl_open(void *data, u32 flags)
{
	struct file *file = anon_inode_getfile("[holon]", &ctl_ops, data, O_RDWR);
	int fd;

	if (IS_ERR(file))
		return PTR_ERR(file);
	fd = get_unused_fd_flags(flags);
	if (fd < 0) {
		/* Not released through us: the caller keeps its data on failure. */
		file->private_data = NULL;
		fput(file);
		return fd;
	}
	fd_install(fd, file);
	return fd;
}
