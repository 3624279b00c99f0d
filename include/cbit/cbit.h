/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * All of libcbit: every public header, in the order in which they build on one another.
 * docs/libcbit.md says how to use the library, and what it promises.
 */
#ifndef CBIT_CBIT_H
#define CBIT_CBIT_H

#include <cbit/api.h>
#include <cbit/types.h>
#include <cbit/mem.h>
#include <cbit/rmp.h>
#include <cbit/pt.h>
#include <cbit/amdvi.h>
#include <cbit/iommu.h>
#include <cbit/policy.h>
#include <cbit/dma.h>
#include <cbit/guest.h>
#include <cbit/viommu.h>
#include <cbit/apics.h>
#include <cbit/fault.h>
#include <cbit/dev.h>
#include <cbit/vfio.h>
#include <cbit/report.h>
#include <cbit/sim.h>
#include <cbit/scenario.h>
#include <cbit/matrix.h>
#include <cbit/explore.h>

#endif
