/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Runs that do not continue one another in SPA space, as pages scattered over memory are: where
 * what is behind them would rather have many at once (a client's memory costs a system call each
 * time), they are moved together. Nothing unusual is done here: where anything is to be said of a
 * run, nothing is moved, and the runs are gone through one by one.
 */
#include "dma.h"

#define SPANS 64

/* At most @want bytes. False: nothing has happened, and the rest of the request goes run by run. */
bool cbit_dma_gather(struct dma *d, uint64_t want)
{
	struct cbit_mem *mem = d->q.iommu->out;
	struct cbit_mem_span spans[SPANS];
	const size_t start = d->off;
	struct cbit_pt_leaf leaf;
	unsigned int nr = 0;
	struct failure f;
	uint64_t n;

	while (nr < SPANS && d->off - start < want) {
		if (cbit_dma_next_leaf(d, &leaf, &f) || cbit_request_denied(&d->q, &leaf) ||
		    leaf.attrs & LEAF_STALE)
			break;
		n = cbit_dma_run_length(d, &leaf, want - (d->off - start));
		spans[nr++] = (struct cbit_mem_span){ cbit_dma_bus(d, &leaf), (size_t)n };
		d->off += n;
	}
	if (nr > 1 && cbit_mem_gather(mem, spans, nr, d->buf + start, d->q.write)) {
		if (d->status == CBIT_DMA_OK)
			d->good += d->off - start;
		return true;
	}
	d->off = start;
	d->ahead.size = 0;
	d->scattered = false;
	d->one_by_one = true;
	return false;
}
