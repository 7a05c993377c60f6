// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
/* A kernel UDP socket: datagrams out and in. */
#include <linux/ip.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/sizes.h>
#include <linux/skbuff.h>
#include <linux/slab.h>
#include <linux/udp.h>
#include <net/udp.h>

#include "net_shim.h"

/* One is given where the other is wanted. */
static_assert(sizeof(struct kpi_iovec) == sizeof(struct kvec));
static_assert(offsetof(struct kpi_iovec, base) == offsetof(struct kvec, iov_base));
static_assert(offsetof(struct kpi_iovec, len) == offsetof(struct kvec, iov_len));

/* What the longest burst needs. */
#define OWN_ORDER get_order(SZ_64K)

struct kpi_udp_scratch {
	/* Where bursts are gathered: ours again as soon as the last one was cut up or has left,
	 * and never cleared. While it is not ours, or not there, what the kernel would use. */
	struct page *own;
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
	struct kpi_udp_scratch *scratch = kzalloc(sizeof(*scratch), GFP_KERNEL);

	if (scratch)
		scratch->own = alloc_pages(GFP_KERNEL | __GFP_COMP | __GFP_NOWARN | __GFP_NORETRY,
					   OWN_ORDER);
	return scratch;
}

void kpi_udp_scratch_free(struct kpi_udp_scratch *scratch)
{
	if (scratch->frag.page)
		put_page(scratch->frag.page);
	if (scratch->own)
		put_page(scratch->own);
	kfree(scratch);
}

/* The reference that is lent with it makes that UDP fills it up and then gives it back. */
static bool lend_own(struct kpi_udp_scratch *scratch)
{
	if (!scratch->own || page_ref_count(scratch->own) != 1)
		return false;
	get_page(scratch->own);
	current->task_frag = (struct page_frag){ .page = scratch->own, .size = SZ_64K };
	return true;
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
	bool is_own;
	int rc;

	cmsg->cmsg_level = SOL_UDP;
	cmsg->cmsg_type = UDP_SEGMENT;
	cmsg->cmsg_len = CMSG_LEN(sizeof(u16));
	memcpy(CMSG_DATA(cmsg), &segment_len, sizeof(u16));
	msg.msg_control = control;
	msg.msg_controllen = sizeof(control);
	is_own = lend_own(scratch);
	if (!is_own)
		current->task_frag = scratch->frag;
	rc = send_all(u, &msg, iov, n);
	if (!is_own)
		scratch->frag = current->task_frag;
	else if (current->task_frag.page)
		put_page(current->task_frag.page);
	current->task_frag = theirs;
	return rc;
}

/* The checksum of a single datagram is looked at here; those of a burst were when it was made. */
int kpi_udp_recv(struct kpi_udp *u, struct kpi_received *received)
{
	struct sk_buff *skb;
	int rc;

	skb = skb_recv_udp(u->sock->sk, MSG_DONTWAIT, &rc);
	if (!skb)
		return rc;
	if (skb_checksum_complete(skb)) {
		kfree_skb(skb);
		return -EBADMSG;
	}
	*received = (struct kpi_received){
		.burst = (struct kpi_burst *)skb,
		.len = skb->len,
		.segment_len = skb_is_gso(skb) ? skb_shinfo(skb)->gso_size : 0,
		.addr_be = (__force u32)ip_hdr(skb)->saddr,
		.port = ntohs(udp_hdr(skb)->source),
	};
	return 0;
}

void kpi_burst_free(struct kpi_burst *burst)
{
	consume_skb((struct sk_buff *)burst);
}

/* In this one packet, without those that hang on it; NULL: in pieces, or not in it. */
static const u8 *in_one(const struct sk_buff *skb, size_t offset, size_t len)
{
	size_t end = skb_headlen(skb);
	int i;

	if (offset + len <= end)
		return skb->data + offset;
	for (i = 0; offset >= end && i < skb_shinfo(skb)->nr_frags; i++) {
		const skb_frag_t *frag = &skb_shinfo(skb)->frags[i];
		const u8 *data = skb_frag_address_safe(frag);

		offset -= end;
		end = skb_frag_size(frag);
		if (data && offset + len <= end)
			return data + offset;
	}
	return NULL;
}

const u8 *kpi_burst_bytes(const struct kpi_burst *burst, size_t offset, u8 *buf, size_t len)
{
	const struct sk_buff *skb = (const struct sk_buff *)burst;
	const struct sk_buff *each;
	size_t start = skb_pagelen(skb);
	const u8 *data;

	if (offset > skb->len || len > skb->len - offset)
		return NULL;
	data = in_one(skb, offset, len);
	skb_walk_frags(skb, each) {
		if (data || offset < start)
			break;
		if (offset + len <= start + each->len)
			data = in_one(each, offset - start, len);
		start += each->len;
	}
	if (data)
		return data;
	return skb_copy_bits(skb, offset, buf, len) ? NULL : buf;
}

bool kpi_udp_readable(struct kpi_udp *u)
{
	return !skb_queue_empty_lockless(&u->sock->sk->sk_receive_queue) ||
	       !skb_queue_empty_lockless(&udp_sk(u->sock->sk)->reader_queue);
}
