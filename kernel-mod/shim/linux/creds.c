// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
/* Identities and rights of a process that is made from an image: an exec would compute others. */
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/err.h>
#include <linux/sched.h>
#include <linux/sched/exec_state.h>
#include <linux/uidgid.h>
#include <linux/user_namespace.h>

#include "kpi.h"

static struct group_info *make_groups(const struct kpi_creds *in)
{
	struct group_info *groups = groups_alloc(in->groups_count);
	u32 i;

	if (!groups)
		return ERR_PTR(-ENOMEM);
	for (i = 0; i < in->groups_count; i++) {
		groups->gid[i] = make_kgid(&init_user_ns, in->groups[i]);
		if (!gid_valid(groups->gid[i])) {
			put_group_info(groups);
			return ERR_PTR(-EINVAL);
		}
	}
	groups_sort(groups);
	return groups;
}

static bool set_ids(struct cred *new, const struct kpi_creds *in)
{
	new->euid = make_kuid(&init_user_ns, in->euid);
	new->suid = make_kuid(&init_user_ns, in->suid);
	new->fsuid = make_kuid(&init_user_ns, in->fsuid);
	new->gid = make_kgid(&init_user_ns, in->gid);
	new->egid = make_kgid(&init_user_ns, in->egid);
	new->sgid = make_kgid(&init_user_ns, in->sgid);
	new->fsgid = make_kgid(&init_user_ns, in->fsgid);
	return uid_valid(new->euid) && uid_valid(new->suid) && uid_valid(new->fsuid) &&
	       gid_valid(new->gid) && gid_valid(new->egid) && gid_valid(new->sgid) &&
	       gid_valid(new->fsgid);
}

static bool set_caps(struct cred *new, const struct kpi_creds *in)
{
	new->cap_inheritable.val = in->cap_inheritable & CAP_VALID_MASK;
	new->cap_permitted.val = in->cap_permitted & CAP_VALID_MASK;
	new->cap_effective.val = in->cap_effective & CAP_VALID_MASK;
	new->cap_bset.val = in->cap_bset & CAP_VALID_MASK;
	new->cap_ambient.val = in->cap_ambient & CAP_VALID_MASK;
	new->securebits = in->securebits;
	return cap_issubset(new->cap_effective, new->cap_permitted) &&
	       cap_ambient_invariant_ok(new);
}

struct cred *kpi_creds_make(const struct kpi_creds *in, int *err)
{
	struct group_info *groups;
	struct cred *new;

	*err = -EPERM;
	if (current_user_ns() != &init_user_ns || !uid_eq(current_uid(), KUIDT_INIT(in->uid)))
		return NULL;
	groups = make_groups(in);
	*err = PTR_ERR_OR_ZERO(groups);
	if (*err)
		return NULL;
	new = prepare_creds();
	if (new)
		set_groups(new, groups);
	put_group_info(groups);
	*err = new ? 0 : -ENOMEM;
	if (new && (!set_ids(new, in) || !set_caps(new, in))) {
		abort_creds(new);
		*err = -EINVAL;
		return NULL;
	}
	return new;
}

void kpi_creds_commit(struct cred *new, u32 dumpable, bool no_new_privs)
{
	int parent_death = current->pdeath_signal;

	if (no_new_privs)
		task_set_no_new_privs(current);
	commit_creds(new);
	/* Whatever the change of rights made of these: the process had them with these rights. */
	current->pdeath_signal = parent_death;
	WRITE_ONCE(rcu_dereference_protected(current->exec_state, true)->dumpable, dumpable);
}

void kpi_creds_drop(struct cred *new)
{
	abort_creds(new);
}
