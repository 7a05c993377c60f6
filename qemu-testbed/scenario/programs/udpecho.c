// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// udpecho serve PORT            answers each datagram with 4 KiB
// udpecho ask ADDRESS PORT N    asks N times (a 64-byte question, a 4 KiB answer, as a page fetch
//                               has) and prints median and 99th percentile in microseconds
// The yardstick for a remote page fault: the same bytes on the same wire from plain user space.
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

static int serve(int fd, int port)
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
		sendto(fd, buffer, sizeof(buffer), 0, (struct sockaddr *)&from, size);
	}
}

static int ask(int fd, const char *address, int port, size_t count)
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
		if (recv(fd, buffer, sizeof(buffer), 0) == sizeof(buffer))
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
	if (argc == 3 && !strcmp(argv[1], "serve"))
		return serve(fd, atoi(argv[2]));
	if (argc == 5 && !strcmp(argv[1], "ask"))
		return ask(fd, argv[2], atoi(argv[3]), strtoul(argv[4], NULL, 0));
	fprintf(stderr, "usage: udpecho serve PORT | ask ADDRESS PORT N\n");
	return 2;
}
