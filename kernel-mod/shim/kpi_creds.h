/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/* The seam for identities and rights. Included by kpi.h, which has the integer types. */
#ifndef HOLON_KPI_CREDS_H
#define HOLON_KPI_CREDS_H

struct cred;

/* In the numbers of the first user namespace. */
struct kpi_creds {
	u32 uid, euid, suid, fsuid, gid, egid, sgid, fsgid;
	u64 cap_inheritable, cap_permitted, cap_effective, cap_bset, cap_ambient;
	u32 securebits, no_new_privs, dumpable, groups_count;
	const u32 *groups;
};

/*
 * own: all but the real user comes from in. NULL with *err: -EPERM in another user namespace or
 * with another real user, whose count of processes is the kernel's own; -EINVAL: ids or capability
 * sets that no task can have.
 */
struct cred *kpi_creds_make(const struct kpi_creds *in, int *err);
/* own, never fails: takes new over and sets what the kernel keeps elsewhere. */
void kpi_creds_commit(struct cred *new, u32 dumpable, bool no_new_privs);
void kpi_creds_drop(struct cred *new);

#endif
