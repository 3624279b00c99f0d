/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * NVM commands, a batch at a time.
 *
 * A batch is gone through in rounds, of as many commands as there is room for their data: all of
 * them are checked; what the host sends is fetched by one gathered DMA; the files are read and
 * written, in the order of the commands; what the host gets is sent by one gathered DMA. So the
 * system calls of a round are few, whatever the number of its commands.
 */
#include "nvme.h"
#include "pci_fault.h"

#include <string.h>

#define DW12_FUA       (1u << 30)
#define DW12_DEAC      (1u << 25)
#define DSM_RANGES_MAX 256u
#define DSM_DEALLOCATE (1u << 2)
#define ALL_NS         UINT32_MAX

/* What is being filled for a round: bytes and segments taken, from and to the host. */
struct round {
	size_t bytes[2];
	uint32_t segs[2];
};

static uint64_t start_lba(const struct nvme_sqe *sqe)
{
	return sqe->cdw10 | (uint64_t)sqe->cdw11 << 32;
}

/* Of a command with LBA and number of blocks. */
static uint16_t check_range(struct nvme_cmd *cmd, bool moves)
{
	const struct nvme_ns *ns = cmd->ns;
	uint64_t lba = start_lba(&cmd->sqe), blocks = (cmd->sqe.cdw12 & 0xffff) + UINT64_C(1);

	cmd->offset = lba << ns->shift;
	cmd->bytes = blocks << ns->shift;
	if (moves && cmd->bytes > NVME_DATA_MAX)
		return NVME_INVALID_FIELD;
	if (lba >= ns->blocks || blocks > ns->blocks - lba)
		return NVME_LBA_RANGE;
	cmd->len = moves ? (uint32_t)cmd->bytes : 0;
	return NVME_OK;
}

/* Everything that can be said before data moves. */
static uint16_t check(struct nvme *n, struct nvme_cmd *cmd)
{
	const struct nvme_sqe *sqe = &cmd->sqe;

	cmd->ns = nvme_ns_find(n, sqe->nsid);
	cmd->to_host = sqe->opcode == NVME_IO_READ;
	cmd->len = 0;
	switch (sqe->opcode) {
	case NVME_IO_FLUSH:
	case NVME_IO_WRITE:
	case NVME_IO_READ:
	case NVME_IO_COMPARE:
	case NVME_IO_WRITE_ZEROES:
	case NVME_IO_DSM:
	case NVME_IO_VERIFY:
		break;
	default:
		return NVME_INVALID_OPCODE;
	}
	if (NVME_FUSE(sqe->flags) || NVME_PSDT(sqe->flags) > NVME_PSDT_SGL_MD)
		return NVME_INVALID_FIELD;
	if (!cmd->ns && !(sqe->opcode == NVME_IO_FLUSH && sqe->nsid == ALL_NS))
		return NVME_INVALID_NS;
	switch (sqe->opcode) {
	case NVME_IO_WRITE:
	case NVME_IO_WRITE_ZEROES:
		if (cmd->ns->readonly)
			return NVME_WRITE_PROTECTED;
		return check_range(cmd, sqe->opcode == NVME_IO_WRITE);
	case NVME_IO_READ:
	case NVME_IO_COMPARE:
		return check_range(cmd, true);
	case NVME_IO_VERIFY:
		return check_range(cmd, false);
	case NVME_IO_DSM:
		cmd->len = ((sqe->cdw10 & 0xff) + 1) * (uint32_t)sizeof(struct nvme_dsm_range);
		return NVME_OK;
	default:
		return NVME_OK;
	}
}

/* Room for a command in the round. False: the round is full. */
static bool prepare(struct nvme_worker *w, const struct nvme_batch *b, struct nvme_cmd *cmd,
		    struct round *round)
{
	const unsigned int dir = cmd->to_host;
	size_t *taken = &round->bytes[dir];
	uint32_t *segs = &round->segs[dir];

	cmd->nr_segs = 0;
	cmd->first_seg = dir * NVME_SEGS + *segs;
	if (!cmd->len)
		return true;
	/* At the start of a round the largest command fits. */
	if (cmd->len > NVME_DATA_MAX - *taken)
		return false;
	cmd->status = nvme_data_map(w, b, cmd);
	/* In a round of its own it may fit; what does not is an SGL of very small pieces. */
	if (cmd->status == NVME_INTERNAL && *segs) {
		cmd->status = NVME_OK;
		return false;
	}
	if (cmd->status == NVME_INTERNAL)
		cmd->status = NVME_SGL_COUNT_INVALID;
	if (cmd->status)
		return true;
	cmd->data = (cmd->to_host ? w->out : w->in) + *taken;
	*taken += cmd->len;
	*segs += cmd->nr_segs;
	return true;
}

/* The data of all commands of one direction; where that fails, of each, to know whose it was. */
static void move(struct nvme_worker *w, struct nvme_cmd *cmd, unsigned int nr, bool to_host)
{
	struct nvme_cmd *first = NULL;
	uint32_t next = 0, segs = 0;
	/* A fault that was asked for comes once; asking again would get around it. */
	bool joined = !pci_faulty(w->n->pci);

	for (unsigned int i = 0; i < nr; i++) {
		if (cmd[i].to_host != to_host || !cmd[i].nr_segs)
			continue;
		if (!first)
			first = &cmd[i];
		else if (cmd[i].first_seg != next)
			joined = false;
		next = cmd[i].first_seg + cmd[i].nr_segs;
		segs += cmd[i].nr_segs;
		/* A read that failed has nothing to send. */
		if (cmd[i].status)
			joined = false;
	}
	if (!first || (joined && nvme_data_move(w, first->first_seg, segs, first->data, to_host)))
		return;
	for (unsigned int i = 0; i < nr; i++) {
		if (cmd[i].to_host != to_host || !cmd[i].nr_segs || cmd[i].status)
			continue;
		if (!nvme_data_move(w, cmd[i].first_seg, cmd[i].nr_segs, cmd[i].data, to_host))
			cmd[i].status = NVME_DATA_TRANSFER;
	}
}

static uint16_t verify(struct nvme_cmd *cmd)
{
	uint16_t status = NVME_OK;

	for (uint64_t done = 0; done < cmd->bytes && !status;) {
		uint8_t block[16384];
		size_t len = sizeof(block) < cmd->bytes - done ? sizeof(block)
							       : (size_t)(cmd->bytes - done);

		status = nvme_store_read(cmd->ns, cmd->offset + done, block, len);
		done += len;
	}
	return status;
}

static uint16_t compare(struct nvme_cmd *cmd)
{
	for (uint32_t done = 0; done < cmd->len;) {
		uint8_t block[16384];
		uint32_t len = cmd->len - done < sizeof(block) ? cmd->len - done : sizeof(block);
		uint16_t status = nvme_store_read(cmd->ns, cmd->offset + done, block, len);

		if (status)
			return status;
		if (memcmp(block, cmd->data + done, len) != 0)
			return NVME_COMPARE_FAILED;
		done += len;
	}
	return NVME_OK;
}

static uint16_t deallocate(struct nvme_cmd *cmd, bool durable)
{
	struct nvme_dsm_range range[DSM_RANGES_MAX];
	const unsigned int nr = cmd->len / (unsigned int)sizeof(range[0]);
	uint16_t status = NVME_OK;

	memcpy(range, cmd->data, cmd->len);
	for (unsigned int i = 0; i < nr; i++) {
		if (range[i].lba > cmd->ns->blocks ||
		    range[i].blocks > cmd->ns->blocks - range[i].lba)
			return NVME_LBA_RANGE;
	}
	/* The other attributes are hints. */
	if (!(cmd->sqe.cdw11 & DSM_DEALLOCATE))
		return NVME_OK;
	if (cmd->ns->readonly)
		return NVME_WRITE_PROTECTED;
	for (unsigned int i = 0; i < nr && !status; i++) {
		if (range[i].blocks)
			status = nvme_store_zero(cmd->ns, range[i].lba << cmd->ns->shift,
						 (uint64_t)range[i].blocks << cmd->ns->shift, true,
						 durable);
	}
	return status;
}

static uint16_t flush(struct nvme *n, struct nvme_ns *ns)
{
	uint16_t status = NVME_OK, one;

	if (ns)
		return nvme_store_flush(ns);
	for (unsigned int i = 0; i < n->nr_ns; i++) {
		one = nvme_store_flush(&n->ns[i]);
		status = status ? status : one;
	}
	return status;
}

static void count(struct nvme *n, const struct nvme_cmd *cmd)
{
	struct nvme_stats *s = &n->stats;

	if (cmd->sqe.opcode == NVME_IO_READ || cmd->sqe.opcode == NVME_IO_COMPARE) {
		atomic_fetch_add_explicit(&s->reads, 1, memory_order_relaxed);
		atomic_fetch_add_explicit(&s->bytes_read, cmd->len, memory_order_relaxed);
	} else if (cmd->sqe.opcode == NVME_IO_WRITE) {
		atomic_fetch_add_explicit(&s->writes, 1, memory_order_relaxed);
		atomic_fetch_add_explicit(&s->bytes_written, cmd->len, memory_order_relaxed);
	}
}

/* 6.9: what is read with FUA is on the medium first. (Deallocation has no such bit.) */
static bool reads_durable(const struct nvme_cmd *cmd)
{
	const uint8_t op = cmd->sqe.opcode;

	return cmd->sqe.cdw12 & DW12_FUA &&
	       (op == NVME_IO_READ || op == NVME_IO_COMPARE || op == NVME_IO_VERIFY);
}

static uint16_t execute(struct nvme_worker *w, const struct nvme_batch *b, struct nvme_cmd *cmd)
{
	const bool durable = b->durable || cmd->sqe.cdw12 & DW12_FUA;

	if (reads_durable(cmd)) {
		uint16_t status = nvme_store_flush(cmd->ns);

		if (status)
			return status;
	}
	switch (cmd->sqe.opcode) {
	case NVME_IO_FLUSH:
		return flush(w->n, cmd->ns);
	case NVME_IO_READ:
		return nvme_store_read(cmd->ns, cmd->offset, cmd->data, cmd->len);
	case NVME_IO_WRITE:
		return nvme_store_write(cmd->ns, cmd->offset, cmd->data, cmd->len, durable);
	case NVME_IO_COMPARE:
		return compare(cmd);
	case NVME_IO_WRITE_ZEROES:
		return nvme_store_zero(cmd->ns, cmd->offset, cmd->bytes, cmd->sqe.cdw12 & DW12_DEAC,
				       durable);
	case NVME_IO_DSM:
		return deallocate(cmd, b->durable);
	default:
		return verify(cmd);
	}
}

/* Commands that are one access of the file: neighbours of one kind, @nr of them from @cmd on. */
static unsigned int joined(const struct nvme_batch *b, const struct nvme_cmd *cmd, unsigned int nr)
{
	const bool moves = cmd->sqe.opcode == NVME_IO_READ || cmd->sqe.opcode == NVME_IO_WRITE;
	unsigned int n = 1;

	if (!moves || cmd->status || b->durable)
		return 1;
	while (n < nr && cmd[n].sqe.opcode == cmd->sqe.opcode && !cmd[n].status &&
	       cmd[n].ns == cmd->ns && cmd[n].offset == cmd[n - 1].offset + cmd[n - 1].len &&
	       cmd[n].data == cmd[n - 1].data + cmd[n - 1].len &&
	       !((cmd[n].sqe.cdw12 | cmd->sqe.cdw12) & DW12_FUA))
		n++;
	return n;
}

/* True if it was done as one; else they go one by one, so that each has its own status. */
static bool execute_joined(struct nvme_cmd *cmd, unsigned int nr)
{
	size_t len = (size_t)(cmd[nr - 1].data + cmd[nr - 1].len - cmd->data);

	if (cmd->sqe.opcode == NVME_IO_READ)
		return !nvme_store_read(cmd->ns, cmd->offset, cmd->data, len);
	return !nvme_store_write(cmd->ns, cmd->offset, cmd->data, len, false);
}

static void run_round(struct nvme_worker *w, const struct nvme_batch *b, struct nvme_cmd *cmd,
		      unsigned int nr)
{
	unsigned int n;

	move(w, cmd, nr, false);
	for (unsigned int i = 0; i < nr; i += n) {
		n = joined(b, cmd + i, nr - i);
		if (n > 1 && execute_joined(cmd + i, n))
			continue;
		for (unsigned int k = i; k < i + n; k++) {
			if (!cmd[k].status)
				cmd[k].status = execute(w, b, &cmd[k]);
		}
	}
	move(w, cmd, nr, true);
	for (unsigned int i = 0; i < nr; i++) {
		if (!cmd[i].status)
			count(w->n, &cmd[i]);
		else if (cmd[i].status == NVME_READ_ERROR || cmd[i].status == NVME_WRITE_FAULT)
			atomic_fetch_add_explicit(&w->n->stats.media_errors, 1,
						  memory_order_relaxed);
	}
}

void nvme_io_run(struct nvme_worker *w, struct nvme_batch *b)
{
	struct round round = { 0 };
	unsigned int start = 0;

	for (unsigned int i = 0; i < b->nr; i++) {
		struct nvme_cmd *cmd = &b->cmd[i];

		cmd->result = 0;
		cmd->silent = false;
		cmd->until_ns = 0;
		cmd->nr_segs = 0;
		cmd->status = check(w->n, cmd);
		if (pci_faulty(w->n->pci) && !cmd->status)
			cmd->status = nvme_fault_command(w->n, b, cmd);
		if (cmd->status || prepare(w, b, cmd, &round))
			continue;
		run_round(w, b, &b->cmd[start], i - start);
		round = (struct round){ 0 };
		start = i;
		prepare(w, b, cmd, &round);
	}
	run_round(w, b, &b->cmd[start], b->nr - start);
}
