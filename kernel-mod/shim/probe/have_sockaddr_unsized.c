// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
/* 6.19: kernel_bind() and friends take struct sockaddr_unsized instead of struct sockaddr. */
#include <linux/net.h>
int probe(struct socket *s, struct sockaddr_unsized *a);
int probe(struct socket *s, struct sockaddr_unsized *a) { return kernel_bind(s, a, 16); }
