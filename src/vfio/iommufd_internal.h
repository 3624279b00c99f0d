/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the files of iommufd share: objects by number, pages, address spaces (IOAS) and page tables
 * (HWPT). Objects and who uses them change with the machine's state locked for writing; what is
 * mapped, under the lock of the address space.
 */
#ifndef CBIT_VFIO_IOMMUFD_INTERNAL_H
#define CBIT_VFIO_IOMMUFD_INTERNAL_H

#include "uapi_iommufd.h"
#include "vfio_internal.h"

/** struct vfio_iommufd - a file of /dev/iommu; lives as long as anything that it was given to. */
struct vfio_iommufd {
	struct cbit_machine *machine;
	/* by number; nobody is at 0 */
	struct vfio_object **objects;
	uint32_t room;
	uint32_t low;            /* no number below it is free */
	struct vfio_object none; /* stands where a number is taken for good */
	struct vfio_ioas *compat;
	bool noiommu;       /* of a group without an IOMMU: it has no compatibility IOAS */
	bool account_mm;    /* IOMMU_OPTION_RLIMIT_MODE */
	unsigned int users; /* bound devices, groups, and files of event queues */
	bool fd_open;
};

/**
 * struct vfio_seg - a part of pages that is pinned: pages @first..@last, one run, used by @users
 * slices as a whole.
 */
struct vfio_seg {
	uint64_t first, last;
	unsigned int users;
	struct cbit_client_run run;
};

/* On whose account pinned pages are (Linux: IOPT_PAGES_ACCOUNT_*). */
enum vfio_account {
	VFIO_ACCOUNT_NONE, /* of a process that may lock any amount */
	VFIO_ACCOUNT_USER,
	VFIO_ACCOUNT_MM,
};

enum vfio_pages_kind {
	VFIO_PAGES_USER,   /* memory of a process */
	VFIO_PAGES_FILE,   /* a file in memory */
	VFIO_PAGES_DMABUF, /* a BAR */
};

/**
 * struct vfio_pages - what a mapping call named, shared by its copies (Linux: struct iopt_pages).
 * Pages are pinned where an address space with a page table has a slice of them.
 * @base: address, or offset in the file or dma-buf, of page 0.
 * @seg:  ascending, no two overlap. @one serves for the first.
 */
struct vfio_pages {
	struct cbit_machine *machine;
	unsigned int refs; /* atomic */
	enum vfio_pages_kind kind;
	struct cbit_owner *owner;
	int pid;
	enum vfio_account account; /* as it was when they were named, for good */
	uint32_t user;
	bool writable;
	bool moving; /* to another account, at this moment */
	uint64_t base;
	uint64_t nr;
	/* VFIO_PAGES_FILE: what to pin by; NULL where the file is none in memory */
	struct cbit_owner *memory;
	/* VFIO_PAGES_DMABUF */
	struct vfio_dmabuf *dmabuf;
	struct vfio_pages *dmabuf_next;
	struct cbit_spa spa; /* where the dma-buf begins */
	bool revoked;        /* atomic; for good */
	pthread_mutex_t lock;
	struct vfio_seg one;
	struct vfio_seg *seg;
	unsigned int nr_segs;
	unsigned int room;
};

/* Memory that is nobody's to map for DMA has none. */
int vfio_pages_create(const struct vfio_iommufd *iommufd, const struct vfio_call *call,
		      uint64_t vaddr, uint64_t len, bool writable, struct vfio_pages **out);
/* Of the caller's descriptor @fd: a file, or a dma-buf. */
int vfio_pages_create_file(const struct vfio_iommufd *iommufd, const struct vfio_call *call, int fd,
			   uint64_t start, uint64_t len, bool writable, struct vfio_pages **out);
/* A dma-buf whose device took it back: it stays mapped, and has no entries. */
static inline bool vfio_pages_revoked(const struct vfio_pages *pages)
{
	return __atomic_load_n(&pages->revoked, __ATOMIC_ACQUIRE);
}
enum cbit_backing vfio_pages_backing(const struct vfio_pages *pages);
void vfio_pages_get(struct vfio_pages *pages);
void vfio_pages_put(struct vfio_pages *pages);
/* Pin @first..@last, or what of it is not pinned yet. Nothing changes on error. */
int vfio_pages_take(struct vfio_pages *pages, uint64_t first, uint64_t last);
void vfio_pages_drop(struct vfio_pages *pages, uint64_t first, uint64_t last);
/* A slice is about to be cut at page @at. */
int vfio_pages_cut(struct vfio_pages *pages, uint64_t at);
/* How many pages are pinned. */
int64_t vfio_pages_pinned(struct vfio_pages *pages);
/* Put @nr pages on an account of @owner or @user; a negative number takes them off. */
int vfio_pages_charge(const struct cbit_machine *machine, enum vfio_account account,
		      struct cbit_owner *owner, uint32_t user, int64_t nr);
/* Would they have to be charged to these? */
bool vfio_pages_moves(const struct vfio_pages *pages, const struct cbit_owner *owner,
		      uint32_t user);
/*
 * They are the caller's from now on, who is @user, and whose account has them already, whatever is
 * returned: -EINVAL where the old account's process is no more.
 */
int vfio_pages_give(struct vfio_pages *pages, const struct vfio_call *call, uint32_t user);
/* The pinned run at page @at, which is pinned; its @out->len ends at the latest behind @last. */
void vfio_pages_run(struct vfio_pages *pages, uint64_t at, uint64_t last,
		    struct cbit_client_run *out);

/**
 * struct vfio_ioas - an address space, and the page tables that it is in.
 * @resv:      attached devices: each keeps the host's reserved ranges out.
 * @narrow:    page tables that reach only to %VFIO_PASID_LAST.
 * @alignment: of addresses and lengths: 1 before there is a page table.
 * @small:     IOMMU_OPTION_HUGE_PAGES is off.
 * @allowed:   ascending; where addresses may be chosen, if any.
 */
struct vfio_ioas {
	struct vfio_object obj;
	struct vfio_iommufd *fd;
	struct vfio_space *space;
	struct vfio_hwpt *hwpts; /* in the order in which they came */
	unsigned int resv;
	unsigned int narrow;
	uint64_t alignment;
	bool small;
	struct uapi_iova_range *allowed;
	uint32_t nr_allowed;
};

/** struct vfio_hwpt - a page table of an IOAS. */
struct vfio_hwpt {
	struct vfio_object obj;
	struct vfio_ioas *ioas;
	struct cbit_domain *domain;
	struct vfio_hwpt *next;
	struct vfio_object *fault;
	bool automatic; /* made by attaching; goes with the last device */
	bool nest_parent;
	bool dirty;
	bool pasid;
};

/* Linux: amd_iommu_domain_alloc_paging_v2() leaves the top bit of five levels out. */
#define VFIO_PASID_LAST ((UINT64_C(1) << 56) - 1)

/* iommufd.c */
long vfio_iommufd_ioctl(struct vfio_iommufd *fd, const struct vfio_call *call, uint32_t cmd);
/* Does it change objects, or who uses them? */
bool vfio_iommufd_changes(uint32_t cmd);
struct vfio_iommufd *vfio_iommufd_create(struct cbit_machine *machine);
void vfio_iommufd_release(struct vfio_iommufd *fd);
void vfio_iommufd_put(struct vfio_iommufd *fd);
/* Give @obj the lowest free number: 0, -ENOMEM. */
int vfio_object_add(struct vfio_iommufd *fd, struct vfio_object *obj, enum vfio_object_type type);
void vfio_object_remove(struct vfio_iommufd *fd, struct vfio_object *obj);
/* NULL unless it is there and of that type, or of any for VFIO_OBJECT_NONE. */
struct vfio_object *vfio_object_find(const struct vfio_iommufd *fd, uint32_t id,
				     enum vfio_object_type type);
/* Nobody uses it but the table: take it out and free it. -EBUSY otherwise. */
int vfio_object_destroy(struct vfio_iommufd *fd, struct vfio_object *obj);
/*
 * vfio_get_cmd() - the structure of a command by the rules of copy_struct_from_user(): at least
 * @min bytes of the @size that are known here; more must be zero.
 */
long vfio_get_cmd(const struct vfio_call *call, void *cmd, size_t size, size_t min);
/* Write it back, as much as the client has room for (iommufd_ucmd_respond()). */
int vfio_respond(const struct vfio_call *call, const void *cmd, size_t size);

static inline struct vfio_ioas *vfio_ioas_of(struct vfio_object *obj)
{
	return (struct vfio_ioas *)obj;
}

static inline struct vfio_hwpt *vfio_hwpt_of(struct vfio_object *obj)
{
	return (struct vfio_hwpt *)obj;
}

static inline struct vfio_ioas *vfio_ioas_find(const struct vfio_iommufd *fd, uint32_t id)
{
	return vfio_ioas_of(vfio_object_find(fd, id, VFIO_OBJECT_IOAS));
}

struct vfio_device *vfio_iommufd_device(const struct vfio_iommufd *fd, uint32_t id);

/* ioas.c: without the space's lock held, but for those that say so */
int vfio_ioas_create(struct vfio_iommufd *fd, struct vfio_ioas **out);
void vfio_ioas_destroy(struct vfio_ioas *ioas);
/* The parts that nothing reserves, ascending; at most four. With the lock held. */
unsigned int vfio_ioas_ranges(const struct vfio_ioas *ioas, struct uapi_iova_range out[4]);
struct vfio_slice {
	struct vfio_pages *pages;
	uint64_t start;
	uint64_t len;
};
/**
 * struct vfio_area - what to map: @nr slices one behind the other, @len bytes in all.
 * @fixed: @iova is given; chosen otherwise.
 * @call_name: of the command, for what is told of it.
 */
struct vfio_area {
	const struct vfio_slice *slice;
	unsigned int nr;
	uint64_t len;
	uint64_t iova;
	bool fixed;
	unsigned int attrs;
	const char *call_name;
};
int vfio_ioas_map(struct vfio_ioas *ioas, const struct vfio_call *call, struct vfio_area *area);
int vfio_ioas_unmap(struct vfio_ioas *ioas, uint64_t first, uint64_t last, uint64_t *unmapped);
/* Cut the mapping that @last is the last byte of a part of. */
int vfio_ioas_cut(struct vfio_ioas *ioas, uint64_t last);
int vfio_ioas_allow(struct vfio_ioas *ioas, struct uapi_iova_range *allowed, uint32_t nr);
bool vfio_ioas_reserved(const struct vfio_ioas *ioas, uint64_t first, uint64_t last);
bool vfio_ioas_in_use(struct vfio_ioas *ioas, uint64_t first, uint64_t last);
/* The alignment of the memory is kept up to a huge page; @addr: where it is. */
int vfio_ioas_choose(struct vfio_ioas *ioas, uint64_t addr, uint64_t len, uint64_t *iova);
int vfio_ioas_small(struct vfio_ioas *ioas);
void vfio_ioas_large(struct vfio_ioas *ioas);
int vfio_ioas_add_table(struct vfio_ioas *ioas, struct vfio_hwpt *hwpt);
void vfio_ioas_remove_table(struct vfio_ioas *ioas, struct vfio_hwpt *hwpt);
/* A device comes, or goes. -EADDRINUSE where something is mapped that it reserves. */
int vfio_ioas_reserve(struct vfio_ioas *ioas);
void vfio_ioas_unreserve(struct vfio_ioas *ioas);

/* Take the entries of revoked pages out of every page table. */
void vfio_ioas_unfill_revoked(struct cbit_machine *machine);

/* dmabuf.c */
int vfio_dmabuf_attach(struct cbit_file *file, uint64_t start, uint64_t len,
		       struct vfio_pages *pages);
void vfio_dmabuf_detach(struct vfio_pages *pages);

/* iommufd_ioas.c */
long vfio_iommufd_map_file(struct vfio_iommufd *fd, const struct vfio_call *call, void *cmd);
long vfio_iommufd_ioas_alloc(struct vfio_iommufd *fd, const struct vfio_call *call, void *cmd);
long vfio_iommufd_allow_iovas(struct vfio_iommufd *fd, const struct vfio_call *call, void *cmd);
long vfio_iommufd_iova_ranges(struct vfio_iommufd *fd, const struct vfio_call *call, void *cmd);
long vfio_iommufd_map(struct vfio_iommufd *fd, const struct vfio_call *call, void *cmd);
long vfio_iommufd_copy(struct vfio_iommufd *fd, const struct vfio_call *call, void *cmd);
long vfio_iommufd_unmap(struct vfio_iommufd *fd, const struct vfio_call *call, void *cmd);
long vfio_iommufd_option(struct vfio_iommufd *fd, const struct vfio_call *call, void *cmd);
long vfio_iommufd_change_process(struct vfio_iommufd *fd, const struct vfio_call *call, void *cmd);

/* hwpt.c */
long vfio_iommufd_hwpt_alloc(struct vfio_iommufd *fd, const struct vfio_call *call, void *cmd);
long vfio_iommufd_set_dirty(struct vfio_iommufd *fd, const struct vfio_call *call, void *cmd);
long vfio_iommufd_get_dirty(struct vfio_iommufd *fd, const struct vfio_call *call, void *cmd);
long vfio_iommufd_invalidate(struct vfio_iommufd *fd, const struct vfio_call *call, void *cmd);
void vfio_hwpt_destroy(struct vfio_hwpt *hwpt);
int vfio_hwpt_alloc(struct vfio_ioas *ioas, struct vfio_device *attach, uint32_t flags,
		    bool user_data, struct vfio_hwpt **out);

/* hwpt_attach.c: devices and page tables */
int vfio_hwpt_attach(struct vfio_hwpt *hwpt, struct vfio_device *dev);
/* Attach, or attach to something else; @id: an IOAS or HWPT, gets the HWPT. */
int vfio_device_attach_pt(struct vfio_device *dev, uint32_t *id);
int vfio_device_attach_pasid(struct vfio_device *dev, uint32_t id);
void vfio_device_detach_pt(struct vfio_device *dev);
int vfio_device_bind(struct vfio_device *dev, struct vfio_iommufd *fd);
void vfio_device_unbind(struct vfio_device *dev);

/* iommufd_viommu.c */
long vfio_iommufd_hw_info(struct vfio_iommufd *fd, const struct vfio_call *call, void *cmd);
long vfio_iommufd_viommu_alloc(struct vfio_iommufd *fd, const struct vfio_call *call, void *cmd);
long vfio_iommufd_vdevice_alloc(struct vfio_iommufd *fd, const struct vfio_call *call, void *cmd);
long vfio_iommufd_fault_alloc(struct vfio_iommufd *fd, const struct vfio_call *call, void *cmd);
long vfio_iommufd_veventq_alloc(struct vfio_iommufd *fd, const struct vfio_call *call, void *cmd);
long vfio_iommufd_hw_queue_alloc(struct vfio_iommufd *fd, const struct vfio_call *call, void *cmd);
/* Frees one of those that these make, and lets go of what it used. */
void vfio_viommu_destroy(struct vfio_iommufd *fd, struct vfio_object *obj);
/* The device goes: its vDEVICE goes too, and leaves its number taken. */
void vfio_vdevice_orphan(struct vfio_device *dev);
void vfio_eventq_release(struct vfio_eventq *eventq);

/* iommufd_compat.c: the calls of a VFIO container */
long vfio_iommufd_compat(struct vfio_iommufd *fd, const struct vfio_call *call, uint32_t cmd);
int vfio_iommufd_compat_noiommu(struct vfio_iommufd *fd);
int vfio_iommufd_compat_create(struct vfio_iommufd *fd);
long vfio_iommufd_vfio_ioas(struct vfio_iommufd *fd, const struct vfio_call *call, void *cmd);

#endif
