// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// udpecho serve PORT [LEN]           answers each datagram with so many bytes; 4 KiB if not told
// udpecho ask ADDRESS PORT N [LEN]   asks N times (a 64-byte question) and prints median and 99th
//                                    percentile in microseconds
// The yardstick for a remote page fault, and with 64 bytes for a small question: the same bytes on
// the same wire from plain user space.
#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>

static int64_t now_ns(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

static int compare(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
	return (x > y) - (x < y);
}

static int serve(int fd, int port, size_t len)
{
	struct sockaddr_in own = { .sin_family = AF_INET, .sin_port = htons(port) };
	char buffer[4096] = { 0 };
	if (bind(fd, (struct sockaddr *)&own, sizeof(own)))
		return perror("bind"), 1;
	for (;;) {
		struct sockaddr_in from;
		socklen_t size = sizeof(from);
		if (recvfrom(fd, buffer, sizeof(buffer), 0, (struct sockaddr *)&from, &size) < 0)
			return perror("recvfrom"), 1;
		sendto(fd, buffer, len, 0, (struct sockaddr *)&from, size);
	}
}

static int ask(int fd, const char *address, int port, size_t count, size_t len)
{
	struct sockaddr_in peer = { .sin_family = AF_INET, .sin_port = htons(port) };
	struct timeval limit = { .tv_sec = 2 };
	int64_t *took = calloc(count, sizeof(*took));
	char buffer[4096] = { 0 };
	size_t lost = 0, kept = 0;
	if (!took || !count || inet_pton(AF_INET, address, &peer.sin_addr) != 1)
		return 1;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	if (connect(fd, (struct sockaddr *)&peer, sizeof(peer)))
		return perror("connect"), 1;
	for (size_t n = 0; n < count; n++) {
		int64_t start = now_ns();
		send(fd, buffer, 64, 0);
		if (recv(fd, buffer, sizeof(buffer), 0) == (ssize_t)len)
			took[kept++] = now_ns() - start;
		else
			lost++;
	}
	if (!kept)
		return printf("no answer\n"), 1;
	qsort(took, kept, sizeof(*took), compare);
	printf("median_us %.1f p99_us %.1f lost %zu\n", took[kept / 2] / 1e3,
	       took[kept * 99 / 100] / 1e3, lost);
	return 0;
}

int main(int argc, char **argv)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	int is_serve = argc >= 3 && !strcmp(argv[1], "serve");
	int is_ask = argc >= 5 && !strcmp(argv[1], "ask");
	int at = is_serve ? 3 : 5;
	size_t len = argc > at ? strtoul(argv[at], NULL, 0) : 4096;
	if (len > 0 && len <= 4096 && argc <= at + 1 && is_serve)
		return serve(fd, atoi(argv[2]), len);
	if (len > 0 && len <= 4096 && argc <= at + 1 && is_ask)
		return ask(fd, argv[2], atoi(argv[3]), strtoul(argv[4], NULL, 0), len);
	fprintf(stderr, "usage: udpecho serve PORT [LEN] | ask ADDRESS PORT N [LEN]\n");
	return 2;
}
