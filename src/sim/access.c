/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Accesses by CPUs, and the judgement of what was seen: the bytes decide, the key that the way
 * through the tables says is checked against them.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <cbit/rmp.h>

#include "sim_internal.h"

#define BLOCK 16u

/* Bytes that nobody mistakes for others' or for ciphertext, and that differ from seed to seed. */
void sim_pattern(uint8_t seed, uint8_t *out, size_t len)
{
	for (size_t i = 0; i < len; i++)
		out[i] = (uint8_t)(seed + i * (i < 256 ? 1 : 7));
}

/* The key that a bus address selects at a controller. */
cbit_key_t sim_key(const struct cbit_sim *sim, uint64_t spa, bool c)
{
	const struct cbit_mem_region *region = cbit_mem_find(sim->mem, CBIT_SPA(spa));

	if (!region || !region->encrypts)
		return CBIT_KEY_NONE;
	if (sim->cfg.platform.tsme || (sim->cfg.platform.sme && c))
		return CBIT_KEY_HOST;
	return CBIT_KEY_NONE;
}

void sim_note_place(struct cbit_sim *sim, const struct sim_place *place)
{
	const struct cbit_mem_region *region;
	struct cbit_sim_result *res = sim->res;

	if (!place->known)
		return;
	region = cbit_mem_find(sim->mem, place->spa);
	res->accessed = true;
	res->spa = place->spa;
	res->c = place->c;
	res->key = place->key;
	res->region = region ? region->name : NULL;
	res->mem_kind = region ? region->kind : CBIT_MEM_DRAM;
	/* Nobody has said what the C-bit is to coherent memory where there is an engine. */
	if (region && region->kind == CBIT_MEM_COHERENT &&
	    (sim->cfg.platform.sme || sim->cfg.platform.tsme))
		res->vendor = true;
	res->dram_valid = res->len && !cbit_mem_raw(sim->mem, place->spa, res->dram, res->len);
}

/* What @key makes of the DRAM bytes of a range within a page, whole blocks of it. */
static int view(struct cbit_sim *sim, cbit_key_t key, uint64_t spa, uint8_t *out, size_t len)
{
	uint64_t first = spa & ~(uint64_t)(BLOCK - 1);
	size_t span = (size_t)((spa + len + BLOCK - 1) & ~(uint64_t)(BLOCK - 1)) - (size_t)first;
	uint8_t raw[CBIT_PAGE_SIZE];
	int ret;

	ret = cbit_mem_raw(sim->mem, CBIT_SPA(first), raw, span);
	if (ret)
		return ret;
	cbit_mem_aes(sim->mem, key, CBIT_SPA(first), raw, raw, span, false);
	memcpy(out, raw + (spa - first), len);
	return 0;
}

static bool same_under(struct cbit_sim *sim, cbit_key_t key, uint64_t spa, const uint8_t *bytes,
		       size_t len)
{
	uint8_t page[CBIT_PAGE_SIZE];

	while (len) {
		size_t n = CBIT_PAGE_SIZE - (spa & ~CBIT_PAGE_MASK);

		if (n > len)
			n = len;
		if (view(sim, key, spa, page, n) || memcmp(page, bytes, n) != 0)
			return false;
		spa += n;
		bytes += n;
		len -= n;
	}
	return true;
}

/*
 * sim_judge_read() - what it means to have seen @seen at @place where @wanted was to be seen.
 * Return: 0, -EIO when the key that @place claims does not make @seen of DRAM.
 */
int sim_judge_read(struct cbit_sim *sim, const uint8_t *seen, const uint8_t *wanted, size_t len,
		   const struct sim_place *place, enum cbit_sim_outcome *out)
{
	const struct cbit_mem_region *region =
		place->known ? cbit_mem_find(sim->mem, place->spa) : NULL;
	bool dram = region && region->kind != CBIT_MEM_MMIO;

	if (dram && !same_under(sim, place->key, place->spa.v, seen, len)) {
		cbit_error_set(&sim->res->err, -EIO,
			       "model error: the bytes seen at SPA 0x%llx are not DRAM under %s",
			       (unsigned long long)place->spa.v, cbit_mem_key_name(place->key));
		return -EIO;
	}
	*out = CBIT_SIM_STALE;
	if (!memcmp(seen, wanted, len)) {
		*out = CBIT_SIM_PLAINTEXT;
		return 0;
	}
	for (unsigned int i = 0; dram && i < 3; i++) {
		const cbit_key_t key = i < 2 ? (cbit_key_t)i : sim->guest_key;

		if (key != place->key && same_under(sim, key, place->spa.v, wanted, len))
			*out = CBIT_SIM_CIPHERTEXT;
	}
	return 0;
}

/* The host's CPU, by its page table. */
static int host_cpu(struct cbit_sim *sim, uint64_t spa, bool write, uint8_t *buf, size_t len,
		    struct sim_place *place, enum cbit_sim_outcome *out)
{
	struct cbit_iova va = CBIT_IOVA(sim_host_va(spa));
	enum cbit_mem_outcome outcome = CBIT_MEM_OK;
	struct sim_walk walk;

	sim_trace_host(sim, va.v, &walk);
	*place = (struct sim_place){ 0 };
	*out = CBIT_SIM_OK;
	while (len) {
		struct cbit_pt_leaf leaf;
		struct cbit_bus bus;
		enum cbit_mem_outcome o;
		uint64_t at;
		size_t n;

		if (cbit_pt_walk(sim->host_pt, va, &leaf)) {
			sim->res->fault = CBIT_SIM_FAULT_PF;
			*out = CBIT_SIM_FAULT;
			return 0;
		}
		at = leaf.spa.v + (va.v - leaf.iova.v);
		n = (size_t)(leaf.size - (va.v - leaf.iova.v));
		if (n > CBIT_PAGE_SIZE - (at & ~CBIT_PAGE_MASK))
			n = CBIT_PAGE_SIZE - (at & ~CBIT_PAGE_MASK);
		if (n > len)
			n = len;
		bus = cbit_mem_bus(sim->mem, CBIT_SPA(at), leaf.attrs & CBIT_ATTR_ENCRYPTED);
		if (!place->known)
			*place = (struct sim_place){
				.known = true,
				.spa = CBIT_SPA(at),
				.c = (bus.v & sim->c_mask) != 0,
				.key = sim_key(sim, at, (bus.v & sim->c_mask) != 0),
			};
		if (write && cbit_rmp_check(sim->mem, CBIT_SPA(at), CBIT_RMP_HOST_WRITE, 0, 0) !=
				     CBIT_RMP_OK) {
			sim->res->fault = CBIT_SIM_FAULT_PF_RMP;
			*out = CBIT_SIM_FAULT;
			return 0;
		}
		o = write ? cbit_mem_write(sim->mem, bus, buf, n)
			  : cbit_mem_read(sim->mem, bus, buf, n);
		if (o > outcome)
			outcome = o;
		va.v += n;
		buf += n;
		len -= n;
	}
	if (outcome == CBIT_MEM_ABORT || outcome == CBIT_MEM_NO_BACKING)
		*out = write ? CBIT_SIM_LOST : CBIT_SIM_ABORT;
	return 0;
}

/*
 * sim_cpu() - a CPU reads or writes.
 * @addr: as the kernel in question knows it: an SPA on the host, a GPA in the guest.
 * @out:  CBIT_SIM_OK when bytes moved.
 */
int sim_cpu(struct cbit_sim *sim, enum cbit_sim_who who, uint64_t addr, bool write, uint8_t *buf,
	    size_t len, struct sim_place *place, enum cbit_sim_outcome *out)
{
	if (who == CBIT_SIM_HOST_CPU)
		return host_cpu(sim, addr, write, buf, len, place, out);
	return sim_guest_cpu(sim, who, addr, write, buf, len, place, out);
}

static void show(struct cbit_sim *sim, const uint8_t *seen, const uint8_t *wanted, size_t len)
{
	struct cbit_sim_result *res = sim->res;

	res->len = len < CBIT_SIM_SEEN ? len : CBIT_SIM_SEEN;
	memcpy(res->seen, seen, res->len);
	memcpy(res->wanted, wanted, res->len);
}

/* The host's CPU goes by SPAs, everybody else by what the owner has. */
static uint64_t address_for(const struct sim_buf *buf, enum cbit_sim_who who)
{
	return who == CBIT_SIM_HOST_CPU ? buf->spa.v : buf->addr;
}

/* Read @buf as @who and judge. */
static int check_who(struct cbit_sim *sim, enum cbit_sim_who who, const struct sim_buf *buf)
{
	if (who != CBIT_SIM_HOST_CPU && !buf->guest)
		return sim_bad(sim, "%s: that is not the guest's memory", cbit_sim_who_name(who));
	return 0;
}

static int read_as(struct cbit_sim *sim, enum cbit_sim_who who, const struct sim_buf *buf,
		   uint64_t offset, size_t len)
{
	enum cbit_sim_outcome *out = &sim->res->outcome;
	uint8_t *seen = malloc(len);
	struct sim_place place;
	int ret;

	if (!seen)
		return -ENOMEM;
	memset(seen, 0xff, len);
	ret = sim_cpu(sim, who, address_for(buf, who) + offset, false, seen, len, &place, out);
	if (!ret && *out == CBIT_SIM_OK)
		ret = sim_judge_read(sim, seen, buf->truth + offset, len, &place, out);
	show(sim, seen, buf->truth + offset, len);
	if (!ret)
		sim_note_place(sim, &place);
	free(seen);
	return ret;
}

static enum cbit_sim_who owner_of(const struct sim_buf *buf)
{
	return buf->guest ? CBIT_SIM_GUEST_CPU : CBIT_SIM_HOST_CPU;
}

int sim_read_as_owner(struct cbit_sim *sim, const struct sim_buf *buf, uint64_t offset, size_t len)
{
	return read_as(sim, owner_of(buf), buf, offset, len);
}

int sim_op_read(struct cbit_sim *sim, const struct cbit_sim_op *op)
{
	struct sim_buf *buf = sim_buf_get(sim, op->buf, op->offset, op->len);

	if (!buf || (op->kind == CBIT_SIM_READ && check_who(sim, op->who, buf)))
		return -EINVAL;
	return read_as(sim, op->kind == CBIT_SIM_CHECK ? owner_of(buf) : op->who, buf, op->offset,
		       (size_t)op->len);
}

int sim_op_write(struct cbit_sim *sim, const struct cbit_sim_op *op)
{
	struct sim_buf *buf = sim_buf_get(sim, op->buf, op->offset, op->len);
	struct cbit_sim_result *res = sim->res;
	size_t len = (size_t)op->len;
	struct sim_place place;
	uint8_t *data;
	int ret;

	if (!buf || check_who(sim, op->who, buf))
		return -EINVAL;
	data = malloc(len);
	if (!data)
		return -ENOMEM;
	if (op->data)
		memcpy(data, op->data, len);
	else
		sim_pattern(op->seed, data, len);
	ret = sim_cpu(sim, op->who, address_for(buf, op->who) + op->offset, true, data, len, &place,
		      &res->outcome);
	if (!ret && res->outcome == CBIT_SIM_OK) {
		struct cbit_sim_result *mine = sim->res;
		struct cbit_sim_result look = { 0 };

		memcpy(buf->truth + op->offset, data, len);
		/* What the owner makes of it, without telling of his tables. */
		sim->res = &look;
		ret = read_as(sim, owner_of(buf), buf, op->offset, len);
		sim->res = mine;
		mine->outcome = look.outcome == CBIT_SIM_ABORT ? CBIT_SIM_LOST : look.outcome;
		mine->fault = look.fault;
		mine->err = look.err;
		show(sim, look.seen, data, len);
	} else {
		show(sim, data, data, len);
	}
	if (!ret)
		sim_note_place(sim, &place);
	free(data);
	return ret;
}

int sim_op_raw(struct cbit_sim *sim, const struct cbit_sim_op *op)
{
	struct sim_buf *buf = sim_buf_get(sim, op->buf, op->offset, op->len);
	struct sim_place place = { .known = true };
	size_t len = (size_t)op->len;
	uint8_t *seen;
	int ret;

	if (!buf)
		return -EINVAL;
	place.spa = CBIT_SPA(buf->spa.v + op->offset);
	seen = malloc(len);
	if (!seen)
		return -ENOMEM;
	ret = cbit_mem_raw(sim->mem, place.spa, seen, len);
	if (ret)
		ret = sim_bad(sim, "raw: %s is no memory behind a controller",
			      sim->regions[buf->region].cfg.name);
	else
		ret = sim_judge_read(sim, seen, buf->truth + op->offset, len, &place,
				     &sim->res->outcome);
	show(sim, seen, buf->truth + op->offset, len);
	if (!ret)
		sim_note_place(sim, &place);
	free(seen);
	return ret;
}
