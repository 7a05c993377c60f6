// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
/*
 * Inodes of a file system of our own, so that a file of ours looks like what
 * stands behind it: stat, /proc/PID/fd, and opening /dev/stdout again. The file
 * system is mounted while such files exist; that mount pins the module.
 */
#include <linux/dcache.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/fs_context.h>
#include <linux/kdev_t.h>
#include <linux/module.h>
#include <linux/mount.h>
#include <linux/pseudo_fs.h>
#include <linux/slab.h>

#include "rfile_shim.h"

#define HOLON_FS_MAGIC 0x484f4c4e

static struct vfsmount *mount;
static int mount_users;

static void evict(struct inode *inode)
{
	struct holon_rfile *r = inode->i_private;

	truncate_inode_pages_final(&inode->i_data);
	clear_inode(inode);
	if (!r)
		return; /* the root */
	kapi_rfile_release(r->ctx);
	kfree(r);
	simple_release_fs(&mount, &mount_users);
}

static const struct super_operations super_ops = {
	.statfs = simple_statfs,
	.drop_inode = inode_just_drop,
	.evict_inode = evict,
};

static char *dname(struct dentry *dentry, char *buf, int len)
{
	const struct holon_rfile *r = d_inode(dentry)->i_private;
	const char *name = r ? r->name : "holon:";
	int need = strlen(name) + 1;

	if (need > len)
		return ERR_PTR(-ENAMETOOLONG);
	return memcpy(buf + len - need, name, need);
}

static const struct dentry_operations dentry_ops = {
	.d_dname = dname,
};

static int init_context(struct fs_context *fc)
{
	struct pseudo_fs_context *ctx = init_pseudo(fc, HOLON_FS_MAGIC);

	if (!ctx)
		return -ENOMEM;
	ctx->ops = &super_ops;
	ctx->dops = &dentry_ops;
	fc->s_iflags &= ~SB_I_NODEV; /* /dev/stdout of a terminal can be opened */
	return 0;
}

static struct file_system_type fs_type = {
	.owner = THIS_MODULE,
	.name = "holon",
	.init_fs_context = init_context,
	.kill_sb = kill_anon_super,
};

bool holon_rfile_is(const struct file *file)
{
	return file_inode(file)->i_sb->s_type == &fs_type && holon_rfile_of(file);
}

void *kpi_rfile_ctx(struct kpi_file *f)
{
	struct file *file = (struct file *)f;

	return holon_rfile_is(file) ? holon_rfile_of(file)->ctx : NULL;
}

static void dress(struct inode *inode, const struct kpi_file_info *info)
{
	inode->i_ino = info->ino;
	inode->i_mode = info->mode;
	inode->i_rdev = new_decode_dev(info->rdev);
	inode->i_uid = make_kuid(&init_user_ns, info->uid);
	inode->i_gid = make_kgid(&init_user_ns, info->gid);
	inode->i_flags |= S_PRIVATE | S_NOATIME | S_NOCMTIME;
	simple_inode_init_ts(inode);
	inode->i_op = &holon_rfile_inode_ops;
	inode->i_fop = S_ISREG(info->mode) ? &holon_rfile_disk_ops : &holon_rfile_stream_ops;
}

static struct inode *new_rfile(void *ctx, const struct kpi_file_info *info, const char *name)
{
	struct holon_rfile *r = kzalloc(struct_size(r, name, strlen(name) + 1), GFP_KERNEL);
	struct inode *inode;

	if (!r || simple_pin_fs(&fs_type, &mount, &mount_users))
		goto no_mount;
	inode = new_inode(mount->mnt_sb);
	if (!inode)
		goto no_inode;
	r->ctx = ctx;
	r->info = *info;
	strcpy(r->name, name);
	inode->i_private = r;
	dress(inode, info);
	return inode;
no_inode:
	simple_release_fs(&mount, &mount_users);
no_mount:
	kfree(r);
	kapi_rfile_release(ctx);
	return NULL;
}

int kpi_rfile_new(void *ctx, const struct kpi_file_info *info, const char *name, u32 flags,
		  struct kpi_file **out)
{
	struct inode *inode = new_rfile(ctx, info, name);
	struct file *file;

	if (!inode)
		return -ENOMEM;
	file = alloc_file_pseudo(inode, mount, "", flags, inode->i_fop);
	if (IS_ERR(file)) {
		/* Its end gives the mount up, which must not end while the inode does. */
		struct vfsmount *held = mntget(mount);

		iput(inode);
		mntput(held);
		return PTR_ERR(file);
	}
	__module_get(THIS_MODULE); /* the last fput gives back what f_op->owner says */
	file->f_op->open(inode, file);
	*out = (struct kpi_file *)file;
	return 0;
}
