/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Arbitrary code bytes given to the instruction emulator, with every address a register of
 * the device. What is refused changes no register; what is taken moves RIP by its length.
 */
#include "fuzz.h"

#include <sys/user.h>
#include <unistd.h>

#define CLIENT_CHECK(x) FUZZ_CHECK(x)
#include "../unit/client_rig.h"
#include "host/host.h"

#define BAR_SIZE 0x10000u

/* Never the fuzzer's own memory: what an instruction writes must not land there. */
static bool locate(void *opaque, uint64_t addr, struct host_access *out)
{
	*out = (struct host_access){ .pci = opaque,
				     .bar = addr & 0x100000 ? 0 : 2,
				     .pos = addr % BAR_SIZE };
	return true;
}

static struct cbit_pci *device(void)
{
	static struct cbit_device_info dev;
	struct client *c;

	if (dev.pci)
		return dev.pci;
	c = client_up("bare", "complete", NULL);
	client_plug(c, "ioat,membar=64K");
	FUZZ_CHECK(cbit_machine_device(c->machine, 0, &dev));
	cbit_pci_open(dev.pci);
	cbit_pci_config_write(dev.pci, 4, &(uint16_t){ 2 }, 2);
	return dev.pci;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t code[64];
	struct user_regs_struct regs = { 0 }, before;
	struct input in = { data, size };
	char text[64] = "";
	bool changed = false;
	int ret;

	take(&in, code, 15);
	regs.rip = (uint64_t)(uintptr_t)code;
	regs.rax = take64(&in);
	regs.rbx = take64(&in);
	regs.rcx = take8(&in);
	regs.rdx = take32(&in);
	regs.rsi = take32(&in);
	regs.rdi = take32(&in);
	regs.r8 = take16(&in);
	regs.eflags = take16(&in);
	before = regs;
	ret = host_insn_emulate(getpid(), &regs, &changed, locate, device(), text, sizeof(text));
	FUZZ_CHECK(ret == 0 || ret == -ENOSYS);
	FUZZ_CHECK(memchr(text, 0, sizeof(text)));
	if (ret) {
		FUZZ_CHECK(!changed && text[0]);
		FUZZ_CHECK(!memcmp(&regs, &before, sizeof(regs)));
	} else {
		FUZZ_CHECK(changed);
		/* A repeated one may be left in its middle. */
		FUZZ_CHECK(regs.rip - before.rip <= 15);
		FUZZ_CHECK(regs.rip != before.rip || regs.rcx < before.rcx);
	}
	return 0;
}
