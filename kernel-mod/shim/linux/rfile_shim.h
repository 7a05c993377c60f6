/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/* What the rfile_*.c files of this directory share. */
#ifndef HOLON_RFILE_SHIM_H
#define HOLON_RFILE_SHIM_H

#include <linux/fs.h>
#include <linux/tty.h>

#include "kpi.h"

struct inode;

/* An inode of ours: what is behind all files that are opened on it. */
struct holon_rfile {
	void *ctx;
	struct kpi_file_info info;
	char name[];
};

extern const struct file_operations holon_rfile_stream_ops; /* without a position */
extern const struct file_operations holon_rfile_disk_ops;
extern const struct inode_operations holon_rfile_inode_ops;

bool holon_rfile_is(const struct file *file);
u32 holon_file_kind(struct file *file);

static inline struct holon_rfile *holon_rfile_of(const struct file *file)
{
	return file_inode(file)->i_private;
}

/* Only for files of kind KPI_FILE_TTY. */
static inline struct tty_struct *holon_tty_of(const struct file *file)
{
	return ((struct tty_file_private *)file->private_data)->tty;
}

#endif
