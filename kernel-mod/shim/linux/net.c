// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
/* A kernel UDP socket: from its opening to its end, and what the route to a peer takes. */
#include <linux/in.h>
#include <linux/pkt_sched.h>
#include <linux/slab.h>
#include <linux/udp.h>
#include <net/ip.h>
#include <net/net_namespace.h>
#include <net/route.h>
#include <net/sock.h>
#include <net/udp.h>

#include "net_shim.h"
#include "probed.h"

#ifdef HAVE_SOCKADDR_UNSIZED
typedef struct sockaddr_unsized bind_addr;
#else
typedef struct sockaddr bind_addr;
#endif

#define BUFFER_LEN (4 << 20)
/* Expedited forwarding: somebody waits. */
#define TOS_URGENT 0xb8

static void data_ready(struct sock *sk)
{
	struct kpi_udp *u;

	read_lock_bh(&sk->sk_callback_lock);
	u = sk->sk_user_data;
	if (u)
		wake_up(u->readable);
	read_unlock_bh(&sk->sk_callback_lock);
}

static void set_user(struct kpi_udp *u, void *user)
{
	struct sock *sk = u->sock->sk;

	write_lock_bh(&sk->sk_callback_lock);
	sk->sk_user_data = user;
	if (user)
		sk->sk_data_ready = data_ready;
	write_unlock_bh(&sk->sk_callback_lock);
}

static int bind_to(struct socket *sock, u32 addr_be, u16 port, int ifindex)
{
	struct sockaddr_in to = kpi_udp_ipv4(addr_be, port);
	int rc = sock_bindtoindex(sock->sk, ifindex, true);

	return rc ? rc : kernel_bind(sock, (bind_addr *)&to, sizeof(to));
}

/* Its packets are what page-out waits for: they never wait for memory, but take the last of it. */
static void set_up(struct kpi_udp *u)
{
	struct sock *sk = u->sock->sk;

	sk->sk_allocation = GFP_ATOMIC;
	sk->sk_sndbuf = BUFFER_LEN;
	sk->sk_rcvbuf = BUFFER_LEN;
	sk_set_memalloc(sk);
	ip_sock_set_mtu_discover(sk, IP_PMTUDISC_WANT);
	set_user(u, u);
}

/* What comes together is taken together. */
static int gather(struct socket *sock)
{
	int one = 1;

	return sock->ops->setsockopt(sock, SOL_UDP, UDP_GRO, KERNEL_SOCKPTR(&one), sizeof(one));
}

int kpi_udp_open(u32 addr_be, u16 port, int ifindex, struct kpi_waitq *readable,
		 struct kpi_udp **out)
{
	struct kpi_udp *u = kzalloc(sizeof(*u), GFP_KERNEL);
	int rc;

	if (!u)
		return -ENOMEM;
	u->readable = (wait_queue_head_t *)readable;
	rc = sock_create_kern(&init_net, AF_INET, SOCK_DGRAM, IPPROTO_UDP, &u->sock);
	if (rc) {
		kfree(u);
		return rc;
	}
	set_up(u);
	rc = gather(u->sock);
	if (!rc)
		rc = bind_to(u->sock, addr_be, port, ifindex);
	if (rc)
		kpi_udp_close(u);
	else
		*out = u;
	return rc;
}

void kpi_udp_mark_urgent(struct kpi_udp *u)
{
	ip_sock_set_tos(u->sock->sk, TOS_URGENT);
	sock_set_priority(u->sock->sk, TC_PRIO_INTERACTIVE);
}

void kpi_udp_close(struct kpi_udp *u)
{
	set_user(u, NULL);
	sk_clear_memalloc(u->sock->sk);
	sock_release(u->sock);
	synchronize_rcu();
	kfree(u);
}

int kpi_udp_route_mtu(struct kpi_udp *u, u32 addr_be)
{
	struct flowi4 fl4 = {
		.daddr = (__force __be32)addr_be,
		.saddr = inet_sk(u->sock->sk)->inet_saddr,
		.flowi4_oif = u->sock->sk->sk_bound_dev_if,
		.flowi4_proto = IPPROTO_UDP,
	};
	struct rtable *rt = ip_route_output_key(&init_net, &fl4);
	int mtu;

	if (IS_ERR(rt))
		return PTR_ERR(rt);
	mtu = dst_mtu(&rt->dst);
	ip_rt_put(rt);
	return mtu;
}
