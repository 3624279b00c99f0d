/* SPDX-License-Identifier: BSD-3-Clause */
/* Which version of the library this is. */
#include <cbit/api.h>

const char *cbit_version(void)
{
	return CBIT_VERSION;
}
