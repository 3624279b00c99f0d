/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The ioat model inside: its state, and the calls between registers (ioat.c) and engine
 * (ioat_engine.c). All of it under the device's lock.
 */
#ifndef CBIT_DEV_IOAT_H
#define CBIT_DEV_IOAT_H

#include "ioat_hw.h"
#include "pci_internal.h"

/* Largest transfer: small enough that the selftest's storm of them stays meaningful. */
#define IOAT_XFERCAP_LOG2 20u

/* Bytes moved at a time: what a RESET may have to wait for. */
#define IOAT_CHUNK ((size_t)256 * 1024)

/*
 * Work done by the thread that rings the doorbell; more than this goes to the worker, so that
 * a register write never takes long. Handing over costs more than moving this much.
 */
#define IOAT_INLINE_BYTES ((uint64_t)256 * 1024)
#define IOAT_INLINE_DESCS 64u

/**
 * struct ioat - one channel and its engine.
 * @attention:  ATTNSTATUS: the channel has asked for an interrupt by its pin.
 * @executed:   descriptors done since CHAINADDR, mod 65536; DMACOUNT - @executed are to do.
 * @last:       address of the last descriptor done, 0 for none.
 * @next:       address of the next one, when @next_known; else the next pointer of @last has
 *              to be read again: software may link more to a finished descriptor.
 * @chained:    @next came from a descriptor, not from CHAINADDR.
 * @cur:        the descriptor read from @next, when @cur_valid.
 * @cur_linked: more was queued behind @cur when it was read, so its next pointer was valid.
 * @generation: counts RESET and CHAINADDR writes: what a DMA was for may be gone after it.
 * @running:    some thread is responsible for the queue (the worker, from being called on).
 * @moving:     that thread is in a DMA, with the lock dropped.
 * @resetting:  a RESET waits for that DMA to end.
 * @suspending: so does a SUSPEND, for the descriptor.
 * @frozen:     nothing is started: see struct pci_model.
 * @handed:     the queue waits for the worker to take it.
 */
struct ioat {
	struct cbit_pci *pci;
	uint8_t version;

	uint8_t genctrl;
	uint8_t intrctrl;
	bool attention;
	uint16_t intrdelay;
	uint16_t chanctrl;
	uint16_t dmacount;
	uint64_t chainaddr;
	uint64_t chancmp;
	uint32_t chanerr;
	uint32_t chanerr_mask;
	enum ioat_state state;

	uint16_t executed;
	uint64_t last;
	uint64_t next;
	bool next_known;
	bool chained;
	struct ioat_desc cur;
	bool cur_valid;
	bool cur_linked;

	uint64_t generation;
	bool running;
	bool moving;
	bool resetting;
	bool suspending;
	bool frozen;

	uint8_t *chunk;
	pthread_t worker;
	bool worker_exists;
	bool handed;
	bool stop;
	pthread_cond_t wake; /* to the worker: handed or stop */
	pthread_cond_t idle; /* moving ended */
};

int ioat_engine_init(struct ioat *ioat);
void ioat_engine_stop(struct ioat *ioat);

/* ioat_engine_kick() - DMACOUNT was written; @inline_ok: this thread may do a little. */
void ioat_engine_kick(struct ioat *ioat, bool inline_ok);

/* ioat_engine_reset() - RESET: halted, counts zero; the DMA under way may still end. */
void ioat_engine_reset(struct ioat *ioat);

/* ioat_engine_chain() - CHAINADDR was written: armed. */
void ioat_engine_chain(struct ioat *ioat);

void ioat_engine_suspend(struct ioat *ioat);

/* ioat_engine_freeze() - run nothing from now on, or go on. May drop the lock to wait. */
void ioat_engine_freeze(struct ioat *ioat, bool on);

/* ioat_migrate.c */
size_t ioat_save(struct cbit_pci *pci, void *buf, size_t size);
int ioat_load(struct cbit_pci *pci, const void *buf, size_t len);

/* ioat_pin() - the pin follows from ATTNSTATUS and INTRCTRL. */
void ioat_pin(struct ioat *ioat);

/* ioat_engine_drain() - wait until no DMA is under way. Drops the lock meanwhile. */
void ioat_engine_drain(struct ioat *ioat);

#endif
