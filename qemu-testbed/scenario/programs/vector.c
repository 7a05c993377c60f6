// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
//
// vector ROUNDS: a sum kept in vector registers (AVX where the CPU has it), a chain of x87 and
// SSE arithmetic, and vDSO clock reads. Prints a digest that depends on ROUNDS alone, so a moved
// run must print the same line as one that stayed. The clock must never run backwards by more
// than the nodes' clocks of day differ within a run.
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef double lanes __attribute__((vector_size(32)));

__attribute__((target("avx2"))) static void spin(lanes *in_out, unsigned long count)
{
	lanes sum = *in_out;
	const lanes factor = { 1.0000001, 0.9999999, 1.0000003, 0.9999997 };
	const lanes step = { 0.125, 0.25, 0.5, 0.0625 };
	for (unsigned long i = 0; i < count; i++)
		sum = sum * factor + step;
	*in_out = sum;
}

int main(int argc, char **argv)
{
	if (argc != 2) {
		fprintf(stderr, "usage: vector ROUNDS\n");
		return 2;
	}
	unsigned long rounds = strtoul(argv[1], NULL, 0);
	lanes sum = { 1, 2, 3, 4 };
	long double extended = 1;
	double scalar = 0;
	time_t last = 0;
	for (unsigned long round = 0; round < rounds; round++) {
		struct timespec ts;
		spin(&sum, 100000);
		extended = sqrtl(extended + round) * 1.5L;
		scalar += sin(round * 0.001);
		clock_gettime(CLOCK_REALTIME, &ts);
		/* The nodes' clocks of day differ, but not by as much as nonsense would. */
		if (ts.tv_sec + 60 < last) {
			printf("clock went back\n");
			return 1;
		}
		last = ts.tv_sec;
	}
	uint64_t bits[4], scalar_bits;
	memcpy(bits, &sum, sizeof(bits));
	memcpy(&scalar_bits, &scalar, sizeof(scalar_bits));
	printf("digest %016llx %016llx %016llx %016llx %016llx %.15Lg\n",
	       (unsigned long long)bits[0], (unsigned long long)bits[1],
	       (unsigned long long)bits[2], (unsigned long long)bits[3],
	       (unsigned long long)scalar_bits, extended);
	return 0;
}
