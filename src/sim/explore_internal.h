/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The inside of the explorer: its machines, their abstract states, the operations.
 */
#ifndef CBIT_EXPLORE_INTERNAL_H
#define CBIT_EXPLORE_INTERNAL_H

#include <string.h>

#include <cbit/explore.h>

/* Buffers: two pages that are alike, a window, and each device's coherent memory. */
enum { X_PAGES = 2, X_BAR = X_PAGES, X_COHERENT, X_BUFS = X_COHERENT + 2 };
/* Devices: two that do DMA, and the owner of the window. */
enum { X_DEVS = 2, X_DISK = X_DEVS };
/*
 * Mappings of a device. VFIO: by IOVA, two pages that follow each other. DMA API: by buffer, as the
 * kernel chooses the IOVA.
 */
enum { X_MAPS = 4, X_SLOTS = 2 };

#define X_LEN 64u

/* CPUs of a guest, by APIC id: one that 8 bits of destination reach, one that they do not. */
#define X_CPU_LOW  1u
#define X_CPU_HIGH 300u

enum x_phase { X_NONE, X_LIVE, X_UNFLUSHED };

/* How a buffer is mapped. */
enum { X_PLAIN, X_DMABUF, X_CC_SHARED };

enum { X_BOUNCED = 1, X_PENDING = 2, X_CPU = 4, X_PAIR = 8, X_DIRTY = 16 };

/**
 * struct x_map - a mapping.
 * @phase:  X_UNFLUSHED: gone from the tables, and the IOTLB not told yet.
 * @buf, @how: what is mapped; 0 with X_NONE.
 * @cached: buffer + 1 to which the IOTLB has an entry at its IOVA; 0 for none.
 * @flags:  X_BOUNCED; X_PENDING: the device wrote into the bounce buffer and nobody has synced;
 *          X_CPU: synced for the CPU, the device has to wait; X_DIRTY: and the CPU has written:
 *          until it syncs for the device, an unmap would bring back what the device has;
 *          X_PAIR: one call made both slots.
 */
struct x_map {
	uint8_t phase;
	uint8_t buf;
	uint8_t how;
	uint8_t cached;
	uint8_t flags;
};

/**
 * struct x_state - what determines everything that can follow.
 * @shared, @defined: of the pages: shared with the hypervisor; written since the last conversion.
 * @high:   of the devices: the entry of the interrupt table names the CPU above 255.
 *
 * Why this is all of it: a machine's answer to an operation depends on the tables (a function of
 * @shared and of which buffer is mapped where and how: the kernel is told nothing else), on what
 * the IOTLB holds (@cached: filled by a DMA that succeeds, emptied by an invalidation), on the
 * owner of a streaming mapping, on the interrupt entry, and on bytes. Of bytes it is only asked
 * whether they are those written last: which they are does not matter, as each buffer's patterns
 * are its own and no room looks at data; so it is enough to know whether a page has been written
 * (@defined), and whether a bounce buffer holds something that memory does not (X_PENDING). What
 * differs otherwise between two machines in one state (numbers of IOVAs and frames, positions in
 * rings and in the event log, statistics) names things and decides nothing. That the argument
 * overlooks nothing is what the verify option checks.
 */
struct x_state {
	uint8_t shared[X_PAGES];
	uint8_t defined[X_PAGES];
	uint8_t high[X_DEVS];
	struct x_map map[X_DEVS][X_MAPS];
	uint8_t zero[2];
};

_Static_assert(sizeof(struct x_state) == 48, "no padding: states are compared as bytes");

enum x_kind {
	X_MAP,
	X_MAP_BOTH, /* one call: a page and the window; or, with how set, the window and a page */
	X_DMA_READ,
	X_DMA_WRITE,
	X_MSI,
	X_WRITE,
	X_SHARE,
	X_UNSHARE,
	X_SYNC_CPU,
	X_SYNC_DEVICE,
	X_UNMAP,
	X_UNMAP_ONLY,
	X_FLUSH,
	X_LATE, /* the device tries the address of a mapping that is gone */
	X_RESET,
};

/* @map: of device @dev. @how: of X_MAP as in struct x_map; of X_MSI: to the high CPU. */
struct x_op {
	uint8_t kind;
	uint8_t dev;
	uint8_t map;
	uint8_t buf;
	uint8_t how;
};

#define X_MAX_OPS 96

/** struct x_device - of a world: see struct cbit_sim_device. */
struct x_device {
	const char *name;
	bool emulated;
	bool direct;
	bool untrusted;
	bool narrow;
};

/**
 * struct x_world - a kind of machine.
 * @vfio:   programs map by type1 and dma-buf; else drivers map by the DMA API.
 * @viommu: of a guest. @patched: its tables are put into shared memory, whatever the policy says.
 * @msi:    devices send interrupts, as @format says.
 * @mirror_devs: the devices are alike.
 */
struct x_world {
	const char *name;
	const char *about;
	bool vfio;
	bool guest;
	bool viommu;
	bool patched;
	bool msi;
	enum cbit_msi_format format;
	bool mirror_devs;
	struct x_device devs[X_DEVS];
};

/**
 * struct x_machine - a machine of a world, and where it is.
 * @mapped: a device has had this mapping: its address can be tried.
 * @worn:   something was left over that cannot be undone: to be made anew.
 * @dirty:  an operation ended badly: nothing that @now says is sure.
 * @leaks:  unmaps that failed: what they leave behind stays, and is in nobody's way for a while.
 * @mending: nothing is forgotten on purpose now.
 */
struct x_machine {
	const struct x_world *world;
	const struct cbit_explore_config *cfg;
	struct cbit_sim *sim;
	struct x_state now;
	bool mapped[X_DEVS][X_MAPS];
	bool secret; /* private pages are private */
	bool worn;
	bool dirty;
	bool mending;
	unsigned int leaks;
	uint8_t seeds[X_BUFS];
	uint64_t total;
	struct cbit_error *err;
};

/**
 * struct x_outcome - what came of an operation.
 * @refused: a kernel refused it. @result: of the operation; @look: of what was looked at then.
 */
struct x_outcome {
	enum cbit_explore_broken broken;
	bool refused;
	bool looked;
	struct cbit_sim_result result;
	struct cbit_sim_result look;
	const char *look_text;
};

/* explore_world.c */
unsigned int x_worlds(const struct cbit_explore_config *cfg, struct x_world *out);
struct x_state x_initial(const struct x_world *world);
int x_power_on(struct x_machine *m);
void x_power_off(struct x_machine *m);
/* Back to the initial state; on a new machine where the old one cannot. */
int x_reset(struct x_machine *m);

/* explore_ops.c */
unsigned int x_enabled(const struct x_machine *m, const struct x_state *s, struct x_op *out);
int x_carry_out(struct x_machine *m, const struct x_op *op, struct x_outcome *out);
int x_sim(struct x_machine *m, const struct cbit_sim_op *op, struct cbit_sim_result *res);
unsigned int x_inverse(const struct x_state *before, const struct x_op *op, struct x_op out[2]);

/* explore_judge.c */
/* With @look, judged, and what everybody sees afterwards as well. */
int x_do(struct x_machine *m, const struct x_op *op, bool look, struct x_outcome *out);
void x_text(const struct x_machine *m, const struct x_op *op, char *out, size_t len);
void x_id(const struct x_outcome *out, char *id, size_t len);

/* explore_state.c */
struct x_mirror {
	bool pages, devs;
};
struct x_state x_mirrored(const struct x_world *world, struct x_mirror how,
			  const struct x_state *s);
struct x_op x_mirrored_op(const struct x_world *world, struct x_mirror how, const struct x_op *op);
/* The same for a state and its mirror images, of which it is one; @how leads from @s to it. */
struct x_state x_canonical(const struct x_world *world, const struct x_state *s,
			   struct x_mirror *how);
uint64_t x_hash(const struct x_state *s);

/* @op was the last one of a sequence: @parent is the index of what it was done in. */
struct x_node {
	struct x_state state;
	struct x_state key; /* the same for all mirror images */
	uint32_t parent;
	struct x_op op;
	uint8_t level;
};

struct x_graph {
	struct x_node *nodes;
	uint32_t nr, room;
	uint32_t *table; /* node + 1 */
	uint32_t slots;
};

#define X_NO_NODE UINT32_MAX

int x_graph_init(struct x_graph *g);
void x_graph_free(struct x_graph *g);
/* The node with that key; X_NO_NODE if there is none yet. */
uint32_t x_graph_find(const struct x_graph *g, const struct x_state *key);
int x_graph_add(struct x_graph *g, const struct x_node *node);
unsigned int x_graph_path(const struct x_graph *g, uint32_t node,
			  struct x_op out[CBIT_EXPLORE_DEPTH]);

/* explore_verify.c: whether two sequences that end in one state can be told apart by a next step */
int x_verify(const struct cbit_explore_config *cfg, const struct x_world *world,
	     const struct x_graph *g, uint32_t known, uint32_t parent, const struct x_op *op,
	     struct cbit_error *err);

/* explore.c, for tests: as cbit_explore_run(); @forget is left out of keys, so @verify must tell.
 */
int x_explore(const struct cbit_explore_config *config, bool merge, const struct x_state *forget,
	      struct cbit_explore_result **out, struct cbit_error *err);

#endif
