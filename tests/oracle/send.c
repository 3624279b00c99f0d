// SPDX-License-Identifier: BSD-3-Clause
/*
 * Sends its input out of the oracle's guest: through QEMU's debug port, a byte a time, which is
 * faster than a serial line by far.
 */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define PORT 0xe9 /* -device isa-debugcon */

int main(void)
{
	int port = open("/dev/port", O_WRONLY), c;

	if (port < 0) {
		perror("send: /dev/port");
		return 1;
	}
	while ((c = getchar()) != EOF) {
		char byte = (char)c;

		if (pwrite(port, &byte, 1, PORT) != 1) {
			perror("send");
			return 1;
		}
	}
	return 0;
}
