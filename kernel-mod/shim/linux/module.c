// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
/* The module's entry points and its use count. */
#include <linux/bug.h>
#include <linux/init.h>
#include <linux/module.h>
#include <linux/reboot.h>
#include <linux/utsname.h>

#include "kpi.h"

static int on_reboot(struct notifier_block *nb, unsigned long action, void *data)
{
	kapi_module_event(KAPI_SHUTDOWN);
	return NOTIFY_DONE;
}

static struct notifier_block reboot_block = { .notifier_call = on_reboot };

static int __init holon_init(void)
{
	int rc = kapi_module_event(KAPI_LOAD);

	if (rc)
		return rc;
	rc = register_reboot_notifier(&reboot_block);
	if (rc)
		kapi_module_event(KAPI_UNLOAD);
	return rc;
}

static void __exit holon_exit(void)
{
	unregister_reboot_notifier(&reboot_block);
	kapi_module_event(KAPI_UNLOAD);
}

bool kpi_module_get(void)
{
	return try_module_get(THIS_MODULE);
}

void kpi_module_put(void)
{
	module_put(THIS_MODULE);
}

void *kpi_this_module(void)
{
	return THIS_MODULE;
}

void kpi_bug(void)
{
	BUG();
}

const char *kpi_kernel_release(void)
{
	return init_utsname()->release;
}

module_init(holon_init);
module_exit(holon_exit);
MODULE_LICENSE("Dual BSD/GPL");
MODULE_DESCRIPTION("Holon: one system out of many nodes");
MODULE_AUTHOR("The Holon authors");
