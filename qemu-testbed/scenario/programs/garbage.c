// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// garbage udp ADDRESS PORT N    sends N datagrams that are random, cut short, or larger than any
//                               that Holon sends, some with a right-looking beginning
// garbage flood ADDRESS PORT N  the same as fast as it can
// garbage ioctl DEVICE N        makes N ioctl calls with random numbers, sizes and arguments
// The receiver must refuse each; that it did, its counters tell.
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* The protocol's version, netproto/src/wire/header.rs: what is of another is not looked at. */
#define VERSION 5

static uint64_t state = 88172645463325252ULL;

static uint64_t dice(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

static void fill(uint8_t *bytes, size_t count)
{
	for (size_t i = 0; i < count; i++)
		bytes[i] = dice();
}

static int udp(const char *address, int port, long count, int is_slow)
{
	struct sockaddr_in peer = { .sin_family = AF_INET, .sin_port = htons(port) };
	static uint8_t bytes[60000];
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	if (fd < 0 || inet_pton(AF_INET, address, &peer.sin_addr) != 1)
		return 1;
	for (long n = 0; n < count; n++) {
		size_t size = n % 100 == 0 ? sizeof(bytes) : dice() % 1500;
		fill(bytes, size);
		if (n % 3 == 0 && size >= 8) {
			memcpy(bytes, "HOLN", 4);
			bytes[4] = VERSION;
			bytes[5] = dice() % 9;
		}
		sendto(fd, bytes, size, 0, (struct sockaddr *)&peer, sizeof(peer));
		if (is_slow && n % 64 == 0)
			usleep(2000); /* the receiver's queue is no part of this test */
	}
	return 0;
}

static int calls(const char *device, long count)
{
	static uint8_t argument[16384];
	int fd = open(device, O_RDWR | O_CLOEXEC), taken = 0;
	if (fd < 0) {
		perror(device);
		return 1;
	}
	for (long n = 0; n < count; n++) {
		unsigned long request = (dice() & 0xffff00ffUL) | ('H' << 8);
		void *at = n % 5 == 0 ? (void *)(uintptr_t)dice() : argument;
		if (n % 7 == 0)
			request = (request & ~0xffUL) | (0x80 + dice() % 0x80);
		fill(argument, 512);
		if (ioctl(fd, request, at) >= 0)
			taken++;
	}
	printf("%d of %ld calls were taken\n", taken, count);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 5 && (!strcmp(argv[1], "udp") || !strcmp(argv[1], "flood")))
		return udp(argv[2], atoi(argv[3]), atol(argv[4]), argv[1][0] == 'u');
	if (argc == 4 && !strcmp(argv[1], "ioctl"))
		return calls(argv[2], atol(argv[3]));
	fprintf(stderr, "usage: garbage udp|flood ADDRESS PORT N | garbage ioctl DEVICE N\n");
	return 2;
}
