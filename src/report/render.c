/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Rendering findings: as text for people, as JSON for programs.
 */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "report_internal.h"

const struct finding_text finding_texts[NR_FINDING_IDS] = {
	[FINDING_MMIO_ENCRYPTED] = {
		"mmio-encrypted",
		"the IOMMU entries of a mapping have the C-bit set on device memory (MMIO)",
		"the C-bit is an address bit, and no MMIO window consumes it: the transaction "
		"leaves with it set, nothing decodes it, reads give all ones and writes are lost",
		"C-bit clear: whoever maps such pages passes IOMMU_MMIO (policy complete does, "
		"Linux 7.2's type1 does not)",
	},
	[FINDING_WRONG_KEY] = {
		"wrong-key",
		"DMA reached memory under another key than the program's",
		"the memory controller encrypts and decrypts by the C-bit of the access: program "
		"and device disagree on it, so each sees the other's bytes as noise",
		"the entry's C-bit as in the CPU's page table: set on RAM of an SME host",
	},
	[FINDING_IOVA_NOT_MAPPED] = {
		"iova-not-mapped",
		"a device used an IOVA that is not mapped",
		"the IOMMU found no entry and refused the DMA (IO_PAGE_FAULT)",
		"map the range before the device is told of it, unmap it after the device is done",
	},
	[FINDING_DMABUF_REVOKED] = {
		"dma-buf-revoked",
		"a device used a dma-buf that the device it belongs to has taken back",
		"its entries went when that device was reset, closed, put into low power or lost memory "
		"decoding, and do not come back; the IOMMU refused the DMA (IO_PAGE_FAULT)",
		"stop DMA to a device before that; when its memory answers again, unmap the range "
		"and map the dma-buf anew with IOMMU_IOAS_MAP_FILE",
	},
	[FINDING_WRITE_TO_READ_ONLY] = {
		"write-to-read-only",
		"a device wrote to memory that is mapped read-only for it",
		"the entry lacks IW, so the IOMMU refused the DMA (IO_PAGE_FAULT)",
		"map with VFIO_DMA_MAP_FLAG_WRITE what the device is to write",
	},
	[FINDING_READ_FROM_WRITE_ONLY] = {
		"read-from-write-only",
		"a device read memory that is mapped write-only for it",
		"the entry lacks IR, so the IOMMU refused the DMA (IO_PAGE_FAULT)",
		"map with VFIO_DMA_MAP_FLAG_READ what the device is to read",
	},
	[FINDING_MASTER_ABORT] = {
		"master-abort",
		"DMA went to an address that nothing decodes",
		"the entry points outside memory and every window: reads give all ones, writes are "
		"lost",
		"an entry for memory that is there",
	},
	[FINDING_MEMORY_GONE] = {
		"client-memory-gone",
		"DMA went to client memory that is not there any more",
		"the program unmapped or lost the memory while it was still mapped for DMA",
		"VFIO_IOMMU_UNMAP_DMA first, munmap afterwards",
	},
	[FINDING_STALE_IOTLB] = {
		"stale-iotlb",
		"DMA went through an IOTLB entry that the page tables no longer have",
		"a table was changed and the IOTLB not told: the device goes on using the old entry, and "
		"reaches memory that may belong to somebody else by now",
		"invalidate the range after each change of a present entry (INVALIDATE_IOMMU_PAGES, then "
		"COMPLETION_WAIT), before its memory is used for anything else",
	},
	[FINDING_BUS_MASTER_OFF] = {
		"bus-master-off",
		"a device was told to do DMA while its bus mastering was off",
		"nothing leaves the device: reads give all ones, writes are lost",
		"set bit 2 of the command register (offset 4 of configuration space) after open and "
		"after each reset that clears it",
	},
	[FINDING_MAP_EXISTS_IGNORED] = {
		"map-exists-ignored",
		"a device used an IOVA whose mapping call was refused with EEXIST",
		"the older mapping stays: the device reached its memory, not the memory that the "
		"refused call named",
		"look at the result of VFIO_IOMMU_MAP_DMA or IOMMU_IOAS_MAP; unmap the old range first, or choose "
		"another IOVA",
	},
	[FINDING_UNMAPPED_NOTHING] = {
		"unmapped-nothing",
		"an unmap call succeeded and unmapped nothing",
		"the call returned 0 with size 0, for no mapping lies in that range (with "
		"VFIO_TYPE1_IOMMU: none that begins at or after its start); what was meant is still "
		"mapped, or never was",
		"unmap the IOVA and size that were mapped, and compare the size that comes back",
	},
	[FINDING_NO_IOMMU] = {
		"map-before-set-iommu",
		"a container was used for DMA mappings before it had an IOMMU",
		"without VFIO_SET_IOMMU a container has no address space, and the call failed "
		"(EINVAL)",
		"in this order: open the container and the group, VFIO_GROUP_SET_CONTAINER, "
		"VFIO_SET_IOMMU, then VFIO_IOMMU_GET_INFO and VFIO_IOMMU_MAP_DMA",
	},
	[FINDING_MEMORY_CHANGED] = {
		"unmapped-while-mapped",
		"the program gave up memory that is still mapped for DMA",
		"the mapping keeps the old pages: the device goes on using them, and the program, "
		"which sees other pages at that address or none, never meets the device's data",
		"VFIO_IOMMU_UNMAP_DMA first, once the device has stopped; then give the memory up",
	},
	[FINDING_PRIVATE_PAGE] = {
		"private-page",
		"a device that is not trusted reached a page that a guest has private",
		"the page is encrypted with the guest's key, which such a device never has: it read "
		"ciphertext, or left noise for the guest",
		"memory that the guest shares: for a VFIO program a buffer of "
		"/dev/dma_heap/system_cc_shared, for a driver SWIOTLB or set_memory_decrypted(); or a "
		"trusted device in TDISP run state",
	},
	[FINDING_TABLE_PRIVATE] = {
		"table-in-private-memory",
		"a virtual IOMMU was pointed at tables in the guest's private memory",
		"the hypervisor, which emulates it, sees ciphertext there, or an address with the C-bit "
		"that is no memory of the guest's: the IOMMU is dead",
		"device table, page tables, rings and interrupt tables in shared pages, pointers to them "
		"without the C-bit",
	},
	[FINDING_SHARED_ENTRY_ENCRYPTED] = {
		"shared-entry-encrypted",
		"a virtual IOMMU's entry for a shared page has the C-bit set",
		"to the hypervisor the C-bit is part of the address: the entry leads to no memory of "
		"the guest's, reads give all ones and writes are lost",
		"C-bit clear in entries for pages that are shared with the hypervisor",
	},
	[FINDING_RMP_FAULT] = {
		"rmp-fault",
		"an access was refused by the reverse map table",
		"the page belongs to an SNP guest, or is not in the state that the access needs",
		"a shared page (a VFIO program gets them from /dev/dma_heap/system_cc_shared), a page "
		"whose state was changed first (page-state change request, RMPUPDATE, PVALIDATE), or a "
		"trusted device in TDISP run state",
	},
	[FINDING_INTERRUPT_LOST] = {
		"interrupt-lost",
		"an interrupt reached no CPU",
		"no CPU has the APIC id that the message names, or could name in its format, or the "
		"IOMMU aborted it",
		"a format with room for the id: 8 bits in compatibility format, 15 with "
		"kvm-msi-ext-dest-id, 32 with interrupt remapping",
	},
	[FINDING_MAPPING_LEAKED] = {
		"mapping-leaked",
		"a container went away with mappings left in it",
		"nobody unmapped them; the kernel does it at last close, but a device may still "
		"have used them",
		"VFIO_IOMMU_UNMAP_DMA for every VFIO_IOMMU_MAP_DMA, once the device has stopped",
	},
};

const char *report_outcome(const struct hit *hit)
{
	switch (hit->type) {
	case CBIT_EVENT_DMA_ABORT:
		return hit->write ? "lost (master abort)" : "all ones (master abort)";
	case CBIT_EVENT_DMA_WRONG_KEY:
		return hit->write ? "left noise" : "read noise";
	case CBIT_EVENT_DMA_NO_BACKING:
		return hit->write ? "lost (no memory)" : "all ones (no memory)";
	case CBIT_EVENT_DMA_NO_MASTER:
		return "did not happen";
	case CBIT_EVENT_DMA_STALE_IOTLB:
		return "went where the old entry leads";
	case CBIT_EVENT_DMA_REFUSED_MAP:
		return "went to the older mapping's memory";
	case CBIT_EVENT_DMA_PRIVATE:
		return hit->write ? "left noise for the guest" : "read ciphertext";
	case CBIT_EVENT_INTERRUPT_LOST:
		return "lost (no CPU)";
	default:
		return "refused (fault)";
	}
}

const char *report_backing(const struct cbit_mapping_info *m)
{
	switch (m->backing) {
	case CBIT_BACKING_FILE:
		return "offset in a file";
	case CBIT_BACKING_DMABUF:
		return "offset in a dma-buf";
	case CBIT_BACKING_REVOKED:
		return "offset in a revoked dma-buf";
	default:
		return "client address";
	}
}

static void bdf_text(uint16_t devid, char buf[16])
{
	snprintf(buf, 16, "0000:%02x:%02x.%x", devid >> 8, (devid >> 3) & 31, devid & 7);
}

static void text_mapping(FILE *out, const struct cbit_report *report, const struct finding *f)
{
	const struct cbit_mapping_info *m = &f->first.mapping;

	if (!m->id)
		return;
	fprintf(out,
		"    mapping: call %" PRIu64 " of process %d: IOVA 0x%" PRIx64 " length 0x%" PRIx64
		" %s -> %s 0x%" PRIx64 "\n",
		m->id, m->pid, m->iova.v, m->size, report_access(m->attrs), report_backing(m),
		m->vaddr);
	report_text_frames(out, report, m->trace);
}

static void text_entry(FILE *out, const struct cbit_report *report, const struct finding *f)
{
	const struct cbit_event *ev = &f->first;

	if (!ev->entry)
		return;
	fprintf(out,
		"    entry:   IOVA 0x%" PRIx64 " -> SPA 0x%" PRIx64
		" (%s%s%s), IOPTE 0x%016" PRIx64,
		ev->iova.v, ev->spa.v, f->region[0] ? f->region : "nothing",
		f->region[0] ? ", " : "", f->region[0] ? cbit_mem_kind_name(ev->kind) : "",
		ev->entry);
	if (ev->c_mask)
		fprintf(out, ", C-bit (bit %u) %s", report->platform.c_bit,
			ev->entry & ev->c_mask ? "set" : "clear");
	if (f->id == FINDING_STALE_IOTLB) {
		fputs(" in the IOTLB, in memory ", out);
		if (ev->entry_now)
			fprintf(out, "0x%016" PRIx64, ev->entry_now);
		else
			fputs("none", out);
	}
	if (f->runs)
		fprintf(out, "; and %" PRIu64 " more run%s of this mapping", f->runs,
			f->runs == 1 ? "" : "s");
	fputc('\n', out);
}

static void text_finding(FILE *out, const struct cbit_report *report, const struct finding *f)
{
	const struct finding_text *t = &finding_texts[f->id];
	uint64_t shown = f->hit_count < REPORT_HITS ? f->hit_count : REPORT_HITS;
	char bdf[16];

	fprintf(out, "cbit: finding %s: %s\n", t->id, t->summary);
	if (f->id == FINDING_MAPPING_LEAKED)
		fprintf(out,
			"    left:    %" PRIu64 " mapping%s, 0x%" PRIx64 " bytes; the first:\n",
			f->first.count, f->first.count == 1 ? "" : "s", f->first.len);
	report_text_fault(out, f);
	text_mapping(out, report, f);
	report_text_call(out, report, f);
	text_entry(out, report, f);
	report_text_alike(out, f);
	fprintf(out, "    wrong:   %s\n    right:   %s\n", t->wrong, t->right);
	for (uint64_t i = 0; i < shown; i++) {
		const struct hit *hit = &f->hits[i];

		bdf_text(hit->devid, bdf);
		fprintf(out, "    dma:     device %s %s IOVA 0x%" PRIx64, bdf,
			hit->write ? "write" : "read", hit->iova.v);
		if (hit->spa_valid)
			fprintf(out, " SPA 0x%" PRIx64, hit->spa.v);
		fprintf(out, " length 0x%" PRIx64, hit->len);
		if (f->alike.calls && hit->call)
			fprintf(out, " by mapping call %" PRIu64, hit->call);
		fprintf(out, ": %s\n", report_outcome(hit));
	}
	if (f->hit_count > shown)
		fprintf(out, "    dma:     and %" PRIu64 " more\n", f->hit_count - shown);
}

char *cbit_report_text(struct cbit_report *report)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	pthread_mutex_lock(&report->lock);
	for (const struct finding *f = report->first; f; f = f->next)
		text_finding(out, report, f);
	if (report->dropped)
		fprintf(out, "cbit: %" PRIu64 " further events not kept\n", report->dropped);
	if (report->count)
		fprintf(out, "cbit: %u finding%s\n", report->count, report->count == 1 ? "" : "s");
	else
		fprintf(out, "cbit: no findings\n");
	pthread_mutex_unlock(&report->lock);
	if (fclose(out)) {
		free(text);
		return NULL;
	}
	return text;
}

static json_t *json_finding(const struct cbit_report *report, const struct finding *f)
{
	const struct finding_text *t = &finding_texts[f->id];
	uint64_t shown = f->hit_count < REPORT_HITS ? f->hit_count : REPORT_HITS;
	json_t *o = json_object(), *hits = json_array(), *m;
	char text[16];

	json_object_set_new(o, "id", json_string(t->id));
	json_object_set_new(o, "summary", json_string(t->summary));
	json_object_set_new(o, "wrong", json_string(t->wrong));
	json_object_set_new(o, "right", json_string(t->right));
	if (f->first.mapping.id) {
		m = json_object();
		json_object_set_new(m, "call", json_integer((json_int_t)f->first.mapping.id));
		json_object_set_new(m, "pid", json_integer(f->first.mapping.pid));
		json_object_set_new(m, "iova", report_json_hex(f->first.mapping.iova.v));
		json_object_set_new(m, "length", report_json_hex(f->first.mapping.size));
		json_object_set_new(m, "address", report_json_hex(f->first.mapping.vaddr));
		json_object_set_new(m, "address_of",
				    json_string(report_backing(&f->first.mapping)));
		json_object_set_new(m, "access",
				    json_string(report_access(f->first.mapping.attrs)));
		report_json_frames(m, report, f->first.mapping.trace);
		json_object_set_new(o, "mapping", m);
	}
	if (f->first.entry) {
		m = json_object();
		json_object_set_new(m, "iova", report_json_hex(f->first.iova.v));
		json_object_set_new(m, "spa", report_json_hex(f->first.spa.v));
		json_object_set_new(m, "iopte", report_json_hex(f->first.entry));
		if (f->id == FINDING_STALE_IOTLB)
			json_object_set_new(m, "iopte_now", report_json_hex(f->first.entry_now));
		json_object_set_new(m, "c_bit",
				    json_boolean((f->first.entry & f->first.c_mask) != 0));
		json_object_set_new(m, "region", json_string(f->region));
		json_object_set_new(m, "kind", json_string(cbit_mem_kind_name(f->first.kind)));
		json_object_set_new(o, "entry", m);
	}
	report_json_alike(o, f);
	report_json_call(o, report, f);
	report_json_fault(o, f);
	if (f->id == FINDING_MAPPING_LEAKED) {
		json_object_set_new(o, "count", json_integer((json_int_t)f->first.count));
		json_object_set_new(o, "bytes", report_json_hex(f->first.len));
	}
	for (uint64_t i = 0; i < shown; i++) {
		const struct hit *hit = &f->hits[i];

		m = json_object();
		bdf_text(hit->devid, text);
		json_object_set_new(m, "device", json_string(text));
		json_object_set_new(m, "access", json_string(hit->write ? "write" : "read"));
		json_object_set_new(m, "iova", report_json_hex(hit->iova.v));
		if (hit->spa_valid)
			json_object_set_new(m, "spa", report_json_hex(hit->spa.v));
		json_object_set_new(m, "length", report_json_hex(hit->len));
		if (hit->call)
			json_object_set_new(m, "call", json_integer((json_int_t)hit->call));
		json_object_set_new(m, "outcome", json_string(report_outcome(hit)));
		json_array_append_new(hits, m);
	}
	json_object_set_new(o, "hits", hits);
	json_object_set_new(o, "hit_count", json_integer((json_int_t)f->hit_count));
	return o;
}

char *cbit_report_json(struct cbit_report *report)
{
	json_t *root = json_object(), *list = json_array();
	char *text;

	if (!root || !list) {
		json_decref(root);
		json_decref(list);
		return NULL;
	}
	pthread_mutex_lock(&report->lock);
	for (const struct finding *f = report->first; f; f = f->next)
		json_array_append_new(list, json_finding(report, f));
	json_object_set_new(root, "version", json_integer(1));
	json_object_set_new(root, "platform", json_string(report->platform.name));
	json_object_set_new(root, "policy", json_string(report->policy));
	report_json_faults(root, report);
	json_object_set_new(root, "not_kept", json_integer((json_int_t)report->dropped));
	pthread_mutex_unlock(&report->lock);
	json_object_set_new(root, "findings", list);
	text = json_dumps(root, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
	json_decref(root);
	return text;
}
