/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a kernel's DMA API and its IOMMU driver decide. Functions named are those of Linux 7.2
 * unless a comment says otherwise; what "complete" does instead is named "complete".
 */
#include <errno.h>

#include "policy_internal.h"

#define LAST_BYTE(ask) ((ask)->phys + ((ask)->size - 1))

static void say(struct cbit_policy_decision *out, const char *function, const char *why)
{
	out->step[out->steps++] = (struct cbit_policy_step){ function, why };
}

static int refuse(struct cbit_policy_decision *out, int error, const char *function,
		  const char *why)
{
	out->way = CBIT_DMA_WAY_REFUSE;
	out->error = error;
	out->attrs = 0;
	say(out, function, why);
	return error;
}

/* sme_me_mask: the C-bit that this kernel puts into its entries. */
static uint64_t c_mask(const struct cbit_policy_dma *ask)
{
	if (ask->guest)
		return ask->confidential ? UINT64_C(1) << ask->platform->c_bit : 0;
	return cbit_platform_c_mask(ask->platform);
}

/* dma_capable(), with or without the C-bit in the address. */
static bool capable(const struct cbit_policy_dma *ask, bool c)
{
	return (LAST_BYTE(ask) | (c ? c_mask(ask) : 0)) <= ask->mask;
}

/* iova_unaligned() */
static bool unaligned(const struct cbit_policy_dma *ask)
{
	return (ask->phys | ask->size) & ~CBIT_PAGE_MASK;
}

static void set_c(const struct cbit_policy_dma *ask, struct cbit_policy_decision *out)
{
	if (c_mask(ask))
		out->attrs |= CBIT_ATTR_ENCRYPTED;
}

static int bounce(const struct cbit_policy_dma *ask, struct cbit_policy_decision *out,
		  const char *function, const char *why)
{
	if (ask->require_coherent)
		return refuse(
			out, -EOPNOTSUPP, function,
			"the buffer would have to be bounced, which DMA_ATTR_REQUIRE_COHERENT "
			"forbids");
	out->way = CBIT_DMA_WAY_BOUNCE;
	say(out, function, why);
	return 0;
}

/* The format's half: what becomes of prot in an entry (generic_pt/fmt/amdv1.h). */
static void format(const struct cbit_policy *policy, const struct cbit_policy_dma *ask, bool mmio,
		   struct cbit_policy_decision *out)
{
	static const char function[] = "amdv1pt_iommu_set_prot()";

	if (!c_mask(ask)) {
		say(out, function, "this kernel has no C-bit");
	} else if (mmio && policy->format_honours_mmio) {
		say(out, function, "C-bit clear: IOMMU_MMIO");
	} else {
		set_c(ask, out);
		say(out, function,
		    mmio ? "C-bit set: this format does not look at IOMMU_MMIO"
			 : "C-bit set: the tables are encrypted, so leaves are; no prot flag says "
			   "that a page is shared");
	}
}

/* iommu_dma_map_phys() as Linux has it; in 6.17 iommu_dma_map_page() and _map_resource(). */
static int linux_iommu(const struct cbit_policy *policy, const struct cbit_policy_dma *ask,
		       struct cbit_policy_decision *out)
{
	if (ask->cc_shared)
		return refuse(out, -EOPNOTSUPP, "dma_map_phys()",
			      "DMA_ATTR_CC_SHARED is for dma-direct only");
	if (!ask->mmio && ask->untrusted && unaligned(ask)) {
		if (bounce(ask, out, "dev_use_swiotlb()",
			   "bounced: an untrusted device, and the buffer does not fill its pages"))
			return out->error;
		out->zero_padding = true; /* iommu_dma_map_swiotlb() */
	} else {
		say(out, "dev_use_swiotlb()",
		    ask->mmio ? "not bounced: a device's window"
		    : ask->untrusted
			    ? "not bounced: the buffer fills its pages"
			    : "not bounced: the device is trusted; nobody asks whether the "
			      "page is private");
	}
	say(out, "dma_info_to_prot()", ask->mmio ? "IOMMU_MMIO" : "IOMMU_CACHE");
	format(policy, ask, ask->mmio, out);
	return 0;
}

/* dma_direct_map_phys() as Linux has it; in 6.17 dma_direct_map_page() and _map_resource(). */
static int linux_direct(const struct cbit_policy *policy, const struct cbit_policy_dma *ask,
			struct cbit_policy_decision *out)
{
	if (ask->mmio && policy->mmio_unforced) {
		say(out, "dma_direct_map_resource()", "the window's address, without the C-bit");
	} else if (ask->confidential) { /* pci_swiotlb_detect() sets SWIOTLB_FORCE */
		if (ask->mmio && !ask->cc_shared)
			return refuse(out, -EOPNOTSUPP, "dma_direct_map_phys()",
				      "bouncing is forced in a confidential guest, and a device's "
				      "window cannot be bounced");
		if (!ask->cc_shared)
			return bounce(ask, out, "is_swiotlb_force_bounce()",
				      "bounced: a confidential guest bounces everything");
		say(out, "phys_to_dma_unencrypted()",
		    "the caller has shared it: its address, without the C-bit");
	} else if (ask->cc_shared) {
		return refuse(out, -EOPNOTSUPP, "dma_direct_map_phys()",
			      "DMA_ATTR_CC_SHARED is for guests that have to bounce");
	} else if (ask->mmio) {
		say(out, "dma_direct_map_phys()", "the window's address, without the C-bit");
	} else {
		if (!capable(ask, true)) {
			if (ask->require_coherent)
				return refuse(out, -ERANGE, "dma_capable()",
					      "the device's mask does not reach the address, and "
					      "DMA_ATTR_REQUIRE_COHERENT forbids a bounce");
			return bounce(ask, out, "dma_capable()",
				      "bounced: the device's mask does not reach the address with "
				      "the C-bit in it");
		}
		set_c(ask, out);
		say(out, "phys_to_dma()",
		    "the buffer's address, with the kernel's C-bit if it has one");
		return 0;
	}
	if (!capable(ask, false))
		return refuse(out, -ERANGE, "dma_capable()",
			      "the device's mask does not reach the address");
	return 0;
}

/*
 * "complete": the C-bit of an entry or address is the one that the kernel itself has on the page,
 * and what the device may not see is bounced; with an IOMMU and without.
 */
static int complete(const struct cbit_policy *policy, const struct cbit_policy_dma *ask,
		    struct cbit_policy_decision *out)
{
	static const char function[] = "complete: dma_map_phys()";
	bool mmio = ask->mmio || ask->window;
	bool trusted = ask->confidential && ask->tdisp_run && policy->tdisp;
	bool c = c_mask(ask) && ask->pages == CBIT_DMA_PAGES_C && !ask->cc_shared;

	if (ask->cc_shared && !ask->confidential)
		return refuse(out, -EOPNOTSUPP, function,
			      "DMA_ATTR_CC_SHARED: nothing is shared outside a confidential guest");
	if (mmio) {
		c = c && trusted;
		if (!c && ask->iommu && c_mask(ask) && !policy->format_honours_mmio)
			c = true; /* only in a derived policy */
		say(out, function,
		    c ? "a private window and a device in TDISP run state, or a format that does "
			"not look at IOMMU_MMIO: C-bit set"
		      : "a device's window: C-bit clear");
	} else if (ask->pages == CBIT_DMA_PAGES_MIXED && !ask->cc_shared && c_mask(ask)) {
		return bounce(ask, out, function,
			      "bounced: pages with and without the C-bit under one address");
	} else if (ask->iommu && ask->untrusted && !trusted && unaligned(ask)) {
		return bounce(
			ask, out, function,
			"bounced: an untrusted device, and the buffer does not fill its pages");
	} else if (ask->confidential && c && !trusted && (!ask->iommu || policy->iommu_bounces)) {
		return bounce(ask, out, function,
			      "bounced: the page is private and the device not in TDISP run state");
	} else {
		say(out, function,
		    c ? "the C-bit set, as in the kernel's own mapping of the page"
		      : "the C-bit clear, as in the kernel's own mapping of the page");
	}
	if (!ask->iommu && !capable(ask, c)) {
		if (!mmio && !ask->require_coherent)
			return bounce(ask, out, "dma_capable()",
				      "bounced: the device's mask does not reach the address");
		return refuse(out, -ERANGE, "dma_capable()",
			      "the device's mask does not reach the address, and a bounce is not "
			      "allowed");
	}
	if (c)
		set_c(ask, out);
	/* a derived policy may set it where it should be clear */
	if (!c && c_mask(ask) && ask->iommu && !mmio && !policy->iommu_shared_clear) {
		set_c(ask, out);
		say(out, "complete: iommu_map()", "C-bit set on a shared page");
	}
	return 0;
}

bool cbit_policy_dma_looks(const struct cbit_policy *policy)
{
	return policy->sees_pages;
}

int cbit_policy_dma_map(const struct cbit_policy *policy, const struct cbit_policy_dma *ask,
			struct cbit_policy_decision *out)
{
	int err;

	*out = (struct cbit_policy_decision){ .attrs = (ask->rw & CBIT_ATTR_RW) | CBIT_ATTR_CACHE };
	if (!policy->phys_attrs && (ask->cc_shared || ask->require_coherent))
		return refuse(out, -EOPNOTSUPP, "dma_map_page_attrs()",
			      "this kernel has neither DMA_ATTR_CC_SHARED nor "
			      "DMA_ATTR_REQUIRE_COHERENT");
	if (!policy->sees_pages)
		return ask->iommu ? linux_iommu(policy, ask, out) : linux_direct(policy, ask, out);
	err = complete(policy, ask, out);
	if (!err && ask->iommu && out->way == CBIT_DMA_WAY_BOUNCE) {
		out->zero_padding = true;
		if (!policy->iommu_shared_clear)
			set_c(ask, out);
		say(out, "complete: iommu_map()",
		    policy->iommu_shared_clear ? "C-bit clear: slots are shared or plain pages"
					       : "C-bit set on a shared page");
	}
	return err;
}

/* force_dma_unencrypted() */
static bool force_unencrypted(const struct cbit_policy_dma *ask)
{
	if (ask->confidential)
		return true;
	return c_mask(ask) && ask->mask <= c_mask(ask) - 1;
}

void cbit_policy_dma_coherent(const struct cbit_policy *policy, const struct cbit_policy_dma *ask,
			      struct cbit_policy_decision *out)
{
	*out = (struct cbit_policy_decision){ .attrs = CBIT_ATTR_RW | CBIT_ATTR_CACHE };
	if (ask->confidential && ask->tdisp_run && policy->tdisp &&
	    (ask->iommu || c_mask(ask) <= ask->mask)) {
		set_c(ask, out);
		say(out, "complete: dma_alloc_coherent()",
		    "private, C-bit set: a device in TDISP run state");
	} else if (ask->iommu && !(policy->iommu_bounces && ask->confidential)) {
		say(out, "iommu_dma_alloc()",
		    "the pages stay as they are: nothing makes them shared");
		format(policy, ask, false, out);
	} else if (ask->iommu) {
		out->decrypt = true;
		if (!policy->iommu_shared_clear)
			set_c(ask, out);
		say(out, "complete: iommu_dma_alloc()", "made shared, C-bit clear");
	} else if (force_unencrypted(ask)) {
		out->decrypt = true;
		say(out, "force_dma_unencrypted()",
		    ask->confidential ? "made shared: a confidential guest"
				      : "made plain: the device's mask does not reach the C-bit");
	} else {
		set_c(ask, out);
		say(out, "phys_to_dma_direct()",
		    "the memory's address, with the kernel's C-bit if it has one");
	}
}

void cbit_policy_iommu_tables(const struct cbit_policy *policy, const struct cbit_policy_dma *ask,
			      struct cbit_policy_decision *out)
{
	*out = (struct cbit_policy_decision){ 0 };
	if (ask->guest && ask->confidential && policy->tables_shared) {
		out->decrypt = true;
		say(out, "complete: iommu_alloc_pages_node_sz()",
		    "tables and rings in shared pages, C-bit clear: the hypervisor reads them");
		return;
	}
	set_c(ask, out);
	/* iommu_virt_to_phys() for rings and tables, PT_FEAT_AMDV1_ENCRYPT_TABLES for pointers */
	say(out, "iommu_virt_to_phys()",
	    "as the kernel's own memory is: with its C-bit if it has one");
}
