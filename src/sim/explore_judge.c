/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What has to hold after each operation of an explored sequence, looked at by execution; and the
 * operations in words.
 */
#include <stdio.h>

#include "explore_internal.h"

/* There is room for more of them: 64 bounce buffers, 100 pages. */
#define MAX_LEAKS 16u

static const char *const rules[CBIT_EXPLORE_NR_BROKEN] = {
	[CBIT_EXPLORE_HOLDS] = "nothing is broken",
	[CBIT_EXPLORE_PRIVATE] = "neither device nor hypervisor reads a private page's plaintext",
	[CBIT_EXPLORE_READ_BACK] = "what CPU or device writes to a mapped page, the other reads",
	[CBIT_EXPLORE_MMIO] = "no write to a device's window is lost",
	[CBIT_EXPLORE_TRANSLATION] = "no translation outlives its unmap and sync",
	[CBIT_EXPLORE_INTERRUPT] = "no interrupt is lost, none reaches another CPU",
};

/* Ids for what no room has told of. */
static const char *const words[CBIT_EXPLORE_NR_BROKEN] = {
	[CBIT_EXPLORE_HOLDS] = "none",
	[CBIT_EXPLORE_PRIVATE] = "private-plaintext",
	[CBIT_EXPLORE_READ_BACK] = "not-read-back",
	[CBIT_EXPLORE_MMIO] = "mmio-lost",
	[CBIT_EXPLORE_TRANSLATION] = "stale-translation",
	[CBIT_EXPLORE_INTERRUPT] = "interrupt-lost",
};

const char *cbit_explore_broken_text(enum cbit_explore_broken broken)
{
	return (unsigned int)broken < CBIT_EXPLORE_NR_BROKEN ? rules[broken] : "?";
}

/*
 * The first thing told is the cause, what follows from it comes behind. An interrupt's loss is the
 * finding whatever it comes of; so is a secret that was read.
 */
void x_id(const struct x_outcome *out, char *id, size_t len)
{
	const char *name = words[out->broken];

	if (out->result.outcome == CBIT_SIM_MISDIRECTED)
		name = "interrupt-misdirected";
	else if (out->broken != CBIT_EXPLORE_PRIVATE && out->broken != CBIT_EXPLORE_INTERRUPT &&
		 !out->looked && out->result.nr_findings)
		name = out->result.findings[0];
	snprintf(id, len, "%s", name);
}

/* --- the rules --- */

static bool plain(const struct x_outcome *out)
{
	return out->result.outcome == CBIT_SIM_PLAINTEXT;
}

static enum cbit_explore_broken judge_dma(const struct x_machine *m, const struct x_state *before,
					  const struct x_op *op, const struct x_outcome *out)
{
	const struct x_map *map = &before->map[op->dev][op->map];
	bool write = op->kind == X_DMA_WRITE;

	if (write && map->buf == X_BAR && out->result.outcome == CBIT_SIM_LOST)
		return CBIT_EXPLORE_MMIO;
	if (!plain(out))
		return CBIT_EXPLORE_READ_BACK;
	if (m->secret && map->buf < X_PAGES && !before->shared[map->buf] &&
	    !(map->flags & X_BOUNCED))
		return CBIT_EXPLORE_PRIVATE;
	return CBIT_EXPLORE_HOLDS;
}

static enum cbit_explore_broken judge(const struct x_machine *m, const struct x_state *before,
				      const struct x_op *op, const struct x_outcome *out)
{
	const struct x_map *map = &before->map[op->dev][op->map];

	switch ((enum x_kind)op->kind) {
	case X_DMA_READ:
	case X_DMA_WRITE:
		return judge_dma(m, before, op, out);
	case X_LATE:
		/* Between the halves of an unmap the old way may still be open. */
		return map->phase == X_NONE && out->result.outcome != CBIT_SIM_FAULT
			       ? CBIT_EXPLORE_TRANSLATION
			       : CBIT_EXPLORE_HOLDS;
	case X_WRITE:
	case X_SYNC_CPU:
		return plain(out) ? CBIT_EXPLORE_HOLDS : CBIT_EXPLORE_READ_BACK;
	case X_UNMAP:
		/* The DMA API gives the buffer back to the CPU, which reads it. */
		return m->world->vfio || map->buf >= X_COHERENT || plain(out)
			       ? CBIT_EXPLORE_HOLDS
			       : CBIT_EXPLORE_READ_BACK;
	case X_MSI:
		return out->result.outcome == CBIT_SIM_OK ? CBIT_EXPLORE_HOLDS
							  : CBIT_EXPLORE_INTERRUPT;
	default:
		return CBIT_EXPLORE_HOLDS;
	}
}

/* What the owners read of everything, and what the hypervisor reads of what is private. */
static int look_around(struct x_machine *m, struct x_outcome *out)
{
	static const char *const owners[] = { "the owner reads page0", "the owner reads page1",
					      "the owner reads disk.bar" };
	static const char *const secrets[] = { "the hypervisor reads page0",
					       "the hypervisor reads page1" };
	struct cbit_sim_op op = { .len = X_LEN };
	int ret = 0;

	for (op.buf = 0; !ret && !out->looked && op.buf <= X_BAR; op.buf++) {
		if (op.buf < X_PAGES && !m->now.defined[op.buf])
			continue;
		op.kind = CBIT_SIM_CHECK;
		ret = x_sim(m, &op, &out->look);
		if (!ret && out->look.outcome != CBIT_SIM_PLAINTEXT) {
			out->broken = CBIT_EXPLORE_READ_BACK;
			out->looked = true;
			out->look_text = owners[op.buf];
			break;
		}
		if (ret || !m->secret || op.buf == X_BAR || m->now.shared[op.buf])
			continue;
		op.kind = CBIT_SIM_READ;
		op.who = CBIT_SIM_HYPERVISOR;
		ret = x_sim(m, &op, &out->look);
		if (!ret && out->look.outcome == CBIT_SIM_PLAINTEXT) {
			out->broken = CBIT_EXPLORE_PRIVATE;
			out->looked = true;
			out->look_text = secrets[op.buf];
		}
	}
	return ret;
}

int x_do(struct x_machine *m, const struct x_op *op, bool look, struct x_outcome *out)
{
	const struct x_state before = m->now;
	int ret;

	out->broken = CBIT_EXPLORE_HOLDS;
	out->refused = out->looked = false;
	memset(&out->result, 0, sizeof(out->result));
	ret = x_carry_out(m, op, out);
	if (out->refused && (op->kind == X_UNMAP || op->kind == X_RESET)) {
		m->dirty = true;
		m->worn |= ++m->leaks > MAX_LEAKS;
	}
	if (ret || !look || out->refused)
		return ret;
	out->broken = judge(m, &before, op, out);
	if (!out->broken)
		ret = look_around(m, out);
	m->dirty |= out->broken != CBIT_EXPLORE_HOLDS;
	return ret;
}

/* --- words --- */

static void buf_text(const struct x_machine *m, unsigned int buf, char *out, size_t len)
{
	static const char *const names[] = { "page0", "page1", "disk.bar" };

	if (buf >= X_COHERENT)
		snprintf(out, len, "coherent memory");
	else if (buf < X_PAGES && m->world->guest)
		snprintf(out, len, "%s (%s)", names[buf],
			 m->now.shared[buf] ? "shared" : "private");
	else
		snprintf(out, len, "%s", names[buf]);
}

static const char *cpu(const struct x_machine *m)
{
	return m->world->guest ? "guest-cpu" : "host-cpu";
}

/* To be asked for before the operation is done. */
void x_text(const struct x_machine *m, const struct x_op *op, char *out, size_t len)
{
	const char *dev = m->world->devs[op->dev].name;
	const struct x_map *map = &m->now.map[op->dev][op->map];
	char buf[32], mapped[32];

	buf_text(m, op->buf, buf, sizeof(buf));
	buf_text(m, map->buf, mapped, sizeof(mapped));
	switch ((enum x_kind)op->kind) {
	case X_MAP:
		snprintf(out, len, "map %s for %s by %s%s", buf, dev,
			 op->buf >= X_COHERENT ? "dma_alloc_coherent()"
			 : op->how == X_DMABUF ? "iommufd, as a dma-buf"
			 : m->world->vfio      ? "type1"
					       : "the DMA API",
			 op->how == X_CC_SHARED ? " with DMA_ATTR_CC_SHARED" : "");
		break;
	case X_MAP_BOTH:
		snprintf(out, len, "map %s and then %s for %s by one type1 call",
			 op->how ? "disk.bar" : buf, op->how ? buf : "disk.bar", dev);
		break;
	case X_DMA_READ:
		snprintf(out, len, "%s reads %s by DMA", dev, mapped);
		break;
	case X_DMA_WRITE:
		snprintf(out, len, "%s writes %s by DMA", dev, mapped);
		break;
	case X_LATE:
		snprintf(out, len, "%s writes by DMA where its mapping %u %s", dev, op->map,
			 map->phase == X_UNFLUSHED ? "is being undone" : "was");
		break;
	case X_MSI:
		snprintf(out, len, "%s interrupts the CPU with APIC id %u", dev,
			 op->how ? X_CPU_HIGH : X_CPU_LOW);
		break;
	case X_WRITE:
		snprintf(out, len, "%s writes %s", cpu(m), buf);
		break;
	case X_SHARE:
		snprintf(out, len, "the guest shares %s", buf);
		break;
	case X_UNSHARE:
		snprintf(out, len, "the guest makes %s private", buf);
		break;
	case X_SYNC_CPU:
	case X_SYNC_DEVICE:
		snprintf(out, len, "sync %s for %s", mapped,
			 op->kind == X_SYNC_CPU ? "the CPU" : dev);
		break;
	case X_UNMAP:
		snprintf(out, len, "unmap %s for %s", mapped, dev);
		break;
	case X_UNMAP_ONLY:
		snprintf(out, len, "unmap %s for %s, first half: the tables", mapped, dev);
		break;
	case X_FLUSH:
		snprintf(out, len, "unmap for %s, second half: invalidate", dev);
		break;
	case X_RESET:
		snprintf(out, len, "reset %s: everything is unmapped", dev);
		break;
	}
}
