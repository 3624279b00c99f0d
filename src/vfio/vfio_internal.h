/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the files of the vfio room share: the machine, its groups and devices, containers,
 * and the address spaces that mappings live in.
 */
#ifndef CBIT_VFIO_INTERNAL_H
#define CBIT_VFIO_INTERNAL_H

#include <bsd/sys/tree.h>
#include <pthread.h>

#include <cbit/vfio.h>
#include "uapi.h"

/* Linux: the page sizes of generic_pt/fmt/amdv1.h */
#define VFIO_PGSIZES     UINT64_C(0xfff7ffffff000)
#define VFIO_MAX_DEVICES 32
#define VFIO_MAX_VECTORS 64
/* Linux: drivers/vfio/vfio_iommu_type1.c, dma_entry_limit. */
#define VFIO_DMA_ENTRY_LIMIT 65535u

/** struct vfio_mapping - one mapping call of a client. */
struct vfio_mapping {
	RB_ENTRY(vfio_mapping) node;
	uint64_t id;
	uint64_t iova;
	uint64_t size;
	uint64_t vaddr;
	unsigned int attrs;
	int pid;
	uint32_t trace;
	bool vaddr_invalid;
	struct cbit_owner *owner;
	/* What was pinned; the first run inline, for most mappings have one. */
	struct cbit_client_run run;
	struct cbit_client_run *more;
	unsigned int nr_more;
	unsigned int cap_more;
	/* Of an IOAS: a slice of pages that others may share; it pins nothing itself. */
	struct vfio_pages *pages;
	uint64_t start; /* first byte of the slice */
	/* type1 tracking: what is behind the last page in Linux's bitmap of it */
	uint64_t dirty_tail[2];
};

RB_HEAD(vfio_mappings, vfio_mapping);

/**
 * struct vfio_space_ref - what a DMA that went wrong holds of a space: it may come a moment
 * after the space is gone, so the reference outlives it and is used again by the next one.
 */
struct vfio_space_ref {
	pthread_mutex_t lock;
	struct vfio_space *space;
	struct vfio_space_ref *next;
};

/**
 * struct vfio_space - the IOVA space of a container or an IOAS.
 * @domain: what a container's mappings are mapped into; an IOAS has any number of page tables.
 */
struct vfio_space {
	struct cbit_machine *machine;
	struct cbit_domain *domain;
	struct vfio_ioas *ioas;
	struct vfio_space_ref *ref;
	struct vfio_space *next; /* of the machine */
	pthread_mutex_t lock;
	struct vfio_mappings mappings;
	struct vfio_mapping *spare;
	unsigned int dma_avail;
	bool v2;
	bool dirty_tracking;
	unsigned int vaddr_invalid; /* mappings whose client address is taken back for now */
};

struct vfio_container {
	unsigned int type; /* 0 before SET_IOMMU */
	struct vfio_space *space;
	unsigned int groups;
	bool fd_open;
};

/** enum vfio_object_type - what a number in an iommufd stands for. */
enum vfio_object_type {
	VFIO_OBJECT_NONE, /* a number that is taken, but stands for nothing */
	VFIO_OBJECT_DEVICE,
	VFIO_OBJECT_IOAS,
	VFIO_OBJECT_HWPT,
	VFIO_OBJECT_VIOMMU,
	VFIO_OBJECT_VDEVICE,
	VFIO_OBJECT_FAULT,
	VFIO_OBJECT_VEVENTQ,
};

/** struct vfio_object - @users: 1 for the table of objects, and one for each that needs it. */
struct vfio_object {
	uint32_t id;
	enum vfio_object_type type;
	unsigned int users;
};

struct vfio_group {
	unsigned int number;
	bool opened;
	bool fd_open;
	unsigned int device_files;
	unsigned int cdev_open;
	struct vfio_container *container;
	/* SET_CONTAINER with an iommufd instead */
	struct vfio_iommufd *iommufd;
	/* the page table that its devices are attached to, and how many of them are */
	struct vfio_hwpt *hwpt;
	unsigned int attached;
};

/**
 * struct vfio_vf_token - what users of a physical function and of its virtual ones must share.
 * @users: virtual functions that are open.
 */
struct vfio_vf_token {
	uint8_t uuid[16];
	unsigned int users;
};

struct vfio_device {
	struct cbit_machine *machine;
	struct cbit_pci *pci;
	uint16_t devid;
	unsigned int index;
	struct vfio_group *group;
	char bdf[16];
	unsigned int open_count;
	/* the iommufd that it is bound to, and what it is there */
	struct vfio_iommufd *iommufd;
	struct vfio_object object;
	bool attached; /* to its group's page table */
	struct vfio_vdevice *vdevice;
	/* interrupts: see irq.c for the two locks */
	pthread_mutex_t igate;
	pthread_mutex_t irq_lock;
	int irq_type; /* UAPI_IRQ_*, -1 for none */
	int eventfd[VFIO_MAX_VECTORS];
	int err_eventfd;
	int req_eventfd;
	int unmask_eventfd;
	bool intx_masked;
	bool intx_disabled; /* by the client, in the command register as it sees it */
	bool low_power;
	/* migration: the state, and the stream of one being taken in, NULL for none */
	pthread_mutex_t mig_lock;
	uint32_t mig_state; /* UAPI_MIG_* */
	void *mig_stream;
	/*
	 * SR-IOV: of a virtual function its physical one, its number there, and whether it is
	 * enabled; of a physical one the token, and where the virtual ones' BARs are.
	 */
	struct vfio_device *pf;
	unsigned int vf;
	bool absent;
	unsigned int bars_placed;
	uint64_t vf_bars[CBIT_PCI_BARS];
	unsigned int num_vfs;
	struct vfio_vf_token token;
	/* held over what may change whether its memory answers, and what follows: see memory.c */
	pthread_mutex_t memory_lock;
	uint32_t pm_cap, exp_cap;    /* in configuration space; 0: none */
	struct vfio_dmabuf *dmabufs; /* under the machine's dmabuf_lock */
	/* under igate */
	struct vfio_ioeventfd *ioeventfds;
	unsigned int nr_ioeventfds;
};

struct cbit_file {
	struct cbit_machine *machine;
	enum cbit_file_kind kind;
	union {
		struct vfio_container *container;
		struct vfio_group *group;
		struct vfio_iommufd *iommufd;
		struct vfio_device *device;
		struct vfio_eventq *eventq;
		struct vfio_dmabuf *dmabuf;
	};
	bool cdev;
	bool granted; /* the device may be used through this file; atomic, see vfio_file_granted()
		       */
};

/* BIND_IOMMUFD may come in one thread while others read and write. */
static inline bool vfio_file_granted(const struct cbit_file *file)
{
	return __atomic_load_n(&file->granted, __ATOMIC_ACQUIRE);
}

static inline void vfio_file_grant(struct cbit_file *file)
{
	__atomic_store_n(&file->granted, true, __ATOMIC_RELEASE);
}

struct cbit_machine {
	struct cbit_platform platform;
	const struct cbit_policy *policy;
	struct cbit_observer observer;
	const struct cbit_client_ops *client;
	void *client_opaque;
	void *(*bar_memory)(void *opaque, uint16_t devid, unsigned int bar, uint64_t size);
	struct cbit_mem *mem;
	struct cbit_iommu *iommu;
	struct vfio_guest *guest; /* NULL on a machine that is none */
	bool noiommu; /* its kernel sees no IOMMU: VFIO has groups of type VFIO_NO_IOMMU */
	/* State of files: changes take it for writing, mapping calls for reading. */
	pthread_rwlock_t state;
	pthread_mutex_t opens; /* of groups, with @state taken for reading */
	uint64_t next_mapping;
	uint64_t mmio_next;
	struct vfio_device *devices[VFIO_MAX_DEVICES];
	unsigned int nr_devices;
	struct vfio_group *groups[VFIO_MAX_DEVICES];
	unsigned int nr_groups;
	pthread_mutex_t refs_lock;
	struct vfio_space_ref *spare_refs;
	struct vfio_space *spaces;   /* under refs_lock, taken before a space's own */
	pthread_mutex_t dmabuf_lock; /* nothing else is taken under it */
	void **heap_bars;
	unsigned int nr_heap_bars;
};

/* Linux: access_ok(), with the addresses of 4-level paging. */
static inline bool vfio_access_ok(uint64_t addr, uint64_t len)
{
	uint64_t end;

	return !__builtin_add_overflow(addr, len, &end) && end <= UINT64_C(0x7ffffffff000);
}

/* The region of an offset in a device file, and the place in it. */
#define VFIO_INDEX_OF(offset) ((unsigned int)((offset) >> CBIT_VFIO_INDEX_SHIFT) & 0xff)
#define VFIO_POS_OF(offset)   ((offset) & ((UINT64_C(1) << CBIT_VFIO_INDEX_SHIFT) - 1))

/* One call of a client, for the copies. */
struct vfio_call {
	struct cbit_machine *machine;
	void *caller;
	uint64_t arg;
};

static inline int vfio_get(const struct vfio_call *call, void *dst, uint64_t at, size_t len)
{
	return call->machine->client->copy_in(call->machine->client_opaque, call->caller, dst,
					      call->arg + at, len);
}

static inline int vfio_put(const struct vfio_call *call, uint64_t at, const void *src, size_t len)
{
	return call->machine->client->copy_out(call->machine->client_opaque, call->caller,
					       call->arg + at, src, len);
}

/* guest.c: a machine that is a confidential guest */
#define VFIO_GUEST_ASID 1u
int vfio_guest_create(struct cbit_machine *machine, const struct cbit_machine_config *config,
		      struct cbit_error *err);
void vfio_guest_destroy(struct cbit_machine *machine);
/* A device was plugged in: its windows, and whatever translates for it. */
int vfio_guest_add_device(struct cbit_machine *machine, const struct vfio_device *dev,
			  struct cbit_error *err);
/* Memory of the client is about to be mapped for DMA. 0 on any other machine. */
int vfio_guest_accept(struct cbit_machine *machine, const struct cbit_client_run *run);
/* The platform that the machine's kernel believes in: a guest's has the guest's C-bit. */
const struct cbit_platform *vfio_kernel_platform(const struct cbit_machine *machine);
/* The attributes of a run, where the machine's being a guest has a say. */
unsigned int vfio_guest_attrs(const struct cbit_machine *machine, const struct cbit_client_run *run,
			      unsigned int attrs);

/* space.c */
/* Find and pin what backs @vaddr; as struct cbit_client_ops has it. */
int vfio_pin(struct cbit_machine *machine, struct cbit_owner *owner, uint64_t vaddr, uint64_t len,
	     bool write, struct cbit_client_run *run);
/* @ioas: NULL for a container's, which has a domain. */
int vfio_space_create(struct cbit_machine *machine, struct vfio_ioas *ioas,
		      struct vfio_space **out);
/* What tells of a mapping for a domain of this space. */
struct cbit_domain_owner vfio_space_owner(struct vfio_space *space);
struct vfio_mapping *vfio_space_mapping_new(struct vfio_space *space);
void vfio_space_mapping_free(struct vfio_space *space, struct vfio_mapping *m);
void vfio_space_insert(struct vfio_space *space, struct vfio_mapping *m);
void vfio_space_take_out(struct vfio_space *space, struct vfio_mapping *m);
void vfio_space_destroy(struct vfio_space *space);
struct vfio_mapping *vfio_space_first(struct vfio_space *space, uint64_t from, uint64_t last);
struct vfio_mapping *vfio_space_next(struct vfio_space *space, struct vfio_mapping *m);
int vfio_space_map(struct vfio_space *space, void *caller, uint64_t iova, uint64_t size,
		   uint64_t vaddr, unsigned int attrs);
void vfio_space_remove(struct vfio_space *space, struct vfio_mapping *m);
void vfio_space_mapping_info(const struct vfio_mapping *m, struct cbit_mapping_info *out);
bool vfio_space_iova_valid(uint64_t first, uint64_t last);
bool vfio_space_describe(struct vfio_space *space, uint64_t iova, struct cbit_mapping_info *out);
/* The usable IOVA ranges of an AMD host: MSI and HyperTransport holes left out. */
#define VFIO_IOVA_RANGES 3
extern const struct uapi_iova_range vfio_iova_ranges[VFIO_IOVA_RANGES];

int vfio_space_update_vaddr(struct vfio_space *space, void *caller, struct vfio_mapping *m,
			    uint64_t vaddr);

/* misuse.c: calls that do not do what the program seems to think */
/* Called with the space's lock held. */
void vfio_tell_unmapped_nothing(struct vfio_space *space, const struct vfio_call *call,
				uint64_t iova, uint64_t size);
void vfio_tell_no_iommu(const struct vfio_container *container, const struct vfio_call *call,
			uint32_t cmd);
/* A mapping call was refused with EEXIST: DMA there is told. Called with the space's lock held. */
void vfio_watch_refused(struct vfio_space *space, const struct vfio_call *call, const char *what,
			const struct cbit_mapping_info *refused);

/* dirty.c */
int vfio_dirty_check(uint64_t pages, uint64_t bytes);
int vfio_dirty_mark(const struct vfio_call *call, uint64_t bitmap, struct vfio_mapping *m,
		    uint64_t base);
long vfio_dirty_pages(struct vfio_space *space, const struct vfio_call *call);

/**
 * struct vfio_bitmap - a client's bitmap, a window of it at a time.
 * @data: its address; bit 0 stands for the page of @iova, and each for 1 << @shift bytes.
 * @at:   the word at words[0]; @any: something is set in @words.
 */
#define VFIO_BITMAP_WORDS 512u
struct vfio_bitmap {
	const struct vfio_call *call;
	uint64_t data;
	uint64_t iova;
	unsigned int shift;
	uint64_t at;
	uint64_t words[VFIO_BITMAP_WORDS];
	bool any;
};

/* bitmap.c: @opaque is a struct vfio_bitmap; what is set reaches the client with the flush. */
void vfio_bitmap_set(void *opaque, struct cbit_iova iova, uint64_t len);
void vfio_bitmap_flush(struct vfio_bitmap *w);

/* dmalog.c, migration.c: features */
long vfio_log_start(struct vfio_device *dev, const struct vfio_call *call,
		    const struct uapi_feature *feat);
long vfio_log_stop(struct vfio_device *dev, const struct uapi_feature *feat);
long vfio_log_report(struct vfio_device *dev, const struct vfio_call *call,
		     const struct uapi_feature *feat);
long vfio_mig_flags(struct vfio_device *dev, const struct vfio_call *call,
		    const struct uapi_feature *feat);
long vfio_mig_state(struct vfio_device *dev, const struct vfio_call *call,
		    const struct uapi_feature *feat);
long vfio_mig_data_size(struct vfio_device *dev, const struct vfio_call *call,
			const struct uapi_feature *feat);
/* The device was reset, opened, or is being closed: it runs. */
void vfio_mig_reset(struct vfio_device *dev);
void vfio_mig_init(struct vfio_device *dev);
void vfio_mig_destroy(struct vfio_device *dev);

/* sriov.c */
/* The virtual functions of a device that has just been plugged in. */
int vfio_sriov_plug(struct vfio_device *pf, const char *spec, struct cbit_error *err);
/* May the device be opened with that token, NULL for none? Linux: match_token_uuid() */
int vfio_token_match(struct vfio_device *dev, const uint8_t uuid[16]);
/* "BDF" or "BDF vf_token=UUID": 1 for this device, 0 for another one, or an errno. */
int vfio_token_name(struct vfio_device *dev, const char *name);
long vfio_token_feature(struct vfio_device *dev, const struct vfio_call *call,
			const struct uapi_feature *feat);

/* machine.c */
/* Plug a device in, or virtual function @vf of @pf, which has a group of its own. */
int vfio_device_plug(struct cbit_machine *machine, struct vfio_device *pf, unsigned int vf,
		     const char *spec, uint16_t devid, unsigned int group, struct cbit_error *err);

/* reset.c */
long vfio_hot_reset_info(struct cbit_file *file, const struct vfio_call *call);
long vfio_hot_reset(struct cbit_file *file, const struct vfio_call *call);

/* type1.c */
long vfio_type1_ioctl(struct vfio_container *container, const struct vfio_call *call, uint32_t cmd);
long vfio_type1_check_extension(uint64_t extension, bool has_domain);

/* container.c */
long vfio_container_ioctl(struct vfio_container *container, const struct vfio_call *call,
			  uint32_t cmd);
long vfio_group_ioctl(struct vfio_group *group, const struct vfio_call *call, uint32_t cmd);
void vfio_container_release(struct cbit_machine *machine, struct vfio_container *container);
void vfio_group_put(struct cbit_machine *machine, struct vfio_group *group);
/* A file of the device that came through its group has gone. */
void vfio_group_device_closed(struct vfio_device *dev);

/* device.c */
long vfio_device_ioctl(struct cbit_file *file, const struct vfio_call *call, uint32_t cmd);
void vfio_device_opened(struct vfio_device *dev);
void vfio_device_closed(struct vfio_device *dev);

/* Linux: vfio_check_feature(). 1: go on. */
int vfio_check_feature(const struct uapi_feature *feat, uint32_t supported, size_t len);

/* memory.c: does a device's memory answer? */
void vfio_memory_init(struct vfio_device *dev);
void vfio_memory_destroy(struct vfio_device *dev);
/* Around what takes it away for a while, and might not bring it back. */
void vfio_memory_off(struct vfio_device *dev);
void vfio_memory_on(struct vfio_device *dev);
void vfio_memory_config_write(struct vfio_device *dev, uint32_t pos, const void *buf, uint32_t len);

/* dmabuf.c */
long vfio_dmabuf_export(struct vfio_device *dev, const struct vfio_call *call,
			const struct uapi_feature *feat);
long vfio_dmabuf_ioctl(struct vfio_dmabuf *buf, const struct vfio_call *call, uint32_t cmd);
void vfio_dmabuf_release(struct vfio_dmabuf *buf);
/* Revoke all of a device's, or make them good for new mappings again. With memory_lock held. */
void vfio_dmabuf_move(struct vfio_device *dev, bool revoked);
/* The last file of the device goes: they stay revoked for good. */
void vfio_dmabuf_cleanup(struct vfio_device *dev);

/* irq.c */
void vfio_irq_init(struct vfio_device *dev);
void vfio_irq_destroy(struct vfio_device *dev);
void vfio_irq_disable_all(struct vfio_device *dev);
void vfio_irq_raise(struct vfio_device *dev, unsigned int index, unsigned int vector);
long vfio_irq_info(struct vfio_device *dev, const struct vfio_call *call);
long vfio_irq_set(struct vfio_device *dev, const struct vfio_call *call);

/* intx.c: the client has written the command register */
#define VFIO_PCI_COMMAND          4u
#define VFIO_PCI_COMMAND_INTX_OFF 0x400u
void vfio_intx_config_written(struct vfio_device *dev);

/* ioeventfd.c */
long vfio_ioeventfd(struct vfio_device *dev, const struct vfio_call *call);
void vfio_ioeventfd_drop_all(struct vfio_device *dev);

/* cdev.c */
long vfio_cdev_bind(struct cbit_file *file, const struct vfio_call *call);
long vfio_cdev_attach(struct cbit_file *file, const struct vfio_call *call);
long vfio_cdev_detach(struct cbit_file *file, const struct vfio_call *call);
void vfio_cdev_unbind(struct vfio_device *dev);

#endif
