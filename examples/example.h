/* SPDX-License-Identifier: BSD-3-Clause */
/* What the examples share: give up with words when a call fails. */
#ifndef EXAMPLE_H
#define EXAMPLE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Calls of libcbit that can fail return 0 or a negative errno. */
#define MUST(call)                                                                    \
	do {                                                                          \
		int must_ret = (call);                                                \
		if (must_ret) {                                                       \
			fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #call, \
				strerror(-must_ret));                                 \
			exit(1);                                                      \
		}                                                                     \
	} while (0)

#endif
