/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What an iommufd offers to a VMM besides page tables: what the IOMMU can do, vIOMMUs with their
 * devices, and queues of events (Linux 7.2: drivers/iommu/iommufd/viommu.c, eventq.c, and
 * iommufd_get_hw_info() of device.c; drivers/iommu/amd/iommufd.c). The AMD driver makes a vIOMMU
 * of any kind, puts nothing into its queues and has no queues in hardware.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "iommufd_internal.h"

struct vfio_viommu {
	struct vfio_object obj;
	struct vfio_hwpt *hwpt;
};

struct vfio_vdevice {
	struct vfio_object obj;
	struct vfio_viommu *viommu;
	struct vfio_device *dev;
	uint64_t virt_id;
};

/* A queue of page faults or of a vIOMMU's events, and its file. */
struct vfio_eventq {
	struct vfio_object obj;
	struct vfio_iommufd *fd;
	struct vfio_viommu *viommu; /* NULL for faults */
	uint32_t type;
};

/* --- what there is --- */

static int clear_user(const struct vfio_call *call, uint64_t at, uint64_t len)
{
	static const uint8_t zero[CBIT_PAGE_SIZE];
	const struct cbit_client_ops *ops = call->machine->client;
	int ret = 0;

	for (uint64_t n; len && !ret; at += n, len -= n) {
		n = CBIT_PAGE_SIZE - (at & ~CBIT_PAGE_MASK);
		n = n < len ? n : len;
		ret = ops->copy_out(call->machine->client_opaque, call->caller, at, zero, n);
	}
	return ret;
}

long vfio_iommufd_hw_info(struct vfio_iommufd *fd, const struct vfio_call *call, void *arg)
{
	const struct uapi_hw_info_amd info = { CBIT_IOMMU_EFR, CBIT_IOMMU_EFR2 };
	const struct cbit_client_ops *ops = call->machine->client;
	struct uapi_hw_info *cmd = arg;
	uint32_t len = cmd->data_len < sizeof(info) ? cmd->data_len : (uint32_t)sizeof(info);
	int ret = 0;

	if (cmd->flags & ~UAPI_HW_INFO_INPUT_TYPE)
		return -EOPNOTSUPP;
	if (cmd->reserved[0] || cmd->reserved[1] || cmd->reserved[2])
		return -EOPNOTSUPP;
	if (!(cmd->flags & UAPI_HW_INFO_INPUT_TYPE))
		cmd->data_type = UAPI_HW_INFO_TYPE_DEFAULT;
	if (!vfio_iommufd_device(fd, cmd->dev_id))
		return -ENOENT;
	if (cmd->data_type != UAPI_HW_INFO_TYPE_DEFAULT && cmd->data_type != UAPI_HW_INFO_TYPE_AMD)
		return -EOPNOTSUPP;
	if (len)
		ret = ops->copy_out(call->machine->client_opaque, call->caller, cmd->data_uptr,
				    &info, len);
	if (!ret)
		ret = clear_user(call, cmd->data_uptr + len, cmd->data_len - len);
	if (ret)
		return ret;
	cmd->data_type = UAPI_HW_INFO_TYPE_AMD;
	cmd->data_len = sizeof(info);
	/* The devices have neither ATS nor PASIDs. */
	cmd->out_capabilities = UAPI_HW_CAP_ATS_UNSUPPORTED;
	if (CBIT_IOMMU_EFR & CBIT_VI_EFR_HD)
		cmd->out_capabilities |= UAPI_HW_CAP_DIRTY_TRACKING;
	cmd->out_max_pasid_log2 = 0;
	return vfio_respond(call, cmd, sizeof(*cmd));
}

/* --- vIOMMUs --- */

long vfio_iommufd_viommu_alloc(struct vfio_iommufd *fd, const struct vfio_call *call, void *arg)
{
	struct uapi_viommu_alloc *cmd = arg;
	struct vfio_viommu *viommu;
	struct vfio_hwpt *hwpt;
	int ret;

	if (cmd->flags || !cmd->type)
		return -EOPNOTSUPP;
	if (!vfio_iommufd_device(fd, cmd->dev_id))
		return -ENOENT;
	hwpt = vfio_hwpt_of(vfio_object_find(fd, cmd->hwpt_id, VFIO_OBJECT_HWPT));
	if (!hwpt)
		return -ENOENT;
	if (!hwpt->nest_parent)
		return -EINVAL;
	viommu = calloc(1, sizeof(*viommu));
	if (!viommu)
		return -ENOMEM;
	ret = vfio_object_add(fd, &viommu->obj, VFIO_OBJECT_VIOMMU);
	if (ret) {
		free(viommu);
		return ret;
	}
	viommu->hwpt = hwpt;
	hwpt->obj.users++;
	cmd->out_viommu_id = viommu->obj.id;
	ret = vfio_respond(call, cmd, sizeof(*cmd));
	if (ret)
		vfio_object_destroy(fd, &viommu->obj);
	return ret;
}

static struct vfio_viommu *viommu_find(const struct vfio_iommufd *fd, uint32_t id)
{
	return (struct vfio_viommu *)vfio_object_find(fd, id, VFIO_OBJECT_VIOMMU);
}

/* Has the vIOMMU a device of that number already? */
static bool virt_id_taken(const struct vfio_iommufd *fd, const struct vfio_viommu *viommu,
			  uint64_t virt_id)
{
	for (uint32_t id = 1; id < fd->room; id++) {
		const struct vfio_vdevice *v =
			(const struct vfio_vdevice *)vfio_object_find(fd, id, VFIO_OBJECT_VDEVICE);

		if (v && v->viommu == viommu && v->virt_id == virt_id)
			return true;
	}
	return false;
}

long vfio_iommufd_vdevice_alloc(struct vfio_iommufd *fd, const struct vfio_call *call, void *arg)
{
	struct uapi_vdevice_alloc *cmd = arg;
	struct vfio_viommu *viommu = viommu_find(fd, cmd->viommu_id);
	struct vfio_device *dev = vfio_iommufd_device(fd, cmd->dev_id);
	struct vfio_vdevice *vdevice;
	int ret;

	if (!viommu || !dev)
		return -ENOENT;
	if (dev->vdevice || virt_id_taken(fd, viommu, cmd->virt_id))
		return -EEXIST;
	vdevice = calloc(1, sizeof(*vdevice));
	if (!vdevice)
		return -ENOMEM;
	ret = vfio_object_add(fd, &vdevice->obj, VFIO_OBJECT_VDEVICE);
	if (ret) {
		free(vdevice);
		return ret;
	}
	vdevice->viommu = viommu;
	vdevice->virt_id = cmd->virt_id;
	vdevice->dev = dev;
	dev->vdevice = vdevice;
	viommu->obj.users++;
	cmd->out_vdevice_id = vdevice->obj.id;
	ret = vfio_respond(call, cmd, sizeof(*cmd));
	if (ret)
		vfio_object_destroy(fd, &vdevice->obj);
	return ret;
}

void vfio_vdevice_orphan(struct vfio_device *dev)
{
	struct vfio_vdevice *vdevice = dev->vdevice;
	struct vfio_iommufd *fd = dev->iommufd;
	uint32_t id;

	if (!vdevice)
		return;
	id = vdevice->obj.id;
	vfio_object_destroy(fd, &vdevice->obj);
	/* Linux: iommufd_object_tombstone_user(): the number stays taken. */
	fd->objects[id] = &fd->none;
}

/* --- queues --- */

static int eventq_alloc(struct vfio_iommufd *fd, enum vfio_object_type type,
			struct vfio_eventq **out)
{
	struct vfio_eventq *eventq = calloc(1, sizeof(*eventq));
	int ret;

	if (!eventq)
		return -ENOMEM;
	eventq->fd = fd;
	ret = vfio_object_add(fd, &eventq->obj, type);
	if (ret) {
		free(eventq);
		return ret;
	}
	*out = eventq;
	return 0;
}

/* Its file, in the client: the descriptor, or an errno. */
static int eventq_open(struct vfio_eventq *eventq, const struct vfio_call *call)
{
	struct cbit_machine *machine = call->machine;
	struct cbit_file *file = calloc(1, sizeof(*file));
	int ret;

	if (!file)
		return -ENOMEM;
	file->machine = machine;
	file->kind = CBIT_FILE_EVENTQ;
	file->eventq = eventq;
	eventq->obj.users++;
	eventq->fd->users++;
	ret = machine->client->install(machine->client_opaque, call->caller, file);
	if (ret < 0) {
		eventq->obj.users--;
		eventq->fd->users--;
		free(file);
	}
	return ret;
}

void vfio_eventq_release(struct vfio_eventq *eventq)
{
	struct vfio_iommufd *fd = eventq->fd;

	eventq->obj.users--;
	fd->users--;
	vfio_iommufd_put(fd);
}

long vfio_iommufd_fault_alloc(struct vfio_iommufd *fd, const struct vfio_call *call, void *arg)
{
	struct uapi_fault_alloc *cmd = arg;
	struct vfio_eventq *eventq;
	int ret;

	if (cmd->flags)
		return -EOPNOTSUPP;
	ret = eventq_alloc(fd, VFIO_OBJECT_FAULT, &eventq);
	if (ret)
		return ret;
	cmd->out_fault_id = eventq->obj.id;
	/* A descriptor that is given cannot be taken back: is there a place for its number? */
	ret = vfio_respond(call, cmd, sizeof(*cmd));
	if (!ret)
		ret = eventq_open(eventq, call);
	if (ret < 0) {
		vfio_object_destroy(fd, &eventq->obj);
		return ret;
	}
	cmd->out_fault_fd = (uint32_t)ret;
	return vfio_respond(call, cmd, sizeof(*cmd));
}

/* Linux: iommufd_viommu_find_veventq() */
static bool has_veventq(const struct vfio_iommufd *fd, const struct vfio_viommu *viommu,
			uint32_t type)
{
	for (uint32_t id = 1; id < fd->room; id++) {
		const struct vfio_eventq *q =
			(const struct vfio_eventq *)vfio_object_find(fd, id, VFIO_OBJECT_VEVENTQ);

		if (q && q->viommu == viommu && q->type == type)
			return true;
	}
	return false;
}

long vfio_iommufd_veventq_alloc(struct vfio_iommufd *fd, const struct vfio_call *call, void *arg)
{
	struct uapi_veventq_alloc *cmd = arg;
	struct vfio_viommu *viommu;
	struct vfio_eventq *eventq;
	int ret;

	if (cmd->flags || cmd->reserved || !cmd->type)
		return -EOPNOTSUPP;
	if (!cmd->veventq_depth || cmd->veventq_depth > 1u << 19)
		return -EINVAL;
	viommu = viommu_find(fd, cmd->viommu_id);
	if (!viommu)
		return -ENOENT;
	if (has_veventq(fd, viommu, cmd->type))
		return -EEXIST;
	ret = eventq_alloc(fd, VFIO_OBJECT_VEVENTQ, &eventq);
	if (ret)
		return ret;
	eventq->viommu = viommu;
	eventq->type = cmd->type;
	viommu->obj.users++;
	cmd->out_veventq_id = eventq->obj.id;
	ret = vfio_respond(call, cmd, sizeof(*cmd));
	if (!ret)
		ret = eventq_open(eventq, call);
	if (ret < 0) {
		vfio_object_destroy(fd, &eventq->obj);
		return ret;
	}
	cmd->out_veventq_fd = (uint32_t)ret;
	return vfio_respond(call, cmd, sizeof(*cmd));
}

long vfio_iommufd_hw_queue_alloc(struct vfio_iommufd *fd, const struct vfio_call *call, void *arg)
{
	const struct uapi_hw_queue_alloc *cmd = arg;
	uint64_t last;

	(void)call;
	if (cmd->flags || !cmd->type)
		return -EOPNOTSUPP;
	if (!cmd->length)
		return -EINVAL;
	if (__builtin_add_overflow(cmd->nesting_parent_iova, cmd->length - 1, &last))
		return -EOVERFLOW;
	return viommu_find(fd, cmd->viommu_id) ? -EOPNOTSUPP : -ENOENT;
}

void vfio_viommu_destroy(struct vfio_iommufd *fd, struct vfio_object *obj)
{
	struct vfio_viommu *viommu = (struct vfio_viommu *)obj;
	struct vfio_vdevice *vdevice = (struct vfio_vdevice *)obj;
	struct vfio_eventq *eventq = (struct vfio_eventq *)obj;

	(void)fd;
	if (obj->type == VFIO_OBJECT_VIOMMU) {
		viommu->hwpt->obj.users--;
	} else if (obj->type == VFIO_OBJECT_VDEVICE) {
		vdevice->dev->vdevice = NULL;
		vdevice->viommu->obj.users--;
	} else if (eventq->viommu) {
		eventq->viommu->obj.users--;
	}
	free(obj);
}
