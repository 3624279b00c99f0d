/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The dsa engine against whatever a client may do: registers and tables, commands, descriptors and
 * batches, with memory and completion records in any place. After each step the engine comes to
 * rest, its ring stays one, and queues have as many descriptors as the ring holds of theirs.
 *
 * An input is steps of the form that step() reads; tests/fuzz/seeds_dsa.py writes some.
 */
#include "fuzz_device.h"

#include <sched.h>

#include "dev/dsa.h"

#define PORTALS 2u /* BAR */

struct rig {
	struct machine m;
	struct dsa *dsa;
};

static void reg(struct rig *r, uint64_t at, uint64_t v, uint32_t size)
{
	cbit_pci_bar_write(r->m.pci, 0, at, &v, size);
}

static void command(struct rig *r, unsigned int code, unsigned int operand)
{
	reg(r, DSA_CMD, code << 20 | operand, 4);
}

/* Locked. */
static void check(const struct dsa *dsa)
{
	unsigned int queued[DSA_WQS] = { 0 };

	FUZZ_CHECK(dsa->first < DSA_WQ_ENTRIES && dsa->nr_jobs <= DSA_WQ_ENTRIES);
	for (unsigned int i = 0; i < dsa->nr_jobs; i++) {
		const struct dsa_job *job = &dsa->jobs[(dsa->first + i) % DSA_WQ_ENTRIES];

		FUZZ_CHECK(job->wq < DSA_WQS);
		queued[job->wq]++;
	}
	for (unsigned int i = 0; i < DSA_WQS; i++)
		FUZZ_CHECK(queued[i] == dsa->queued[i]);
	FUZZ_CHECK(!(dsa->enabled >> DSA_WQS) && (dsa->device_on || !dsa->enabled));
	FUZZ_CHECK(dsa->list_at <= dsa->listed && dsa->listed <= DSA_LIST);
	FUZZ_CHECK(!dsa->busy && !dsa->nr_jobs && !dsa->command);
}

static void settle(struct rig *r)
{
	for (bool rest = false; !rest; sched_yield()) {
		pthread_mutex_lock(&r->m.pci->lock);
		rest = !r->dsa->running && !r->dsa->moving;
		if (rest)
			check(r->dsa);
		pthread_mutex_unlock(&r->m.pci->lock);
	}
}

static void configure(struct rig *r)
{
	static const uint16_t sizes[] = { 64, 4, 1 };

	for (unsigned int i = 0; i < 3; i++) {
		const uint64_t at = DSA_WQCFG + i * DSA_WQCFG_SIZE;

		reg(r, at, sizes[i], 4);
		reg(r, at + 8, 1 | 1 << 4, 4);
		reg(r, at + 12, 12 | 10 << 5, 4);
	}
	reg(r, DSA_GRPCFG, 7, 8);
	reg(r, DSA_GRPCFG + DSA_GRPCFG_ENGINES, 1, 8);
	command(r, DSA_ENABLE_DEVICE, 0);
	for (unsigned int i = 0; i < 3; i++)
		command(r, DSA_ENABLE_WQ, i);
	settle(r);
	FUZZ_CHECK(r->dsa->device_on && r->dsa->enabled == 7);
}

/* Machine and device are kept; the device is as new, and with queues if asked for. */
static struct rig *up(uint8_t how)
{
	static struct rig kept;
	struct rig *r = &kept;

	if (!r->m.mem) {
		machine_plug(&r->m, "dsa,maxcopy=4K", DSA_VECTORS);
		cbit_pci_open(r->m.pci);
		r->dsa = r->m.pci->state;
	}
	machine_reset(&r->m);
	cbit_pci_set_irqs_enabled(r->m.pci, 2, how & 2 ? DSA_VECTORS : 0);
	if (how & 1)
		configure(r);
	return r;
}

/* An address: a page of ours, a place in one, before the end of all, or as it comes. */
static uint64_t address(struct input *in)
{
	uint8_t form = take8(in);

	switch (form >> 6) {
	case 0:
	case 1:
		return RAM_IOVA + (form & 31u) * 4096 + (form & 0x40 ? take16(in) : 0);
	case 2:
		return -(uint64_t)(form & 31u) * 32;
	default:
		return take64(in);
	}
}

/* A descriptor; batches have few descriptors mostly. */
static struct dsa_desc descriptor(struct input *in, uint8_t op)
{
	struct dsa_desc d = { .op = take8(in) | (uint32_t)take8(in) << 8, .interrupt = take8(in) };
	uint8_t form = take8(in);

	d.op |= (form & 1u) << 16 | (uint32_t)take8(in) << 24;
	d.completion = address(in);
	d.source = address(in);
	d.destination = address(in);
	d.size = form & 2 ? take32(in) : form & 4 ? take16(in) & 0x1fff : take8(in);
	if (form & 8)
		d.pasid = take32(in);
	if (form & 16)
		d.reserved = take16(in);
	if (op & 0x80) {
		uint64_t at = address(in);

		memcpy(d.rest, &at, sizeof(at));
		at = address(in);
		memcpy(d.rest + 8, &at, sizeof(at));
	}
	return d;
}

static void write_ram(struct rig *r, uint64_t iova, const void *buf, size_t len)
{
	const uint64_t at = iova - RAM_IOVA;

	if (at < RAM_SIZE && len <= RAM_SIZE - at)
		cbit_mem_write(r->m.mem, cbit_mem_bus(r->m.mem, CBIT_SPA(r->m.ram.v + at), false),
			       buf, len);
}

static void step(struct rig *r, struct input *in)
{
	const uint8_t op = take8(in);
	struct dsa_desc d;
	uint64_t at, v;

	switch (op & 7) {
	case 0:
		at = take16(in) % DSA_REGISTERS;
		reg(r, at & ~(uint64_t)((1u << (op >> 3 & 3)) - 1), take64(in),
		    1u << (op >> 3 & 3));
		break;
	case 1:
		command(r, op >> 3 & 15, op & 0x80 ? take32(in) & 0xfffff : take8(in));
		break;
	case 2:
		at = address(in);
		v = take64(in);
		write_ram(r, at, &v, sizeof(v));
		break;
	case 3:
	case 4:
		/* into a batch's list, many times over */
		at = address(in);
		d = descriptor(in, op);
		for (unsigned int i = 0; i < 1u << (op >> 3 & 7); i++)
			write_ram(r, at + i * sizeof(d), &d, sizeof(d));
		break;
	case 5:
		at = take16(in);
		v = take32(in);
		if (op & 0x40)
			cbit_pci_config_write(r->m.pci, at & 0xfc, &v, 4);
		else if (op & 0x20)
			cbit_pci_bar_read(r->m.pci, op >> 3 & 2, at % DSA_REGISTERS & ~UINT64_C(7),
					  &v, 8);
		else
			cbit_pci_bar_write(r->m.pci, PORTALS, at & ~UINT64_C(7), &v, 8);
		break;
	default:
		d = descriptor(in, op);
		cbit_pci_bar_write(r->m.pci, PORTALS, (op >> 3 & 3u) * DSA_PORTAL_SIZE, &d,
				   sizeof(d));
		break;
	}
	settle(r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	struct rig *r = up(take8(&in));

	for (unsigned int i = 0; i < 100 && in.left; i++)
		step(r, &in);
	settle(r);
	return 0;
}
