/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/*
 * The seam for processes: looking at one from outside, stopping it at the edge to user mode and
 * reading or writing its state there, making one out of an image, and standing in for one that
 * runs elsewhere.
 *
 * "own" means: to be called by the task itself, from kapi_parked or an ioctl or a loader.
 * Included by kpi.h, which has the integer types.
 */
#ifndef HOLON_KPI_TASK_H
#define HOLON_KPI_TASK_H

struct task_struct;
struct pid_namespace;
struct mm_struct;
struct linux_binprm;
struct kpi_file; /* struct file */

/* --- finding tasks (task.c) --- */

/* The namespace whose init is that process of the caller's namespace; a reference, or NULL. */
struct pid_namespace *kpi_ns_of_init(s32 pid);
void kpi_ns_put(struct pid_namespace *ns);
struct pid_namespace *kpi_ns_current(void); /* no reference: for comparing */
struct task_struct *kpi_task_find(struct pid_namespace *ns, s32 pid); /* leader; a reference */
struct task_struct *kpi_task_find_here(s32 nr); /* the same, in the caller's namespace */
struct task_struct *kpi_task_current(void); /* a reference to the caller's leader */
bool kpi_task_is_current(struct task_struct *task);
bool kpi_task_is_this_thread(struct task_struct *task);
void kpi_task_get(struct task_struct *task);
void kpi_task_put(struct task_struct *task);
s32 kpi_task_pid(struct task_struct *task, struct pid_namespace *ns); /* ns NULL: the caller's */
struct mm_struct *kpi_task_mm(struct task_struct *task); /* a reference (kpi_mm_put), or NULL */
void kpi_task_comm(struct task_struct *task, u8 *out16);
void kpi_comm_set(const u8 *name16); /* own */
bool kpi_task_dead(struct task_struct *task);
bool kpi_current_exiting(void);
/*
 * Waits until a task that goes to sleep has left the processor: 0, -EBUSY after timeout_us, -ESRCH.
 * It is the caller's business that it does not end after that.
 */
int kpi_task_settled(struct task_struct *task, u32 timeout_us);

/* --- looking at a task (inspect.c) --- */

struct kpi_facts {
	u32 threads, children, posix_timers, itimers;
	u32 traced, vforking, stopped, exiting, kernel, compat, seccomp, io_uring;
	u32 sysv_undo, other_namespaces, real_time, chrooted;
	u32 files_shared, fs_shared, mm_shared, pad; /* with another process */
	s32 pgid, sid, nice, leader_of_session, has_tty, umask;
	u32 uid, euid, suid, fsuid, gid, egid, sgid, fsgid;
	u32 groups_count, securebits, no_new_privs, dumpable, personality, user_ns_other;
	u64 cap_inheritable, cap_permitted, cap_effective, cap_bset, cap_ambient;
	u64 locked_vm, map_count, utime_ns, stime_ns;
	u64 rlim_cur[16], rlim_max[16];
	s32 oom_score_adj, pdeath_signal;
	u64 timer_slack_ns;
	u8 comm[16];
};

/* init: the task whose namespaces are the job's. */
int kpi_facts(struct task_struct *task, struct task_struct *init, struct kpi_facts *out);
/* Whether it sleeps where no signal wakes it, and did nothing else for that long: waits so long. */
bool kpi_task_stuck(struct task_struct *task, u32 watch_us);
s64 kpi_groups(struct task_struct *task, u32 *out, u32 count_max);

struct kpi_fd {
	u32 fd, cloexec;
	struct kpi_file *file; /* a reference */
};
/* From *next on; at most count_max; their number. *next: where to go on, or ~0. */
s64 kpi_fds(struct task_struct *task, u32 *next, struct kpi_fd *out, u32 count_max);

#define KPI_TFILE_REGULAR 1
#define KPI_TFILE_DIR 2
#define KPI_TFILE_CHAR 3
#define KPI_TFILE_BLOCK 4
#define KPI_TFILE_FIFO 5
#define KPI_TFILE_SOCKET 6
#define KPI_TFILE_ANON 7 /* anonymous inode: see kpi_tfile_name */
#define KPI_TFILE_OTHER 8
struct kpi_tfile_info {
	u32 kind, flags, mode, unlinked;
	u32 nameless; /* lives on a mount without paths: pipe, socket, memfd */
	u32 is_tty;
	u64 pos, dev, ino, rdev, size, mtime_ns, nlink, magic;
	u64 refs; /* to the open file, all over the node */
};
void kpi_tfile_info(struct kpi_file *file, struct kpi_tfile_info *out);
s64 kpi_file_path(struct kpi_file *file, u8 *out, size_t len); /* length */
s64 kpi_tfile_name(struct kpi_file *file, u8 *out, size_t len); /* last component */
/* Whether it holds a lock or lease through this open file, or as a process on this file. */
bool kpi_file_locked(struct kpi_file *file, struct task_struct *task);
struct kpi_file *kpi_task_exe(struct task_struct *task); /* a reference or NULL */
/* which 0: working directory, 1: root. Length. */
s64 kpi_task_dir(struct task_struct *task, u32 which, u8 *out, size_t len);
int kpi_file_seek(struct kpi_file *file, u64 pos);
int kpi_file_refresh(struct kpi_file *file); /* asks its server for size and times */

/* --- mappings (vma.c) --- */

struct kpi_vma {
	u64 start, end, flags, page_off;
	struct kpi_file *file; /* a reference, or NULL */
	u32 anon, special; /* special: the kernel's own (vDSO) */
};
/* All mappings; their number, or -E2BIG with more than count_max. */
s64 kpi_vmas(struct mm_struct *mm, struct kpi_vma *out, u64 count_max);
u64 kpi_vma_count(struct mm_struct *mm);

#define KPI_AUXV_MAX 64
struct kpi_mm_info {
	u64 start_code, end_code, start_data, end_data, start_brk, brk, start_stack;
	u64 arg_start, arg_end, env_start, env_end, mmap_base, mmap_legacy_base, def_flags;
	u64 auxv[KPI_AUXV_MAX];
	u32 auxv_count, pad;
};
void kpi_mm_info(struct mm_struct *mm, struct kpi_mm_info *out);
void kpi_mm_info_set(const struct kpi_mm_info *info); /* own */

/* --- parking (park.c) --- */

/* Has the task call kapi_parked(data) at its next edge to user mode; once per call that gives 0. */
int kpi_park_request(struct task_struct *task, void *data);
void kapi_parked(void *data);
u64 kpi_park_outstanding(void); /* requests whose call has not returned yet */
void kpi_park_quiesce(void); /* no call is on any stack any more */

/* --- registers (regs.c) --- */

#define KPI_REGS 27
void kpi_syscall_mend(void); /* own: an EINTR that only our wake-up made becomes a restart */
int kpi_regs_get(u64 *regs); /* own */
int kpi_regs_set(struct task_struct *task, const u64 *regs); /* a settled task */
u32 kpi_xstate_len(void);
int kpi_xstate_get(u8 *out, u32 len); /* own */
bool kpi_xstate_fits(const u8 *data, u32 len); /* own: it could be loaded in user mode */

#define KPI_RESTART_NONE 0
#define KPI_RESTART_NANOSLEEP 1
#define KPI_RESTART_POLL 2
#define KPI_RESTART_FUTEX 3
#define KPI_RESTART_OTHER 4
struct kpi_restart {
	u32 kind;
	s32 clock; /* nanosleep */
	u32 rmtp_kind, nfds, has_timeout, val, flags, bitset;
	u64 rmtp, expires_ns; /* nanosleep, futex (absolute, of the clock), poll (monotonic) */
	u64 ufds, uaddr, uaddr2;
};
void kpi_restart_note(void); /* own: learns the restart function of the call it is in */
u32 kpi_restart_known(void); /* bit KPI_RESTART_x: learnt */
void kpi_restart_get(struct kpi_restart *out); /* own */
int kpi_restart_set(const struct kpi_restart *in); /* own; -ENOENT: this kernel has no such one */
u64 kpi_clock_of(s32 clock); /* now of CLOCK_REALTIME, MONOTONIC, BOOTTIME, TAI; else 0 */

/* --- signals (signal.c) --- */

struct kpi_action {
	u64 handler, flags, restorer, mask;
};
struct kpi_thread_state {
	u64 blocked, saved_mask, has_saved_mask;
	u64 altstack_sp, altstack_size, altstack_flags;
	u64 robust_list, clear_child_tid, rseq, rseq_len, rseq_sig;
	u32 rseq_cpu, rseq_mm_cid, rseq_node, pad; /* what the kernel wrote there last */
};
struct kpi_siginfo {
	u8 bytes[48];
	u32 signo, shared; /* shared: of the process, else of the thread */
};
void kpi_actions_get(struct kpi_action *out64); /* own */
void kpi_actions_set(const struct kpi_action *in64); /* own */
void kpi_thread_state_get(struct kpi_thread_state *out); /* own */
void kpi_thread_state_set(const struct kpi_thread_state *in); /* own; the mask last */
s64 kpi_pending_get(struct kpi_siginfo *out, u32 count_max); /* own; -E2BIG, -EOPNOTSUPP */
s64 kpi_pending_some(struct kpi_siginfo *out, u32 count_max); /* own; the first of them */
void kpi_pending_drop(const struct kpi_siginfo *in, u32 count); /* own: those that travelled */
int kpi_signal_send(struct task_struct *task, const struct kpi_siginfo *in);
void kpi_kill(struct task_struct *task);

/* --- standing in (surrogate.c) --- */

struct kpi_stub {
	u64 code, data; /* addresses of the two pages */
};
/* Where in the second page the command line is; the begin is for the ioctl's answer. */
#define KPI_STUB_ARGS_AT 512
#define KPI_STUB_ARGS_LEN_MAX (4096 - KPI_STUB_ARGS_AT)
#define KPI_OOM_NEVER (-1000)
/* The command line of the caller's address space, cut to len: its length. */
s64 kpi_args_get(u8 *out, u32 len); /* own */
int kpi_args_set(const struct kpi_stub *stub, const u8 *args, u32 len); /* own: shown from now on */
s32 kpi_oom_score_set(s32 score); /* own: what it was */
struct kpi_limits {
	u64 soft[16], hard[16];
};
void kpi_limits_lift(struct kpi_limits *saved); /* own: those of memory, files and processes */
void kpi_limits_set(const struct kpi_limits *limits); /* own: all but processor time */
int kpi_unmap_special(void); /* own: vDSO and its data */
int kpi_stub_map(struct kpi_stub *out); /* own: the stub's pages in a gap */
void kpi_stub_enter(const struct kpi_stub *stub, u32 fd); /* own: user mode goes on in the stub */
int kpi_unmap_all_but(const struct kpi_stub *stub); /* own */
void kpi_surrogate_signals(void); /* own: every signal is queued, none acts */
void kpi_thread_state_clear(void); /* own: robust list, tid address, rseq */
void kpi_fds_close_all(void); /* own */
/* Next signal to forward: 1, 0 none, 2: a stop is to be taken natively, 3: dying. */
int kpi_surrogate_signal(struct kpi_siginfo *out); /* own */
void kpi_surrogate_mask(bool open); /* own: open: all deliverable; else all blocked */
void kpi_stop_self(void); /* own: stops natively on return to user mode */
void kpi_exit_self(s32 status, u64 utime_ns, u64 stime_ns); /* own: with this wait status */
bool kpi_signals_waiting(void);
/* An fd of the stub's task to exec from: writes the argument page for fds. */
int kpi_fd_install(struct kpi_file *file, u32 flags); /* own; fd or -errno; keeps no reference */

/* --- the control file of a surrogate or a restore (ctlfile.c) --- */

int kpi_ctl_open(void *data, u32 flags); /* own; the fd; data goes to kapi_ctl_release */
int kpi_fd_close(u32 fd); /* own */
s64 kapi_ctl_ioctl(void *data, u32 cmd, u64 arg);
void kapi_ctl_release(void *data);
/* What the stub's ioctl returns. */
#define KPI_STUB_AGAIN 0
#define KPI_STUB_EXEC 1
#define KPI_CTL_WAIT 0x4880 /* 'H' 0x80: the stub's loop */
#define KPI_CTL_RESUME 0x4881 /* the restorer is ready for the final part */
#define KPI_CTL_LOADED 0x4882 /* the restorer's end */

/* --- end of tasks (exit.c) --- */

struct kpi_exit_watch;
struct kpi_exit {
	u64 id;
	u64 utime_ns, stime_ns;
	s32 status;
	u32 pad;
};
int kpi_exit_init(struct kpi_waitq *wake);
void kpi_exit_fini(void);
/* Reports the end of the task's process under id, once, unless unwatched before. NULL: no memory,
 * or it is gone. */
struct kpi_exit_watch *kpi_exit_watch_add(struct task_struct *task, u64 id);
void kpi_exit_watch_del(struct kpi_exit_watch *w);
bool kpi_exit_next(struct kpi_exit *out); /* takes one report */
bool kpi_exit_any(void);

/* --- loaders (binfmt.c, restore.c) --- */

int kpi_binfmt_register(void);
void kpi_binfmt_unregister(void);
void kpi_placement(bool on); /* whether ELF execs are shown to kapi_exec */
/* Both: -ENOEXEC: not ours; else as load_binary. */
int kapi_image_load(struct linux_binprm *bprm, u64 image);
int kapi_exec(struct linux_binprm *bprm);

s64 kpi_bprm_name(struct linux_binprm *bprm, u8 *out, size_t len);
s64 kpi_bprm_args(struct linux_binprm *bprm, u8 *out, size_t len, u32 *argc, u32 *envc);
struct kpi_file *kpi_bprm_file(struct linux_binprm *bprm); /* no reference */
/* Point of no return: an empty address space. */
int kpi_bprm_begin(struct linux_binprm *bprm, u32 personality);
int kpi_bprm_start(struct linux_binprm *bprm, u64 ip, u64 arg1, u64 arg2, u64 arg3);
int kpi_exe_set(struct kpi_file *exe); /* own */
void *kpi_binfmt_current(void);
void kpi_binfmt_set(void *fmt);
/* PROT_* and MAP_* as in mmap; fixed, never over another mapping. */
int kpi_map(u64 start, u64 len, u64 prot, u64 flags, struct kpi_file *file, u64 page_off);
/* own: sets VM_* hints of a mapping just made; -EINVAL if it is part of another one now */
int kpi_vma_hint(u64 start, u64 end, u64 flags);
int kpi_unmap(u64 start, u64 len);
u64 kpi_map_gap(u64 len); /* address of a gap, or 0 */
struct kpi_restorer {
	u64 code, data, data_len; /* a page; where the vector state goes */
};
int kpi_restorer_map(struct kpi_restorer *out); /* own: into gaps */
int kpi_restorer_unmap(const struct kpi_restorer *restorer); /* own */
/* own: gives it the vector state to load; -EOPNOTSUPP if that can't be loaded here */
int kpi_restorer_feed(const struct kpi_restorer *restorer, const u8 *data, u32 len);
int kpi_poke(u64 addr, const u8 *data, size_t len); /* own: also into read-only pages */
struct kpi_file *kpi_file_open(const u8 *path_z, u32 flags, int *err); /* own */
void kpi_cloexec_set(u32 fd); /* own */

#endif
