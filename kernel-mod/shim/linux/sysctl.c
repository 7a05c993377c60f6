// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
/* /proc/sys/holon. */
#include <linux/slab.h>
#include <linux/sysctl.h>

#include "kpi.h"

#define TEXT_LEN_MAX 4096

struct kpi_sysctl_table {
	struct ctl_table_header *header;
	struct ctl_table table[];
};

static int text_handler(const struct ctl_table *t, int write, void *buf, size_t *len, loff_t *pos)
{
	struct ctl_table copy = { .procname = t->procname, .maxlen = TEXT_LEN_MAX };
	char *text = kzalloc(TEXT_LEN_MAX, GFP_KERNEL);
	int rc;

	if (!text)
		return -ENOMEM;
	kapi_sysctl_text(t->data, text, TEXT_LEN_MAX - 1);
	copy.data = text;
	rc = proc_dostring(&copy, write, buf, len, pos);
	kfree(text);
	return rc;
}

static int knob_handler(const struct ctl_table *t, int write, void *buf, size_t *len, loff_t *pos)
{
	const struct kpi_sysctl *e = container_of((u64 *)t->extra1, struct kpi_sysctl, min);
	int rc = proc_doulongvec_minmax(t, write, buf, len, pos);

	if (write && !rc && e->told)
		kapi_sysctl_set(e->told);
	return rc;
}

static void fill(struct ctl_table *t, const struct kpi_sysctl *e)
{
	t->procname = e->name;
	t->data = e->data;
	t->maxlen = sizeof(u64);
	t->mode = e->kind == KPI_SYSCTL_KNOB ? 0644 : 0444;
	t->proc_handler = e->kind == KPI_SYSCTL_TEXT ? text_handler :
			  e->kind == KPI_SYSCTL_KNOB ? knob_handler : proc_doulongvec_minmax;
	if (e->kind == KPI_SYSCTL_KNOB) {
		t->extra1 = (void *)&e->min;
		t->extra2 = (void *)&e->max;
	}
}

struct kpi_sysctl_table *kpi_sysctl_register(const char *path, const struct kpi_sysctl *entries,
					     size_t count)
{
	struct kpi_sysctl_table *k = kzalloc(struct_size(k, table, count), GFP_KERNEL);
	size_t i;

	if (!k)
		return NULL;
	for (i = 0; i < count; i++)
		fill(&k->table[i], &entries[i]);
	k->header = register_sysctl_sz(path, k->table, count);
	if (k->header)
		return k;
	kfree(k);
	return NULL;
}

void kpi_sysctl_unregister(struct kpi_sysctl_table *k)
{
	unregister_sysctl_table(k->header);
	kfree(k);
}
