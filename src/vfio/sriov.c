/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * SR-IOV: virtual functions that come and go by the sysfs attribute of their physical one, and the
 * token that users of both must share (Linux 7.2: drivers/pci/iov.c, sriov_numvfs_store();
 * drivers/vfio/pci/vfio_pci_core.c, vfio_pci_core_sriov_configure(), _match(),
 * _match_token_uuid(), _feature_token()).
 */
#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "vfio_internal.h"

#define TOKEN_WORD "vf_token="
#define UUID_LEN   36u

int vfio_sriov_plug(struct vfio_device *pf, const char *spec, struct cbit_error *err)
{
	const unsigned int total = cbit_pci_total_vfs(pf->pci);
	int ret = 0;

	/* A token that nobody knows, until somebody sets one. */
	if (total && getrandom(pf->token.uuid, sizeof(pf->token.uuid), 0) < 0)
		return cbit_error_set(err, -errno, "no random numbers for a VF token");
	for (unsigned int n = 0; n < total && !ret; n++) {
		if ((cbit_pci_vf_devid(pf->pci, n) ^ pf->devid) >> 8)
			return cbit_error_set(err, -EINVAL,
					      "device '%s': virtual function %u is beyond its bus",
					      spec, n);
		ret = vfio_device_plug(pf->machine, pf, n, spec, cbit_pci_vf_devid(pf->pci, n), 0,
				       err);
	}
	return ret;
}

/* Ask who has the device open to close it; Linux: vfio_pci_core_request() */
static void request_close(struct vfio_device *dev)
{
	struct cbit_machine *machine = dev->machine;

	pthread_mutex_lock(&dev->igate);
	if (dev->req_eventfd >= 0)
		machine->client->signal(machine->client_opaque, dev->req_eventfd);
	pthread_mutex_unlock(&dev->igate);
}

static int set_vfs(struct cbit_machine *machine, struct vfio_device *pf, unsigned int n)
{
	if (n > cbit_pci_total_vfs(pf->pci))
		return -ERANGE;
	if (n == pf->num_vfs)
		return 0;
	if (n && pf->num_vfs)
		return -EBUSY;
	for (unsigned int i = 0; i < machine->nr_devices && n; i++) {
		if (machine->devices[i]->pf == pf && machine->devices[i]->open_count)
			return -EBUSY; /* of those enabled before */
	}
	for (unsigned int i = 0; i < machine->nr_devices; i++) {
		struct vfio_device *vf = machine->devices[i];

		if (vf->pf != pf)
			continue;
		__atomic_store_n(&vf->absent, vf->vf >= n, __ATOMIC_RELAXED);
		if (vf->open_count)
			request_close(vf);
	}
	__atomic_store_n(&pf->num_vfs, n, __ATOMIC_RELAXED);
	cbit_pci_enable_vfs(pf->pci, n);
	return 0;
}

int cbit_machine_set_vfs(struct cbit_machine *machine, unsigned int index, unsigned int n)
{
	struct vfio_device *pf;
	int ret;

	pthread_rwlock_wrlock(&machine->state);
	pf = index < machine->nr_devices ? machine->devices[index] : NULL;
	if (!pf)
		ret = -ENODEV;
	else if (!cbit_pci_total_vfs(pf->pci))
		ret = -ENOENT;
	else
		ret = set_vfs(machine, pf, n);
	pthread_rwlock_unlock(&machine->state);
	return ret;
}

static int match_vf(const struct vfio_vf_token *token, const uint8_t uuid[16])
{
	return uuid && !memcmp(uuid, token->uuid, sizeof(token->uuid)) ? 0 : -EACCES;
}

int vfio_token_match(struct vfio_device *dev, const uint8_t uuid[16])
{
	if (dev->pf)
		return match_vf(&dev->pf->token, uuid);
	if (!cbit_pci_total_vfs(dev->pci))
		return uuid ? -EINVAL : 0;
	/* Who opens the physical function shows the token of those in use, or sets it. */
	if (dev->token.users)
		return match_vf(&dev->token, uuid);
	if (uuid)
		memcpy(dev->token.uuid, uuid, sizeof(dev->token.uuid));
	return 0;
}

static bool dash(unsigned int at)
{
	return at == 8 || at == 13 || at == 18 || at == 23;
}

static unsigned int digit(char c)
{
	return isdigit((unsigned char)c) ? (unsigned int)(c - '0')
					 : (unsigned int)(tolower((unsigned char)c) - 'a' + 10);
}

/* Linux: uuid_parse(): the bytes in the order of the text. */
static bool parse_uuid(const char *text, uint8_t uuid[16])
{
	unsigned int nibble = 0;

	for (unsigned int i = 0; i < UUID_LEN; i++) {
		if (dash(i) ? text[i] != '-' : !isxdigit((unsigned char)text[i]))
			return false;
	}
	for (unsigned int i = 0; i < UUID_LEN; i++) {
		if (dash(i))
			continue;
		uuid[nibble / 2] = (uint8_t)((unsigned int)uuid[nibble / 2] << 4 | digit(text[i]));
		nibble++;
	}
	return true;
}

int vfio_token_name(struct vfio_device *dev, const char *name)
{
	const size_t len = strlen(dev->bdf);
	uint8_t uuid[16] = { 0 };
	bool token = false;
	int ret;

	if (strncmp(name, dev->bdf, len) != 0 || (name[len] && name[len] != ' '))
		return 0;
	for (name += len; *name;) {
		if (*name == ' ') {
			name++;
			continue;
		}
		/* Each option once, and no others. */
		if (token || strncmp(name, TOKEN_WORD, strlen(TOKEN_WORD)) != 0)
			return -EINVAL;
		name += strlen(TOKEN_WORD);
		if (strlen(name) < UUID_LEN || !parse_uuid(name, uuid))
			return -EINVAL;
		token = true;
		name += UUID_LEN;
	}
	ret = vfio_token_match(dev, token ? uuid : NULL);
	return ret ? ret : 1;
}

long vfio_token_feature(struct vfio_device *dev, const struct vfio_call *call,
			const struct uapi_feature *feat)
{
	uint8_t uuid[16];
	int ret;

	if (dev->pf || !cbit_pci_total_vfs(dev->pci))
		return -ENOTTY;
	ret = vfio_check_feature(feat, UAPI_FEATURE_SET, sizeof(uuid));
	if (ret != 1)
		return ret;
	ret = vfio_get(call, uuid, sizeof(*feat), sizeof(uuid));
	if (ret)
		return ret;
	/* Whoever compares has the machine's state for writing; this is against others who set it.
	 */
	pthread_mutex_lock(&dev->igate);
	memcpy(dev->token.uuid, uuid, sizeof(uuid));
	pthread_mutex_unlock(&dev->igate);
	return 0;
}
