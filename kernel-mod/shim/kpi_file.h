/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/*
 * The seam for open files: what a file is, doing single steps on one without
 * ever waiting for its other side, being told when it became ready, and making
 * files whose operations are ours.
 *
 * Included by kpi.h, which has the integer types, kpi_file, kpi_poll and kpi_waitq.
 */
#ifndef HOLON_KPI_FILE_H
#define HOLON_KPI_FILE_H

struct kpi_iter; /* struct iov_iter */

/* What stands behind an open file. */
enum kpi_file_kind {
	KPI_FILE_REGULAR = 1,
	KPI_FILE_DELETED = 2, /* regular, but its name is gone */
	KPI_FILE_DIR = 3,
	KPI_FILE_PIPE = 4,
	KPI_FILE_FIFO = 5,
	KPI_FILE_TTY = 6,
	KPI_FILE_CHAR = 7,
	KPI_FILE_BLOCK = 8,
	KPI_FILE_SOCKET = 9,
	KPI_FILE_ANON = 10, /* eventfd, epoll and the like */
	KPI_FILE_OURS = 11, /* made by kpi_rfile_new */
};

struct kpi_file_info {
	u32 kind;
	u32 flags; /* O_* */
	u32 readable;
	u32 writable;
	u32 steps; /* single steps (kpi_step_*) are possible, here or where it stands */
	u32 mode; /* st_mode */
	u32 uid; /* as in the first user namespace */
	u32 gid;
	u32 rdev; /* new_encode_dev */
	u32 dev; /* of the file system, new_encode_dev */
	u32 nlink;
	u32 blksize;
	u64 ino;
	s64 size;
	s64 pos;
};

#define KPI_FILE_NAME_LEN_MAX 4096

/* --- any open file (rfile_info.c) --- */
void kpi_file_get(struct kpi_file *f);
void kpi_file_put(struct kpi_file *f);
/* A new reference to the file behind a descriptor of the calling task, or NULL. */
struct kpi_file *kpi_file_of_fd(int fd);
/* Gives the file a descriptor in the calling task; takes a reference of its own. */
int kpi_file_install(struct kpi_file *f, u32 flags);
void kpi_file_info(struct kpi_file *f, struct kpi_file_info *out);
/* Its path as the caller's root shows it, or "pipe:[1]" and such. Length without NUL, or -errno. */
s64 kpi_file_name(struct kpi_file *f, u8 *out, size_t len);

/* --- single steps (rfile_step.c) --- */
/*
 * One attempt that never waits for the other side: bytes done, 0 at the end of
 * the file, -EAGAIN when it would wait. pos -1: the file's own position. Disk
 * files may wait for their disk. To be called from kernel threads only.
 */
s64 kpi_step_read(struct kpi_file *f, u8 *buf, size_t len, s64 pos);
s64 kpi_step_write(struct kpi_file *f, const u8 *buf, size_t len, s64 pos);
u32 kpi_step_poll(struct kpi_file *f); /* EPOLL* */
s64 kpi_step_llseek(struct kpi_file *f, s64 offset, u32 whence);
int kpi_step_fsync(struct kpi_file *f, bool data_only);
/* How long a read with nothing to read should wait, in ms: 0 at once, -1 for ever. */
s64 kpi_step_read_patience(struct kpi_file *f);
/* buf: argument in, result out, KPI_IOCTL_LEN_MAX bytes; arg: where it is a number. */
s64 kpi_step_ioctl(struct kpi_file *f, u32 cmd, u64 arg, u8 *buf);

/* How an ioctl uses its argument. */
enum kpi_ioctl_dir {
	KPI_IOCTL_UNKNOWN = 0,
	KPI_IOCTL_NUMBER = 1,
	KPI_IOCTL_IN = 2,
	KPI_IOCTL_OUT = 3,
};
#define KPI_IOCTL_LEN_MAX 64
u32 kpi_ioctl_dir(u32 cmd, size_t *len);

/* --- being told (rfile_watch.c) --- */
struct kpi_watch;
int kpi_watch_init(void);
void kpi_watch_exit(void); /* runs what is queued to its end */
/* Holds the file until the free. `id` comes back in kapi_watch_run. */
struct kpi_watch *kpi_watch_new(struct kpi_file *f, u64 id);
/* kapi_watch_run(id) soon, in a worker, never twice at once. */
void kpi_watch_kick(struct kpi_watch *w);
void kpi_watch_kick_after(struct kpi_watch *w, u32 delay_ms); /* in place of an earlier one */
/* Kicks once when the file's state changes. True if it had changed since the last time. */
bool kpi_watch_arm(struct kpi_watch *w);
void kpi_watch_free(struct kpi_watch *w); /* may be called from kapi_watch_run */
void kapi_watch_run(u64 id);

/* --- files of ours (rfile_fs.c, rfile_ops.c) --- */
/* `ctx` is given to the callbacks; kapi_rfile_release ends its life, also when this fails. */
int kpi_rfile_new(void *ctx, const struct kpi_file_info *info, const char *name, u32 flags,
		  struct kpi_file **out);
void *kpi_rfile_ctx(struct kpi_file *f); /* NULL if it is not of ours */

size_t kpi_iter_len(struct kpi_iter *it);
size_t kpi_iter_put(struct kpi_iter *it, const u8 *data, size_t len); /* bytes copied */
size_t kpi_iter_take(struct kpi_iter *it, u8 *out, size_t len);
void kpi_waitq_wake_poll(struct kpi_waitq *q, u32 events);
void kpi_sigpipe(void);

s64 kapi_rfile_read(void *ctx, struct kpi_iter *to, s64 pos, bool nowait);
s64 kapi_rfile_write(void *ctx, struct kpi_iter *from, s64 pos, bool nowait);
u32 kapi_rfile_poll(void *ctx, struct kpi_file *f, struct kpi_poll *poll, u32 events);
s64 kapi_rfile_ioctl(void *ctx, u32 cmd, u64 arg);
s64 kapi_rfile_llseek(void *ctx, s64 offset, u32 whence);
int kapi_rfile_fsync(void *ctx, bool data_only);
int kapi_rfile_stat(void *ctx, struct kpi_file_info *out);
void kapi_rfile_ident(void *ctx, u32 *slot, u64 *id);
void kapi_rfile_release(void *ctx);

#endif
