/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * mem: the physical address space. Regions decode bus addresses, keys and the AES engine
 * stand between the fabric and DRAM, and DRAM holds what a DRAM chip would hold.
 */
#ifndef CBIT_MEM_H
#define CBIT_MEM_H

#include <cbit/types.h>

CBIT_API_BEGIN

struct cbit_mem;

/**
 * typedef cbit_key_t - a DRAM key: 0 is none (raw), 1 the host key, 2 and up are guests'
 * (cbit_mem_guest_key()).
 *
 * Where a caller names a key (a region's resident key, the key of new frames), it means the
 * key that the platform uses there: with TSME nothing is raw, so none means the host key;
 * without SME and TSME the host's accesses are raw, so its key means none; without SEV a guest's
 * key means what none does.
 */
typedef uint16_t cbit_key_t;
#define CBIT_KEY_NONE ((cbit_key_t)0)
#define CBIT_KEY_HOST ((cbit_key_t)1)

/**
 * cbit_mem_guest_key() - the key of the guests with @asid, 1 to the platform's number of ASIDs.
 * It is derived from the platform's host key (docs/semantics.md), so it is the same in every run.
 * Return: CBIT_KEY_NONE for an ASID that the platform does not have.
 */
cbit_key_t cbit_mem_guest_key(const struct cbit_mem *mem, unsigned int asid);

/**
 * cbit_mem_guest_rekey() - a new guest takes over @asid (SEV DEACTIVATE and DECOMMISSION of the old
 * one, then LAUNCH_START and ACTIVATE): cbit_mem_guest_key() stays, but the key behind it is
 * another. What was written under the old one is noise under the new, and stays in DRAM as it is.
 * (A backing with ops that is resident under that key goes on showing its plaintext.) Pointers from
 * cbit_mem_page_as() with the key show the DRAM bytes from then on. Nobody may be using the key
 * meanwhile. The time goes with the memory that was ever touched. Return: 0, -EINVAL for an ASID
 * that the platform does not have.
 */
int cbit_mem_guest_rekey(struct cbit_mem *mem, unsigned int asid);

/** cbit_mem_key_name() - "no key", "host key", "guest key". */
const char *cbit_mem_key_name(cbit_key_t key);

/** struct cbit_mem_part - @len bytes at @offset into a region. */
struct cbit_mem_part {
	uint64_t offset;
	size_t len;
};

/**
 * struct cbit_mem_ops - a backing that is not this room's own memory.
 * @read:  copy @len bytes at @offset (bytes into the region) to @buf.
 * @write: the other way.
 *
 * Both move what the resident key shows (plaintext of struct cbit_mem_region_desc.resident),
 * may be called from several threads at once and return 0, or a negative errno when part of
 * the range has nothing behind it; then the bytes read are undefined.
 *
 * @hold: optional, with @release: lend the memory at @offset as a pointer, so that accesses and
 *        the engine work on it without a copy. *@len is what is asked for, and on return how
 *        much of it lies at the pointer, in one piece; it ends there or at a multiple of the page
 *        size. The pointer is as aligned as @offset, up to the page size.
 *        NULL: it cannot be reached so; *@len then tells for how many bytes from @offset on (in
 *        the same bounds) @read and @write are to be called instead.
 *        @cookie is the implementation's own, handed to @release.
 *        A thread may hold two pieces (source and destination of a copy) of one region, and does
 *        not stop in between: an implementation that locks must allow it to lock twice for
 *        reading while a writer waits.
 * @release: give it back. Return: 0, or a negative errno when what was lent went away meanwhile
 *        (a file cut short): the access then counts as one without backing.
 *
 * @move: optional: @read or (@write) @write at once for @nr parts (at most 64), whose bytes follow
 *        one another in @buf. Return: 0 when all have been moved; an error where some cannot be, or
 *        had better not: the same is then done part by part, and may have been done in part.
 *
 * @atomic: optional: carry out cbit_mem_atomic() at @offset, a multiple of @size, as the resident
 *        key shows it. Asked where @hold lends nothing. Return: 0; -EOPNOTSUPP (or no @atomic):
 *        memory is then read and written under a lock that keeps off other atomics of devices,
 *        but no CPU and no plain DMA, while an MMIO window aborts; another negative errno:
 *        there is nothing behind it.
 */
struct cbit_mem_ops {
	int (*read)(void *opaque, uint64_t offset, void *buf, size_t len);
	int (*write)(void *opaque, uint64_t offset, const void *buf, size_t len);
	void *(*hold)(void *opaque, uint64_t offset, size_t *len, bool write, void **cookie);
	int (*release)(void *opaque, void *cookie);
	int (*move)(void *opaque, const struct cbit_mem_part *parts, unsigned int nr, void *buf,
		    bool write);
	int (*atomic)(void *opaque, uint64_t offset, enum cbit_atomic_op op, unsigned int size,
		      const uint64_t operand[2], const uint64_t compare[2], uint64_t old[2]);
};

/**
 * struct cbit_mem_region_desc - a window of the address map.
 * @kind:     what it is.
 * @encrypts: whether its controller consumes the C-bit. Must be true for DRAM and CXL RAM,
 *            false for MMIO; for coherent memory it is the vendor's choice.
 * @base:     SPA, page aligned; @size in bytes, a multiple of the page size.
 * @name:     copied; used in messages. NULL stands for the kind's name.
 * @direct:   plain memory behind a window that does not encrypt (MMIO), or NULL.
 * @ops:      backing elsewhere (copied), or NULL; not both of these. With neither, a region that
 * encrypts or is coherent is sparse memory of this room's own, reading as zeros under key none
 *            until written; an MMIO window must have one of the two.
 * @resident: for a backing with @ops: the key under which the bytes it moves are plaintext
 *            (the client's CPU key). Ignored otherwise.
 */
struct cbit_mem_region_desc {
	enum cbit_mem_kind kind;
	bool encrypts;
	struct cbit_spa base;
	uint64_t size;
	const char *name;
	void *direct;
	const struct cbit_mem_ops *ops;
	void *opaque;
	cbit_key_t resident;
};

/** struct cbit_mem_region - what cbit_mem_find() tells; valid while the region exists. */
struct cbit_mem_region {
	enum cbit_mem_kind kind;
	bool encrypts;
	struct cbit_spa base;
	uint64_t size;
	const char *name;
};

/**
 * enum cbit_mem_outcome - how an access ended.
 * @CBIT_MEM_OK:         bytes moved, under the key that is resident there.
 * @CBIT_MEM_WRONG_KEY:  bytes moved, but through another key than the resident one of a
 *                       backing with ops: the other side sees or left noise.
 * @CBIT_MEM_ABORT:      no window decodes the address; reads give all ones, writes vanish.
 * @CBIT_MEM_NO_BACKING: the backing had nothing there; reads give all ones.
 * @CBIT_MEM_REFUSED:    the reverse map table let nobody through: only from a forwarding space
 *                       that asks it. Reads give all ones.
 */
enum cbit_mem_outcome {
	CBIT_MEM_OK,
	CBIT_MEM_WRONG_KEY,
	CBIT_MEM_ABORT,
	CBIT_MEM_NO_BACKING,
	CBIT_MEM_REFUSED,
};

/**
 * cbit_mem_create() - an empty address space.
 * @platform: copied.
 * Return: 0 and *@out owned by the caller, or -ENOMEM, -EINVAL (C-bit below @pa_bits or
 * above 51, pa_bits outside 32..52, a host key of two equal halves, SEV-ES without SEV or SNP
 * without SEV-ES, SEV without ASIDs or ASIDs without SEV, more than 65534 of them, or 1023 with
 * SNP), or -EIO if libcrypto has no AES-XTS.
 */
int cbit_mem_create(const struct cbit_platform *platform, struct cbit_mem **out);

/**
 * struct cbit_mem_forward_ops - an address space that is another one seen through somebody's
 * translation: a guest's physical addresses as the guest's CPU or as the hypervisor sees them.
 * @read:  an access to an address that no window of the forwarding space decodes. @addr is as the
 *         space's user issued it, C-bit included; @len bytes, which may cross pages.
 * @write: the other way.
 * @atomic: cbit_mem_atomic() for such an address; size and alignment are legal. NULL: they abort.
 * @page:  cbit_mem_page() for such an address; NULL where there is no memory.
 * @find:  cbit_mem_find() for it; NULL where nothing is.
 * @frames_alloc: frames for tables and rings, zeroed; @c: they will be reached with the C-bit set.
 *         May be NULL: then there are none.
 * @frames_free: gives them back. NULL together with @frames_alloc.
 *
 * Any thread that uses the space calls them.
 */
struct cbit_mem_forward_ops {
	enum cbit_mem_outcome (*read)(void *opaque, struct cbit_bus addr, void *buf, size_t len);
	enum cbit_mem_outcome (*write)(void *opaque, struct cbit_bus addr, const void *buf,
				       size_t len);
	enum cbit_mem_outcome (*atomic)(void *opaque, struct cbit_bus addr, enum cbit_atomic_op op,
					unsigned int size, const uint64_t operand[2],
					const uint64_t compare[2], uint64_t old[2]);
	void *(*page)(void *opaque, struct cbit_bus addr);
	const struct cbit_mem_region *(*find)(void *opaque, struct cbit_spa addr);
	int (*frames_alloc)(void *opaque, unsigned int count, bool c, struct cbit_spa *out);
	void (*frames_free)(void *opaque, struct cbit_spa addr, unsigned int count);
};

/**
 * cbit_mem_create_forward() - an address space without memory of its own.
 * @platform: what the space's user believes of his addresses: whether they carry a C-bit, and
 *            where. Copied. TSME has no meaning here.
 * @ops:      copied; @opaque is passed on.
 * Windows of kind MMIO may be added and go first. There is no engine: cbit_mem_aes() and
 * cbit_mem_raw() are not for such a space.
 * Return: as cbit_mem_create().
 */
int cbit_mem_create_forward(const struct cbit_platform *platform,
			    const struct cbit_mem_forward_ops *ops, void *opaque,
			    struct cbit_mem **out);

/** cbit_mem_destroy() - free everything; NULL is allowed. */
void cbit_mem_destroy(struct cbit_mem *mem);

/** cbit_mem_platform() - the platform given at creation. */
const struct cbit_platform *cbit_mem_platform(const struct cbit_mem *mem);

/**
 * cbit_mem_add_region() - add a window.
 * Return: 0; -EINVAL for a description that breaks its rules, with words in @err (may be
 * NULL); -EEXIST when it overlaps another; -ENOMEM.
 * Not to be called while accesses are under way.
 */
int cbit_mem_add_region(struct cbit_mem *mem, const struct cbit_mem_region_desc *desc,
			struct cbit_error *err);

/** cbit_mem_find() - the region that holds @spa, or NULL. Any thread. */
const struct cbit_mem_region *cbit_mem_find(const struct cbit_mem *mem, struct cbit_spa spa);

/** cbit_mem_bus() - the address that leaves for @spa when the entry's C-bit is @c. */
struct cbit_bus cbit_mem_bus(const struct cbit_mem *mem, struct cbit_spa spa, bool c);

/**
 * cbit_mem_read() - a read as the fabric carries it out.
 * @addr: bus address; the C-bit in it selects the key on memory that encrypts, and makes any
 *        other window miss.
 * @buf:  always filled in: all ones where nothing answers.
 * @len:  bytes; may cross pages and regions; the worst (highest) outcome of the parts is
 *        returned, CBIT_MEM_OK for none.
 * Any thread; accesses to the same bytes are as unordered as on a bus. On sparse and direct
 * memory an aligned access of 1, 2, 4 or 8 bytes is whole, loads acquire and stores release;
 * so is each word of up to 64 bytes made of aligned 8-byte words.
 */
enum cbit_mem_outcome cbit_mem_read(struct cbit_mem *mem, struct cbit_bus addr, void *buf,
				    size_t len);

/**
 * cbit_mem_write() - a write, likewise. A backing that fails may have taken a part of it;
 * CBIT_MEM_NO_BACKING also when there is no memory for a sparse page.
 */
enum cbit_mem_outcome cbit_mem_write(struct cbit_mem *mem, struct cbit_bus addr, const void *buf,
				     size_t len);

/**
 * cbit_mem_copy() - read @len bytes at @from and write them at @to without a buffer in between,
 * where both sides are direct memory or a backing that lends pointers, and at most one of them
 * is reached through another key than its resident one.
 * @outcome: of the read and of the write, CBIT_MEM_OK or CBIT_MEM_WRONG_KEY; unset if nothing was
 *           moved.
 * Return: bytes moved from the start, up to the end of a region or of what is lent; 0 when it
 * has to be done by cbit_mem_read() and cbit_mem_write() instead: they say why. (The bytes at
 * @to are then undefined until that is done.) Short copies and such whose sides overlap are left
 * to those as well. Any thread.
 */
size_t cbit_mem_copy(struct cbit_mem *mem, struct cbit_bus to, struct cbit_bus from, size_t len,
		     enum cbit_mem_outcome outcome[2]);

/** struct cbit_mem_span - @len bytes from @addr on. */
struct cbit_mem_span {
	struct cbit_bus addr;
	size_t len;
};

/**
 * cbit_mem_gather() - read or (@write) write @nr spans, whose bytes follow one another in @buf, at
 * once: for scattered pages of a backing whose every access is dear. It does the ordinary case
 * alone: at most 64 spans, all in one region whose ops have a @move, under its resident key.
 * Return: true when all was moved, as cbit_mem_read() with CBIT_MEM_OK; false when the spans are to
 * be gone through one by one instead (some may have been moved already). Any thread.
 */
bool cbit_mem_gather(struct cbit_mem *mem, const struct cbit_mem_span *spans, unsigned int nr,
		     void *buf, bool write);

/**
 * cbit_mem_atomic() - an atomic access, as the completer of a PCI Express AtomicOp does it.
 * @size:    4 or 8 bytes; 16 too for CBIT_ATOMIC_CAS. @addr is a multiple of it.
 * @operand: what is added or stored; @compare: for CBIT_ATOMIC_CAS, otherwise ignored and may be
 *           NULL. Little-endian words, the low one first; what lies beyond @size is ignored.
 * @old:     always filled in: what was there before, zero-extended; all ones in @size bytes
 *           where nothing answers.
 *
 * Atomic against CPUs and other devices on sparse and direct memory, and on a backing that
 * lends pointers; on other backings see @atomic of struct cbit_mem_ops. Through another key
 * than the resident one, the 16-byte block is turned to what that key shows, changed and turned
 * back as one: the old value is noise to who reads it and the new one to who had it.
 * Return: as cbit_mem_read(); CBIT_MEM_ABORT also for a size or an alignment that does not exist
 * (PCIe: a malformed request) and for MMIO that takes no atomics. Any thread.
 */
enum cbit_mem_outcome cbit_mem_atomic(struct cbit_mem *mem, struct cbit_bus addr,
				      enum cbit_atomic_op op, unsigned int size,
				      const uint64_t operand[2], const uint64_t compare[2],
				      uint64_t old[2]);

/**
 * cbit_mem_page() - the 4 KiB page at @addr as seen through the key that @addr selects.
 * Only for sparse regions of this room (tables, rings). The page is created on first use. The
 * pointer stays valid until the region goes; its content is that view until somebody touches
 * the page through another key, so users of one page agree on its key (the normal case: the
 * C-bit of a table pointer never changes).
 * Return: NULL when @addr is not in such a region (a walker treats that as a hardware
 * error) or there is no memory. Any thread.
 */
void *cbit_mem_page(struct cbit_mem *mem, struct cbit_bus addr);

/**
 * cbit_mem_read_as(), cbit_mem_write_as(), cbit_mem_atomic_as(), cbit_mem_page_as() - the accesses
 * of who has a key of his own: the CPU of a guest whose leaf has the C-bit, its table walks and
 * fetches (24593 15.34.5), a trusted device. As those above, with the key named in place of the
 * C-bit: CBIT_KEY_NONE for an access without it, CBIT_KEY_HOST for the host's. Every other key is a
 * guest's. On a window that does not encrypt a named key is a C-bit that nothing takes off: the
 * access aborts.
 */
enum cbit_mem_outcome cbit_mem_read_as(struct cbit_mem *mem, struct cbit_spa spa, cbit_key_t key,
				       void *buf, size_t len);
enum cbit_mem_outcome cbit_mem_write_as(struct cbit_mem *mem, struct cbit_spa spa, cbit_key_t key,
					const void *buf, size_t len);
enum cbit_mem_outcome cbit_mem_atomic_as(struct cbit_mem *mem, struct cbit_spa spa, cbit_key_t key,
					 enum cbit_atomic_op op, unsigned int size,
					 const uint64_t operand[2], const uint64_t compare[2],
					 uint64_t old[2]);
void *cbit_mem_page_as(struct cbit_mem *mem, struct cbit_spa spa, cbit_key_t key);

/**
 * cbit_mem_raw() - what the DRAM chip holds at @spa: no key, no event, nothing created.
 * Return: 0, -ENXIO outside memory that encrypts or is coherent, or the backing's error.
 */
int cbit_mem_raw(struct cbit_mem *mem, struct cbit_spa spa, void *buf, size_t len);

/**
 * cbit_mem_frames_alloc() - take @count contiguous 4 KiB frames of sparse DRAM, aligned to
 * their size rounded up to a power of two, zeroed as seen through @key. They come from the
 * lowest sparse DRAM region there is at the first call; the frame at SPA 0 is never given out.
 * Return: 0, -EINVAL for no frames, -ENOMEM. Any thread.
 */
int cbit_mem_frames_alloc(struct cbit_mem *mem, unsigned int count, cbit_key_t key,
			  struct cbit_spa *out);

/** cbit_mem_frames_free() - give them back, @count as it was asked for. Any thread. */
void cbit_mem_frames_free(struct cbit_mem *mem, struct cbit_spa spa, unsigned int count);

/**
 * cbit_mem_aes() - the engine itself: bytes as they stand in DRAM from plaintext, or back.
 * @key:     the key; with CBIT_KEY_NONE the bytes are copied.
 * @spa:     address of the first byte, 16-byte aligned; the tweak comes from it.
 * @len:     a multiple of 16.
 * @encrypt: true from plaintext to DRAM.
 * @in may equal @out. Any thread.
 */
void cbit_mem_aes(struct cbit_mem *mem, cbit_key_t key, struct cbit_spa spa, const void *in,
		  void *out, size_t len, bool encrypt);

/* Reference path for tests and docs: same result as the fast path, always through AES. */

/**
 * cbit_mem_set_slow() - switch the equal-key fast path off: every access to memory that
 * encrypts then goes plaintext -> DRAM bytes -> plaintext through AES.
 */
void cbit_mem_set_slow(struct cbit_mem *mem, bool slow);

CBIT_API_END

#endif
