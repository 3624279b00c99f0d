/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Device SPECs of the command line: the list of models, and "model,key=value,..." words.
 */
#include "models.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct pci_model *const models[] = {
	&pci_ioat_model,
	&pci_dsa_model,
	&pci_nvme_model,
};

const char *cbit_pci_models(void)
{
	return PCI_IOAT_HELP PCI_DSA_HELP PCI_NVME_HELP;
}

/* The models' names, for a message. */
static void names(char *buf, size_t size)
{
	size_t at = 0;

	for (size_t i = 0; i < sizeof(models) / sizeof(models[0]) && at < size; i++)
		at += (size_t)snprintf(buf + at, size - at, "%s%s", i ? ", " : "", models[i]->name);
}

const struct pci_model *pci_spec_model(const char *spec, struct cbit_error *err)
{
	size_t len = strcspn(spec, ",");
	char list[128];

	for (size_t i = 0; i < sizeof(models) / sizeof(models[0]); i++)
		if (strlen(models[i]->name) == len && !strncmp(models[i]->name, spec, len))
			return models[i];
	names(list, sizeof(list));
	cbit_error_set(err, -ENOENT, "no device model \"%.*s\"; there are: %s", (int)len, spec,
		       list);
	return NULL;
}

bool pci_parse_number(const char *text, uint64_t *out)
{
	char *end;
	unsigned long long v;

	/* strtoull() takes signs and blanks; a SPEC has neither. */
	if (!isdigit((unsigned char)text[0]))
		return false;
	errno = 0;
	v = strtoull(text, &end, 0);
	if (errno || *end)
		return false;
	*out = v;
	return true;
}

bool pci_parse_size(const char *text, uint64_t *out)
{
	static const char suffixes[] = "KMG";
	size_t len = strlen(text);
	const char *suffix = len ? strchr(suffixes, toupper((unsigned char)text[len - 1])) : NULL;
	unsigned int shift = 0;
	char digits[32];

	if (suffix) {
		shift = 10 * (unsigned int)(suffix - suffixes + 1);
		len--;
	}
	if (len >= sizeof(digits))
		return false;
	memcpy(digits, text, len);
	digits[len] = '\0';
	if (!pci_parse_number(digits, out) || *out > UINT64_MAX >> shift)
		return false;
	*out <<= shift;
	return true;
}

static int parse_sriov(struct cbit_pci *pci, const char *value, struct cbit_error *err)
{
	uint64_t n;

	if (!pci_parse_number(value, &n) || !n || n > CBIT_PCI_VFS)
		return cbit_error_set(err, -EINVAL, "%s: sriov=%s: must be from 1 to %u",
				      pci->model->name, value, CBIT_PCI_VFS);
	/* Virtual functions have none themselves. */
	pci->total_vfs = pci->pf ? 0 : (unsigned int)n;
	return 0;
}

static int parse_migration(struct cbit_pci *pci, const char *value, struct cbit_error *err)
{
	if (strcmp(value, "on") != 0 && strcmp(value, "off") != 0)
		return cbit_error_set(err, -EINVAL, "%s: migration=%s: must be on or off",
				      pci->model->name, value);
	pci_log_destroy(pci);
	if (!strcmp(value, "on") && pci_log_create(pci))
		return cbit_error_set(err, -ENOMEM, "out of memory");
	return 0;
}

static int parse_word(struct cbit_pci *pci, char *word, struct cbit_error *err)
{
	const struct pci_model *model = pci->model;
	char *value = strchr(word, '=');
	int ret;

	if (!value)
		return cbit_error_set(err, -EINVAL, "%s: \"%s\" is not key=value; options: %s",
				      model->name, word, model->options);
	*value++ = '\0';
	if (model->save && !strcmp(word, "migration"))
		return parse_migration(pci, value, err);
	if (model->sriov && !strcmp(word, "sriov"))
		return parse_sriov(pci, value, err);
	ret = model->option(pci, word, value, err);
	if (ret == -ENOENT)
		return cbit_error_set(err, -EINVAL, "%s: no option \"%s\"; options: %s",
				      model->name, word, model->options);
	return ret;
}

int pci_spec_parse(struct cbit_pci *pci, const char *spec, struct cbit_error *err)
{
	const char *rest = strchr(spec, ',');
	char *words, *word, *save;
	int ret = 0;

	if (!rest)
		return 0;
	words = strdup(rest + 1);
	if (!words)
		return cbit_error_set(err, -ENOMEM, "out of memory");
	for (word = strtok_r(words, ",", &save); word && !ret; word = strtok_r(NULL, ",", &save))
		ret = parse_word(pci, word, err);
	free(words);
	return ret;
}
