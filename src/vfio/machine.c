/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The machine: its address map, IOMMU, devices and groups.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "iommufd_internal.h"

static uint64_t take_window(struct cbit_machine *machine, uint64_t size, uint64_t align)
{
	uint64_t at = (machine->mmio_next + align - 1) & ~(align - 1);

	machine->mmio_next = at + size;
	return at;
}

/* The same BAR of all virtual functions lies in one window, in their order. */
static struct cbit_spa bar_place(void *opaque, uint64_t size)
{
	struct vfio_device *dev = opaque;
	struct vfio_device *pf = dev->pf;
	uint64_t *window;

	if (!pf)
		return CBIT_SPA(take_window(dev->machine, size, size));
	window = &pf->vf_bars[dev->bars_placed++];
	if (!dev->vf)
		*window = take_window(dev->machine, size * cbit_pci_total_vfs(pf->pci), size);
	return CBIT_SPA(*window + size * dev->vf);
}

static void *bar_memory(void *opaque, unsigned int bar, uint64_t size)
{
	struct vfio_device *dev = opaque;
	struct cbit_machine *machine = dev->machine;
	void **bars, *p;

	if (machine->bar_memory)
		return machine->bar_memory(machine->client_opaque, dev->devid, bar, size);
	bars = realloc(machine->heap_bars, (machine->nr_heap_bars + 1) * sizeof(*bars));
	if (!bars)
		return NULL;
	machine->heap_bars = bars;
	p = aligned_alloc(CBIT_PAGE_SIZE, size);
	if (p) {
		memset(p, 0, size);
		bars[machine->nr_heap_bars++] = p;
	}
	return p;
}

static void device_irq(void *opaque, unsigned int index, unsigned int vector)
{
	vfio_irq_raise(opaque, index, vector);
}

int cbit_machine_create(const struct cbit_machine_config *config, struct cbit_machine **out,
			struct cbit_error *err)
{
	struct cbit_machine *machine = calloc(1, sizeof(*machine));
	const struct cbit_mem_region_desc host = {
		.kind = CBIT_MEM_DRAM,
		.encrypts = true,
		.base = CBIT_SPA(CBIT_HOST_DRAM_BASE),
		.size = CBIT_HOST_DRAM_SIZE,
		.name = "host-dram",
	};
	struct cbit_mem_region_desc client = {
		.kind = CBIT_MEM_DRAM,
		.encrypts = true,
		.base = CBIT_SPA(CBIT_CLIENT_DRAM_BASE),
		.size = config->guest.kind ? CBIT_CLIENT_GUEST_SIZE : CBIT_CLIENT_DRAM_SIZE,
		.name = "client-dram",
		.ops = config->client_dram,
		.opaque = config->client_opaque,
		.resident = config->platform.sme || config->platform.tsme ? CBIT_KEY_HOST
									  : CBIT_KEY_NONE,
	};
	int ret;

	if (!machine)
		return cbit_error_set(err, -ENOMEM, "no memory for a machine");
	machine->platform = config->platform;
	machine->policy = config->policy;
	machine->observer = config->observer;
	machine->client = config->client;
	machine->client_opaque = config->client_opaque;
	machine->bar_memory = config->bar_memory;
	machine->mmio_next = CBIT_MMIO_BASE;
	pthread_rwlock_init(&machine->state, NULL);
	pthread_mutex_init(&machine->opens, NULL);
	pthread_mutex_init(&machine->refs_lock, NULL);
	pthread_mutex_init(&machine->dmabuf_lock, NULL);
	ret = cbit_mem_create(&machine->platform, &machine->mem);
	if (ret)
		cbit_error_set(err, ret, "cannot create the address space: %s", strerror(-ret));
	if (!ret)
		ret = cbit_mem_add_region(machine->mem, &host, err);
	/* What a guest's program has is private, and its CPU uses the guest's key. */
	if (!ret && config->guest.kind)
		client.resident = cbit_mem_guest_key(machine->mem, VFIO_GUEST_ASID);
	if (!ret && config->client_dram)
		ret = cbit_mem_add_region(machine->mem, &client, err);
	if (!ret && config->guest.kind) {
		ret = vfio_guest_create(machine, config, err);
	} else if (!ret) {
		ret = cbit_iommu_create(machine->mem, &machine->observer, &machine->iommu);
		if (ret)
			cbit_error_set(err, ret, "cannot create the IOMMU: %s", strerror(-ret));
	}
	if (ret) {
		cbit_machine_destroy(machine);
		return ret;
	}
	*out = machine;
	return 0;
}

static void device_free(struct vfio_device *dev)
{
	vfio_irq_disable_all(dev);
	cbit_pci_destroy(dev->pci);
	vfio_irq_destroy(dev);
	vfio_mig_destroy(dev);
	vfio_memory_destroy(dev);
	free(dev);
}

void cbit_machine_destroy(struct cbit_machine *machine)
{
	struct vfio_space_ref *ref;

	if (!machine)
		return;
	for (unsigned int i = 0; i < machine->nr_devices; i++)
		device_free(machine->devices[i]);
	for (unsigned int i = 0; i < machine->nr_groups; i++)
		free(machine->groups[i]);
	if (machine->guest)
		vfio_guest_destroy(machine);
	else
		cbit_iommu_destroy(machine->iommu);
	cbit_mem_destroy(machine->mem);
	for (unsigned int i = 0; i < machine->nr_heap_bars; i++)
		free(machine->heap_bars[i]);
	free(machine->heap_bars);
	while ((ref = machine->spare_refs)) {
		machine->spare_refs = ref->next;
		pthread_mutex_destroy(&ref->lock);
		free(ref);
	}
	pthread_mutex_destroy(&machine->opens);
	pthread_mutex_destroy(&machine->refs_lock);
	pthread_mutex_destroy(&machine->dmabuf_lock);
	pthread_rwlock_destroy(&machine->state);
	free(machine);
}

struct cbit_mem *cbit_machine_mem(struct cbit_machine *machine)
{
	return machine->mem;
}

struct cbit_iommu *cbit_machine_iommu(struct cbit_machine *machine)
{
	return machine->iommu;
}

static int parse_bdf(const char *text, uint16_t *devid)
{
	unsigned int domain, bus, dev, fn;
	char end;

	if (sscanf(text, "%4x:%2x:%2x.%1x%c", &domain, &bus, &dev, &fn, &end) != 4 || domain ||
	    dev > 31 || fn > 7)
		return -EINVAL;
	*devid = (uint16_t)(bus << 8 | dev << 3 | fn);
	return 0;
}

/* The options that belong to every device are taken out of @spec; the rest goes to the model. */
static int parse_common(const char *spec, char *rest, size_t size, unsigned int *group,
			uint16_t *devid, struct cbit_error *err)
{
	char copy[512], *save = NULL, *word, *end;
	unsigned long n;

	if (strlen(spec) >= sizeof(copy))
		return cbit_error_set(err, -EINVAL, "device '%.40s...': longer than %zu characters",
				      spec, sizeof(copy) - 1);
	memcpy(copy, spec, strlen(spec) + 1);
	rest[0] = 0;
	for (word = strtok_r(copy, ",", &save); word; word = strtok_r(NULL, ",", &save)) {
		if (!strncmp(word, "group=", 6)) {
			n = strtoul(word + 6, &end, 10);
			if (!word[6] || *end || n > 65535)
				return cbit_error_set(err, -EINVAL,
						      "device '%s': '%s' is not a group number "
						      "(0..65535)",
						      spec, word);
			*group = (unsigned int)n;
		} else if (!strncmp(word, "addr=", 5)) {
			if (parse_bdf(word + 5, devid))
				return cbit_error_set(err, -EINVAL,
						      "device '%s': '%s' is not an address like "
						      "0000:01:00.0",
						      spec, word);
		} else {
			if (rest[0])
				strncat(rest, ",", size - strlen(rest) - 1);
			strncat(rest, word, size - strlen(rest) - 1);
		}
	}
	return 0;
}

static unsigned int physical(const struct cbit_machine *machine)
{
	unsigned int n = 0;

	while (n < machine->nr_devices && !machine->devices[n]->pf)
		n++;
	return n;
}

/*
 * Virtual functions come behind all others, as if they had been enabled later: so the numbers of
 * devices and groups do not depend on how many a device may have.
 */
static void renumber(struct cbit_machine *machine)
{
	unsigned int next = 1;

	for (unsigned int i = 0; i < machine->nr_devices; i++) {
		struct vfio_device *dev = machine->devices[i];

		dev->index = i;
		if (!dev->pf && dev->group->number >= next)
			next = dev->group->number + 1;
	}
	for (unsigned int i = 0; i < machine->nr_devices; i++) {
		if (machine->devices[i]->pf)
			machine->devices[i]->group->number = next++;
	}
}

static bool number_taken(const struct cbit_machine *machine, unsigned int number)
{
	for (unsigned int i = 0; i < machine->nr_devices; i++) {
		if (!machine->devices[i]->pf && machine->devices[i]->group->number == number)
			return true;
	}
	return false;
}

/* The group of a new device; *@fresh: it has been made for it. */
static struct vfio_group *group_for(struct cbit_machine *machine, unsigned int number, bool own,
				    bool *fresh)
{
	struct vfio_group *group;

	*fresh = true;
	for (unsigned int i = 0; i < machine->nr_devices && !own; i++) {
		group = machine->devices[i]->group;
		if (machine->devices[i]->pf || group->number != number)
			continue;
		*fresh = false;
		return group;
	}
	group = calloc(1, sizeof(*group));
	if (group) {
		group->number = number;
		machine->groups[machine->nr_groups++] = group;
	}
	return group;
}

static void drop_group(struct cbit_machine *machine, struct vfio_group *group)
{
	unsigned int at = 0;

	for (unsigned int i = 0; i < machine->nr_devices; i++) {
		if (machine->devices[i]->group == group)
			return;
	}
	while (machine->groups[at] != group)
		at++;
	free(group);
	machine->groups[at] = machine->groups[--machine->nr_groups];
}

/* A device whose virtual functions could not all be made. */
static void unplug(struct cbit_machine *machine, const struct vfio_device *pf)
{
	unsigned int kept = 0, gone = 0;
	struct vfio_device *out[VFIO_MAX_DEVICES];

	for (unsigned int i = 0; i < machine->nr_devices; i++) {
		struct vfio_device *dev = machine->devices[i];

		if (dev == pf || dev->pf == pf)
			out[gone++] = dev;
		else
			machine->devices[kept++] = dev;
	}
	machine->nr_devices = kept;
	for (unsigned int i = 0; i < gone; i++) {
		drop_group(machine, out[i]->group);
		device_free(out[i]);
	}
	renumber(machine);
}

int vfio_device_plug(struct cbit_machine *machine, struct vfio_device *pf, unsigned int vf,
		     const char *spec, uint16_t devid, unsigned int number, struct cbit_error *err)
{
	struct cbit_pci_host host = { .iommu = machine->iommu,
				      .mem = machine->mem,
				      .bar_memory = bar_memory,
				      .bar_place = bar_place,
				      .irq = device_irq };
	unsigned int at = pf ? machine->nr_devices : physical(machine);
	struct vfio_device *dev;
	bool fresh;
	int ret;

	if (machine->nr_devices == VFIO_MAX_DEVICES)
		return cbit_error_set(err, -EINVAL, "device '%s': there are %d already", spec,
				      VFIO_MAX_DEVICES);
	for (unsigned int i = 0; i < machine->nr_devices; i++) {
		if (machine->devices[i]->devid == devid)
			return cbit_error_set(err, -EEXIST, "device '%s': %s is taken", spec,
					      machine->devices[i]->bdf);
	}
	dev = calloc(1, sizeof(*dev));
	if (!dev)
		return cbit_error_set(err, -ENOMEM, "no memory for device '%s'", spec);
	dev->machine = machine;
	dev->devid = devid;
	dev->pf = pf;
	dev->vf = vf;
	dev->absent = pf != NULL;
	dev->group = group_for(machine, number, pf != NULL, &fresh);
	snprintf(dev->bdf, sizeof(dev->bdf), "0000:%02x:%02x.%x", devid >> 8, (devid >> 3) & 31,
		 devid & 7);
	vfio_irq_init(dev);
	host.opaque = dev;
	if (!dev->group)
		ret = cbit_error_set(err, -ENOMEM, "no memory for a group");
	else if (pf)
		ret = cbit_pci_create_vf(pf->pci, spec, vf, &host, &dev->pci, err);
	else
		ret = cbit_pci_create(spec, devid, &host, &dev->pci, err);
	if (ret) {
		/* A group that was made for it has nobody else. */
		if (dev->group && fresh)
			free(machine->groups[--machine->nr_groups]);
		vfio_irq_destroy(dev);
		free(dev);
		return ret;
	}
	vfio_memory_init(dev);
	vfio_mig_init(dev);
	for (unsigned int i = machine->nr_devices++; i > at; i--)
		machine->devices[i] = machine->devices[i - 1];
	machine->devices[at] = dev;
	renumber(machine);
	ret = machine->guest ? vfio_guest_add_device(machine, dev, err) : 0;
	if (!ret && !pf)
		ret = vfio_sriov_plug(dev, spec, err);
	if (ret && !pf)
		unplug(machine, dev);
	return ret;
}

int cbit_machine_add_device(struct cbit_machine *machine, const char *spec, struct cbit_error *err)
{
	uint16_t devid = (uint16_t)((physical(machine) + 1) << 8);
	unsigned int number = UINT32_MAX;
	char rest[512];
	int ret;

	ret = parse_common(spec, rest, sizeof(rest), &number, &devid, err);
	if (ret)
		return ret;
	if (machine->noiommu && number != UINT32_MAX && number_taken(machine, number))
		return cbit_error_set(
			err, -EINVAL,
			"device '%s': without an IOMMU each device has a group of its own", spec);
	if (number == UINT32_MAX) {
		for (number = 1; number_taken(machine, number);)
			number++;
	}
	return vfio_device_plug(machine, NULL, 0, rest, devid, number, err);
}

int cbit_machine_set_faults(struct cbit_machine *machine, struct cbit_fault_plan *plan,
			    struct cbit_error *err)
{
	struct cbit_fault_rule_info rule;
	bool found;
	int ret = 0;

	for (unsigned int i = 0; cbit_fault_plan_rule(plan, i, &rule); i++) {
		found = !rule.one_device;
		for (unsigned int d = 0; d < machine->nr_devices; d++)
			found |= machine->devices[d]->devid == rule.device;
		if (!found)
			return cbit_error_set(err, -ENODEV, "fault '%s': there is no such device",
					      rule.text);
	}
	for (unsigned int d = 0; !ret && d < machine->nr_devices; d++)
		ret = cbit_pci_set_faults(machine->devices[d]->pci, plan);
	return ret ? cbit_error_set(err, ret, "no memory for the faults") : 0;
}

bool cbit_machine_device(struct cbit_machine *machine, unsigned int index,
			 struct cbit_device_info *out)
{
	const struct vfio_device *dev;

	if (index >= machine->nr_devices)
		return false;
	dev = machine->devices[index];
	out->pci = dev->pci;
	memcpy(out->bdf, dev->bdf, sizeof(out->bdf));
	out->index = index;
	out->group = dev->group->number;
	out->total_vfs = cbit_pci_total_vfs(dev->pci);
	out->num_vfs = __atomic_load_n(&dev->num_vfs, __ATOMIC_RELAXED);
	out->pf = dev->pf ? dev->pf->index : UINT32_MAX;
	out->vf = dev->vf;
	out->present = !__atomic_load_n(&dev->absent, __ATOMIC_RELAXED);
	return true;
}
