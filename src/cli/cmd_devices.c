/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cbit devices: what there is to choose from.
 */
#include <argp.h>
#include <stdio.h>
#include <string.h>

#include <cbit/dev.h>
#include <cbit/policy.h>

#include "cli.h"

static void print_faults(void)
{
	const char *line = cbit_fault_help(), *end;

	puts("\nFaults (--fault SPEC):");
	for (; (end = strchr(line, '\n')); line = end + 1)
		printf("  %.*s\n", (int)(end - line), line);
}

int cmd_devices(int argc, char **argv)
{
	static const struct argp argp = {
		.doc = "List the device models with their options, the policies and the platforms.",
	};
	static const char *const platforms[] = { "bare", "sme", "tsme", "sev-guest", "snp-guest" };
	const struct cbit_policy *policy;
	struct cbit_platform platform;

	argp_err_exit_status = EXIT_CBIT;
	if (argp_parse(&argp, argc, argv, 0, NULL, NULL))
		return EXIT_CBIT;
	printf("Device models (--device SPEC):\n%s"
	       "  every device: group=N (IOMMU group), addr=BDF (such as 0000:01:00.0)\n",
	       cbit_pci_models());
	print_faults();
	puts("\nPolicies (--policy NAME):");
	for (unsigned int i = 0; (policy = cbit_policy_at(i)); i++)
		printf("  %-12s %s\n", cbit_policy_name(policy), cbit_policy_about(policy));
	puts("\nPlatforms (--platform NAME):");
	for (size_t i = 0; i < sizeof(platforms) / sizeof(platforms[0]); i++) {
		if (cbit_platform_preset(platforms[i], &platform))
			continue;
		if (platform.sev)
			printf("  %-12s the program runs inside a guest with %s; C-bit at position "
			       "%u\n",
			       platforms[i], platform.snp ? "SEV-SNP" : "SEV", platform.c_bit);
		else if (platform.sme)
			printf("  %-12s C-bit at position %u, %u-bit physical addresses\n",
			       platforms[i], platform.c_bit, platform.pa_bits);
		else
			printf("  %-12s no C-bit%s\n", platforms[i],
			       platform.tsme ? "; all of DRAM under the host key" : "");
	}
	return 0;
}
