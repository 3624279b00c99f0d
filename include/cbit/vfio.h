/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vfio: a machine with devices in it, and the files through which a program uses them:
 * containers, groups, device files, iommufd. Behaviour, errno and argsz as in Linux 7.2.
 */
#ifndef CBIT_VFIO_H
#define CBIT_VFIO_H

#include <cbit/dev.h>
#include <cbit/guest.h>
#include <cbit/policy.h>

CBIT_API_BEGIN

struct cbit_machine;
struct cbit_file;
struct cbit_owner;

/**
 * struct cbit_client_run - memory behind a client address that can be mapped as one piece.
 * @spa: where it starts; @len bytes, page aligned, contiguous in SPA and of one @kind.
 * @pfn_map: it is RAM that the client has mapped by PFN (VM_PFNMAP), so that there is no page to
 *       pin: a dma-buf of a system heap.
 */
struct cbit_client_run {
	struct cbit_spa spa;
	uint64_t len;
	enum cbit_mem_kind kind;
	bool pfn_map;
};

/**
 * struct cbit_client_ops - what this room asks of whoever presents it to a program.
 * @caller is the call's own context as given to cbit_vfio_ioctl(), @opaque the presenter's.
 *
 * @copy_in:  read the caller's memory. 0 or -EFAULT.
 * @copy_out: write it. 0 or -EFAULT.
 * @owner:    the address space of the caller, referenced; @pid gets its process.
 * @owner_put: drop that reference.
 * @pin:      find what backs @vaddr of @owner, at most @len bytes, and keep its frames until
 *            @unpin; @write when the device may write. 0, -EFAULT where nothing (or nothing
 *            writable) is mapped, -ENOMEM.
 * @unpin:    undo, with the same owner and address; @run as given by @pin or a part of it.
 * @lock:     account @pages (negative: give back) of an address space's memory as locked; may
 *            be NULL. 0, or -ENOMEM above the limit (Linux: vfio_lock_acct), which does not count
 *            for a process with CAP_IPC_LOCK.
 * @eventfd:  duplicate the caller's eventfd @fd: a descriptor of this process, -EBADF when
 *            it is not open, -EINVAL when it is no eventfd.
 * @signal:   add one to such a duplicate; @eventfd_put close it.
 * @watch:    from now on take the count of such a duplicate whenever there is one, and call
 *            @wake with @ctx each time, in any thread. With @wake NULL no more: the call returns
 *            when none is under way. 0, -ENOMEM. May be NULL: nothing can be asked to unmask an
 *            interrupt or to write to a BAR by an eventfd then (-ENOTTY).
 * @file:     what file of this room the caller's descriptor @fd is, NULL and 0 for another
 *            kind of file, -EBADF when it is not open.
 * @trace:    where in the program the call came from, a number for struct cbit_mapping_info, 0
 *            when that is not known; may be NULL.
 * @install:  give the caller a descriptor for @file: the number, or a negative errno.
 * @capable:  has the caller that capability (CAP_*)? May be NULL: it has all.
 * @memory:   the open file that the caller's descriptor @fd is, as an address space whose addresses
 *            are offsets in it, for @pin, @unpin and @owner_put; NULL and 0 for what is no file in
 *            memory. -EBADF when it is not open, -ENOMEM. Its @pin says -EINVAL beyond its end.
 *            May be NULL: no file is one.
 * @stream_out: give the caller a descriptor that reads @len bytes of @data, and then the end: the
 *            number, or a negative errno.
 * @stream_in: give the caller a descriptor to write to; *@stream for the two below.
 * @stream_take: what has been written to it so far, at most @size bytes: how many, or -EINVAL for
 *            more. @stream_drop nobody looks any more. All four only for devices with migration=on.
 * @lock_counts: for an iommufd: *@user gets the number of the caller's user. Return: is what the
 *            caller maps accounted at all (Linux: it is not CAP_IPC_LOCK's)? May be NULL: no.
 * @lock_user: for an iommufd: account @pages (negative: give back) as locked by @user, or, for
 *            CBIT_NO_USER, by the address space @owner; the limit is that of @owner's process.
 *            0; -ENOMEM above it; -EINVAL where something is given back to an address space that
 *            is no more. NULL only if @lock_counts is.
 */
struct cbit_client_ops {
	int (*copy_in)(void *opaque, void *caller, void *dst, uint64_t addr, size_t len);
	int (*copy_out)(void *opaque, void *caller, uint64_t addr, const void *src, size_t len);
	struct cbit_owner *(*owner)(void *opaque, void *caller, int *pid);
	void (*owner_put)(void *opaque, struct cbit_owner *owner);
	int (*pin)(void *opaque, struct cbit_owner *owner, uint64_t vaddr, uint64_t len, bool write,
		   struct cbit_client_run *run);
	void (*unpin)(void *opaque, struct cbit_owner *owner, uint64_t vaddr,
		      const struct cbit_client_run *run);
	int (*lock)(void *opaque, struct cbit_owner *owner, int64_t pages);
	int (*eventfd)(void *opaque, void *caller, int fd);
	void (*signal)(void *opaque, int eventfd);
	void (*eventfd_put)(void *opaque, int eventfd);
	int (*watch)(void *opaque, int eventfd, void (*wake)(void *ctx), void *ctx);
	int (*file)(void *opaque, void *caller, int fd, struct cbit_file **out);
	int (*install)(void *opaque, void *caller, struct cbit_file *file);
	uint32_t (*trace)(void *opaque, struct cbit_owner *owner, void *caller);
	bool (*capable)(void *opaque, void *caller, int capability);
	int (*memory)(void *opaque, void *caller, int fd, struct cbit_owner **out);
	int (*stream_out)(void *opaque, void *caller, const void *data, size_t len);
	int (*stream_in)(void *opaque, void *caller, void **stream);
	long (*stream_take)(void *opaque, void *stream, void *buf, size_t size);
	void (*stream_drop)(void *opaque, void *stream);
	bool (*lock_counts)(void *opaque, void *caller, uint32_t *user);
	int (*lock_user)(void *opaque, struct cbit_owner *owner, uint32_t user, int64_t pages);
};

/* No user has that number. */
#define CBIT_NO_USER UINT32_MAX

/**
 * struct cbit_machine_guest - the machine is a confidential guest, on a host that @platform of
 * struct cbit_machine_config describes.
 * @kind:   what protects it; CBIT_GUEST_PLAIN: the machine is no guest, and the rest is ignored.
 * @viommu: the hypervisor gives it an AMD-Vi IOMMU. Without one its devices are behind the host's,
 *          which has the guest's memory mapped as it is: DMA addresses are GPAs.
 * @tdisp:  its devices are trusted, in TDISP run state.
 *
 * The client's pages are private memory of the guest, below CBIT_CLIENT_SHARED_BASE, or shared from
 * there on; their GPAs are their SPAs. Pages of either kind are accepted when they are first
 * mapped for DMA.
 */
struct cbit_machine_guest {
	enum cbit_guest_kind kind;
	bool viommu;
	bool tdisp;
};

/**
 * struct cbit_machine_config - a machine.
 * @platform: copied.
 * @policy:   one of cbit_policy_preset().
 * @observer: copied; may have a NULL @event.
 * @client:   the presenter's functions, with @client_opaque.
 * @client_dram: backing of the client's memory (struct cbit_mem_ops), which becomes the
 *            region "client-dram" from CBIT_CLIENT_DRAM_BASE on; offsets are bytes from there.
 * @bar_memory: memory for plain BARs, see struct cbit_pci_host; NULL for the heap.
 * @guest:    all zero for a machine that is no guest.
 */
struct cbit_machine_config {
	struct cbit_platform platform;
	const struct cbit_policy *policy;
	struct cbit_observer observer;
	const struct cbit_client_ops *client;
	const struct cbit_mem_ops *client_dram;
	void *(*bar_memory)(void *opaque, uint16_t devid, unsigned int bar, uint64_t size);
	void *client_opaque;
	struct cbit_machine_guest guest;
};

/* The address map: RAM of the machine's own below, then the client's, then windows. */
#define CBIT_HOST_DRAM_BASE   UINT64_C(0x1000000)
#define CBIT_HOST_DRAM_SIZE   UINT64_C(0x7f000000)
#define CBIT_CLIENT_DRAM_BASE UINT64_C(0x10000000000)
#define CBIT_CLIENT_DRAM_SIZE UINT64_C(0x1f0000000000)
/* A guest has a part of that, first what is private, then what is shared. */
#define CBIT_CLIENT_GUEST_SIZE  UINT64_C(0x8000000000)
#define CBIT_CLIENT_SHARED_BASE (CBIT_CLIENT_DRAM_BASE + CBIT_CLIENT_GUEST_SIZE)
#define CBIT_MMIO_BASE          UINT64_C(0x200000000000)
#define CBIT_MMIO_SIZE          UINT64_C(0x100000000000)

/** cbit_machine_create() - power on. Return: 0, or a negative errno with words in @err. */
int cbit_machine_create(const struct cbit_machine_config *config, struct cbit_machine **out,
			struct cbit_error *err);

/** cbit_machine_destroy() - every file must have been released. NULL is allowed. */
void cbit_machine_destroy(struct cbit_machine *machine);

/**
 * cbit_machine_mem() and cbit_machine_iommu() - the machine's address space and its IOMMU, its own.
 */
struct cbit_mem *cbit_machine_mem(struct cbit_machine *machine);
struct cbit_iommu *cbit_machine_iommu(struct cbit_machine *machine);

/**
 * cbit_machine_noiommu() - whether the machine's kernel sees no IOMMU: VFIO is in its no-IOMMU
 * mode, with groups of one device each and no device nodes, and DMA addresses are physical ones.
 */
bool cbit_machine_noiommu(const struct cbit_machine *machine);

/** cbit_machine_guest() - the guest that the machine is, NULL if it is none. */
struct cbit_guest *cbit_machine_guest(struct cbit_machine *machine);

/**
 * cbit_machine_add_device() - plug in a device.
 * @spec: "MODEL[,option]...", with the options of every device: "group=N" (IOMMU group,
 *        default the lowest free number from 1) and "addr=BDF" (default the next of
 *        0000:01:00.0, 0000:02:00.0, ...).
 * Before the first file is opened. Return: 0; -EINVAL, -ENOENT, -EEXIST, with words in @err.
 */
int cbit_machine_add_device(struct cbit_machine *machine, const char *spec, struct cbit_error *err);

/**
 * cbit_machine_set_faults() - what is to go wrong with the devices, which have been plugged in.
 * @plan: must live as long as the machine. Before the first file is opened, and once.
 * Return: 0; -ENODEV (a rule names a device that there is not), -ENOMEM, with words in @err.
 */
int cbit_machine_set_faults(struct cbit_machine *machine, struct cbit_fault_plan *plan,
			    struct cbit_error *err);

/**
 * cbit_machine_gave_up() - a client is about to take memory away that may be pinned: each mapping
 * of it is told as CBIT_EVENT_MEMORY_CHANGED. The pins stay; their owner sees to it that the old
 * pages do.
 * @what: the call in the words of its manual; @call: its @vaddr, @size, @pid and @trace.
 * Costs a look at every mapping. Any thread; not from within struct cbit_client_ops.
 */
void cbit_machine_gave_up(struct cbit_machine *machine, const struct cbit_owner *owner,
			  const char *what, const struct cbit_mapping_info *call);

/**
 * struct cbit_device_info - a device as sysfs shows it. @bdf is "0000:01:00.0".
 * @total_vfs: virtual functions that it may have, @num_vfs of which are enabled.
 * @pf: of a virtual function the index of its physical one, otherwise UINT32_MAX; it is number @vf
 *      there.
 * @present: false for a virtual function that is not enabled.
 */
struct cbit_device_info {
	struct cbit_pci *pci;
	char bdf[16];
	unsigned int index;
	unsigned int group;
	unsigned int total_vfs, num_vfs;
	unsigned int pf, vf;
	bool present;
};

/**
 * cbit_machine_device() - the devices in the order given, then all virtual functions, enabled or
 * not; false after the last.
 */
bool cbit_machine_device(struct cbit_machine *machine, unsigned int index,
			 struct cbit_device_info *out);

/**
 * cbit_machine_set_vfs() - what a write to sriov_numvfs does: enable the first @n virtual functions
 * of a device, or none.
 * A virtual function that is still open when it is disabled cannot be opened any more, and its user
 * is asked to close it (VFIO_PCI_REQ_IRQ_INDEX). Where Linux waits for that, this returns at once.
 * Return: 0; -ENODEV no such device; -ENOENT it has none; -ERANGE more than it may have; -EBUSY
 * others are enabled, or some are still open. Any thread, not from within struct cbit_client_ops.
 */
int cbit_machine_set_vfs(struct cbit_machine *machine, unsigned int index, unsigned int n);

/** enum cbit_file_kind - the files of this room. */
enum cbit_file_kind {
	CBIT_FILE_CONTAINER, /* /dev/vfio/vfio */
	CBIT_FILE_GROUP,     /* /dev/vfio/N */
	CBIT_FILE_DEVICE,    /* from VFIO_GROUP_GET_DEVICE_FD, or /dev/vfio/devices/vfioN */
	CBIT_FILE_IOMMUFD,   /* /dev/iommu */
	CBIT_FILE_EVENTQ,    /* of an iommufd: page faults, or events of a vIOMMU; always empty */
	CBIT_FILE_DMABUF,    /* from VFIO_DEVICE_FEATURE_DMA_BUF */
};

/**
 * cbit_vfio_open() - open a node.
 * @number: the group's number, or the device's index for CBIT_FILE_DEVICE (a cdev).
 * Return: 0; -ENODEV; -EBUSY (a group is opened once); -ENOMEM.
 */
int cbit_vfio_open(struct cbit_machine *machine, enum cbit_file_kind kind, unsigned int number,
		   struct cbit_file **out);

/** cbit_vfio_release() - the last descriptor of a file was closed (and unmapped). */
void cbit_vfio_release(struct cbit_file *file);

/** cbit_vfio_kind() - which of the files it is. */
enum cbit_file_kind cbit_vfio_kind(const struct cbit_file *file);

/** cbit_vfio_device_index() - for a device file: its device's index. */
unsigned int cbit_vfio_device_index(const struct cbit_file *file);

/** cbit_vfio_cdev() - is it a device file opened by its node, not through a group? */
bool cbit_vfio_cdev(const struct cbit_file *file);

/** cbit_vfio_granted() - may the device be used through this device file? */
bool cbit_vfio_granted(const struct cbit_file *file);

/** cbit_vfio_group_number() - for a group file: its number. */
unsigned int cbit_vfio_group_number(const struct cbit_file *file);

/**
 * struct cbit_dmabuf_info - a dma-buf, for who presents it.
 * @size:  bytes. @flags: O_* as the program asked for them. @name: given by the program, or "".
 * @users: its file, and address spaces that it is mapped in.
 */
struct cbit_dmabuf_info {
	uint64_t size;
	uint32_t flags;
	uint32_t users;
	char name[32];
};

/** cbit_vfio_dmabuf() - about a dma-buf's file; false for others. Any thread. */
bool cbit_vfio_dmabuf(struct cbit_file *file, struct cbit_dmabuf_info *out);

/**
 * cbit_vfio_ioctl() - carry out an ioctl.
 * @caller: passed to the client operations.
 * @cmd:    the whole command; @arg the third argument.
 * Return: the call's value, or a negative errno. Any thread.
 */
long cbit_vfio_ioctl(struct cbit_file *file, void *caller, uint32_t cmd, uint64_t arg);

/*
 * Offsets of a device file: bit 60 marks ours, bits 47:40 are the region index, the rest the
 * offset in the region. Trapped regions also have bit 61, beyond the end of the file.
 */
#define CBIT_VFIO_OFFSET_MARK (UINT64_C(1) << 60)
#define CBIT_VFIO_OFFSET_TRAP (UINT64_C(1) << 61)
#define CBIT_VFIO_INDEX_SHIFT 40
#define CBIT_VFIO_FILE_SIZE   (UINT64_C(1) << 61)

/** cbit_vfio_offset() - the file offset of a device's region @index. */
uint64_t cbit_vfio_offset(const struct cbit_pci *pci, unsigned int index);

/**
 * cbit_vfio_rw() - pread and pwrite on a device file.
 * @buf:   the data, in this process's memory; @len bytes.
 * Return: bytes done or a negative errno, as vfio-pci answers.
 */
long cbit_vfio_rw(struct cbit_file *file, uint64_t offset, void *buf, size_t len, bool write);

/** cbit_vfio_mmap_check() - may a client map this range, shared or not? 0 or -EINVAL. */
int cbit_vfio_mmap_check(struct cbit_file *file, uint64_t offset, uint64_t len, bool shared);

/**
 * cbit_vfio_describe() - the mapping call behind an IOVA of a container, iommufd or of the
 * address space that a device uses. false when there is none.
 */
bool cbit_vfio_describe(struct cbit_file *file, struct cbit_iova iova,
			struct cbit_mapping_info *out);

/**
 * cbit_vfio_domain() - the IOMMU domain of a container, NULL before SET_IOMMU, or of the
 * page table that a device is attached to. For tests.
 */
struct cbit_domain *cbit_vfio_domain(struct cbit_file *file);

CBIT_API_END

#endif
