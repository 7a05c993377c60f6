/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/*
 * The whole seam between Holon and an operating system's kernel.
 *
 * kpi_*  functions that a shim directory (linux/) implements: they forward and decide nothing.
 * kapi_* functions that the Rust side (kapi) implements and the shims call.
 *
 * Functions return 0 or a negative errno unless said otherwise. Handles are opaque. The file is
 * read by C (inside the kernel's own headers) and by bindgen (alone: __BINDGEN__).
 */
#ifndef HOLON_KPI_H
#define HOLON_KPI_H

#ifdef __BINDGEN__
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef int s32;
typedef long long s64;
typedef unsigned long size_t;
typedef _Bool bool;
#else
#include <linux/types.h>
#endif

/* --- module --- */

enum kapi_event {
	KAPI_LOAD = 0,
	KAPI_SHUTDOWN = 1, /* the machine goes down */
	KAPI_UNLOAD = 2, /* nothing is held, no file is open */
};

int kapi_module_event(u32 event);

bool kpi_module_get(void); /* pins the module; false if it is being unloaded */
void kpi_module_put(void);
void *kpi_this_module(void);
void kpi_bug(void) __attribute__((noreturn)); /* last resort: ends the calling task */
const char *kpi_kernel_release(void);

/* --- log --- */

void kpi_log(u32 level, const u8 *text, size_t len); /* level: 3 err, 4 warn, 6 info, 7 debug */

/* --- alloc --- */

void *kpi_alloc(size_t size, bool zeroed); /* may sleep; aligned to size's lowest set bit */
void *kpi_alloc_now(size_t size); /* neither sleeps nor touches reserves; kpi_free takes it too */
void *kpi_realloc(void *old, size_t size);
void kpi_free(const void *p);
u32 kpi_noreclaim_enter(void); /* until the exit, allocations may use the reserves */
void kpi_noreclaim_exit(u32 cookie);
/* Bytes that programs could still be given without paging out; all that the machine has. */
u64 kpi_memory_available(void);
u64 kpi_memory_total(void);
/* Pages of files; those that came back soon after the kernel threw them out, ever. */
u64 kpi_memory_files(void);
u64 kpi_memory_files_back(void);

/* Memory that the kernel may ask back; free() waits until no call is under way. */
struct kpi_shrinker;
/* Is asked for `batch` pages at most at a time, again and again. */
struct kpi_shrinker *kpi_shrinker_new(const char *name, void *data, u32 batch);
void kpi_shrinker_free(struct kpi_shrinker *shrinker);
/* The calling task has got as many pages as it looks for, or it could not be told when. */
bool kpi_reclaim_is_done(void);
/* It may wait for programs' pages to go, and would get what they leave. */
bool kpi_may_make_room(void);
/* In any task that allocates. How many pages; how many were given back, or -1: not from here. */
u64 kapi_shrinker_count(void *data);
s64 kapi_shrinker_scan(void *data, u64 pages);

/* --- lock --- */

struct kpi_mutex;
struct kpi_spinlock;
#define KPI_LOCK_KEY_LEN 32

struct kpi_mutex *kpi_mutex_new(const char *name, void *key);
void kpi_mutex_free(struct kpi_mutex *m);
void kpi_mutex_lock(struct kpi_mutex *m);
bool kpi_mutex_trylock(struct kpi_mutex *m);
int kpi_mutex_lock_killable(struct kpi_mutex *m);
void kpi_mutex_unlock(struct kpi_mutex *m);

struct kpi_spinlock *kpi_spin_new(const char *name, void *key);
void kpi_spin_free(struct kpi_spinlock *l);
u64 kpi_spin_lock(struct kpi_spinlock *l); /* interrupts off; returns what to restore */
void kpi_spin_unlock(struct kpi_spinlock *l, u64 flags);

/* --- wait --- */

struct kpi_waitq;
enum kpi_wait_mode {
	KPI_WAIT_KILLABLE = 0,
	KPI_WAIT_INTERRUPTIBLE = 1,
	KPI_WAIT_IDLE = 2, /* kernel threads: no signal, no load */
};

struct kpi_waitq *kpi_waitq_new(void);
void kpi_waitq_free(struct kpi_waitq *q);
void kpi_waitq_wake_all(struct kpi_waitq *q);
void kpi_waitq_wake_one(struct kpi_waitq *q);
/* 1: cond became true, 0: the time is over, -ERESTARTSYS: a signal. timeout_ns ~0: none. */
int kpi_waitq_wait(struct kpi_waitq *q, u32 mode, u64 timeout_ns, bool (*cond)(void *), void *arg);

/* --- thread --- */

struct kpi_thread;
int kpi_thread_run(const char *name, int (*fn)(void *), void *arg, struct kpi_thread **out);
int kpi_thread_stop(struct kpi_thread *t); /* asks, waits for the end, gives its result */
void kpi_thread_wake(struct kpi_thread *t);
void kpi_thread_urgent(struct kpi_thread *t); /* goes before all ordinary tasks */
void kpi_thread_set_nice(struct kpi_thread *t, s32 nice); /* -20 .. 19 */
bool kpi_thread_should_stop(void);
bool kpi_fatal_signal_pending(void);
bool kpi_signal_pending(void);
bool kpi_is_reclaiming(void); /* kswapd, or a task of a program that looks for memory itself */
u32 kpi_current_pid(void);
u32 kpi_current_process(void);
bool kpi_capable(u32 cap);
void kpi_cond_resched(void);

struct kpi_workqueue;
struct kpi_workqueue *kpi_workqueue_new(const char *name, u32 active_max);
void kpi_workqueue_free(struct kpi_workqueue *q); /* runs what is queued to its end */
void kpi_workqueue_flush(struct kpi_workqueue *q);
int kpi_workqueue_push(struct kpi_workqueue *q, void *data);
void kapi_work_run(void *data);

/* --- clock, random --- */

u64 kpi_clock_ns(void); /* monotonic */
u64 kpi_clock_real_ns(void); /* since 1970 */
void kpi_random(u8 *out, size_t len);

/* --- uaccess --- */

int kpi_copy_from_user(void *dst, u64 src, size_t len);
int kpi_copy_to_user(u64 dst, const void *src, size_t len);

/* --- chardev --- */

struct kpi_file; /* struct file */
struct kpi_poll; /* struct poll_table_struct */

int kpi_chardev_register(void);
void kpi_chardev_unregister(void);
void kpi_poll_wait(struct kpi_file *file, struct kpi_poll *poll, struct kpi_waitq *q);

int kapi_chardev_open(void **handle);
void kapi_chardev_release(void *handle);
s64 kapi_chardev_ioctl(void *handle, u32 cmd, u64 arg);
s64 kapi_chardev_read(void *handle, u64 buf, size_t len, bool nonblock);
u32 kapi_chardev_poll(void *handle, struct kpi_file *file, struct kpi_poll *poll); /* EPOLL* */

/* --- sysctl --- */

enum kpi_sysctl_kind {
	KPI_SYSCTL_COUNTER = 0, /* data: a u64, read only */
	KPI_SYSCTL_KNOB = 1, /* data: a u64 within min and max, writable by root */
	KPI_SYSCTL_TEXT = 2, /* data: passed to kapi_sysctl_text, read only */
};

struct kpi_sysctl {
	const char *name;
	void *data;
	u64 min;
	u64 max;
	u32 kind;
	void *told; /* if not NULL: passed to kapi_sysctl_set when a knob was written */
};

struct kpi_sysctl_table;
/* Copies the entries; names, data and bounds stay the caller's and must outlive the table. */
struct kpi_sysctl_table *kpi_sysctl_register(const char *path, const struct kpi_sysctl *entries,
					     size_t count);
void kpi_sysctl_unregister(struct kpi_sysctl_table *t);
size_t kapi_sysctl_text(void *data, u8 *out, size_t len);
void kapi_sysctl_set(void *told);

/* --- net --- */

struct kpi_udp;
struct kpi_iovec {
	const void *base;
	size_t len;
};

/*
 * All of these neither wait for memory nor for room (-EAGAIN), and may use the kernel's reserves.
 * Bound to addr:port (network order in addr, host order in port) in the first net namespace, and
 * to the interface with number ifindex: all comes and goes by it alone. 0: any.
 */
int kpi_udp_open(u32 addr_be, u16 port, int ifindex, struct kpi_waitq *readable,
		 struct kpi_udp **out);
/* Queues on the way let what it sends pass before others. */
void kpi_udp_mark_urgent(struct kpi_udp *u);
void kpi_udp_close(struct kpi_udp *u);
int kpi_udp_send(struct kpi_udp *u, u32 addr_be, u16 port, const struct kpi_iovec *iov, size_t n);
/* Datagrams of segment_len bytes, the last one perhaps shorter. The scratch is one caller's. */
struct kpi_udp_scratch;
struct kpi_udp_scratch *kpi_udp_scratch_new(void);
void kpi_udp_scratch_free(struct kpi_udp_scratch *scratch);
int kpi_udp_send_burst(struct kpi_udp *u, struct kpi_udp_scratch *scratch, u32 addr_be, u16 port,
		       const struct kpi_iovec *iov, size_t n, u16 segment_len);
struct kpi_burst;
struct kpi_received {
	struct kpi_burst *burst;
	size_t len;
	u32 addr_be;
	u16 port;
	u16 segment_len; /* of each datagram but the last; 0: it is one only */
};
/* The next datagrams of one sender that came together, where the network left them. -EBADMSG: they
 * were damaged. */
int kpi_udp_recv(struct kpi_udp *u, struct kpi_received *received);
void kpi_burst_free(struct kpi_burst *burst);
/* Some of its bytes where they lie, or copied to buf if they lie in pieces; NULL: it has not so
 * many. */
const u8 *kpi_burst_bytes(const struct kpi_burst *burst, size_t offset, u8 *buf, size_t len);
bool kpi_udp_readable(struct kpi_udp *u);
/*
 * From now on each datagram is offered to kapi_udp_packet where it is received, before it is
 * queued, and comes alone; when this returns from switching it off, none is offered any more.
 */
int kpi_udp_inlet(struct kpi_udp *u, bool on);
struct kpi_packet;
/* In softirq context: must not sleep. True: it is done with, and not queued. */
bool kapi_udp_packet(const struct kpi_packet *packet, size_t len, u32 addr_be, u16 port);
/* Bytes of the datagram from offset on; false if it has not so many. */
bool kpi_packet_copy(const struct kpi_packet *packet, size_t offset, u8 *out, size_t len);
/* Longest IP packet that the route takes. */
int kpi_udp_route_mtu(struct kpi_udp *u, u32 addr_be);

/* --- mm --- */

#include "kpi_mm.h"

/* --- task --- */

#include "kpi_task.h"
#include "kpi_creds.h"

/* --- file --- */

#include "kpi_file.h"

#endif
