/* SPDX-License-Identifier: BSD-3-Clause */
/* client_errno's way of checking one call at a time: a TAP line each. */
#ifndef TESTS_CLIENTS_ERRNO_CHECK_H
#define TESTS_CLIENTS_ERRNO_CHECK_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include "vfio_client.h"

/* Prints ok or not ok; expected and got are 0 or an errno. */
void check_errno(const char *name, int expected, int got);
void check_true(const char *name, bool condition);

/* A call's result: 0 when it did not return -1, its errno otherwise. */
#define ERRNO_OF(call)               ((errno = 0, (call)) == -1 ? errno : 0)
#define EXPECT(name, expected, call) check_errno(name, expected, ERRNO_OF(call))

/* The subjects, each leaving what it opened as it found it. */
void check_container_and_group(int type);
void check_map(struct vc *c, int type);
void check_unmap(struct vc *c, int type);
void check_limit(struct vc *c);
void check_device(struct vc *c);
void check_irqs(struct vc *c);

#endif
