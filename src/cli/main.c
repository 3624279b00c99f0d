/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The cbit command: finds the sub-command.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/resource.h>
#include <unistd.h>

#include "mem/thread.h"

#include "cli.h"

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *about;
} commands[] = {
	{ "run", cmd_run, "run a VFIO program on a modelled machine" },
	{ "sim", cmd_sim, "carry out scenario files and check what they expect" },
	{ "matrix", cmd_matrix, "every case of platform, policy, memory, mapper and accessor" },
	{ "explain", cmd_explain, "tell a scenario stage by stage" },
	{ "explore", cmd_explore, "the shortest sequences of operations that break a policy" },
	{ "devices", cmd_devices, "the device models, platforms and policies there are" },
};

static void usage(FILE *out)
{
	fputs("usage: cbit COMMAND [ARGS]\n\n"
	      "cbit executes the DMA path of a machine with encrypted memory, in software.\n\n",
	      out);
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		fprintf(out, "  %-10s %s\n", commands[i].name, commands[i].about);
	fputs("\n'cbit COMMAND --help' tells more. 'cbit --version' prints the version.\n", out);
}

/* What was printed has to have arrived. */
static int finish(int status)
{
	int err = fflush(stdout) ? errno : 0;

	if (!err && !ferror(stdout))
		return status;
	/* What failed on the way has left no errno, but one byte more meets the same. */
	if (!err) {
		clearerr(stdout);
		err = putchar('\n') == EOF || fflush(stdout) ? errno : EIO;
	}
	fprintf(stderr, "cbit: standard output: %s\n", strerror(err));
	return EXIT_CBIT;
}

/*
 * Files that we open would come to stand where a standard one was closed, and our messages go into
 * them. What is there now fails as before, and the program does not see it.
 */
static void keep_places(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
		if (fcntl(fd, F_GETFD) < 0 &&
		    open("/dev/null", (fd ? O_RDONLY : O_WRONLY) | O_CLOEXEC) < 0)
			return;
	}
}

/* What this thread needs of its stack: the C library's buffer for a message to stderr, mostly. */
#define STACK_NEEDED ((rlim_t)12 << 10)

/* Where even that is not to be had; what stands at the top of the stack is there before us. */
static bool has_stack(void)
{
	static const char text[] = "cbit: the stack is too small: see 'ulimit -s', and the size "
				   "of the environment\n";
	rlim_t used = getauxval(AT_EXECFN) - (uintptr_t)__builtin_frame_address(0);
	struct rlimit limit;

	if (getrlimit(RLIMIT_STACK, &limit) || limit.rlim_cur >= used + STACK_NEEDED)
		return true;
	return write(STDERR_FILENO, text, sizeof(text) - 1) < 0;
}

struct job {
	int (*run)(int argc, char **argv);
	int argc;
	char **argv;
	sigset_t mask;
	int status;
};

static void *job_main(void *opaque)
{
	struct job *job = opaque;

	pthread_sigmask(SIG_SETMASK, &job->mask, NULL);
	job->status = job->run(job->argc, job->argv);
	return NULL;
}

/*
 * This thread's stack is as small as whoever started us has made it, and shared with the
 * environment; a command has one of its own, and all signals.
 */
static int carry_out(struct job *job)
{
	pthread_t thread;
	sigset_t all;
	int ret;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &job->mask);
	ret = mem_thread_start(&thread, job_main, job);
	if (ret) {
		fprintf(stderr, "cbit: cannot start a thread: %s\n", strerror(-ret));
		return EXIT_CBIT;
	}
	pthread_join(thread, NULL);
	return job->status;
}

int main(int argc, char **argv)
{
	struct job job = { .argc = argc - 1, .argv = argv + 1 };
	char name[64];

	if (!has_stack())
		return EXIT_CBIT;
	keep_places();
	if (argc < 2) {
		usage(stderr);
		return EXIT_CBIT;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help")) {
		usage(stdout);
		return finish(0);
	}
	if (!strcmp(argv[1], "--version")) {
		puts("cbit " CBIT_VERSION);
		return finish(0);
	}
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (strcmp(argv[1], commands[i].name) != 0)
			continue;
		snprintf(name, sizeof(name), "cbit %s", commands[i].name);
		argv[1] = name; /* what argp calls us in its messages */
		job.run = commands[i].run;
		return finish(carry_out(&job));
	}
	fprintf(stderr, "cbit: '%s' is not a command\n\n", argv[1]);
	usage(stderr);
	return EXIT_CBIT;
}
