/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One access to many places of a backing: the ordinary case only, all of them in one region and
 * under the key that its bytes are plaintext of.
 */
#include "mem_internal.h"

#define PARTS 64

bool cbit_mem_gather(struct cbit_mem *mem, const struct cbit_mem_span *spans, unsigned int nr,
		     void *buf, bool write)
{
	struct cbit_mem_part parts[PARTS];
	struct mem_region *region = NULL;

	if (nr > PARTS)
		return false;
	for (unsigned int i = 0; i < nr; i++) {
		const uint64_t spa = spans[i].addr.v & ~mem->c_mask;
		const bool c = spa != spans[i].addr.v;
		size_t len = spans[i].len;
		struct mem_region *r = cbit_mem_region_decode(mem, spa, &len);

		if (!r || len != spans[i].len || (region && r != region) || !r->has_ops ||
		    !r->ops.move || !r->pub.encrypts ||
		    !cbit_mem_is_straight(mem, r,
					  c || mem->platform.tsme ? CBIT_KEY_HOST : CBIT_KEY_NONE))
			return false;
		region = r;
		parts[i] = (struct cbit_mem_part){ spa - r->pub.base.v, len };
	}
	return region && !region->ops.move(region->opaque, parts, nr, buf, write);
}
