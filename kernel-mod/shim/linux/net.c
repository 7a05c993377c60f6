// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
/* A kernel UDP socket. */
#include <linux/crc32c.h>
#include <linux/in.h>
#include <linux/net.h>
#include <linux/slab.h>
#include <linux/wait.h>
#include <net/net_namespace.h>
#include <net/sock.h>
#include <net/udp.h>

#include "kpi.h"
#include "probed.h"

#ifdef HAVE_SOCKADDR_UNSIZED
typedef struct sockaddr_unsized bind_addr;
#else
typedef struct sockaddr bind_addr;
#endif

#define IOV_MAX_LEN 8
#define BUFFER_LEN (4 << 20)

struct kpi_udp {
	struct socket *sock;
	wait_queue_head_t *readable;
};

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
	if (user) {
		sk->sk_data_ready = data_ready;
		sk->sk_rcvbuf = BUFFER_LEN;
		sk->sk_sndbuf = BUFFER_LEN;
	}
	write_unlock_bh(&sk->sk_callback_lock);
}

static struct sockaddr_in ipv4(u32 addr_be, u16 port)
{
	return (struct sockaddr_in){
		.sin_family = AF_INET,
		.sin_addr.s_addr = (__force __be32)addr_be,
		.sin_port = htons(port),
	};
}

static int bind_to(struct socket *sock, struct sockaddr_in *to, int ifindex)
{
	int rc = sock_bindtoindex(sock->sk, ifindex, true);

	return rc ? rc : kernel_bind(sock, (bind_addr *)to, sizeof(*to));
}

static int open_bound(struct kpi_udp *u, struct sockaddr_in *to, int ifindex)
{
	int rc = sock_create_kern(&init_net, AF_INET, SOCK_DGRAM, IPPROTO_UDP, &u->sock);

	if (rc)
		return rc;
	set_user(u, u);
	rc = bind_to(u->sock, to, ifindex);
	if (rc)
		sock_release(u->sock);
	return rc;
}

int kpi_udp_open(u32 addr_be, u16 port, int ifindex, struct kpi_waitq *readable,
		 struct kpi_udp **out)
{
	struct sockaddr_in to = ipv4(addr_be, port);
	struct kpi_udp *u = kzalloc(sizeof(*u), GFP_KERNEL);
	int rc;

	if (!u)
		return -ENOMEM;
	u->readable = (wait_queue_head_t *)readable;
	rc = open_bound(u, &to, ifindex);
	if (rc)
		kfree(u);
	else
		*out = u;
	return rc;
}

void kpi_udp_close(struct kpi_udp *u)
{
	set_user(u, NULL);
	sock_release(u->sock);
	synchronize_rcu();
	kfree(u);
}

int kpi_udp_send(struct kpi_udp *u, u32 addr_be, u16 port, const struct kpi_iovec *iov, size_t n)
{
	struct sockaddr_in to = ipv4(addr_be, port);
	struct msghdr msg = { .msg_name = &to, .msg_namelen = sizeof(to),
			      .msg_flags = MSG_DONTWAIT | MSG_NOSIGNAL };
	struct kvec vec[IOV_MAX_LEN];
	size_t len = 0, i;
	int rc;

	if (n > IOV_MAX_LEN)
		return -EINVAL;
	for (i = 0; i < n; len += iov[i++].len)
		vec[i] = (struct kvec){ (void *)iov[i].base, iov[i].len };
	rc = kernel_sendmsg(u->sock, &msg, vec, n, len);
	return rc < 0 ? rc : 0;
}

s64 kpi_udp_recv(struct kpi_udp *u, u8 *buf, size_t len, u32 *addr_be, u16 *port)
{
	struct sockaddr_in from = {};
	struct msghdr msg = { .msg_name = &from, .msg_namelen = sizeof(from) };
	struct kvec vec = { buf, len };
	int rc = kernel_recvmsg(u->sock, &msg, &vec, 1, len, MSG_DONTWAIT | MSG_TRUNC);

	*addr_be = (__force u32)from.sin_addr.s_addr;
	*port = ntohs(from.sin_port);
	return rc;
}

bool kpi_udp_readable(struct kpi_udp *u)
{
	return !skb_queue_empty_lockless(&u->sock->sk->sk_receive_queue) ||
	       !skb_queue_empty_lockless(&udp_sk(u->sock->sk)->reader_queue);
}

u32 kpi_crc32c(u32 seed, const u8 *data, size_t len)
{
	return crc32c(seed, data, len);
}
