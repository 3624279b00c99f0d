/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The matrix against a second table of what has to come out, written from the rules:
 * tests/data/matrix.expected (the build says where that is).
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include <cbit/matrix.h>

#define MAX_RULES 400
#define FIELDS    11
#define KEYS      5 /* the fields left of '=' */

struct rule {
	char text[256];
	char *field[FIELDS];
	unsigned int line;
	unsigned int used;
};

struct table {
	struct rule rules[MAX_RULES];
	unsigned int count;
	unsigned int cells;
	unsigned int wrong;
};

/* "a|b|c" or "*" */
static bool fits(const char *words, const char *word)
{
	size_t len = strlen(word);

	if (!strcmp(words, "*"))
		return true;
	for (const char *p = words; *p; p += strcspn(p, "|"), p += *p == '|') {
		if (strcspn(p, "|") == len && !strncmp(p, word, len))
			return true;
	}
	return false;
}

static void load(struct table *t)
{
	FILE *in = fopen(MATRIX_EXPECTED, "re");
	unsigned int line = 0;
	char text[256];

	assert_non_null(in);
	while (fgets(text, sizeof(text), in)) {
		struct rule *rule = &t->rules[t->count];
		char *save = NULL, *word;
		unsigned int n = 0;

		line++;
		if (text[0] == '#' || text[0] == '\n')
			continue;
		assert_true(t->count < MAX_RULES);
		*rule = (struct rule){ .line = line };
		snprintf(rule->text, sizeof(rule->text), "%s", text);
		for (word = strtok_r(rule->text, " \t\n", &save); word;
		     word = strtok_r(NULL, " \t\n", &save)) {
			if (!strcmp(word, "=")) {
				assert_int_equal(n, KEYS);
				continue;
			}
			assert_true(n < FIELDS);
			rule->field[n++] = word;
		}
		if (n != FIELDS)
			fail_msg("%s:%u: %u fields, not %d", MATRIX_EXPECTED, line, n, FIELDS);
		t->count++;
	}
	fclose(in);
}

static int compare(void *opaque, const struct cbit_matrix_cell *c)
{
	struct table *t = opaque;
	const char *key[KEYS] = { c->platform, c->policy, cbit_matrix_memory_name(c->memory),
				  cbit_matrix_mapper_name(c->mapper),
				  cbit_matrix_accessor_name(c->accessor) };
	const char *value[FIELDS - KEYS] = { !c->iopte_valid ? "-"
					     : c->c          ? "set"
							     : "clear",
					     cbit_sim_outcome_name(c->read.outcome),
					     cbit_matrix_key_name(&c->read),
					     cbit_sim_outcome_name(c->write.outcome),
					     cbit_matrix_key_name(&c->write),
					     c->vendor ? "undefined" : "defined" };
	unsigned int i, n;

	t->cells++;
	for (i = 0; i < t->count; i++) {
		for (n = 0; n < KEYS && fits(t->rules[i].field[n], key[n]);)
			n++;
		if (n == KEYS)
			break;
	}
	if (i == t->count) {
		print_message("no rule for %s %s %s %s %s\n", key[0], key[1], key[2], key[3],
			      key[4]);
		t->wrong++;
		return 0;
	}
	t->rules[i].used++;
	for (n = 0; n < FIELDS - KEYS; n++) {
		if (!strcmp(t->rules[i].field[KEYS + n], value[n]))
			continue;
		print_message("line %u: %s %s %s %s %s: c %s, read %s %s, write %s %s, %s\n",
			      t->rules[i].line, key[0], key[1], key[2], key[3], key[4], value[0],
			      value[1], value[2], value[3], value[4], value[5]);
		t->wrong++;
		break;
	}
	return 0;
}

static void test_rules(void **state)
{
	struct table *t = calloc(1, sizeof(*t));
	struct cbit_error err = { 0 };

	(void)state;
	assert_non_null(t);
	load(t);
	if (cbit_matrix_run(NULL, NULL, compare, t, &err))
		fail_msg("%s", err.text);
	for (unsigned int i = 0; i < t->count; i++) {
		if (!t->rules[i].used) {
			print_message("line %u: fits no case\n", t->rules[i].line);
			t->wrong++;
		}
	}
	print_message("%u cells, %u rules\n", t->cells, t->count);
	assert_int_equal(t->wrong, 0);
	assert_true(t->cells >= 2900);
	free(t);
}

static int count(void *opaque, const struct cbit_matrix_cell *c)
{
	(void)c;
	return ++*(int *)opaque == 10 ? -E2BIG : 0;
}

static void test_ends(void **state)
{
	const struct cbit_policy *policy = cbit_policy_preset("complete");
	struct cbit_error err;
	int n = 0;

	(void)state;
	assert_int_equal(cbit_matrix_run("nowhere", NULL, count, &n, &err), -ENOENT);
	assert_string_equal(err.text, "'nowhere' is not a platform");
	assert_int_equal(cbit_matrix_run("sme", policy, count, &n, &err), -E2BIG);
	assert_int_equal(n, 10);
}

static void test_render(void **state)
{
	static const char *const needles[] = {
		"C-bit set\n    device       read abort (-)",
		"\"memory\": \"mmio\"",
		"sme,linux-7.2,mmio,type1,device,0x7008200000000001,set,abort,-,lost,-,no\n",
	};
	const struct cbit_policy *policy = cbit_policy_preset("linux-7.2");
	unsigned int cells;
	char *text;

	(void)state;
	for (int format = CBIT_MATRIX_TEXT; format <= CBIT_MATRIX_CSV; format++) {
		assert_int_equal(cbit_matrix_render("sme", policy, (enum cbit_matrix_format)format,
						    &text, &cells, NULL),
				 0);
		assert_non_null(strstr(text, needles[format]));
		assert_true(cells >= 75);
		free(text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rules),
		cmocka_unit_test(test_ends),
		cmocka_unit_test(test_render),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
