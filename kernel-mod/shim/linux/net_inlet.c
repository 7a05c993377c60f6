// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
/* Datagrams that are taken where they are received: no thread has to be woken for them. */
#include <linux/ip.h>
#include <linux/rcupdate.h>
#include <linux/skbuff.h>
#include <linux/udp.h>
#include <net/udp.h>

#include "net_shim.h"

/* Any number but 0 has the hook called; none of the known ones is meant. */
#define ENCAP_TYPE 0x48

/* With a hook the kernel gives no bursts to a socket: it cuts them first. Not gathering any spares
 * that. */
static int one_by_one(struct socket *sock)
{
	int zero = 0;

	return sock->ops->setsockopt(sock, SOL_UDP, UDP_GRO, KERNEL_SOCKPTR(&zero), sizeof(zero));
}

/* Under rcu_read_lock; the checksum of UDP was looked at. 1: it is to be queued. */
static int receive(struct sock *sk, struct sk_buff *skb)
{
	struct kpi_udp *u = READ_ONCE(sk->sk_user_data);

	if (!u || !READ_ONCE(u->inlet) || skb_is_gso(skb) || skb->len < sizeof(struct udphdr))
		return 1;
	if (!kapi_udp_packet((struct kpi_packet *)skb, skb->len - sizeof(struct udphdr),
			     (__force u32)ip_hdr(skb)->saddr, ntohs(udp_hdr(skb)->source)))
		return 1;
	consume_skb(skb);
	return 0;
}

bool kpi_packet_copy(const struct kpi_packet *packet, size_t offset, u8 *out, size_t len)
{
	const struct sk_buff *skb = (const struct sk_buff *)packet;

	return offset <= skb->len && len <= skb->len &&
	       !skb_copy_bits(skb, sizeof(struct udphdr) + offset, out, len);
}

int kpi_udp_inlet(struct kpi_udp *u, bool on)
{
	struct sock *sk = u->sock->sk;
	int rc;

	if (!on) {
		WRITE_ONCE(u->inlet, false);
		synchronize_rcu();
		return 0;
	}
	rc = one_by_one(u->sock);
	if (rc)
		return rc;
	WRITE_ONCE(u->inlet, true);
	WRITE_ONCE(udp_sk(sk)->encap_rcv, receive);
	WRITE_ONCE(udp_sk(sk)->encap_type, ENCAP_TYPE);
	if (!udp_test_and_set_bit(ENCAP_ENABLED, sk))
		udp_encap_enable();
	return 0;
}
