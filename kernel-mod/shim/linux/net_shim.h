/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/* What the files about sockets share. */
#ifndef HOLON_NET_SHIM_H
#define HOLON_NET_SHIM_H

#include <linux/in.h>
#include <linux/net.h>
#include <linux/wait.h>
#include <net/sock.h>

#include "kpi.h"

struct kpi_udp {
	struct socket *sock;
	wait_queue_head_t *readable;
	/* What comes is offered to kapi_udp_packet first. */
	bool inlet;
};

static inline struct sockaddr_in kpi_udp_ipv4(u32 addr_be, u16 port)
{
	return (struct sockaddr_in){
		.sin_family = AF_INET,
		.sin_addr.s_addr = (__force __be32)addr_be,
		.sin_port = htons(port),
	};
}

#endif
