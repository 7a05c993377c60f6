// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
/* A kernel UDP socket: datagrams out and in. */
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/udp.h>
#include <net/udp.h>

#include "net_shim.h"

/* One is given where the other is wanted. */
static_assert(sizeof(struct kpi_iovec) == sizeof(struct kvec));
static_assert(offsetof(struct kpi_iovec, base) == offsetof(struct kvec, iov_base));
static_assert(offsetof(struct kpi_iovec, len) == offsetof(struct kvec, iov_len));

struct kpi_udp_scratch {
	struct page_frag frag;
};

static struct msghdr to_peer(struct sockaddr_in *to)
{
	return (struct msghdr){
		.msg_name = to,
		.msg_namelen = sizeof(*to),
		.msg_flags = MSG_DONTWAIT | MSG_NOSIGNAL,
	};
}

static int send_all(struct kpi_udp *u, struct msghdr *msg, const struct kpi_iovec *iov, size_t n)
{
	size_t len = 0, i;
	int rc;

	for (i = 0; i < n; i++)
		len += iov[i].len;
	rc = kernel_sendmsg(u->sock, msg, (struct kvec *)iov, n, len);
	return rc < 0 ? rc : 0;
}

int kpi_udp_send(struct kpi_udp *u, u32 addr_be, u16 port, const struct kpi_iovec *iov, size_t n)
{
	struct sockaddr_in to = kpi_udp_ipv4(addr_be, port);
	struct msghdr msg = to_peer(&to);

	return send_all(u, &msg, iov, n);
}

struct kpi_udp_scratch *kpi_udp_scratch_new(void)
{
	return kzalloc(sizeof(struct kpi_udp_scratch), GFP_KERNEL);
}

void kpi_udp_scratch_free(struct kpi_udp_scratch *scratch)
{
	if (scratch->frag.page)
		put_page(scratch->frag.page);
	kfree(scratch);
}

/* A task that faults may be in the middle of a send of its own, whose page is in task_frag: UDP
 * uses that too for bursts, so it gets another one meanwhile. */
int kpi_udp_send_burst(struct kpi_udp *u, struct kpi_udp_scratch *scratch, u32 addr_be, u16 port,
		       const struct kpi_iovec *iov, size_t n, u16 segment_len)
{
	u8 control[CMSG_SPACE(sizeof(u16))] __aligned(sizeof(size_t)) = {};
	struct cmsghdr *cmsg = (struct cmsghdr *)control;
	struct sockaddr_in to = kpi_udp_ipv4(addr_be, port);
	struct msghdr msg = to_peer(&to);
	struct page_frag theirs = current->task_frag;
	int rc;

	cmsg->cmsg_level = SOL_UDP;
	cmsg->cmsg_type = UDP_SEGMENT;
	cmsg->cmsg_len = CMSG_LEN(sizeof(u16));
	memcpy(CMSG_DATA(cmsg), &segment_len, sizeof(u16));
	msg.msg_control = control;
	msg.msg_controllen = sizeof(control);
	current->task_frag = scratch->frag;
	rc = send_all(u, &msg, iov, n);
	scratch->frag = current->task_frag;
	current->task_frag = theirs;
	return rc;
}

static u16 segment_of(struct msghdr *msg, void *control, size_t len)
{
	struct cmsghdr *cmsg = control;
	int segment_len;

	if (len - msg->msg_controllen < CMSG_LEN(sizeof(int)) || cmsg->cmsg_level != SOL_UDP ||
	    cmsg->cmsg_type != UDP_GRO)
		return 0;
	memcpy(&segment_len, CMSG_DATA(cmsg), sizeof(int));
	return segment_len;
}

s64 kpi_udp_recv(struct kpi_udp *u, u8 *buf, size_t len, u32 *addr_be, u16 *port,
		 u16 *segment_len)
{
	u8 control[CMSG_SPACE(sizeof(int))] __aligned(sizeof(size_t)) = {};
	struct sockaddr_in from = {};
	struct msghdr msg = { .msg_name = &from,
			      .msg_namelen = sizeof(from),
			      .msg_control = control,
			      .msg_controllen = sizeof(control) };
	struct kvec vec = { buf, len };
	int rc = kernel_recvmsg(u->sock, &msg, &vec, 1, len, MSG_DONTWAIT | MSG_TRUNC);

	*addr_be = (__force u32)from.sin_addr.s_addr;
	*port = ntohs(from.sin_port);
	*segment_len = rc < 0 ? 0 : segment_of(&msg, control, sizeof(control));
	return rc;
}

bool kpi_udp_readable(struct kpi_udp *u)
{
	return !skb_queue_empty_lockless(&u->sock->sk->sk_receive_queue) ||
	       !skb_queue_empty_lockless(&udp_sk(u->sock->sk)->reader_queue);
}
